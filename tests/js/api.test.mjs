// The public API on a database in memory and in a folder: what goes in comes back.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { open } from 'nearfield';
import { rejectsWith, temporaryFolder } from './support.mjs';

const points = [
  { id: 'a', vector: [1, 0, 0], text: 'the quick brown fox', payload: { year: 2024, tags: ['x', 'y'] } },
  { id: 'b', vector: [0, 1, 0], text: 'a lazy dog sleeps', payload: { year: 2025, tags: ['y'] } },
  { id: 'c', vector: [0.9, 0.1, 0], text: 'foxes and dogs', payload: { year: 2026 } },
  { id: 'd', text: 'words alone' },
];
const schema = { dimension: 3, text: {} };

for (const storage of ['memory', 'node']) {
  describe(`a database with storage: ${storage}`, () => {
    const check = (title, body) =>
      it(title, async (test) => {
        const db = await open({ path: join(temporaryFolder(test), 'db'), storage });
        try {
          const notes = await db.collection('notes', schema);
          await notes.upsert(points);
          await body(notes, db);
        } finally {
          await db.close();
        }
      });

    check('answers an upsert with the ids', async (notes) => {
      assert.deepEqual(await notes.upsert([{ id: 'e' }, { id: 'a', vector: [0, 0, 1] }]), {
        ok: ['e', 'a'],
        failed: [],
        unknown: [],
      });
      assert.deepEqual(await notes.upsert([]), { ok: [], failed: [], unknown: [] });
      assert.equal(await notes.count(), 5);
      assert.deepEqual(await notes.get(['a']), [{ id: 'a' }]);
    });

    check('gets points in the order asked for', async (notes) => {
      const found = await notes.get(['c', 'nobody', 'a'], { include: ['payload', 'text', 'vector'] });
      assert.deepEqual(
        found.map((point) => point.id),
        ['c', 'a'],
      );
      assert.deepEqual(found[1], { ...points[0], vector: Float32Array.from(points[0].vector) });
      assert.deepEqual(await notes.get(['d'], { include: [] }), [{ id: 'd' }]);
      assert.deepEqual(await notes.get([]), []);
    });

    check('searches by vector, by text, and by both', async (notes) => {
      const dense = await notes.search({ vector: [1, 0, 0], k: 2 });
      assert.deepEqual(
        dense.map((hit) => hit.id),
        ['a', 'c'],
      );
      assert.equal(dense[0].score, 1);
      assert.deepEqual(dense[0].payload, points[0].payload);
      assert.equal(dense[0].text, points[0].text);
      assert.equal(dense[0].vector, undefined);
      assert.equal(dense[0].parts.dense.rank, 1);
      assert.equal(dense[0].parts.text, undefined);

      const text = await notes.search({ text: 'dogs' });
      assert.deepEqual(text.map((hit) => hit.id).sort(), ['b', 'c']);
      assert.equal(text[0].parts.text.rank, 1);

      for (const fusion of [undefined, { kind: 'rrf', k: 10, weights: [1, 2] }, { kind: 'convex', alpha: 0.5 }]) {
        const both = await notes.search({ vector: [1, 0, 0], text: 'quick', fusion, mode: 'hybrid' });
        assert.equal(both[0].id, 'a');
        assert.equal(both[0].parts.dense.rank, 1);
        assert.equal(both[0].parts.text.rank, 1);
      }
      assert.deepEqual(await notes.search({ text: 'unheard' }), []);
    });

    check('includes what is asked for', async (notes) => {
      const [hit] = await notes.search({ vector: [1, 0, 0], k: 1, include: ['vector'] });
      assert.deepEqual(Object.keys(hit).sort(), ['id', 'parts', 'score', 'vector']);
      assert.deepEqual(hit.vector, Float32Array.of(1, 0, 0));
      // It is the caller's own.
      hit.vector.fill(5);
      assert.deepEqual((await notes.get(['a'], { include: ['vector'] }))[0].vector, Float32Array.of(1, 0, 0));
    });

    check('filters, offsets and cuts', async (notes) => {
      const ids = async (options) => (await notes.search({ vector: [1, 0, 0], ...options })).map((hit) => hit.id);
      assert.deepEqual(await ids({ filter: { year: { $gte: 2025 } } }), ['c', 'b']);
      assert.deepEqual(await ids({ filter: { tags: 'y' } }), ['a', 'b']);
      assert.deepEqual(await ids({ offset: 1, k: 1 }), ['c']);
      assert.deepEqual(await ids({ minScore: 0.5 }), ['a', 'c']);
      assert.deepEqual(await ids({ k: 10_000 }), ['a', 'c', 'b']);
      assert.deepEqual(await ids({ offset: 9_000 }), []);
    });

    check('highlights in the units of JavaScript strings', async (notes) => {
      await notes.upsert([{ id: 'h', text: '😀 é fox, Foxes' }]);
      const hits = await notes.search({ text: 'fox', highlights: true, filter: {} });
      const hit = hits.find(({ id }) => id === 'h');
      assert.deepEqual(
        hit.highlights.map(([begin, end]) => hit.text.slice(begin, end)),
        ['fox', 'Foxes'],
      );
    });

    check('explains', async (notes) => {
      const hits = await notes.search({ vector: [1, 0, 0], explain: true, filter: { year: 2024 } });
      assert.equal(hits.plan.rowsAllowed, 1);
      assert.equal(hits.plan.selectivity, 0.25);
      assert.equal(typeof hits.plan.strategy, 'string');
      assert.ok(hits.plan.microseconds >= 0);
      assert.equal((await notes.search({ vector: [1, 0, 0] })).plan, undefined);
    });

    check('searches in batches', async (notes) => {
      const queries = [{ vector: [1, 0, 0], k: 1 }, { text: 'lazy' }, { vector: [0, 1, 0], text: 'fox', include: [] }];
      const batch = await notes.searchBatch(queries);
      for (const [i, query] of queries.entries()) assert.deepEqual(batch[i], await notes.search(query));
      assert.deepEqual(await notes.searchBatch([]), []);
    });

    check('deletes by id and by filter, and says how many there were', async (notes) => {
      assert.equal(await notes.delete(['a', 'nobody']), 1);
      assert.equal(await notes.delete(['a']), 0);
      assert.equal(await notes.delete([]), 0);
      assert.equal(await notes.delete({ filter: { year: { $gt: 2024 } } }), 2);
      assert.equal(await notes.delete({ filter: { year: { $gt: 2024 } } }), 0);
      assert.equal(await notes.count(), 1);
      assert.equal(await notes.clear(), 1);
      assert.equal(await notes.count(), 0);
      assert.deepEqual(await notes.search({ vector: [1, 0, 0], text: 'fox' }), []);
    });

    check('counts', async (notes) => {
      assert.equal(await notes.count(), 4);
      assert.equal(await notes.count({ filter: { tags: { $contains: 'y' } } }), 2);
      assert.equal(await notes.count({ filter: {} }), 4);
    });

    check('scrolls through everything, in pages, by id', async (notes) => {
      for (const batch of [1, 2, 3, 4, 5]) {
        const pages = [];
        for await (const page of notes.scroll({ batch })) pages.push(page.map((point) => point.id));
        assert.deepEqual(pages.flat(), ['a', 'b', 'c', 'd']);
        assert.equal(pages.length, Math.ceil(4 / batch));
      }
      const found = [];
      for await (const page of notes.scroll({ filter: { year: { $exists: true } }, include: ['vector'] })) {
        found.push(...page);
      }
      assert.deepEqual(
        found.map(({ id, vector }) => [id, vector.length]),
        [
          ['a', 3],
          ['b', 3],
          ['c', 3],
        ],
      );
    });

    check('keeps payloads as they are', async (notes) => {
      const payload = {
        text: 'quotes " and \\ and \n and \u2028 and 😀 and \u0001',
        numbers: [0, -0.5, 1e-300, 2 ** 53 - 1, 1e300],
        nested: { deep: [{ a: null, b: true }], empty: {}, list: [] },
        constructor: 'c',
      };
      Object.defineProperty(payload, '__proto__', { value: { polluted: true }, enumerable: true });
      await notes.upsert([{ id: 'p', payload }]);
      const [{ payload: found }] = await notes.get(['p']);
      assert.equal(JSON.stringify(found), JSON.stringify(payload));
      assert.equal(Object.getPrototypeOf(found), Object.prototype);
      assert.equal({}.polluted, undefined);
    });

    check('tells about itself', async (notes, db) => {
      const info = await notes.info();
      assert.equal(info.count, 4);
      assert.equal(info.dimension, 3);
      assert.equal(info.metric, 'cosine');
      assert.equal(info.index.kind, 'flat');
      assert.equal(info.index.code, 'f32');
      assert.ok(info.memory.vectorBytes >= 36 && info.memory.wasmBytes >= info.memory.vectorBytes);
      assert.equal(info.storage, storage);
      const whole = await db.info();
      assert.deepEqual(whole.collections, ['notes']);
      assert.equal(whole.readOnly, false);
      assert.equal(whole.storage, storage);
    });

    check('holds several collections', async (notes, db) => {
      const words = await db.collection('words', { text: { fields: ['title'], stemming: false } });
      await words.upsert([{ id: 'a', payload: { title: 'foxes' } }]);
      assert.deepEqual((await db.collections()).sort(), ['notes', 'words']);
      assert.equal((await words.search({ text: 'foxes' })).length, 1);
      assert.equal((await words.search({ text: 'fox' })).length, 0);
      assert.equal(await db.dropCollection('words'), true);
      assert.equal(await db.dropCollection('words'), false);
      await rejectsWith('NotFound', words.count());
      await rejectsWith('NotFound', db.collection('words'));
      assert.equal(await notes.count(), 4);
      const again = await db.collection('notes');
      assert.equal((await again.search({ vector: [1, 0, 0], k: 1 }))[0].id, 'a');
    });

    check('refuses another schema, and says what differs', async (notes, db) => {
      const error = await rejectsWith('SchemaMismatch', db.collection('notes', { dimension: 4, metric: 'dot' }));
      assert.match(error.message, /dimension/);
      assert.match(error.message, /metric/);
      assert.equal(await (await db.collection('notes', schema)).count(), 4);
    });

    check('carries out calls that were not awaited in their order', async (notes) => {
      const calls = [];
      for (let i = 0; i < 20; i++) calls.push(notes.upsert([{ id: `x${i}`, payload: { n: i } }]));
      calls.push(notes.delete({ filter: { n: { $gte: 10 } } }));
      calls.push(notes.upsert([{ id: 'x15', payload: { n: 15 } }]));
      const answers = await Promise.all(calls);
      assert.equal(answers.at(-2), 10);
      assert.equal(await notes.count({ filter: { n: { $exists: true } } }), 11);
    });

    check('is closed once, and then for good', async (notes, db) => {
      const pending = notes.upsert([{ id: 'late' }]);
      await Promise.all([db.close(), db.close()]);
      assert.deepEqual((await pending).ok, ['late']);
      await db.close();
      for (const call of [
        () => notes.search({ vector: [1, 0, 0] }),
        () => notes.upsert([]),
        () => notes.upsert([{ id: 'x' }]),
        () => notes.get(['a']),
        () => notes.delete(['a']),
        () => notes.count(),
        () => notes.clear(),
        () => notes.info(),
        () => notes.scroll().next(),
        () => db.collection('notes', schema),
        () => db.collections(),
        () => db.dropCollection('notes'),
        () => db.flush(),
        () => db.info(),
      ]) {
        await rejectsWith('Closed', call());
      }
    });

    check('obeys a signal before it starts', async (notes) => {
      const signal = AbortSignal.abort('reason');
      for (const call of [
        notes.search({ text: 'fox', signal }),
        notes.upsert([{ id: 'x' }], { signal }),
        notes.delete(['a'], { signal }),
        notes.scroll({ signal }).next(),
      ]) {
        assert.equal((await rejectsWith('Aborted', call)).cause, 'reason');
      }
      assert.equal(await notes.count(), 4);
    });
  });
}

it('is disposed of by `await using`', async () => {
  const db = await open({ storage: 'memory' });
  await db[Symbol.asyncDispose]();
  await rejectsWith('Closed', db.collections());
});
