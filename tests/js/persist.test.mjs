// What a browser says of its storage, told on: stubs of navigator.storage stand in for the browser.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from 'nearfield';
import { openSpecs } from 'nearfield/specs';
import { rejectsWith, temporaryFolder } from './support.mjs';

// Where the host has a navigator of its own, it comes back after the test.
function withStorage(t, storage) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { storage }, configurable: true });
  t.after(() => {
    delete globalThis.navigator;
    if (before !== undefined) Object.defineProperty(globalThis, 'navigator', before);
  });
}

const about = async (db) => {
  const { persisted, quota, usage } = await db.info();
  return { persisted, quota, usage };
};
const nothing = { persisted: undefined, quota: undefined, usage: undefined };

test('folders stay, memory does not, and neither asks a browser', async (t) => {
  withStorage(t, {
    persist: () => assert.fail('asked'),
    persisted: () => assert.fail('asked'),
    estimate: () => assert.fail('asked'),
  });
  for (const [options, answer] of [
    [{ path: join(temporaryFolder(t), 'db'), storage: 'node' }, true],
    [{ storage: 'memory' }, false],
  ]) {
    const db = await open(options);
    assert.equal(await db.persist(), answer);
    assert.deepEqual(await about(db), nothing);
    await db.close();
    await rejectsWith('Closed', db.persist());
  }
});

test('in a browser it is the browser that answers', async (t) => {
  let persisted = false;
  withStorage(t, {
    persist: async () => (persisted = true),
    persisted: async () => persisted,
    estimate: async () => ({ quota: 1000, usage: 10, usageDetails: { indexedDB: 10 } }),
  });
  const db = await open({ path: 'persist/a', storage: 'indexeddb' });
  assert.deepEqual(await about(db), { persisted: false, quota: 1000, usage: 10 });
  assert.equal(await db.persist(), true);
  assert.deepEqual(await about(db), { persisted: true, quota: 1000, usage: 10 });
  await db.close();
  const specs = await openSpecs({ path: 'persist/b', storage: 'indexeddb' });
  assert.equal(await specs.persist(), true);
  await specs.close();
});

test('a browser that says no, fails, or has no such thing', async (t) => {
  for (const [storage, answer, estimate] of [
    [{ persist: async () => false }, false, nothing],
    [{}, false, nothing],
    [undefined, false, nothing],
    [{ estimate: async () => ({}), persisted: async () => true }, false, { ...nothing, persisted: true }],
    [
      {
        persist: () => Promise.reject(new TypeError('not in this frame')),
        persisted: () => Promise.reject(new TypeError('not in this frame')),
        estimate: () => Promise.reject(new TypeError('not in this frame')),
      },
      'StorageFailed',
      nothing,
    ],
    [
      {
        persist: () => {
          throw new TypeError('not in this frame');
        },
        estimate: () => {
          throw new TypeError('not in this frame');
        },
      },
      'StorageFailed',
      nothing,
    ],
  ]) {
    withStorage(t, storage);
    const db = await open({ path: 'persist/c', storage: 'indexeddb' });
    if (typeof answer === 'string') {
      const error = await rejectsWith(answer, db.persist());
      assert.ok(error.cause instanceof TypeError);
    } else {
      assert.equal(await db.persist(), answer);
    }
    assert.deepEqual(await about(db), estimate);
    await db.close();
  }
});
