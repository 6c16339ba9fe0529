// Compaction as JavaScript sees it: asked for, by itself, cancelled.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'nearfield';
import { rejectsWith } from './support.mjs';

const points = (count, text) =>
  Array.from({ length: count }, (_, i) => ({ id: `p${i}`, vector: [i, 1, 2], text: `${text} ${i}` }));

async function aged(options) {
  const db = await open({ storage: 'memory' });
  const c = await db.collection('c', { dimension: 3, text: {}, ...options });
  await c.upsert(points(900, 'old'));
  await c.upsert(points(900, 'new'));
  return { db, c };
}

test('optimize drops what is dead and keeps what is not', async () => {
  const { db, c } = await aged();
  assert.equal((await c.info()).tombstones, 900);
  const seen = [];
  const finished = c.optimize({ onProgress: ({ done, total }) => seen.push([done, total]) });
  await c.upsert([{ id: 'meanwhile', vector: [0, 0, 1], text: 'meanwhile' }]);
  const before = await c.search({ text: 'new 77', vector: [77, 1, 2], k: 5 });
  await finished;
  assert.ok(seen.every(([done, total]) => done <= total && total >= 1800));
  const info = await c.info();
  assert.deepEqual([info.count, info.tombstones], [901, 0]);
  assert.deepEqual(await c.search({ text: 'new 77', vector: [77, 1, 2], k: 5 }), before);
  await c.optimize();
  await db.close();
});

test('optimize ends with Aborted when its signal says so, and nothing has changed', async () => {
  const { db, c } = await aged({ index: 'hnsw' });
  const control = new AbortController();
  const finished = c.optimize({ signal: control.signal });
  await rejectsWith('Conflict', c.optimize());
  control.abort();
  await rejectsWith('Aborted', finished);
  await rejectsWith('Aborted', c.optimize({ signal: control.signal }));
  assert.equal((await c.info()).tombstones, 900);
  await rejectsWith('InvalidArgument', c.optimize({ onProgress: 7 }));
  await rejectsWith('ConfigError', c.optimize({ now: true }));
  await c.optimize();
  assert.equal((await c.info()).tombstones, 0);
  await db.close();
  await rejectsWith('Closed', c.optimize());
});

test('a collection that is more than half dead is optimised by itself', async () => {
  const { db, c } = await aged();
  await c.upsert(points(900, 'newest'));
  for (let i = 0; i < 500 && (await c.info()).tombstones > 0; i++) await sleep(10);
  assert.equal((await c.info()).tombstones, 0);
  assert.equal(await c.count(), 900);
  await db.close();
});
