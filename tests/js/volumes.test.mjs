// The conformance tests over every volume, and what only one of them can get wrong.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, test } from 'node:test';
import { open } from 'nearfield';
import { IndexedDbVolume } from '../../dist/volumes/indexeddb.js';
import { MemoryVolume } from '../../dist/volumes/memory.js';
import { NodeVolume } from '../../dist/volumes/node.js';
import { rejectsWith, temporaryFolder } from './support.mjs';
import { conformanceCases } from './volume-conformance.mjs';

const bytes = (...values) => Uint8Array.from(values);

// `make(test)` answers a function that opens a volume; each call opens the same place again.
function volumeConformance(name, make, options) {
  describe(`volume: ${name}`, () => {
    for (const [title, run] of conformanceCases(assert, options)) {
      it(title, async (test) => run(await make(test)));
    }
  });
}

volumeConformance(
  'memory',
  () => {
    // Nothing outlives it, so opening again gives the same one.
    const volume = new MemoryVolume();
    return () => volume;
  },
  { shared: false },
);
volumeConformance('node', (test) => {
  const folder = join(temporaryFolder(test), 'deep', 'er');
  return () => NodeVolume.open(folder, false);
});
let databases = 0;
volumeConformance('indexeddb', () => {
  const path = `/nearfield/conformance-${databases++}`;
  return () => new IndexedDbVolume(path);
});

test('node: a path of which a part is a file is named in the error', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), 'x');
  for (const path of [join(folder, 'file'), join(folder, 'file', 'below')]) {
    const volume = await NodeVolume.open(path, false);
    const error = await rejectsWith('StorageFailed', volume.lock());
    assert.ok(error.message.includes(path), error.message);
    assert.match(error.message, /a file stands where a folder should be/);
  }
});

test('node: a folder that vanishes while it is open', async (t) => {
  const folder = join(temporaryFolder(t), 'db');
  const volume = await NodeVolume.open(folder, false);
  await volume.lock();
  await volume.append('log-1', 0, 0, bytes(1), false);
  rmSync(folder, { recursive: true });
  for (const call of [
    () => volume.append('log-1', 1, 0, bytes(2), false),
    () => volume.write('segment-1', bytes(1)),
    () => volume.commit(0, bytes(1), [], false),
    () => volume.list(),
  ]) {
    const error = await rejectsWith('StorageFailed', call());
    assert.ok(error.message.includes(folder), error.message);
  }
  await volume.unlock();
  await volume.close();
});

test('node: reading only, where nothing is, makes nothing', async (t) => {
  const folder = join(temporaryFolder(t), 'db');
  const volume = await NodeVolume.open(folder, true);
  await rejectsWith('NotFound', volume.list());
  assert.equal(existsSync(folder), false);
});

test('node: a full disk is QuotaExceeded, and the log stays as long as it was', async (t) => {
  const folder = temporaryFolder(t);
  // A file system of 256 KiB in a mount namespace of its own.
  const script = `
    import { NodeVolume } from ${JSON.stringify(new URL('../../dist/volumes/node.js', import.meta.url).href)};
    const volume = await NodeVolume.open(${JSON.stringify(join(folder, 'db'))}, false);
    await volume.lock();
    await volume.append('log-1', 0, 0, new Uint8Array(1000), false);
    const codes = [];
    const big = new Uint8Array(1 << 20);
    for (const call of [
      () => volume.append('log-1', 1000, 0, big, false),
      () => volume.write('segment-1', big),
      () => volume.commit(0, big, [], false),
    ]) await call().catch((error) => codes.push(error.code));
    await volume.append('log-1', 1000, 0, new Uint8Array(10), false);
    await volume.commit(0, new Uint8Array(10), [], false);
    console.log(JSON.stringify({ codes, files: await volume.list() }));
  `;
  const mounted = spawnSync(
    'unshare',
    [
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs -o size=256k none "$1" && exec "$2" --input-type=module --eval "$3"',
      'sh',
      folder,
      process.execPath,
      script,
    ],
    { encoding: 'utf8' },
  );
  if (mounted.status !== 0 && /unshare|mount/.test(mounted.stderr ?? String(mounted.error))) {
    t.skip('needs the right to mount');
    return;
  }
  assert.equal(mounted.status, 0, mounted.stderr);
  const { codes, files } = JSON.parse(mounted.stdout);
  assert.deepEqual(codes, ['QuotaExceeded', 'QuotaExceeded', 'QuotaExceeded']);
  assert.deepEqual(
    files.sort((a, b) => a.name.localeCompare(b.name)),
    [
      { name: 'log-1', length: 1010 },
      { name: 'manifest-0000000000000001', length: 10 },
    ],
  );
});

test('node: a read-only file system is ReadOnly', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'db'));
  const script = `
    import { NodeVolume } from ${JSON.stringify(new URL('../../dist/volumes/node.js', import.meta.url).href)};
    const volume = await NodeVolume.open(${JSON.stringify(join(folder, 'db'))}, false);
    await volume.lock().catch((error) => console.log(error.code));
  `;
  const mounted = spawnSync(
    'unshare',
    [
      '--mount',
      'sh',
      '-c',
      'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" --input-type=module --eval "$3"',
      'sh',
      folder,
      process.execPath,
      script,
    ],
    { encoding: 'utf8' },
  );
  if (mounted.status !== 0 && /unshare|mount/.test(mounted.stderr ?? String(mounted.error))) {
    t.skip('needs the right to mount');
    return;
  }
  assert.equal(mounted.stdout.trim(), 'ReadOnly', mounted.stderr);
});

test('node: the lock of a dead process is taken over, a living one is not', async (t) => {
  const folder = temporaryFolder(t);
  const volume = await NodeVolume.open(folder, false);
  await volume.lock();
  const lock = JSON.parse(readFileSync(join(folder, 'LOCK'), 'utf8'));
  assert.equal(lock.pid, process.pid);
  await volume.unlock();
  assert.deepEqual(readdirSync(folder), []);

  const dead = Number(execFileSync(process.execPath, ['--print', 'process.pid'], { encoding: 'utf8' }));
  const cases = [
    [{ ...lock, pid: dead }, true],
    // The same number, but a process that started at another time.
    [{ ...lock, started: 'another-boot/1' }, true],
    ['', true],
    ['{"pid":', true],
    [{ ...lock, pid: 1, started: '' }, false],
    [{ ...lock, pid: dead, host: 'another-host' }, false],
  ];
  for (const [owner, taken] of cases) {
    writeFileSync(join(folder, 'LOCK'), typeof owner === 'string' ? owner : JSON.stringify(owner));
    if (taken) {
      await volume.lock();
      await volume.unlock();
      assert.deepEqual(readdirSync(folder), []);
    } else {
      await rejectsWith('DatabaseLocked', volume.lock());
      rmSync(join(folder, 'LOCK'));
    }
  }
  await volume.close();
});

test('node: what a killed process left half written is cleared away', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'segment-1.123.tmp'), 'half');
  const volume = await NodeVolume.open(folder, false);
  assert.deepEqual(await volume.list(), []);
  await volume.lock();
  assert.deepEqual(readdirSync(folder), ['LOCK']);
  await volume.unlock();
  await volume.close();
});

test('indexeddb: the layout is the one of IDBFS', async () => {
  const path = '/nf';
  const volume = new IndexedDbVolume(path);
  const backing = new Uint8Array(100);
  await volume.write('segment-1', backing.subarray(10, 13));
  await volume.append('log-1', 0, 0, bytes(1, 2), false);
  await volume.append('log-1', 2, 0, bytes(3), false);
  await volume.close();
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open(path);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  assert.equal(database.version, 21);
  assert.deepEqual([...database.objectStoreNames], ['FILE_DATA']);
  const store = database.transaction('FILE_DATA').objectStore('FILE_DATA');
  assert.deepEqual([...store.indexNames], ['timestamp']);
  assert.equal(store.index('timestamp').keyPath, 'timestamp');
  assert.equal(store.index('timestamp').unique, false);
  assert.equal(store.keyPath, null);
  const all = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
  assert.deepEqual(await all(store.getAllKeys()), [
    '/nf/log-1.0000000000000000',
    '/nf/log-1.0000000000000002',
    '/nf/segment-1',
  ]);
  const record = await all(store.get('/nf/segment-1'));
  assert.deepEqual(Object.keys(record).sort(), ['contents', 'mode', 'timestamp']);
  assert.ok(record.timestamp instanceof Date);
  assert.equal(record.mode, 33206);
  assert.equal(record.contents.buffer.byteLength, 3);
  database.close();
});

test('indexeddb: records of others are left alone', async () => {
  const path = '/nearfield/shared';
  const volume = new IndexedDbVolume(path);
  await volume.write('segment-1', bytes(1));
  const database = await new Promise((resolve) => {
    const request = indexedDB.open(path);
    request.onsuccess = () => resolve(request.result);
  });
  const transaction = database.transaction('FILE_DATA', 'readwrite');
  const store = transaction.objectStore('FILE_DATA');
  store.put({ timestamp: new Date(), mode: 16895 }, `${path}/folder`);
  store.put({ timestamp: new Date(), mode: 33206, contents: bytes(1) }, `${path}/folder/file`);
  store.put({ timestamp: new Date(), mode: 33206, contents: bytes(1) }, '/elsewhere/file');
  await new Promise((resolve) => (transaction.oncomplete = resolve));
  database.close();
  // That 'folder' is one shows in reading only.
  assert.deepEqual(await volume.list(), [{ name: 'folder' }, { name: 'segment-1' }]);
  await rejectsWith('NotFound', volume.read('folder', 0, 1));
  await volume.close();
});

test('indexeddb: a connection the browser closed is opened again', async () => {
  const volume = new IndexedDbVolume('/nearfield/reopened');
  await volume.write('segment-1', bytes(1));
  const transaction = IDBDatabase.prototype.transaction;
  let failures = 0;
  IDBDatabase.prototype.transaction = function (...given) {
    if (failures++ === 0) throw new DOMException('The database connection is closing.', 'InvalidStateError');
    return transaction.apply(this, given);
  };
  try {
    await volume.write('segment-2', bytes(2));
  } finally {
    IDBDatabase.prototype.transaction = transaction;
  }
  assert.deepEqual((await volume.list()).map((file) => file.name).sort(), ['segment-1', 'segment-2']);
  await volume.close();
});

test('indexeddb: a database that was deleted while open is not made anew', async () => {
  const path = '/nearfield/deleted';
  const volume = new IndexedDbVolume(path);
  await volume.write('segment-1', bytes(1));
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(path);
    request.onsuccess = resolve;
    request.onerror = reject;
  });
  await rejectsWith('StorageFailed', volume.write('segment-2', bytes(2)));
  const names = (await indexedDB.databases()).map((database) => database.name);
  assert.ok(!names.includes(path));
  await volume.close();
});

test('indexeddb: a full quota and a failed request change nothing', async () => {
  const volume = new IndexedDbVolume('/nearfield/quota');
  await volume.write('segment-1', bytes(1));
  const add = IDBObjectStore.prototype.add;
  const broken = (name) => new DOMException('simulated', name);
  // Thrown at once, as for values that cannot be copied; or found when the transaction is about to complete.
  const atOnce = (name) => () => {
    throw broken(name);
  };
  const atTheEnd = (name) =>
    function (...given) {
      const request = add.apply(this, given);
      const { transaction } = this;
      request.addEventListener('success', () => {
        Object.defineProperty(transaction, 'error', { value: broken(name) });
        transaction.abort();
      });
      return request;
    };
  for (const [fault, code] of [
    [atOnce('QuotaExceededError'), 'QuotaExceeded'],
    [atOnce('UnknownError'), 'StorageFailed'],
    [atTheEnd('QuotaExceededError'), 'QuotaExceeded'],
    [atTheEnd('UnknownError'), 'StorageFailed'],
  ]) {
    IDBObjectStore.prototype.add = fault;
    try {
      await rejectsWith(code, volume.commit(0, bytes(1), ['segment-1'], false));
      await rejectsWith(code, volume.append('log-1', 0, 0, bytes(1), false));
      await rejectsWith(code, volume.write('segment-2', bytes(1)));
    } finally {
      IDBObjectStore.prototype.add = add;
    }
    assert.deepEqual(await volume.list(), [{ name: 'segment-1' }]);
  }
  assert.equal(await volume.commit(0, bytes(1), [], false), 1);
  await volume.close();
});

test('indexeddb: a database of a newer layout is left untouched', async () => {
  const path = '/nearfield/newer';
  await new Promise((resolve) => {
    const request = indexedDB.open(path, 22);
    request.onsuccess = () => {
      request.result.close();
      resolve();
    };
  });
  const volume = new IndexedDbVolume(path);
  await rejectsWith('VersionError', volume.list());
  await volume.close();
});

test('indexeddb: a database is there again when it is opened again', async () => {
  for (const path of ['./notes', '/mounted']) {
    let db = await open({ path, storage: 'indexeddb' });
    await rejectsWith('DatabaseLocked', open({ path, storage: 'indexeddb' }));
    let notes = await db.collection('notes', { dimension: 2, text: {} });
    await notes.upsert([{ id: 'a', vector: [1, 0], text: 'flushed' }]);
    await db.flush();
    await notes.upsert([{ id: 'b', vector: [0, 1], text: 'logged' }], { durability: 'relaxed' });
    assert.equal((await db.info()).path, path.startsWith('/') ? path : '/nearfield/notes');
    await db.close();

    db = await open({ path, storage: 'indexeddb', readOnly: true });
    notes = await db.collection('notes');
    assert.deepEqual(
      (await notes.search({ text: 'logged', vector: [0, 1] })).map((hit) => hit.id),
      ['b', 'a'],
    );
    await db.close();
  }
});
