// A volume that is a folder, for Node and whatever has Node's modules.
//
// Durable means: written to a temporary file, the file synced, given its name, the folder synced, in this order. The
// name is given by linking, which fails where it is taken already; renaming would replace silently.
// The LOCK file holds the owner's process id and start time. It is made complete under its name in one step, and is
// taken over when its owner is dead; a killed process does not lock a database for good.
//
// An owner can lose the lock without noticing: somebody removes the file, or takes a process for dead that is only in
// another namespace of processes. Then it must not change what the next owner sees, however long it is stopped between
// two of its steps. So every file gets its name from a draft, the lock is looked at between making the draft and giving
// the name, and whoever takes the lock removes all drafts before it looks at anything else: a late owner has nothing
// left to give a name to. The log, which grows in place, is a file of each owner's own, copied before the first append:
// late bytes go to a file without a name, and an append is acknowledged only after one more look at the lock.
import { isObject } from '../check.js';
import { NearfieldError, reasonOf } from '../errors.js';
import type { Code } from '../generated/codes.js';
import { builtin } from '../host.js';
import {
  checkName,
  manifestOf,
  nameTaken,
  newestGeneration,
  noSuchDatabase,
  noSuchFile,
  otherGeneration,
  otherLength,
  type FileEntry,
  type LockOptions,
  type Volume,
} from './volume.js';
import { attemptLock, poll } from './waiting.js';

type Files = typeof import('node:fs/promises');
type Paths = typeof import('node:path');
type FileHandle = import('node:fs/promises').FileHandle;

const lockName = 'LOCK';
const asideName = 'lock-aside';
const temporary = '.tmp';
/** Somebody else's files in the same folder may end like that, too. */
const ourTemporary = /^(LOCK|lock|manifest-|log-|segment-|index-).*\.tmp$/;
const debounceMs = 20;
const pollMs = 1000;

// Locks of this process that are no longer used, but whose file could not be removed.
const givenUp = new Set<string>();

interface LockOwner {
  pid: number;
  /** When the process started, in a form that differs between two processes of the same id; '' where unknown. */
  started: string;
  host: string;
}

interface Log {
  name: string;
  handle: FileHandle;
  /** The folder was synced since the file has its name. */
  nameSynced: boolean;
}

export class NodeVolume implements Volume {
  readonly kind = 'node';
  readonly path: string;
  readonly #files: Files;
  readonly #paths: Paths;
  readonly #hostname: string;
  readonly #readOnly: boolean;
  #lockText: string | undefined;
  #lost = false;
  // Makes the names of drafts ours alone; process ids repeat between namespaces.
  readonly #token = Math.random().toString(36).slice(2);
  #drafts = 0;
  // The log that is appended to stays open; opening it takes longer than a small append.
  #log: Log | undefined;
  readonly #watches = new Set<() => void>();

  /** `given` stands in for node:fs/promises, to make it fail in tests. */
  static async open(path: string, readOnly: boolean, given?: Files): Promise<NodeVolume> {
    const [files, paths, os] = await Promise.all([
      given ?? builtin<Files>('node:fs/promises'),
      builtin<Paths>('node:path'),
      builtin<typeof import('node:os')>('node:os'),
    ]);
    return new NodeVolume(paths.resolve(path), readOnly, files, paths, os.hostname());
  }

  private constructor(path: string, readOnly: boolean, files: Files, paths: Paths, hostname: string) {
    this.path = path;
    this.#readOnly = readOnly;
    this.#files = files;
    this.#paths = paths;
    this.#hostname = hostname;
  }

  async list(): Promise<FileEntry[]> {
    const entries: FileEntry[] = [];
    for (const name of await this.#names()) {
      try {
        const stat = await this.#files.stat(this.#at(name));
        if (stat.isFile()) entries.push({ name, length: stat.size });
      } catch (cause) {
        // Removed since the folder was read, by the writer this reader shares it with.
        if (codeOf(cause) !== 'ENOENT') throw this.#failed('look at', name, cause);
      }
    }
    return entries;
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    checkName(name);
    let handle: FileHandle;
    try {
      handle = await this.#files.open(this.#at(name), 'r');
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') throw noSuchFile(this.path, name);
      throw this.#failed('read', name, cause);
    }
    try {
      const { size } = await handle.stat();
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    } catch (cause) {
      throw this.#failed('read', name, cause);
    } finally {
      await handle.close();
    }
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    checkName(name);
    await this.#publish(name, bytes, true);
    await this.#syncFolder(this.path);
  }

  async append(name: string, offset: number, generation: number, bytes: Uint8Array, relaxed: boolean): Promise<void> {
    checkName(name);
    await this.#checkGeneration(generation);
    const log = await this.#openLog(name, offset);
    try {
      const { size, nlink } = await log.handle.stat();
      if (nlink === 0) {
        await this.#checkLock();
        throw this.#vanished(name);
      }
      if (size !== offset) throw otherLength(this.path, name, size, offset);
      try {
        await writeAll(log.handle, bytes, offset);
        if (!relaxed) await log.handle.sync();
      } catch (cause) {
        // What was written of the record goes again, so that the next append finds the length it expects.
        await log.handle.truncate(offset).catch(() => {});
        throw cause;
      }
      if (!relaxed && !log.nameSynced) {
        await this.#syncFolder(this.path);
        log.nameSynced = true;
      }
      await this.#checkLock();
    } catch (cause) {
      await this.#closeLog();
      throw this.#failed('append to', name, cause);
    }
  }

  async commit(
    generation: number,
    manifest: Uint8Array,
    obsolete: readonly string[],
    relaxed: boolean,
  ): Promise<number> {
    await this.#checkGeneration(generation);
    const name = manifestOf(generation + 1);
    try {
      await this.#publish(name, manifest, !relaxed);
    } catch (error) {
      if (!(error instanceof NearfieldError) || error.code !== 'Conflict') throw error;
      if (this.#lost) throw error;
      throw otherGeneration(this.path, generation + 1, generation);
    }
    if (!relaxed) await this.#syncFolder(this.path);
    // The commit stands: it got its name from a draft, so the next owner of the lock, if there is one, has found it. A file that cannot be removed now is only in the way of disk space.
    for (const old of obsolete) {
      checkName(old);
      if (this.#log?.name === old) await this.#closeLog();
      await this.#files.unlink(this.#at(old)).catch(() => {});
    }
    return generation + 1;
  }

  async lock(options: LockOptions = {}): Promise<void> {
    if (this.#lost) throw this.#fenced();
    if (this.#lockText !== undefined) return;
    await attemptLock(
      this.path,
      () => this.#takeLock(),
      options,
      (wake) => this.#listen((name) => (name === lockName || name === '') && wake()),
    );
  }

  async #takeLock(): Promise<void> {
    await this.#makeFolder();
    const owner: LockOwner = {
      pid: process.pid,
      started: (await this.#startOf(process.pid)) ?? '',
      host: this.#hostname,
    };
    const text = JSON.stringify({ ...owner, token: Math.random().toString(36).slice(2) });
    // Each round either takes the lock, or finds it held, or removes one dead owner.
    for (let round = 0; round < 8; round++) {
      const found = await this.#readLock();
      if (found !== undefined) {
        if (await this.#takeFromTheDead(found)) continue;
        break;
      }
      try {
        await this.#publish(lockName, new TextEncoder().encode(text), false);
      } catch (error) {
        // Somebody else was faster, or has removed our draft because it was.
        if (error instanceof NearfieldError && (error.code === 'Conflict' || error.details?.['system'] === 'ENOENT')) {
          continue;
        }
        throw error;
      }
      try {
        await this.#removeDrafts();
      } catch (cause) {
        await this.#files.unlink(this.#at(lockName)).catch(() => {});
        throw this.#failed('clear', '', cause);
      }
      this.#lockText = text;
      return;
    }
    const found = parseOwner((await this.#readLock()) ?? '');
    const who = found === undefined ? 'somebody else' : `process ${found.pid} on ${found.host}`;
    throw new NearfieldError(
      'DatabaseLocked',
      `${this.path} is being written by ${who}; close it there, or open it with readOnly: true`,
      { value: found?.pid },
    );
  }

  async unlock(): Promise<void> {
    if (this.#lockText === undefined) return;
    const text = this.#lockText;
    this.#lockText = undefined;
    this.#lost = false;
    // Until it is removed. This process lives on, so its lock would never look like one of the dead.
    givenUp.add(text);
    // The log is ours only as long as the lock is.
    await this.#closeLog();
    if ((await this.#readLock()) === text) {
      await this.#files.unlink(this.#at(lockName)).catch((cause: unknown) => {
        if (codeOf(cause) !== 'ENOENT') throw this.#failed('unlock', lockName, cause);
      });
    }
    givenUp.delete(text);
  }

  watch(changed: () => void): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ends = [
      this.#listen((name) => {
        if (name === lockName) return;
        timer ??= setTimeout(() => {
          timer = undefined;
          changed();
        }, debounceMs).unref();
      }),
      // Not every file system tells what others do.
      poll(() => this.#state(), pollMs, changed),
      () => clearTimeout(timer),
    ];
    const stop = () => {
      for (const end of ends) end();
      this.#watches.delete(stop);
    };
    this.#watches.add(stop);
    return stop;
  }

  async close(): Promise<void> {
    for (const stop of [...this.#watches]) stop();
    await this.#closeLog();
  }

  // Calls `heard` when the system says that a file in the folder changed, '': some file. It may say nothing at all.
  #listen(heard: (name: string) => void): () => void {
    const end = new AbortController();
    const events = async () => {
      for await (const { filename } of this.#files.watch(this.path, { persistent: false, signal: end.signal })) {
        if (!filename?.endsWith(temporary)) heard(filename ?? '');
      }
    };
    // There may be no folder yet, or no more handles for watching.
    events().catch(() => {});
    return () => end.abort();
  }

  // Differs after every commit and append.
  async #state(): Promise<string> {
    const names = (await this.#names()).sort();
    const log = names.filter((name) => name.startsWith('log-')).at(-1);
    const size = log === undefined ? 0 : (await this.#files.stat(this.#at(log))).size;
    return `${names.join()} ${size}`;
  }

  #at(name: string): string {
    return this.#paths.join(this.path, name);
  }

  // The files of the database, without the lock and what a killed process left half written.
  async #names(): Promise<string[]> {
    try {
      const names = await this.#files.readdir(this.path);
      return names.filter((name) => name !== lockName && !name.endsWith(temporary));
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT' && !this.#readOnly && this.#lockText === undefined) return [];
      if (codeOf(cause) === 'ENOENT' && this.#readOnly) {
        throw noSuchDatabase(this.path, cause);
      }
      throw this.#failed('list', '', cause);
    }
  }

  async #checkGeneration(expected: number): Promise<void> {
    if (this.#lost) throw this.#fenced();
    const found = newestGeneration(await this.#names());
    if (found !== expected) throw otherGeneration(this.path, found, expected);
  }

  #folderExists(): Promise<boolean> {
    return this.#files.access(this.path).then(
      () => true,
      () => false,
    );
  }

  // Conflict, from now on, where the lock is no longer ours.
  async #checkLock(): Promise<void> {
    if (this.#lockText === undefined) return;
    if (!this.#lost && (await this.#readLock()) === this.#lockText) return;
    this.#lost = true;
    throw this.#fenced();
  }

  #fenced(): NearfieldError {
    return new NearfieldError(
      'Conflict',
      `the lock of ${this.path} was removed or taken by somebody else while it was open; close it and open it again`,
      { value: this.path },
    );
  }

  #draftOf(target: string): string {
    return `${target}.${this.#token}-${this.#drafts++}${temporary}`;
  }

  // A complete file under `name`, or Conflict where the name is taken. The folder is not synced.
  async #publish(name: string, bytes: Uint8Array, sync: boolean): Promise<void> {
    const target = this.#at(name);
    const draft = this.#draftOf(target);
    try {
      const handle = await this.#files.open(draft, 'wx');
      try {
        await writeAll(handle, bytes, 0);
        if (sync) await handle.sync();
      } finally {
        await handle.close();
      }
      await this.#checkLock();
      await this.#giveName(draft, target);
    } catch (cause) {
      await this.#files.unlink(draft).catch(() => {});
      // The next owner of the lock removes drafts. Without a folder there is none.
      if (codeOf(cause) === 'ENOENT' && (await this.#folderExists())) await this.#checkLock();
      if (codeOf(cause) === 'EEXIST') throw nameTaken(this.path, name);
      throw this.#failed('write', name, cause);
    }
  }

  async #giveName(draft: string, target: string): Promise<void> {
    try {
      await this.#files.link(draft, target);
    } catch (cause) {
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(cause))) throw cause;
      // No links on this file system. Looking first is not atomic; the LOCK file keeps other writers away.
      const taken = await this.#files.access(target).then(
        () => true,
        () => false,
      );
      if (taken) throw Object.assign(new Error(`${target} exists`), { code: 'EEXIST' });
      await this.#files.rename(draft, target);
      return;
    }
    // It has its name. What is left of the draft goes with the next lock at the latest.
    await this.#files.unlink(draft).catch(() => {});
  }

  // The log as a file of our own, with the `offset` bytes it should have.
  async #openLog(name: string, offset: number): Promise<Log> {
    if (this.#log?.name === name) return this.#log;
    await this.#closeLog();
    const target = this.#at(name);
    const draft = this.#draftOf(target);
    let handle: FileHandle | undefined;
    try {
      const found = await this.#files.stat(target).catch((cause: unknown) => {
        if (codeOf(cause) !== 'ENOENT') throw cause;
        if (offset > 0) throw noSuchFile(this.path, name);
        return undefined;
      });
      if ((found?.size ?? 0) !== offset) throw otherLength(this.path, name, found?.size ?? 0, offset);
      if (offset > 0) await this.#files.copyFile(target, draft);
      handle = await this.#files.open(draft, offset > 0 ? 'r+' : 'wx+');
      if (offset > 0) await handle.sync();
      await this.#checkLock();
      await this.#files.rename(draft, target);
      this.#log = { name, handle, nameSynced: false };
      return this.#log;
    } catch (cause) {
      await handle?.close().catch(() => {});
      await this.#files.unlink(draft).catch(() => {});
      if (codeOf(cause) === 'ENOENT' && (await this.#folderExists())) await this.#checkLock();
      throw this.#failed('open', name, cause);
    }
  }

  async #closeLog(): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    // Everything that was to be durable has been synced.
    await log?.handle.close().catch(() => {});
  }

  async #syncFolder(path: string): Promise<void> {
    let handle: FileHandle | undefined;
    try {
      handle = await this.#files.open(path, 'r');
      await handle.sync();
    } catch (cause) {
      // Windows cannot sync folders and needs no such thing.
      if (!['EPERM', 'EISDIR', 'EINVAL'].includes(codeOf(cause))) throw this.#failed('sync', '', cause);
    } finally {
      await handle?.close();
    }
  }

  // A new folder is durable once the folder that names it is.
  async #makeFolder(): Promise<void> {
    let first: string | undefined;
    try {
      first = await this.#files.mkdir(this.path, { recursive: true });
    } catch (cause) {
      throw this.#failed('create', '', cause);
    }
    if (first === undefined) return;
    for (let path = this.path; path.length >= first.length; path = this.#paths.dirname(path)) {
      await this.#syncFolder(this.#paths.dirname(path));
    }
  }

  async #removeDrafts(): Promise<void> {
    for (const name of await this.#files.readdir(this.path)) {
      // A lock that was moved aside goes back if its owner turns out to live.
      if (!ourTemporary.test(name) || name.startsWith(asideName)) continue;
      await this.#files.unlink(this.#at(name)).catch((cause: unknown) => {
        if (codeOf(cause) !== 'ENOENT') throw cause;
      });
    }
  }

  async #readLock(): Promise<string | undefined> {
    try {
      return await this.#files.readFile(this.#at(lockName), 'utf8');
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined;
      throw this.#failed('read', lockName, cause);
    }
  }

  // Removes a lock whose owner is dead; false where the owner may be alive.
  async #takeFromTheDead(found: string): Promise<boolean> {
    const owner = parseOwner(found);
    // A text that is no lock of ours was cut by a crash of the machine: its writer is gone.
    if (owner !== undefined && !givenUp.has(found)) {
      if (owner.host !== this.#hostname) return false;
      const started = await this.#startOf(owner.pid);
      if (started !== undefined && (started === '' || owner.started === '' || started === owner.started)) return false;
    }
    // Between reading and removing, another process may have done the same and now own the lock. Moving it away first
    // and looking at what was moved finds that out.
    const aside = this.#draftOf(this.#at(asideName));
    try {
      await this.#files.rename(this.#at(lockName), aside);
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return true;
      throw this.#failed('unlock', lockName, cause);
    }
    const moved = await this.#files.readFile(aside, 'utf8');
    if (moved !== found) await this.#files.link(aside, this.#at(lockName)).catch(() => {});
    await this.#files.unlink(aside).catch(() => {});
    return true;
  }

  // When a process started, '' where that cannot be known, undefined where there is no such process.
  async #startOf(pid: number): Promise<string | undefined> {
    try {
      process.kill(pid, 0);
    } catch (cause) {
      if (codeOf(cause) === 'ESRCH') return undefined;
    }
    try {
      const boot = await this.#files.readFile('/proc/sys/kernel/random/boot_id', 'utf8');
      const stat = await this.#files.readFile(`/proc/${pid}/stat`, 'utf8');
      // Field 22, counted after the command's name, which stands in brackets and may hold spaces. State Z: killed, but
      // not yet collected by its parent.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      return `${boot.trim()}/${fields[19]}`;
    } catch {
      return '';
    }
  }

  #vanished(name: string): NearfieldError {
    return new NearfieldError('StorageFailed', `${name} was removed from ${this.path} while the database was open`, {
      value: this.path,
    });
  }

  #failed(action: string, name: string, cause: unknown): NearfieldError {
    if (cause instanceof NearfieldError) return cause;
    const place = name === '' ? this.path : this.#at(name);
    const system = codeOf(cause);
    let code: Code = 'StorageFailed';
    let why = reasonOf(cause);
    if (system === 'ENOSPC' || system === 'EDQUOT' || system === 'EFBIG') {
      code = 'QuotaExceeded';
      why = 'the disk is full; free some space and try again';
    } else if (
      system === 'EROFS' ||
      ((system === 'EACCES' || system === 'EPERM') && !['read', 'list'].includes(action))
    ) {
      code = 'ReadOnly';
      why = 'it is not writable for this process; open it with readOnly: true or change its permissions';
    } else if (system === 'ENOTDIR' || system === 'EEXIST') {
      why = 'a file stands where a folder should be';
    } else if (system === 'ENOENT') {
      why = 'the folder is gone';
    }
    return new NearfieldError(code, `cannot ${action} ${place}: ${why}`, {
      value: place,
      details: { system },
      cause,
    });
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw Object.assign(new Error('nothing was written'), { code: 'EIO' });
    done += bytesWritten;
  }
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    const owner: unknown = JSON.parse(text);
    if (!isObject(owner)) return undefined;
    const { pid, started, host } = owner;
    if (typeof pid !== 'number' || typeof started !== 'string' || typeof host !== 'string') return undefined;
    return { pid, started, host };
  } catch {
    return undefined;
  }
}

function codeOf(cause: unknown): string {
  const code = isObject(cause) ? cause['code'] : undefined;
  return typeof code === 'string' ? code : '';
}
