// Payloads and vectors on demand: the same answers as from memory, on every volume.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from 'nearfield';
import { random, randomVector, rejectsWith, temporaryFolder } from './support.mjs';

const base = { dimension: 16, text: {} };
const mixes = [
  { vectorStorage: 'onDemand' },
  { payloadStorage: 'onDemand' },
  { vectorStorage: 'onDemand', payloadStorage: 'onDemand' },
];

function points(count) {
  const next = random(7);
  return Array.from({ length: count }, (_, i) => ({
    id: `p${i}`,
    vector: i % 11 === 0 ? undefined : randomVector(next, 16),
    text: `number ${i} of ${i % 13} kinds ${'x'.repeat(200)}`,
    payload: { i, tag: `t${i % 5}` },
  }));
}

const include = ['payload', 'text', 'vector'];
const queries = Array.from({ length: 6 }, (_, i) => ({
  ...(i % 3 !== 1 && { vector: randomVector(random(i), 16) }),
  ...(i % 3 !== 0 && { text: `number ${i * 40} kinds`, highlights: true }),
  ...(i > 2 && { filter: { tag: { $in: ['t1', 't3'] } } }),
  k: 20,
  include,
}));

async function everything(collection) {
  const pages = [];
  for await (const page of collection.scroll({ batch: 100, include })) pages.push(...page);
  const filtered = [];
  for await (const page of collection.scroll({ batch: 7, filter: { tag: 't2' } })) filtered.push(...page);
  return {
    pages,
    filtered,
    found: await collection.searchBatch(queries),
    single: await collection.search(queries[4]),
    got: await collection.get(['p5', 'p11', 'nobody', 'p5'], { include }),
    bare: await collection.get(['p5'], { include: [] }),
    count: await collection.count({ filter: { i: { $lt: 300 } } }),
    all: await collection.count(),
  };
}

for (const storage of ['memory', 'node', 'indexeddb']) {
  test(`on demand answers as memory does: ${storage}`, async (t) => {
    for (const mix of mixes) {
      const path = storage === 'node' ? join(temporaryFolder(t), 'db') : `ondemand-${Object.keys(mix).join('-')}`;
      let db = await open({ storage, path, cacheBytes: 100_000 });
      const plain = await db.collection('plain', base);
      const asked = await db.collection('asked', { ...base, ...mix });
      for (const collection of [plain, asked]) {
        await collection.upsert(points(600));
        await collection.upsert(points(50));
        await collection.delete({ filter: { i: { $gte: 590 } } });
      }
      const expected = await everything(plain);
      assert.equal(expected.all, 590);
      assert.deepEqual(await everything(asked), expected);
      await db.flush();
      assert.deepEqual(await everything(asked), expected);
      await asked.optimize();
      assert.deepEqual(await everything(asked), expected);
      const { memory } = await db.info();
      assert.equal(memory.cacheBytes, 100_000);
      assert.ok(memory.cachedBytes <= 100_000);
      if (storage !== 'memory') {
        await db.close();
        db = await open({ storage, path, cacheBytes: 0 });
        const again = await db.collection('asked', { ...base, ...mix });
        assert.deepEqual(await everything(again), expected);
        assert.equal((await db.info()).memory.cachedBytes, 0);
      }
      const several = await Promise.all(queries.map((query) => asked.search(query).catch(() => undefined)));
      assert.equal(several.length, queries.length);
      await db.close();
    }
  });
}

test('the plan of a search among vectors on demand says how it was carried out', async () => {
  const db = await open({ storage: 'memory' });
  const asked = await db.collection('asked', { ...base, vectorStorage: 'onDemand' });
  await asked.upsert(points(100));
  const { plan } = await asked.search({ vector: randomVector(random(1), 16), explain: true });
  assert.equal(plan.strategy, 'flat');
  assert.match(plan.reason, /read from storage/);
  await rejectsWith('SchemaMismatch', db.collection('asked', base));
  await rejectsWith('DimensionMismatch', asked.search({ vector: [1, 2] }));
  await rejectsWith('FilterError', asked.count({ filter: { a: { $foo: 1 } } }));
  await rejectsWith('InvalidArgument', open({ storage: 'memory', cacheBytes: -1 }));
  await rejectsWith('InvalidArgument', open({ storage: 'memory', cacheBytes: 2 ** 31 }));
  await db.close();
});

test('an index of codes names the vectors that are read, whatever its kind, also after opening again', async (t) => {
  const kinds = {
    graph: { kind: 'hnsw', code: 'rq8', efConstruct: 40 },
    learned: { kind: 'hnsw', code: 'sq8', efConstruct: 40 },
    bytes: { kind: 'flat', code: 'rq8' },
    nibbles: { kind: 'flat', code: 'rq4' },
    bits: { kind: 'flat', code: 'rabitq' },
  };
  const path = join(temporaryFolder(t), 'db');
  let db = await open({ path });
  const memory = await db.collection('memory', base);
  await memory.upsert(points(1500));
  for (const [name, index] of Object.entries(kinds)) {
    const asked = await db.collection(name, { ...base, index, vectorStorage: 'onDemand' });
    await asked.upsert(points(1500));
    await asked.optimize();
    const { index: built, memory: held } = await asked.info();
    assert.deepEqual([built.kind, built.code, built.unindexed], [index.kind, index.code, 0], name);
    assert.equal(held.vectorBytes, 0);
    assert.ok(held.indexBytes > 1500 * 4);
  }
  for (const round of [0, 1]) {
    for (const name of Object.keys(kinds)) {
      const asked = await db.collection(name);
      let found = 0;
      for (let seed = 0; seed < 20; seed++) {
        const vector = randomVector(random(seed), 16);
        const hits = await asked.search({ vector, explain: true });
        const exact = await asked.search({ vector, exact: true });
        found += hits.filter(({ score }) => score >= exact.at(-1).score).length;
        if (name === 'graph') assert.equal(hits.plan.strategy, 'hnsw');
      }
      assert.ok(found >= 190, `${name}: ${found} of 200 in round ${round}`);
    }
    await db.close();
    db = await open({ path });
  }
  await db.close();
});

test('a search that is under way when the database is closed gets its answer', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path, cacheBytes: 0 });
  const asked = await db.collection('asked', { ...base, vectorStorage: 'onDemand', payloadStorage: 'onDemand' });
  await asked.upsert(points(2000));
  await db.flush();
  const searches = queries.map((query) => asked.search(query));
  await db.close();
  for (const hits of await Promise.all(searches)) assert.equal(hits.length, 20);
  await rejectsWith('Closed', asked.search(queries[0]));
});

test('a damaged frame is StorageCorrupt for the calls that need it', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path, cacheBytes: 0 });
  const asked = await db.collection('asked', { ...base, payloadStorage: 'onDemand' });
  await asked.upsert(points(2000));
  await db.flush();
  const segment = readdirSync(path)
    .filter((name) => name.startsWith('segment-'))
    .map((name) => join(path, name))
    .sort((a, b) => statSync(b).size - statSync(a).size)[0];
  const bytes = readFileSync(segment);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(segment, bytes);
  await rejectsWith('StorageCorrupt', asked.count({ filter: { i: 1 } }));
  assert.equal((await asked.get(['p0'])).length, 1);
  assert.equal(await asked.count(), 2000);
  await db.close();
});

test('much that waits for nothing does not pile up on the stack', async () => {
  const db = await open({ storage: 'memory', cacheBytes: 2 ** 26 });
  const asked = await db.collection('asked', { payloadStorage: 'onDemand', text: {} });
  // First all of it is resident, a few rows a step; then in cached frames.
  for (let first = 0; first < 50_000; first += 5000) {
    const batch = Array.from({ length: 5000 }, (_, i) => ({ id: `p${first + i}`, payload: { i: first + i } }));
    await asked.upsert(batch);
  }
  for (let round = 0; round < 2; round++) {
    assert.equal(await asked.count({ filter: { i: { $gte: 10 } } }), 49_990);
    const results = await asked.searchBatch(Array.from({ length: 1000 }, () => ({ text: 'nothing' })));
    assert.equal(results.length, 1000);
    await db.flush();
  }
  await db.close();
});
