// Every guard of the storage, as a text replacement that takes it away, and the suite that must notice.
//
// `find` stands in `file` exactly once. `by` names a suite: a test binary of C++, or a test file of JavaScript. `side` is
// 'native' where only a build with sanitizers can tell.

const off = (file, by, name, condition) => ({ file, by, name, find: condition, put: `(false && (${condition}))` });
const cut = (file, by, name, find, put = '') => ({ file, by, name, find, put });

const format = (...rest) => off('storage/format.cpp', 'tests_storage', ...rest);
const manifest = (...rest) => off('storage/manifest.cpp', 'tests_storage', ...rest);
const recovery = (...rest) => off('storage/recovery.cpp', 'tests_storage', ...rest);
const rows = (...rest) => off('storage/rows.cpp', 'tests_storage', ...rest);
const backup = (...rest) => off('storage/backup.cpp', 'tests_storage', ...rest);
const database = (...rest) => cut('storage/database.cpp', 'tests_storage', ...rest);
const commit = (...rest) => cut('storage/database_commit.cpp', 'tests_storage', ...rest);
const writing = (...rest) => cut('storage/database_write.cpp', 'tests_storage', ...rest);

const power = 'tests/torture/power-loss.test.mjs';
const volumes = 'tests/js/volumes.test.mjs';
const guards = 'tests/torture/volume-guards.test.mjs';
const fence = 'tests/js/node-fence.test.mjs';
const node = (by, ...rest) => cut('js/src/volumes/node.ts', by, ...rest);
const indexeddb = (by, ...rest) => cut('js/src/volumes/indexeddb.ts', by, ...rest);

export const list = [
  // Bytes of every file.
  format('header: magic', '!std::equal(magic.begin(), magic.end(), kFileMagic.begin())'),
  format('header: checksum', 'checksum != hash64(bytes.first(kHeaderChecked))'),
  format('header: newer version', 'version > kFormatVersion'),
  format(
    'header: kind and number',
    'version == 0 || found_kind != static_cast<uint32_t>(kind) || found_number != number',
  ),
  format('frame: padding', 'std::ranges::any_of(padding, [](uint8_t byte) { return byte != 0; })'),
  format('frame: checksum', 'frame.checksum != frame_checksum(identity, offset, type, frame.payload)'),
  cut(
    'storage/format.cpp',
    'tests_storage',
    'frame: it is bound to its file and history',
    '  writer.put(identity.number);\n  writer.put(identity.link);\n  writer.put(offset);',
    '  writer.put(offset);',
  ),
  cut(
    'storage/format.cpp',
    'tests_storage',
    'frame: it is bound to its place',
    '  writer.put(identity.link);\n  writer.put(offset);',
    '  writer.put(identity.link);',
  ),
  format('sealed file: length', 'bytes.size() != expected.length'),
  format('sealed file: its collection', 'found.link != identity.link'),
  format('sealed file: footer is the last frame', 'offset != bytes.size()'),
  format('sealed file: the one its manifest names', 'frame.checksum != expected.checksum'),
  format('sealed file: checksum of checksums', '!std::ranges::equal(frame.payload, footer)'),

  // What a manifest may say.
  manifest('manifest: kind of frame', 'frame.type != FrameType::kManifest'),
  manifest('manifest: nothing behind its frame', 'kFileHeaderBytes + frame.size != bytes.size()'),
  manifest('manifest: collections are unique', '!fresh(entry.number) || !names.insert(entry.name).second'),
  manifest('manifest: segments are unique', '!fresh(segment.file.number)'),
  manifest('manifest: number of rows', 'segment.rows > UINT32_MAX || (rows += segment.rows) > UINT32_MAX'),
  manifest('manifest: index parts are unique', '!fresh(index.parts.back().number)'),
  manifest('manifest: index within the segments', 'index.segments > entry.segments.size()'),
  manifest('manifest: index covers whole segments', 'covered != index.rows'),
  manifest('manifest: ends where it ends', '!reader.at_end()'),
  manifest('manifest: follows an earlier one', 'manifest.previous >= generation'),

  // Recovery.
  { ...recovery('segment is there', 'length == nullptr'), side: 'native' },
  recovery('segment: length before reading', '!fits'),
  recovery('segment: bound before memory', 'file.length > kMaxSealedBytes'),
  recovery('segment: kind of frame', 'frame.type != FrameType::kRows'),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'segment: rows the collection accepts',
    'const Status status = memory.check(columns); !status.ok()',
    'const Status status = memory.check(columns); false && !status.ok()',
  ),
  recovery('segment: number of rows', 'rows != segment.rows || deletes != segment.deletes'),
  recovery('index: kind of frame', 'frame.type != FrameType::kIndexPart'),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'index: it fits the rows',
    'sections.ok() && memory.attach_derived(sections.value())',
    'sections.ok() && (memory.attach_derived(sections.value()) || true)',
  ),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'manifest: bound',
    'read_file(effects, name, kMaxManifestBytes + 1)',
    'read_file(effects, name, UINT64_MAX)',
  ),
  recovery('log record: known collection', 'entry == out.manifest.collections.end()'),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'log record: rows the collection accepts',
    '    RETURN_IF_ERROR(targets.back()->memory.check(batch));\n',
  ),
  recovery('log: belongs to its manifest', 'header.value().link != identity.link'),
  recovery('log: newer version', 'header.code() == Code::kVersionError'),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'log: a bad end is not written behind',
    'out.log_usable = sound == length;',
    'out.log_usable = true;',
  ),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'a failing host is no damage',
    'return code == Code::kFormatError || code == Code::kNotFound;',
    'return code != Code::kOk && code != Code::kVersionError;',
  ),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'files without a manifest are no new database',
    'if (listing.lengths.empty()) co_return Recovered();',
    'co_return Recovered();',
  ),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'numbers are used once',
    'listing.next_number = std::max(listing.next_number, named->number + 1);',
    '(void)0;',
  ),
  cut(
    'storage/recovery.cpp',
    'tests_storage',
    'a damaged generation is left in place',
    'if (out.report.generations_skipped == 0) {',
    'if (true) {',
  ),

  // Rows.
  rows('rows: strings end where they end', '!sorted || last != bytes.size()'),
  rows(
    'rows: columns of one length',
    '!absent_or_full(columns.texts) || !absent_or_full(columns.payloads) || !absent_or_full(columns.vector_flags)',
  ),
  rows('rows: flags', 'flag > 1'),
  rows(
    'rows: shape of the vectors',
    'section->shape.size() != 2 || section->shape[0] != with_vector || with_vector == 0 || columns.vectors.empty()',
  ),
  cut(
    'storage/log.cpp',
    'tests_storage',
    'log record: ends where it ends',
    '  if (!reader.ok()) return Error{Code::kFormatError, "a log record ends too early", ""};\n  return record;',
    '  return record;',
  ),

  // Writing.
  writing('strict appends are strict', 'std::move(bytes), durability});', 'std::move(bytes), Durability::kRelaxed});'),
  commit('commits are strict', 'Durability::kStrict});', 'Durability::kRelaxed});'),
  commit(
    'the generation before stays whole',
    '  for (const std::string& kept : now.manifest.file_names()) obsolete.erase(kept);\n',
  ),
  commit(
    'a doubtful manifest is settled',
    'if (answer.status.code() != Code::kConflict) doubtful_manifest = hash64(bytes);\n',
    '\n',
  ),
  commit(
    'another writer is noticed when in doubt',
    'if (newest != now.newest) {\n    co_return Error{Code::kConflict,',
    'if (false && newest != now.newest) {\n    co_return Error{Code::kConflict,',
  ),
  writing(
    'a failed append ends the log',
    'if (answer.status.code() != Code::kConflict) now.log_usable = false;\n',
    '\n',
  ),
  writing('the log ends', ' <= kMaxLogBytes;', ' <= UINT64_MAX;'),
  database('a closed database is closed', 'if (closed) return Error', 'if (false && closed) return Error'),
  database(
    'a reader does not write',
    'if (options.read_only) return Error',
    'if (false && options.read_only) return Error',
  ),
  commit(
    'a manifest that nobody would read is not published',
    'if (bytes.size() > kMaxManifestBytes) {',
    'if (false) {',
  ),
  commit('a backup pins its files', 'for (const std::string& kept : pinned) obsolete.erase(kept);'),
  database(
    'a manifest is there before the files of a first restore',
    'if (state.now.manifest.generation == 0) {',
    'if (false) {',
  ),

  // What a backup may say.
  backup('backup: bound before memory', 'length > kMaxBackupFrameBytes'),
  backup('backup: checksum of checksums', '!std::ranges::equal(frame.payload, expected)'),
  backup('backup: footer is the end', '!rest().empty()'),
  backup('backup: description ends where it ends', '!reader.at_end()'),
  backup('backup: names of collections', '!check_collection_name(open_.name).ok()'),
  backup('backup: collections are unique', 'live != nullptr || !numbers_.emplace(open_.number, nullptr).second'),
  cut(
    'storage/backup.cpp',
    'tests_storage',
    'backup: no collection behind the log',
    'if (in_log_) return',
    'if (false) return',
  ),
  backup('backup: no more rows than it says', 'batch.empty() || rows_ > open_.rows || deletes_ > open_.deletes'),
  backup('backup: no fewer rows than it says', 'rows_ != open_.rows || deletes_ != open_.deletes'),
  cut(
    'storage/backup.cpp',
    'tests_storage',
    'backup: rows the collection accepts',
    'RETURN_IF_ERROR(check(*current_, batch));',
  ),
  backup('backup: index where it belongs', 'current_ == nullptr || attached_ || payload.empty()'),
  backup('backup: log record: known collection', 'target == numbers_.end()'),
  cut(
    'storage/backup.cpp',
    'tests_storage',
    'backup: log record: rows the collection accepts',
    'RETURN_IF_ERROR(check(*target->second, batch));',
  ),

  // The folder in Node.
  node(power, 'files are synced', 'if (sync) await handle.sync();'),
  node(
    power,
    'a file has a durable name',
    'await this.#publish(name, bytes, true);\n    await this.#syncFolder(this.path);',
    'await this.#publish(name, bytes, true);',
  ),
  node(power, 'strict appends are synced', 'if (!relaxed) await log.handle.sync();'),
  node(
    power,
    'the log has a durable name',
    'if (!relaxed && !log.nameSynced) {\n        await this.#syncFolder(this.path);',
    'if (!relaxed && !log.nameSynced) {',
  ),
  node(
    power,
    'a manifest has a durable name before anything is removed',
    '    if (!relaxed) await this.#syncFolder(this.path);\n    // The commit stands',
    '    // The commit stands',
  ),
  node(
    power,
    'manifests are synced',
    'await this.#publish(name, manifest, !relaxed);',
    'await this.#publish(name, manifest, false);',
  ),
  node(guards, 'a new folder has a durable name', 'await this.#syncFolder(this.#paths.dirname(path));'),
  node(
    volumes,
    'appends compare the generation',
    'await this.#checkGeneration(generation);\n    const log',
    'const log',
  ),
  node(
    volumes,
    'commits compare the generation',
    'await this.#checkGeneration(generation);\n    const name',
    'const name',
  ),
  node(volumes, 'appends compare the length', 'if (size !== offset) throw', 'if (size === -1) throw'),
  node(guards, 'a log that was removed takes nothing', 'if (nlink === 0) {', 'if (false) {'),
  node(
    volumes,
    'a name is given once',
    'await this.#files.link(draft, target);',
    'await this.#files.copyFile(draft, target);',
  ),
  node(volumes, 'a failed append is taken back', 'await log.handle.truncate(offset).catch(() => {});'),
  node(volumes, 'the lock of another host is kept', 'if (owner.host !== this.#hostname) return false;'),
  node(
    volumes,
    'the lock of a living process is kept',
    "if (started !== undefined && (started === '' || owner.started === '' || started === owner.started)) return false;",
  ),
  node(
    fence,
    'a name is given by the owner of the lock',
    'await this.#checkLock();\n      await this.#giveName(draft, target);',
    'await this.#giveName(draft, target);',
  ),
  node(
    fence,
    'the log is taken over by the owner of the lock',
    'await this.#checkLock();\n      await this.#files.rename(draft, target);',
    'await this.#files.rename(draft, target);',
  ),
  node(
    fence,
    'an append counts while the lock is held',
    '      await this.#checkLock();\n    } catch (cause) {',
    '    } catch (cause) {',
  ),
  node(guards, 'a lock that changed hands is put back', 'if (moved !== found) await', 'if (moved === undefined) await'),
  node(
    guards,
    'only our own lock is removed',
    'if ((await this.#readLock()) === text) {',
    'if ((await this.#readLock()) !== undefined) {',
  ),
  node(
    guards,
    'short writes go on',
    'while (done < bytes.length) {\n    const { bytesWritten }',
    'if (bytes.length > 0) {\n    const { bytesWritten }',
  ),
  node(
    volumes,
    'names stay in the folder',
    'async write(name: string, bytes: Uint8Array): Promise<void> {\n    checkName(name);',
    'async write(name: string, bytes: Uint8Array): Promise<void> {',
  ),

  // IndexedDB.
  indexeddb(guards, 'strict transactions', "relaxed ? 'relaxed' : 'strict'", "'relaxed'"),
  indexeddb(
    guards,
    'a write is done when its transaction is',
    'transaction.oncomplete = () => resolve();',
    'queueMicrotask(resolve);',
  ),
  indexeddb(
    volumes,
    'the generation is compared',
    'else if (found !== expected) abort',
    'else if (found === -1) abort',
  ),
  indexeddb(volumes, 'the length is compared', 'if (length !== offset) steps.abort(conflict);\n          else ', ''),
  indexeddb(volumes, 'a name is given once', 'files.add(recordOf(bytes), key)', 'files.put(recordOf(bytes), key)'),
  indexeddb(
    volumes,
    'an aborted transaction is a failure',
    'transaction.onabort = () => reject(',
    '(transaction as unknown as { never: unknown }).never = () => reject(',
  ),
  indexeddb(volumes, 'a vanished database is not made anew', 'if (this.#opened) {', 'if (false) {'),
  indexeddb(
    volumes,
    'only the bytes given are stored',
    'bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()',
    'bytes',
  ),
  cut('js/src/volumes/tabs.ts', volumes, 'one writer', 'if (heldHere.has(name)) throw this.#busy();'),
];

/** The text of GUARDS.md. `noticed` maps `file: name` to the suite and test that failed without that guard. */
export function writeTable(noticed) {
  const rows = list.map(({ file, name }) => {
    const by = noticed.get(`${file}: ${name}`);
    return { file, name, by: by === undefined ? '**none**' : escaped(by), held: by !== undefined };
  });
  return [
    '# Guards of the storage, and the test that notices when one is gone',
    '',
    '<!-- Generated by `npm run torture:mutate`, which removes one guard at a time and runs its suite until a test fails. -->',
    '',
    `${rows.filter(({ held }) => held).length} of ${rows.length} guards are noticed. How each is taken away stands in [guards.mjs](guards.mjs).`,
    '',
    '| file | guard | the first test that fails without it |',
    '| ---- | ----- | ------------------------------------ |',
    ...rows.map(({ file, name, by }) => `| ${file} | ${escaped(name)} | ${by} |`),
    '',
  ].join('\n');
}

/** What `writeTable` was given, without the guards that no test noticed. */
export function readTable(text) {
  const rows = [...text.matchAll(/^\| (\S+\.\w+) \| (.+) \| (.+) \|$/gm)];
  return new Map(
    rows
      .filter(([, , , by]) => by !== '**none**')
      .map(([, file, name, by]) => [`${file}: ${unescaped(name)}`, unescaped(by)]),
  );
}

const escaped = (text) => text.replace(/[|*<]/g, '\\$&');
const unescaped = (text) => text.replace(/\\([|*<])/g, '$1');
