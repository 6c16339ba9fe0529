// Guards of the volumes that no crash of this machine would show missing.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import files from 'node:fs/promises';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { open } from 'nearfield';
import { IndexedDbVolume } from '../../dist/volumes/indexeddb.js';
import { rejectsWith, temporaryFolder } from '../js/support.mjs';

/** Puts `replacement(original)` in place of a function of node:fs/promises until the test ends. */
function replace(t, name, replacement) {
  const original = files[name];
  files[name] = replacement(original);
  syncBuiltinESMExports();
  t.after(() => {
    files[name] = original;
    syncBuiltinESMExports();
  });
}

test('node: the folders that name a new database are synced', async (t) => {
  const path = join(temporaryFolder(t), 'a', 'b');
  const synced = new Set();
  replace(t, 'open', (original) => async (target, ...rest) => {
    const handle = await original(target, ...rest);
    const { sync } = handle;
    handle.sync = async () => {
      await sync.call(handle);
      synced.add(String(target));
    };
    return handle;
  });
  const db = await open({ path });
  for (const folder of [dirname(path), dirname(dirname(path))]) assert.ok(synced.has(folder), folder);
  await db.close();
});

test('node: a system that writes a few bytes at a time is asked again', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  replace(t, 'open', (original) => async (...given) => {
    const handle = await original(...given);
    const { write } = handle;
    handle.write = (bytes, offset, length, position) =>
      write.call(handle, bytes, offset, Math.min(length, 100), position);
    return handle;
  });
  const points = [{ id: 'a', text: 'word '.repeat(200) }];
  for (const round of [1, 2]) {
    const db = await open({ path });
    const collection = await db.collection('c', { text: {} });
    await collection.upsert(points);
    if (round === 1) await db.flush();
    await collection.upsert([{ id: 'b', text: 'logged '.repeat(100) }]);
    await db.close();
  }
  const db = await open({ path, readOnly: true });
  assert.equal(await (await db.collection('c')).count(), 2);
  await db.close();
});

test('node: a log that was removed under a writer takes nothing more', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path });
  const collection = await db.collection('c', { text: {} });
  await collection.upsert([{ id: 'a', text: 'one' }]);
  for (const name of readdirSync(path)) if (name.startsWith('log-')) rmSync(join(path, name));
  await rejectsWith('StorageFailed', collection.upsert([{ id: 'b', text: 'two' }]));
  // The next one starts a new log, behind a commit of everything that was acknowledged.
  await collection.upsert([{ id: 'c', text: 'three' }]);
  await db.close();
  const again = await open({ path, readOnly: true });
  const points = await (await again.collection('c')).get(['a', 'b', 'c']);
  assert.deepEqual(
    points.map(({ id }) => id),
    ['a', 'c'],
  );
  await again.close();
});

test('node: a lock that changed hands while it was taken for dead is put back', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  mkdirSync(path);
  const lock = join(path, 'LOCK');
  const dead = Number(execFileSync(process.execPath, ['--print', 'process.pid'], { encoding: 'utf8' }));
  const text = (pid) => JSON.stringify({ pid, started: '', host: hostname() });
  writeFileSync(lock, text(dead));
  let moved = 0;
  replace(t, 'rename', (original) => async (...given) => {
    // Another process was faster, and lives.
    if (given[0] === lock && moved++ === 0) writeFileSync(lock, text(process.ppid));
    return original(...given);
  });
  const error = await rejectsWith('DatabaseLocked', open({ path }));
  assert.equal(moved, 1);
  assert.equal(error.value, process.ppid);
  assert.equal(readFileSync(lock, 'utf8'), text(process.ppid));
});

test("node: closing leaves somebody else's lock alone", async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path });
  writeFileSync(join(path, 'LOCK'), 'taken over');
  await db.close().catch(() => {});
  assert.ok(existsSync(join(path, 'LOCK')));
});

test('indexeddb: strict asks for strict, and nothing is done before its transaction is complete', async (t) => {
  const { transaction } = IDBDatabase.prototype;
  const asked = [];
  let complete = 0;
  IDBDatabase.prototype.transaction = function (store, mode, options) {
    const made = transaction.call(this, store, mode, options);
    if (mode === 'readwrite') {
      asked.push(options?.durability);
      made.addEventListener('complete', () => complete++);
    }
    return made;
  };
  t.after(() => (IDBDatabase.prototype.transaction = transaction));
  const volume = new IndexedDbVolume('/nearfield/guards');
  const bytes = Uint8Array.of(1, 2, 3);
  await volume.write('segment-1', bytes);
  assert.equal(complete, 1);
  await volume.append('log-1', 0, 0, bytes, false);
  assert.equal(complete, 2);
  await volume.append('log-1', 3, 0, bytes, true);
  await volume.commit(0, bytes, [], false);
  assert.equal(complete, 4);
  await volume.commit(1, bytes, [], true);
  assert.deepEqual(asked, ['strict', 'strict', 'relaxed', 'strict', 'relaxed']);
  await volume.close();
});
