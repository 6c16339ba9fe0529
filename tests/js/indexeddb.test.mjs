// What the IndexedDB volume asks of the browser, and what it does when others take its lock or its database away.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { forceCloseDatabase } from 'fake-indexeddb';
import { IndexedDbVolume } from '../../dist/volumes/indexeddb.js';
import { rejectsWith } from './support.mjs';

const text = (value) => new TextEncoder().encode(value);
const log = 'log-0000000000000000';
let paths = 0;
let path;
beforeEach(() => (path = `/nearfield/tests-${paths++}`));

// Web Locks that give everybody the lock: another tab has stolen it, or the page has none.
const host = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
function lockForEverybody() {
  const locks = { request: async (_name, _options, held) => held({}) };
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });
}
afterEach(() => {
  if (host) Object.defineProperty(globalThis, 'navigator', host);
  else delete globalThis.navigator;
});

// The names of the requests that `work` makes.
async function requestsOf(work) {
  const made = [];
  const { prototype } = IDBObjectStore;
  const originals = {};
  for (const name of ['add', 'put', 'get', 'getAll', 'getAllKeys', 'openCursor', 'openKeyCursor']) {
    originals[name] = prototype[name];
    prototype[name] = function (...given) {
      made.push(name);
      return originals[name].apply(this, given);
    };
  }
  try {
    await work();
  } finally {
    Object.assign(prototype, originals);
  }
  return made;
}

test('listing reads keys, reading one record or the pieces of one log, appending no contents', async () => {
  const volume = new IndexedDbVolume(path);
  await volume.lock();
  await volume.write('segment-1', text('segment'));
  await volume.append(log, 0, 0, text('one'), false);
  assert.deepEqual(await requestsOf(() => volume.list()), ['getAllKeys']);
  assert.deepEqual(await requestsOf(() => volume.read('segment-1', 0, 100)), ['get']);
  assert.deepEqual(await requestsOf(() => volume.read(log, 0, 100)), ['get', 'getAllKeys', 'getAll']);
  // The lock, the generation, the last piece, the new one.
  const append = () => volume.append(log, 3, 0, text('two'), false);
  assert.deepEqual(await requestsOf(append), ['get', 'openKeyCursor', 'openKeyCursor', 'add']);
  // Of the log only what lies behind the offset, for those who follow it.
  const { getAll } = IDBObjectStore.prototype;
  const ranges = [];
  IDBObjectStore.prototype.getAll = function (range) {
    ranges.push(range.lower);
    return getAll.call(this, range);
  };
  try {
    assert.equal(new TextDecoder().decode(await volume.read(log, 4, 100)), 'wo');
    assert.equal((await volume.read(log, 6, 100)).length, 0);
  } finally {
    IDBObjectStore.prototype.getAll = getAll;
  }
  assert.deepEqual(ranges, Array(2).fill(`${path}/${log}.0000000000000003`));
  await volume.unlock();
  await volume.close();
});

test('the parts of a record are read from storage once, until a commit removes it', async () => {
  const volume = new IndexedDbVolume(path);
  for (const name of ['segment-1', 'segment-2', 'segment-3']) await volume.write(name, text(`${name} of some length`));
  const part = async (name, offset) => new TextDecoder().decode(await volume.read(name, offset, 4));
  assert.deepEqual(await requestsOf(async () => assert.equal(await part('segment-1', 0), 'segm')), ['get']);
  assert.deepEqual(await requestsOf(async () => assert.equal(await part('segment-1', 10), 'of s')), []);
  await part('segment-2', 0);
  await part('segment-3', 0);
  // Two are kept.
  assert.deepEqual(await requestsOf(() => part('segment-3', 1)), []);
  assert.deepEqual(await requestsOf(() => part('segment-1', 1)), ['get']);
  await volume.commit(0, text('one'), ['segment-1'], false);
  await rejectsWith('NotFound', volume.read('segment-1', 0, 4));
  await volume.close();
});

test('a log with a gap ends in front of it', async () => {
  const volume = new IndexedDbVolume(path);
  await volume.write(`${log}.0000000000000000`, text('one'));
  await volume.write(`${log}.0000000000000004`, text('two'));
  await volume.write(`log-0000000000000001.0000000000000003`, text('two'));
  assert.deepEqual(await volume.list(), [{ name: log }]);
  assert.equal(new TextDecoder().decode(await volume.read(log, 0, 100)), 'one');
  await volume.close();
});

const writes = {
  append: (volume) => volume.append(log, 0, 0, text('x'), false),
  commit: (volume) => volume.commit(0, text('x'), [], false),
  write: (volume) => volume.write('segment-1', text('x')),
};

for (const [name, write] of Object.entries(writes)) {
  test(`${name}: refused as soon as another tab has the lock, whichever comes first`, async () => {
    lockForEverybody();
    // Both begin at once, in both orders; transactions of one store run one after the other.
    for (const first of ['old', 'new']) {
      path += first;
      const old = new IndexedDbVolume(path);
      await old.lock();
      const next = new IndexedDbVolume(path);
      let found;
      const taking = async () => {
        await next.lock();
        found = await next.list();
      };
      const begun = first === 'old' ? [write(old), taking()] : [taking(), write(old)];
      const [outcome] = await Promise.allSettled(first === 'old' ? begun : begun.reverse());
      await Promise.allSettled(begun);
      if (outcome.status === 'fulfilled') assert.equal(found.length, 1);
      else assert.equal(outcome.reason.code, 'Conflict');
      for (const late of Object.values(writes)) await rejectsWith('Conflict', late(old));
      assert.deepEqual(await next.list(), found);
      if (found.length === 0) await write(next);
      for (const volume of [old, next]) {
        await volume.unlock();
        await volume.close();
      }
    }
  });
}

test('a lock that the browser reports as stolen refuses writes, before anybody else has begun', async () => {
  let steal;
  const locks = {
    request: (_name, _options, held) =>
      new Promise((_, reject) => {
        held({});
        steal = () => reject(new DOMException('stolen', 'AbortError'));
      }),
  };
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });
  const volume = new IndexedDbVolume(path);
  await volume.lock();
  await volume.write('segment-1', text('x'));
  steal();
  await new Promise((resolve) => setTimeout(resolve, 1));
  for (const late of Object.values(writes)) await rejectsWith('Conflict', late(volume));
  await volume.unlock();
  await volume.lock();
  await writes.append(volume);
  await volume.close();
});

test('a database that another tab holds open in an older version is named after ten seconds', async (t) => {
  const blocking = await new Promise((resolve) => {
    const request = indexedDB.open(path, 20);
    request.onsuccess = () => resolve(request.result);
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const volume = new IndexedDbVolume(path);
  const outcome = rejectsWith('StorageFailed', volume.list());
  await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(10_000);
  assert.match((await outcome).message, /held open by another tab/);
  t.mock.timers.reset();
  blocking.close();
  // The late one is closed again, and a new call works.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await volume.lock();
  await writes.write(volume);
  await volume.close();
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(path);
    request.onsuccess = resolve;
    request.onblocked = () => reject(new Error('a connection was left open'));
  });
});

test('another tab that brings a newer layout is not held up, and is then told apart', async () => {
  const volume = new IndexedDbVolume(path);
  await volume.list();
  await new Promise((resolve, reject) => {
    const request = indexedDB.open(path, 22);
    request.onblocked = () => reject(new Error('blocked'));
    request.onsuccess = () => resolve(request.result.close());
  });
  await rejectsWith('VersionError', volume.list());
  await volume.close();
});

test('a connection that the browser closes is opened again by the next call', async () => {
  const volume = new IndexedDbVolume(path);
  const open = IDBFactory.prototype.open;
  let connection;
  IDBFactory.prototype.open = function (...given) {
    const request = open.apply(this, given);
    request.addEventListener('success', () => (connection = request.result));
    return request;
  };
  try {
    await volume.write('segment-1', text('x'));
    forceCloseDatabase(connection);
    assert.deepEqual(await volume.list(), [{ name: 'segment-1' }]);
    await volume.lock();
    forceCloseDatabase(connection);
    // What somebody else did meanwhile shows in the generation.
    await rejectsWith('Conflict', volume.append(log, 0, 1, text('x'), false));
    await volume.append(log, 0, 0, text('x'), false);
  } finally {
    IDBFactory.prototype.open = open;
  }
  await volume.close();
});

test('closing while the database is being opened ends both', async () => {
  const volume = new IndexedDbVolume(path);
  const listing = rejectsWith('Closed', volume.list());
  await volume.close();
  await listing;
});

test('a reader does not make a database where there is none', async () => {
  const reader = new IndexedDbVolume(path, true);
  await rejectsWith('NotFound', reader.list());
  await rejectsWith('NotFound', reader.list());
  assert.ok(!(await indexedDB.databases()).some(({ name }) => name === path));
  const writer = new IndexedDbVolume(path);
  await writer.write('segment-1', text('x'));
  assert.deepEqual(await reader.list(), [{ name: 'segment-1' }]);
  await reader.close();
  await writer.close();
});
