// Kinds of index, seen from outside: what they find, say about themselves, and keep when the database is opened again.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from 'nearfield';
import { random, randomVector, rejectsWith, temporaryFolder } from './support.mjs';

const dimension = 16;
const count = 3000;

/** Points around fifty places, as embeddings are. */
function points(first, size) {
  return Array.from({ length: size }, (_, i) => {
    const next = random(first + i);
    const place = randomVector(random(1_000_000 + ((first + i) % 50)), dimension);
    const vector = randomVector(next, dimension).map((x, j) => place[j] + x / 4);
    return { id: `p${first + i}`, vector, payload: { i: first + i } };
  });
}

const kinds = {
  'hnsw with a recall': { kind: 'hnsw', recall: 0.9, efConstruct: 60 },
  ivf_flat: 'ivf_flat',
  'ivf_flat of codes': { kind: 'ivf_flat', code: 'rq8', partitions: 20 },
  ivf_pq: { kind: 'ivf_pq', subVectors: 8 },
  'ivf_pq of four bits': { kind: 'ivf_pq', code: 'pq4' },
  ivf_rabitq: { kind: 'ivf_rabitq', recall: 0.9 },
};

for (const [name, index] of Object.entries(kinds)) {
  for (const vectorStorage of ['memory', 'onDemand']) {
    test(`${name}, vectors ${vectorStorage}: finds what it promises, also after changes and opening again`, async (t) => {
      const path = join(temporaryFolder(t), 'db');
      let db = await open({ path });
      let notes = await db.collection('notes', { dimension, index, vectorStorage });
      const kind = typeof index === 'string' ? index : index.kind;
      await notes.upsert(points(0, 400));
      if (kind !== 'hnsw') assert.match((await notes.info()).index.reason, /too few to learn from/);
      assert.equal((await notes.probe({ sample: 10 })).recall >= 0.9, true);
      await notes.upsert(points(400, count - 400));
      await notes.optimize();
      const { index: built } = await notes.info();
      assert.deepEqual([built.kind, built.unindexed], [kind, 0]);
      const effort = built.parameters[kind === 'hnsw' ? 'ef' : 'nprobe'];
      assert.ok(effort >= 1, `effort ${effort}`);
      const before = await notes.probe();
      assert.equal(before.questions, 100);
      assert.ok(before.recall >= 0.85, `recall ${before.recall}`);
      const queries = points(9000, 20).map(({ vector }) => vector);
      assert.ok((await notes.probe({ queries, k: 5 })).recall >= 0.85);
      assert.equal((await notes.probe({ queries, k: 5 })).questions, 20);

      // Half deleted, as many new: nothing deleted comes back.
      await notes.delete({ filter: { i: { $lt: count / 2 } } });
      await notes.upsert(points(count, count / 2));
      for (const vector of queries) {
        const hits = await notes.search({ vector, k: 20 });
        assert.equal(hits.length, 20);
        for (const { payload } of hits) assert.ok(payload.i >= count / 2);
        const filtered = await notes.search({ vector, k: 5, filter: { i: { $gte: 2 * count - 500, $lt: 2 * count } } });
        for (const { payload } of filtered) assert.ok(payload.i >= 2 * count - 500);
      }
      await notes.optimize();
      // On clusters as narrow as these a hundred questions are right within some four points.
      assert.ok((await notes.probe({ sample: 400 })).recall >= 0.85);
      assert.equal((await notes.info()).tombstones, 0);

      const hits = await notes.searchBatch(queries.map((vector) => ({ vector })));
      assert.deepEqual(hits, await Promise.all(queries.map((vector) => notes.search({ vector }))));
      await db.close();
      db = await open({ path });
      notes = await db.collection('notes');
      // Closing leaves a little for the next opening to index.
      assert.ok((await notes.info()).index.unindexed < count / 8);
      await notes.optimize();
      assert.equal((await notes.info()).index.unindexed, 0);
      assert.deepEqual((await notes.info()).recovery.rebuilt, []);
      assert.deepEqual(await notes.searchBatch(queries.map((vector) => ({ vector }))), hits);
      await db.close();
    });
  }
}

test('options that belong to another kind of index are refused, and effort changes what is compared', async () => {
  const db = await open({ storage: 'memory' });
  const lists = await db.collection('lists', { dimension, index: { kind: 'ivf_flat', partitions: 30 } });
  const graph = await db.collection('graph', { dimension, index: { kind: 'hnsw', efConstruct: 60 } });
  for (const notes of [lists, graph]) {
    await notes.upsert(points(0, count));
    await notes.optimize();
  }
  const [{ vector }] = points(7777, 1);
  await rejectsWith('Unsupported', lists.search({ vector, ef: 10 }));
  await rejectsWith('Unsupported', graph.search({ vector, nprobe: 10 }));
  await rejectsWith('InvalidArgument', lists.search({ vector, nprobe: 0 }));
  await rejectsWith('InvalidArgument', lists.search({ vector, rescore: 1.5 }));
  const scored = async (notes, options) => (await notes.search({ vector, explain: true, ...options })).plan.rowsScored;
  assert.ok((await scored(lists, { nprobe: 1 })) < (await scored(lists, { nprobe: 30 })));
  assert.equal((await scored(lists, { nprobe: 30 })) >= count, true);
  assert.ok((await scored(graph, { ef: 10 })) < (await scored(graph, { ef: 500 })));
  assert.deepEqual(await lists.search({ vector, nprobe: 30 }), await lists.search({ vector, exact: true }));
  assert.equal((await graph.search({ vector, k: 30, rescore: 1 })).length, 30);
  await rejectsWith('InvalidArgument', graph.probe({ k: 0 }));
  await rejectsWith('InvalidArgument', graph.probe({ queries: [] }));
  await rejectsWith('DimensionMismatch', graph.probe({ queries: [[1, 2]] }));
  await rejectsWith('Unsupported', graph.probe({ nprobe: 3 }));
  const empty = await db.collection('empty', { dimension });
  await rejectsWith('InvalidArgument', empty.probe());
  await db.close();
});

test('an index that has outgrown what it was learned from is learned again by optimize()', async () => {
  const db = await open({ storage: 'memory' });
  const notes = await db.collection('notes', { dimension, index: 'ivf_rabitq' });
  await notes.upsert(points(0, 1000));
  await notes.optimize();
  // Codes in the partition that is nearest to each of a few questions, six times as many where it is not learned again.
  const nearest = async () => {
    let scored = 0;
    for (const { vector } of points(7777, 20)) {
      scored += (await notes.search({ vector, nprobe: 1, k: 1, explain: true })).plan.rowsScored;
    }
    return scored;
  };
  const small = await nearest();
  await notes.upsert(points(1000, 5000));
  await notes.optimize();
  const { index } = await notes.info();
  assert.equal(index.unindexed, 0);
  assert.ok((await nearest()) < 3 * small);
  assert.ok((await notes.probe()).recall >= 0.85);
  await db.close();
});
