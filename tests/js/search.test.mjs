// Search against a plain loop over the same vectors, in JavaScript's doubles.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from 'nearfield';
import { random, randomVector } from './support.mjs';

const dot = (a, b) => a.reduce((sum, component, i) => sum + component * b[i], 0);
const scores = {
  cosine: (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) || 0,
  dot,
  euclidean: (a, b) => -Math.sqrt(a.reduce((sum, component, i) => sum + (component - b[i]) ** 2, 0)),
  manhattan: (a, b) => -a.reduce((sum, component, i) => sum + Math.abs(component - b[i]), 0),
};

const doubles = (vector) => Array.from(vector);

for (const [metric, score] of Object.entries(scores)) {
  test(`${metric}: the best of a thousand random vectors, in order`, async () => {
    const next = random(20);
    const dimension = 37;
    const points = Array.from({ length: 1000 }, (_, i) => ({
      id: `p${i}`,
      vector: randomVector(next, dimension),
      payload: { bucket: i % 10 },
    }));
    // Equal vectors: equal scores are ordered by id.
    points.push({ id: 'twin', vector: points[7].vector, payload: { bucket: 7 } });
    points.push({ id: 'zero', vector: new Float32Array(dimension), payload: { bucket: 0 } });

    const db = await open({ storage: 'memory' });
    const collection = await db.collection('c', { dimension, metric, index: 'flat' });
    await collection.upsert(points);
    const queries = Array.from({ length: 20 }, () => randomVector(next, dimension));
    queries.push(points[7].vector);
    for (const filter of [undefined, { bucket: { $in: [3, 7] } }]) {
      const answers = await collection.searchBatch(queries.map((vector) => ({ vector, k: 25, filter })));
      for (const [q, hits] of answers.entries()) {
        const query = doubles(queries[q]);
        const expected = points
          .filter(({ payload }) => filter === undefined || [3, 7].includes(payload.bucket))
          .map(({ id, vector }) => ({ id, score: score(query, doubles(vector)) }))
          .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
          .slice(0, 25);
        assert.deepEqual(
          hits.map((hit) => hit.id),
          expected.map((hit) => hit.id),
        );
        for (const [i, hit] of hits.entries()) assert.ok(Math.abs(hit.score - expected[i].score) < 1e-9);
      }
    }
    await db.close();
  });
}

test('an hnsw index finds nearly all of what a flat one finds', async () => {
  const next = random(21);
  const dimension = 24;
  const db = await open({ storage: 'memory' });
  const collection = await db.collection('c', { dimension, index: { kind: 'hnsw', m: 16, efConstruct: 100 } });
  await collection.upsert(
    Array.from({ length: 2000 }, (_, i) => ({ id: `p${i}`, vector: randomVector(next, dimension) })),
  );
  assert.equal((await collection.info()).index.kind, 'hnsw');
  let found = 0;
  for (let q = 0; q < 50; q++) {
    const vector = randomVector(next, dimension);
    const exact = new Set((await collection.search({ vector, exact: true })).map((hit) => hit.id));
    found += (await collection.search({ vector, ef: 128 })).filter((hit) => exact.has(hit.id)).length;
  }
  assert.ok(found / 500 >= 0.95, `recall ${found / 500}`);
  await db.close();
});

test('doubles and plain arrays give what floats give', async () => {
  const next = random(22);
  const db = await open({ storage: 'memory' });
  const collection = await db.collection('c', { dimension: 8 });
  const vectors = Array.from({ length: 30 }, () => randomVector(next, 8));
  await collection.upsert(
    vectors.map((vector, i) => ({
      id: `p${i}`,
      vector: [vector, Array.from(vector), Float64Array.from(vector)][i % 3],
    })),
  );
  const query = randomVector(next, 8);
  const expected = await collection.search({ vector: query });
  assert.deepEqual(await collection.search({ vector: Array.from(query) }), expected);
  assert.deepEqual(await collection.search({ vector: Float64Array.from(query) }), expected);
  // A view into the middle of a larger, shared or resizable buffer is copied like any other.
  for (const buffer of [new ArrayBuffer(64), new SharedArrayBuffer(64), new ArrayBuffer(64, { maxByteLength: 128 })]) {
    const view = new Float32Array(buffer, 16, 8);
    view.set(query);
    assert.deepEqual(await collection.search({ vector: view }), expected);
  }
  const stored = await collection.get(
    vectors.map((_, i) => `p${i}`),
    { include: ['vector'] },
  );
  for (const [i, point] of stored.entries()) assert.deepEqual(point.vector, vectors[i]);
  await db.close();
});
