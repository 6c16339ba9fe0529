// What crosses the line in a search: every kind of value arrives as it was, on its way in and on its way out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from 'nearfield';
import { Engine } from '../../dist/engine.js';
import { compiled } from '../../dist/load.js';
import { Message, withMessage } from '../../dist/message.js';
import { Pump } from '../../dist/pump.js';
import { MemoryVolume } from '../../dist/volumes/memory.js';
import { random, randomVector, rejectsWith } from './support.mjs';

const storages = [{}, { payloadStorage: 'onDemand', vectorStorage: 'onDemand' }];

async function withPoints(points, schema, use) {
  const db = await open({ storage: 'memory' });
  try {
    const collection = await db.collection('c', schema);
    await collection.upsert(points);
    await use(collection);
  } finally {
    await db.close();
  }
}

const awkwardTexts = [
  'plain',
  'é',
  'duck 🦆 astral',
  '\u{10FFFF}',
  '\uFEFFa byte order mark',
  '\uFEFF',
  'two\u2028lines\nand\ttabs',
  '"quoted" \\ backslash',
  '\u0001\u007f\u0080',
  'a'.repeat(1024),
  '漢'.repeat(341),
  '🦆'.repeat(256),
];

for (const storage of storages) {
  const kept = storage.payloadStorage ?? 'memory';

  test(`strings of every kind arrive as they were (${kept})`, async () => {
    const points = awkwardTexts.map((text, i) => ({
      id: text,
      vector: [1, i],
      text: i % 3 === 2 ? undefined : `${text} and ${i}`,
      payload: i % 4 === 3 ? undefined : { [text]: text, nested: { list: [text, null, i, -0.5e-300] } },
    }));
    await withPoints(points, { dimension: 2, metric: 'dot', ...storage }, async (collection) => {
      // All of them together, and each by itself: what lies together is decoded together where it is short and ASCII.
      const all = await collection.search({ vector: [0, 1], k: 100, include: ['payload', 'text', 'vector'] });
      assert.equal(all.length, points.length);
      for (const [i, hit] of all.entries()) {
        const point = points[points.length - 1 - i];
        const expected = { id: point.id };
        if (point.payload !== undefined) expected.payload = point.payload;
        if (point.text !== undefined) expected.text = point.text;
        expected.vector = Float32Array.from(point.vector);
        expected.score = point.vector[1];
        expected.parts = { dense: { score: point.vector[1], rank: i + 1 } };
        assert.deepEqual(hit, expected);
        assert.deepEqual(Object.keys(hit), Object.keys(expected));
        const [alone] = await collection.search({ vector: [0, 1], k: 1, offset: i });
        delete expected.vector;
        assert.deepEqual(alone, expected);
        const [bare] = await collection.search({ vector: [0, 1], k: 1, offset: i, include: [] });
        assert.deepEqual(bare, { id: hit.id, score: hit.score, parts: hit.parts });
      }
    });
  });

  test(`a batch answers what single searches answer (${kept})`, async () => {
    const next = random(31);
    const words = ['red', 'green', 'blue', 'grün', '🦆'];
    const points = Array.from({ length: 60 }, (_, i) => ({
      id: `p${i}${i % 7 === 0 ? 'ö' : ''}`,
      vector: randomVector(next, 6),
      text: i % 5 === 4 ? undefined : `${words[i % 5]} ${words[(i * 3) % 5]}`,
      payload: { n: i, word: words[i % 5] },
    }));
    await withPoints(points, { dimension: 6, text: {}, ...storage }, async (collection) => {
      const vector = randomVector(next, 6);
      const queries = [
        { vector },
        { text: 'grün', highlights: true },
        { vector, text: 'red 🦆', k: 3, explain: true, highlights: true, include: ['text'] },
        { vector, text: 'blue', fusion: { kind: 'convex', alpha: 0.9 } },
        { vector, text: 'blue', fusion: { kind: 'rrf', k: 2, weights: [0, 3] }, offset: 2, k: 40 },
        { vector, filter: { word: 'grün', n: { $gt: 20 } }, include: ['vector'] },
        { vector, minScore: 2 },
        { vector, text: 'red', mode: 'dense', exact: true, ef: 1 },
        { vector, text: 'red', mode: 'text' },
        { vector, k: 10_000 },
        { vector, filter: { n: 1000 } },
      ];
      const batch = await collection.searchBatch(queries);
      assert.equal(batch.length, queries.length);
      for (const [i, query] of queries.entries()) {
        const single = await collection.search(query);
        for (const hits of [single, batch[i]]) if (hits.plan) delete hits.plan.microseconds;
        assert.deepEqual(batch[i], single);
        assert.equal('plan' in single, query.explain === true);
        for (const hit of single) assert.equal('highlights' in hit, query.highlights === true);
      }
      const [, found, hybrid] = batch;
      for (const { text, highlights } of found) {
        assert.ok(highlights.length > 0);
        for (const [begin, end] of highlights) assert.equal(text.slice(begin, end), 'grün');
      }
      // What only the words found has no text leg's opposite, and the other way round.
      assert.ok(hybrid.every(({ parts }) => parts.dense !== undefined || parts.text !== undefined));
      assert.equal(batch[6].length, 0);
      assert.equal(batch[9].length, points.length);
      assert.deepEqual(await collection.searchBatch([]), []);
    });
  });
}

test('scores are the same doubles', async () => {
  const smallest = 2 ** -149;
  const rows = { big: [3e38, 3e38], tiny: [smallest, 0], zero: [0, 0], third: [1 / 3, 0.1], less: [-smallest, -0] };
  const points = Object.entries(rows).map(([id, vector]) => ({ id, vector }));
  await withPoints(points, { dimension: 2, metric: 'dot' }, async (collection) => {
    for (const query of [
      [smallest, 0],
      [3e38, 3e38],
      [-1, 0],
      [Math.fround(0.1), 7],
    ]) {
      const [a, b] = Float32Array.from(query);
      for (const { id, score, parts } of await collection.search({ vector: query })) {
        const [x, y] = Float32Array.from(rows[id]);
        // The engine begins its sum with 0, so that none is -0.
        assert.ok(Object.is(score, 0 + a * x + b * y), `${id}: ${score}`);
        assert.ok(Object.is(parts.dense.score, score));
      }
    }
    // The product of the smallest floats is far from the smallest double: nothing on the way rounds it to zero.
    const tiny = await collection.search({ vector: [smallest, 0], minScore: smallest * smallest });
    assert.deepEqual(
      tiny.map(({ id, score }) => [id, score]),
      [
        ['big', smallest * Math.fround(3e38)],
        ['third', smallest * Math.fround(1 / 3)],
        ['tiny', smallest * smallest],
      ],
    );
  });
});

test('ten thousand hits', async () => {
  const points = Array.from({ length: 10_050 }, (_, i) => ({
    id: `id ${String(i).padStart(5, '0')}`,
    vector: [i, 1],
    text: `text ${i}`,
    payload: { i },
  }));
  await withPoints(points, { dimension: 2, metric: 'dot', index: 'flat' }, async (collection) => {
    const hits = await collection.search({ vector: [-1, 0], k: 10_000, include: ['payload', 'text', 'vector'] });
    assert.equal(hits.length, 10_000);
    for (const [i, hit] of hits.entries()) {
      assert.equal(hit.id, points[i].id);
      assert.equal(hit.text, points[i].text);
      assert.equal(hit.payload.i, i);
      assert.equal(hit.vector[0], i);
      assert.equal(hit.parts.dense.rank, i + 1);
    }
  });
});

test('memory that grows in the middle of a search does not matter', async () => {
  const text = 'x'.repeat(100_000);
  const points = Array.from({ length: 100 }, (_, i) => ({ id: `p${i}`, vector: [i], text, payload: { i } }));
  await withPoints(points, { dimension: 1, metric: 'dot' }, async (collection) => {
    const before = (await collection.info()).memory.wasmBytes;
    // The answer alone takes more than what was there before.
    const count = Math.ceil(before / 1e7) + 1;
    const answers = await collection.searchBatch(Array.from({ length: count }, () => ({ vector: [1], k: 100 })));
    assert.ok((await collection.info()).memory.wasmBytes > before);
    for (const hits of answers) {
      assert.equal(hits.length, 100);
      assert.ok(hits.every((hit) => hit.text === text));
      assert.deepEqual(hits[0].payload, { i: 99 });
    }
    assert.equal((await collection.search({ vector: [1], k: 1 }))[0].id, 'p99');
  });
});

test('a good search after a bad one', async () => {
  await withPoints([{ id: 'a', vector: [1, 2] }], { dimension: 2 }, async (collection) => {
    const good = { vector: [1, 2], k: 1 };
    const expected = await collection.search(good);
    for (const [bad, code, value] of [
      [{ ...good, k: 0 }, 'InvalidArgument', 0],
      [{ ...good, k: 10_001 }, 'InvalidArgument', 10_001],
      [{ ...good, k: 2 ** 32 + 1 }, 'InvalidArgument', 2 ** 32 + 1],
      [{ ...good, k: '1' }, 'InvalidArgument', '1'],
      [{ ...good, offset: 10_000 }, 'InvalidArgument', 10_000],
      [{ ...good, ef: -1 }, 'InvalidArgument', -1],
      [{ ...good, minScore: NaN }, 'InvalidArgument', NaN],
      [{ ...good, minScore: Infinity }, 'InvalidArgument', Infinity],
      [{ ...good, mode: 4 }, 'ConfigError', 4],
      [{ ...good, mode: 'text' }, 'InvalidArgument', 'text'],
      [{ ...good, include: ['id'] }, 'ConfigError', 'id'],
      [{ ...good, filter: { $no: 1 } }, 'FilterError', 1],
      [{ ...good, fusion: { kind: 'convex', alpha: 2 } }, 'InvalidArgument', 2],
      [{ ...good, sparse: 1 }, 'Unsupported', 'sparse'],
      [{ ...good, K: 1 }, 'ConfigError', 'K'],
      [{ vector: [1] }, 'DimensionMismatch', 1],
      [{ vector: [1, NaN] }, 'InvalidArgument', NaN],
      [{ vector: [1, 1e39] }, 'InvalidArgument', 1e39],
      [{ vector: [1, '2'] }, 'InvalidArgument', '2'],
      [{ text: 'a'.repeat((1 << 20) + 1) }, 'LimitExceeded', (1 << 20) + 1],
      [{ text: '\ud800' }, 'InvalidArgument', '\ud800'],
    ]) {
      const error = await rejectsWith(code, collection.search(bad));
      assert.deepEqual(error.value, value);
      await rejectsWith(code, collection.searchBatch([good, bad]));
      assert.deepEqual(await collection.search(good), expected);
    }
  });
});

test('a search inside the getter of another one', async () => {
  await withPoints([{ id: 'a', vector: [1, 2] }], { dimension: 2 }, async (collection) => {
    let inner;
    const expected = await collection.search({ vector: [1, 2] });
    // Components are read while the outer message is being written.
    const vector = [1, 0];
    Object.defineProperty(vector, 1, {
      get: () => {
        inner = collection.search({ vector: [1, 2] });
        return 2;
      },
    });
    assert.deepEqual(await collection.search({ vector }), expected);
    assert.deepEqual(await inner, expected);
    assert.notEqual(
      withMessage((outer) => withMessage((other) => outer === other)),
      true,
    );
  });
});

test('malformed searches and counts are refused by the engine itself', async () => {
  const engine = await Engine.create(await compiled());
  const pump = new Pump(engine, new MemoryVolume());
  await pump.run('_open', new Message('{}').finish());
  const schema = { dimension: 2, metric: 'dot' };
  await pump.run('_createCollection', new Message(JSON.stringify({ collection: 'c', schema })).finish());
  const point = new Message('{"collection":"c"}').word(1).string('a').string('').string('').word(2).align();
  await pump.run('_upsert', point.floats(Float32Array.of(3, 4)).finish());

  // One query, as js/src/search.ts writes it.
  const query = (
    message,
    { flags = 0, bits = 0, k = 10, offset = 0, ef = 128, nprobe = 0, rescore = 0, minScore = NaN, components = 2 } = {},
  ) =>
    message
      .word(flags)
      .word(bits)
      .word(k)
      .word(offset)
      .word(ef)
      .word(nprobe)
      .word(rescore)
      .double(minScore)
      .double(60)
      .double(1)
      .double(1)
      .word(components);
  const whole = (options) =>
    query(new Message('').string('c').word(1), options)
      .string('')
      .string('')
      .align()
      .floats(Float32Array.of(1, 1))
      .finish();
  const good = () => {
    const { place } = engine.call('_search', whole());
    const reader = engine.memory.reader(place);
    assert.deepEqual([reader.word(), reader.word()], [1, 1]);
  };
  good();
  const bytes = whole();
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => engine.call('_search', bytes.slice(0, length)), { code: 'FormatError' });
  }
  for (const [options, code, value] of [
    [{ k: 0 }, 'InvalidArgument', 0],
    [{ k: 2 ** 32 - 1 }, 'InvalidArgument', 2 ** 32 - 1],
    [{ offset: 2 ** 32 - 1 }, 'InvalidArgument', 2 ** 32 - 1],
    [{ nprobe: 65_537 }, 'InvalidArgument', 65_537],
    [{ rescore: 10_001 }, 'InvalidArgument', 10_001],
    [{ ef: 10_001 }, 'InvalidArgument', 10_001],
    [{ minScore: Infinity }, 'InvalidArgument', null],
    [{ bits: 1 << 7 }, 'InvalidArgument', 60],
    [{ bits: 1 << 8 }, 'FormatError', undefined],
    [{ components: 2 ** 32 - 1 }, 'FormatError', undefined],
    [{ components: 1 }, 'DimensionMismatch', 1],
    [{ components: 0 }, 'InvalidArgument', undefined],
    [{ flags: 2 }, 'Unsupported', undefined],
  ]) {
    assert.throws(() => engine.call('_search', whole(options)), { code, value });
    good();
  }
  const many = new Message('')
    .string('c')
    .word(2 ** 32 - 1)
    .finish();
  assert.throws(() => engine.call('_search', many), { code: 'LimitExceeded', value: 2 ** 32 - 1 });
  assert.throws(() => engine.call('_search', new Message('').string('d').word(1).finish()), { code: 'NotFound' });
  assert.throws(() => engine.call('_search', new Message('{}').finish()), { code: 'FormatError' });
  assert.throws(() => engine.call('_count', new Message('').string('c').finish()), { code: 'FormatError' });
  assert.throws(() => engine.call('_count', new Message('').string('c').string('{').finish()), { code: 'FormatError' });
  assert.deepEqual(engine.call('_count', new Message('').string('c').string('').finish()), { count: 1 });
  assert.deepEqual(engine.call('_count', new Message('').string('c').string('{"a":1}').finish()), { count: 0 });
  good();
  engine.dispose();
});
