// Backends of one's own: names, settings, what is checked of their answers, and the published protocols over any store.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NearfieldError,
  asVectorBackend,
  asVectorStore,
  checkConfig,
  connect,
  registerBackend,
  registerVectorBackend,
  unregisterBackend,
} from 'nearfield';
import { MapVectorBackend, MapVectorStore, mapStore } from '../support/custom-stores.mjs';
import { rejectsWith } from './support.mjs';

const throwsWith = (code, call) =>
  assert.throws(call, (error) => error instanceof NearfieldError && error.code === code);

/** A store over what `make` answers. */
async function open(t, make, config = {}, register = registerBackend) {
  register('mystore', make);
  t.after(() => unregisterBackend('mystore'));
  const backend = { provider: 'mystore', vector_size: 3, ...config };
  const store = await connect({ config: { backend }, environment: {} });
  t.after(() => store.close().catch(() => {}));
  return store;
}

const points = [
  { id: 'a', vector: [1, 0, 0], payload: { n: 1 } },
  { id: 'b', vector: [0, 1, 0], payload: { n: 2 }, text: 'words' },
  { id: 'c', vector: [1, 1, 0], payload: { n: 3 } },
];

test('names are checked, and one that is taken or built in is not given away', (t) => {
  for (const name of ['', '1st', 'a b', 'a.b', '../x', 'é', '__proto__', 'constructor', 'x'.repeat(65), 7, null]) {
    throwsWith('InvalidArgument', () => registerBackend(name, mapStore));
  }
  for (const name of [
    'qdrant',
    'Qdrant',
    'chroma',
    'weaviate',
    'lancedb',
    'memory',
    'embedded',
    'docarray',
    'custom',
  ]) {
    throwsWith('Conflict', () => registerBackend(name, mapStore));
  }
  for (const factory of [undefined, null, {}, 'mapStore']) {
    throwsWith('InvalidArgument', () => registerBackend('mystore', factory));
  }
  registerBackend('mystore', mapStore);
  t.after(() => unregisterBackend('mystore'));
  throwsWith('Conflict', () => registerVectorBackend('mystore', MapVectorBackend));
  assert.equal(unregisterBackend('mystore'), true);
  assert.equal(unregisterBackend('mystore'), false);
  registerVectorBackend('mystore', MapVectorBackend);
});

test('a name that nobody registered is InvalidConfig', async () => {
  const error = await rejectsWith(
    'InvalidConfig',
    connect({ config: '[backend]\nprovider = "mystore"', environment: {} }),
  );
  assert.match(error.message, /register it first/);
});

test('the factory is given what the configuration says, checked', async (t) => {
  const seen = [];
  const make = (settings) => (seen.push(settings), mapStore(settings));
  await open(t, make, {
    collection: 'notes',
    distance_metric: 'euclidean',
    batch_size: 7,
    mystore: { url: 'x', key: '${KEY}', nested: { list: [1, 2] } },
  }).catch((error) => assert.match(error.message, /KEY/));
  const config = {
    backend: { provider: 'mystore', collection: 'notes', vector_size: 3, mystore: { key: '${KEY}', n: [1] } },
  };
  const store = await connect({ config, environment: { KEY: 'secret' } });
  assert.deepEqual(seen.at(-1), {
    backend: 'mystore',
    collection: 'notes',
    dimension: 3,
    metric: 'cosine',
    ef: 128,
    batchRows: 100,
    searchBatch: 32,
    hybridAlpha: undefined,
    custom: { key: 'secret', n: [1] },
  });
  assert.equal(store.backend, 'mystore');
  assert.equal(store.name, 'notes');
  const report = await checkConfig({ config, environment: { KEY: 'secret' } });
  assert.equal(report.backend, 'custom');
  assert.doesNotMatch(JSON.stringify(report), /secret/);
  const specs = await connect({ config: '[vectordb]\nbackend = "mystore"', environment: {} });
  await specs.upsert([{ id: 'a', vector: [1, 2] }]);
  const error = await rejectsWith('DimensionMismatch', specs.upsert([{ id: 'b', vector: [1, 2, 3] }]));
  assert.equal(error.message, 'Vector dimension mismatch: expected 2, got 3');
});

test('classes are made with new, functions are called, and may be async', async (t) => {
  for (const make of [
    MapVectorStore,
    (settings) => new MapVectorStore(settings),
    async (settings) => mapStore(settings),
  ]) {
    const store = await open(t, make);
    await store.upsert(points);
    const hits = await store.search({ vector: [1, 0.1, 0], k: 2, include: ['payload'] });
    assert.deepEqual(
      hits.map(({ id, payload }) => [id, payload]),
      [
        ['a', { n: 1 }],
        ['c', { n: 3 }],
      ],
    );
    unregisterBackend('mystore');
  }
  for (const make of [
    () => undefined,
    () => 7,
    () => ({}),
    () => ({ search() {} }),
    () => ({ upsert() {}, filters: 'yes' }),
  ]) {
    await rejectsWith('InvalidArgument', open(t, make));
    unregisterBackend('mystore');
  }
  const cause = new Error('no room');
  const error = await rejectsWith(
    'RemoteRejected',
    open(t, () => Promise.reject(cause)),
  );
  assert.equal(error.cause, cause);
  assert.match(error.message, /^backend mystore: its factory failed: no room$/);
});

test('a filter is applied to more and more answers, until nothing can be missing', async (t) => {
  const asked = [];
  class Counting extends MapVectorStore {
    search(embedding, topK, filters) {
      asked.push([topK, filters]);
      return super.search(embedding, topK);
    }
  }
  const store = await open(t, Counting);
  const many = Array.from({ length: 500 }, (_, i) => ({
    id: `p${i}`,
    vector: [1, i / 500, 0],
    payload: { rare: i === 480 },
  }));
  await store.upsert(many);
  const hits = await store.search({ vector: [1, 0, 0], k: 2, filter: { rare: true } });
  assert.deepEqual(
    hits.map(({ id }) => id),
    ['p480'],
  );
  assert.deepEqual(asked, [
    [8, null],
    [32, null],
    [128, null],
    [512, null],
  ]);
});

test('a store that takes filters is given them, and believed only so far', async (t) => {
  let seen;
  class Filtering extends MapVectorStore {
    filters = true;
    search(embedding, topK, filters) {
      seen = filters;
      return super.search(embedding, topK);
    }
  }
  const store = await open(t, Filtering);
  await store.upsert(points);
  const error = await rejectsWith(
    'RemoteProtocolError',
    store.search({ vector: [1, 0, 0], filter: { n: { $gt: 1 } } }),
  );
  assert.deepEqual(seen, { n: { $gt: 1 } });
  assert.match(error.message, /does not pass the filter: "a"/);
});

test('answers that are none are RemoteProtocolError, and say what was wrong', async (t) => {
  let answer;
  const base = {
    upsert: async () => answer,
    search: async () => answer,
    get: async () => answer,
    count: async () => answer,
  };
  const more = {
    delete: async () => answer,
    drop: async () => answer,
    ensure: async () => answer,
    info: async () => answer,
  };
  const scroll = {
    async *scroll() {
      yield answer;
    },
  };
  const store = await open(t, () => ({ ...base, ...more, ...scroll, searchBatch: async () => answer }));
  const hit = (id, score, rest = {}) => ({ id, score, ...rest });
  const vector = [1, 0, 0];
  const scrolled = async () => {
    for await (const page of store.scroll({ batch: 2 })) assert.ok(page);
  };
  const cases = [
    [
      () => store.search({ vector }),
      [undefined, null, {}, 'x', [null], [7], [hit(7, 1)], [hit('', 1)], [hit('a')], [hit('a', NaN)]],
    ],
    [
      () => store.search({ vector }),
      [[hit('a', '1')], [hit('a', Infinity)], [hit('a', 1), hit('b', 2)], [hit('a', 1), hit('a', 1)]],
    ],
    [() => store.search({ vector, k: 1 }), [[hit('a', 1), hit('b', 0)]]],
    [() => store.search({ vector, minScore: 0.5 }), [[hit('a', 0.4)]]],
    [
      () => store.search({ vector }),
      [[hit('a', 1, { payload: 7 })], [hit('a', 1, { payload: { at: new Date(0) } })], [hit('a', 1, { text: 7 })]],
    ],
    [
      () => store.search({ vector, include: ['vector'] }),
      [[hit('a', 1, { vector: [1, 2] })], [hit('a', 1, { vector: 'x' })], [hit('a', 1, { vector: [1, NaN, 3] })]],
    ],
    [() => store.searchBatch([{ vector }, { vector }]), [[], [[]], [[], {}], {}, [[], [hit('a')]]]],
    [() => store.get(['a', 'b']), [undefined, {}, [{ id: 'c' }], [{ id: 'a' }, { id: 'a' }], [{}], ['a']]],
    [() => store.count(), [undefined, -1, 1.5, '3', NaN, 2 ** 60]],
    [() => store.delete(['a']), [undefined, 2, -1, true]],
    [() => store.drop(), [undefined, 1, 'yes']],
    [() => store.ensure(), [undefined, {}, { created: 1 }, { created: true, differences: [{}] }]],
    [() => store.info(), [undefined, {}, { count: -1 }, { count: 1, metric: 'dot' }, { count: 1, details: 'x' }]],
    [
      () => store.upsert(points),
      [7, {}, { ok: ['a'], failed: [], unknown: [] }, { ok: ['a', 'b', 'c', 'd'], failed: [], unknown: [] }],
    ],
    [
      () => store.upsert(points),
      [
        { ok: ['a', 'b', 'c', 'a'], failed: [], unknown: [] },
        { ok: ['a', 'b'], failed: [{ id: 'c' }], unknown: [] },
      ],
    ],
    [scrolled, [undefined, {}, [{ id: 'a' }, { id: 'a' }], [{ id: 'a' }, { id: 'b' }, { id: 'c' }], [{ id: 1 }]]],
  ];
  for (const [call, answers] of cases) {
    for (const each of answers) {
      answer = each;
      const error = await rejectsWith('RemoteProtocolError', call());
      assert.match(error.message, /mystore/);
    }
  }
  answer = [hit('b', 1, { payload: { x: 1 } }), hit('a', 1)];
  assert.deepEqual(
    (await store.search({ vector })).map(({ id }) => id),
    ['a', 'b'],
    'equal scores by id, after all that',
  );
});

test('answers that fail while they are read are RemoteProtocolError too', async (t) => {
  let answer;
  const give = async () => answer;
  const store = await open(t, () => ({
    upsert: give,
    search: give,
    get: give,
    info: give,
    ensure: give,
    scroll: give,
  }));
  const thrower = (name) => ({
    get [name]() {
      throw 'no luck';
    },
  });
  const proxy = new Proxy({}, { get: () => assert.fail('a trap'), ownKeys: () => assert.fail('a trap') });
  const search = () => store.search({ vector: [1, 0, 0] });
  const first = async () => (await store.scroll().next()).value;
  const cases = [
    [
      search,
      [thrower('id')],
      [{ id: 'a', score: 1, payload: thrower('x') }],
      [{ id: 'a', ...{ score: 1, payload: proxy } }],
    ],
    [search, Object.defineProperty([], 'plan', { get: () => assert.fail('a getter') }), [{ id: '\ud800', score: 1 }]],
    [search, [{ id: 'a', score: 1, parts: 7 }], [{ id: 'a', score: 1, highlights: [1] }], thrower('constructor')],
    [() => store.get(['a']), [thrower('payload')]],
    [() => store.info(), thrower('count')],
    [() => store.ensure(), thrower('created')],
    [() => store.upsert(points), thrower('ok')],
    [first, { [Symbol.asyncIterator]: () => assert.fail('no iterator') }],
  ];
  for (const [call, ...answers] of cases) {
    for (const each of answers) {
      answer = each;
      assert.match((await rejectsWith('RemoteProtocolError', call())).message, /^backend mystore: /);
    }
  }
});

test('what an object does with what it is given changes nothing', async (t) => {
  const seen = [];
  let failing = false;
  const store = await open(t, (settings) => {
    settings.batchRows = undefined;
    return {
      filters: false,
      upsert(some) {
        some.splice(0);
        if (failing) throw new Error('enough');
      },
      search({ vector, k, include }) {
        seen.push(vector[0]);
        vector.fill(7);
        include.length = 0;
        return Array.from({ length: Math.min(k, 100) }, (_, i) => ({ id: `p${i}`, score: 1, payload: { i } }));
      },
      get: (ids) => Array.from({ length: ids.length }, () => ({ id: ids.shift() })),
    };
  });
  const many = Array.from({ length: 250 }, (_, i) => ({ id: `p${i}`, vector: [1, 0, 0] }));
  assert.equal((await store.upsert(many)).ok.length, 250);
  assert.deepEqual(
    (await store.get(['a', 'b'])).map(({ id }) => id),
    ['a', 'b'],
  );
  const [hit] = await store.search({ vector: [1, 0, 0], k: 1, filter: { i: 99 } });
  assert.deepEqual([hit.id, hit.payload, ...new Set(seen)], ['p99', { i: 99 }, 1]);
  assert.ok(seen.length > 1, 'asked again for more');
  failing = true;
  await rejectsWith('RemoteRejected', store.upsert(many));
});

test('the signal of a batch, and of each of its queries, ends it', async (t) => {
  const vector = [1, 0, 0];
  const never = () => new Promise(() => {});
  for (const more of [{}, { searchBatch: never }]) {
    const name = `never${Object.keys(more).length}`;
    registerBackend(name, () => ({ upsert: never, search: never, ...more }));
    t.after(() => unregisterBackend(name));
    const store = await connect({ config: { backend: { provider: name, vector_size: 3 } }, environment: {} });
    for (const which of [0, 1]) {
      const stops = [new AbortController(), new AbortController()];
      const [own, all] = stops.map(({ signal }) => signal);
      const searching = store.searchBatch([{ vector, signal: own }], { signal: all });
      stops[which].abort();
      await rejectsWith('Aborted', searching);
    }
    await store.close();
  }
  const fetch = () => new Promise(() => {});
  const backend = { provider: 'qdrant', url: 'http://localhost:1', vector_size: 3 };
  const remote = await connect({ config: { backend }, environment: {}, fetch });
  t.after(() => remote.close());
  const stop = new AbortController();
  const searching = remote.searchBatch([{ vector, signal: stop.signal }, { vector }], {
    signal: new AbortController().signal,
  });
  stop.abort();
  await rejectsWith('Aborted', searching);
});

test('answers are copies: what a caller does with them changes nothing', async (t) => {
  const store = await open(t, mapStore);
  const payload = { list: [1] };
  await store.upsert([{ id: 'a', vector: [1, 0, 0], payload }]);
  payload.list.push(2);
  const [hit] = await store.search({ vector: [1, 0, 0] });
  hit.payload.list.push(3);
  assert.deepEqual((await store.get(['a']))[0].payload, { list: [1] });
});

test('what an object throws is wrapped with its cause, and says which call it was', async (t) => {
  const cause = new TypeError('disk on fire');
  const own = new NearfieldError('RateLimited', 'slow down');
  let thrown = cause;
  const fail = () => {
    throw thrown;
  };
  const store = await open(t, () => ({ add: fail, search: fail, get: fail, count: fail, clear: fail, delete: fail }));
  for (const call of [
    () => store.search({ vector: [1, 0, 0] }),
    () => store.get(['a']),
    () => store.count(),
    () => store.upsert(points),
  ]) {
    thrown = cause;
    const error = await rejectsWith('RemoteRejected', call());
    assert.equal(error.cause, cause);
    assert.match(error.message, /^backend mystore: (add|search|get|count)\(\) failed: disk on fire$/);
    thrown = own;
    assert.equal(await rejectsWith('RateLimited', call()), own);
  }
  assert.deepEqual(await store.health(), { ready: false, message: 'slow down' });
});

test('points after one that fails are reported as not tried', async (t) => {
  class Full extends MapVectorStore {
    add(...given) {
      if (this.count() === 1) throw new Error('full');
      super.add(...given);
    }
  }
  const store = await open(t, Full);
  const { ok, failed, unknown } = await store.upsert(points);
  assert.deepEqual([ok, unknown], [['a'], []]);
  assert.deepEqual(
    failed.map(({ id, code, message }) => [id, code, message]),
    [
      ['b', 'RemoteRejected', 'add() failed: full'],
      ['c', 'RemoteRejected', 'not tried: full'],
    ],
  );
});

test('what an object cannot do is Unsupported, and named', async (t) => {
  const store = await open(t, MapVectorBackend, {}, registerVectorBackend);
  await store.upsert(points);
  const vector = [1, 0, 0];
  const cases = {
    'get(': () => store.get(['a']),
    'delete(': () => store.delete(['a']),
    'count(': () => store.count(),
    'clear(': () => store.clear(),
    'scroll(': () => store.scroll().next(),
    '{"n":1}': () => store.count({ filter: { n: 1 } }),
    'createSnapshot(': () => store.createSnapshot(),
    'search: text': () => store.search({ vector, text: 'words' }),
    "mode 'hybrid'": () => store.search({ vector, mode: 'hybrid' }),
    'search: ef': () => store.search({ vector, ef: 10 }),
    'search: exact': () => store.search({ vector, exact: true }),
    'search: explain': () => store.search({ vector, explain: true }),
    'without a vector': () => store.search({ text: 'words', mode: 'dense' }),
    'points[0] without a vector': () => store.upsert([{ id: 'x' }]),
  };
  for (const [named, call] of Object.entries(cases)) {
    const error = await rejectsWith('Unsupported', call());
    assert.ok(error.message.includes(named), `${error.message} names ${named}`);
  }
  const [hit] = await store.search({ vector: [0, 1, 0], k: 1 });
  assert.deepEqual([hit.id, hit.text, hit.payload], ['b', 'words', { n: 2 }]);
});

test('a signal and close() end calls that an object never ends', async (t) => {
  const signals = [];
  const never = (...given) => {
    signals.push(given.at(-1).signal);
    return new Promise(() => {});
  };
  let closed = 0;
  const store = await open(t, () => ({ upsert: never, search: never, count: never, close: () => closed++ }));
  const stop = new AbortController();
  const searching = store.search({ vector: [1, 0, 0], signal: stop.signal });
  const counting = store.count();
  stop.abort();
  await rejectsWith('Aborted', searching);
  const closing = store.close();
  await rejectsWith('Aborted', counting);
  await closing;
  await store.close();
  assert.equal(closed, 1);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  );
  await rejectsWith('Closed', store.count());
});

test('any store can be spoken to by the published protocols', async (t) => {
  const config = { backend: { provider: 'memory', vector_size: 3 } };
  const store = await connect({ config, environment: {} });
  t.after(() => store.close());
  const specs = asVectorStore(store);
  await specs.add('a', [1, 0, 0], { type: 'task' });
  await specs.add('b', [0, 1, 0], { type: 'design' });
  await specs.add('c', [0, 0, 1]);
  assert.equal(await specs.count(), 3);
  assert.deepEqual(await specs.search([1, 0, 0], 1), [{ id: 'a', score: 1, metadata: { type: 'task' } }]);
  assert.deepEqual(
    (await specs.search([1, 0, 0], 5, { type: 'design' })).map(({ id }) => id),
    ['b'],
  );
  assert.deepEqual(await specs.get('b'), {
    id: 'b',
    metadata: { type: 'design' },
    embedding: Float32Array.of(0, 1, 0),
  });
  assert.equal(await specs.get('z'), null);
  assert.equal(await specs.delete('b'), true);
  assert.equal(await specs.delete('b'), false);
  await specs.clear();
  assert.equal(await specs.count(), 0);

  const code = asVectorBackend(store);
  await code.upsertVectors([
    { id: 'x', vector: [1, 0, 0], payload: { path: 'a.ts' } },
    { id: 'y', vector: [0, 1, 0] },
  ]);
  const hits = await code.searchVectors([1, 0, 0], 2);
  assert.deepEqual(hits, [
    { id: 'x', score: 1, payload: { path: 'a.ts' } },
    { id: 'y', score: 0, payload: {} },
  ]);
  await code.deleteCollection();
  await rejectsWith('NotFound', store.count());
  assert.deepEqual(await code.searchVectors([1, 0, 0]), [], 'made again by its next use');
});

test('a facade refuses what would be lost', async (t) => {
  const store = await connect({ config: { backend: { provider: 'memory', vector_size: 3 } }, environment: {} });
  t.after(() => store.close());
  const code = asVectorBackend(store);
  const point = { id: 'a', vector: [1, 0, 0], payload: null };
  await rejectsWith('ConfigError', code.upsertVectors([{ ...point, sparse_vector: { 1: 2 } }]));
  await rejectsWith('InvalidArgument', code.upsertVectors([null]));
  await rejectsWith('InvalidArgument', code.upsertVectors({}));
  await code.upsertVectors([point]);
  await asVectorStore(store).add('b', [0, 1, 0], null);
  assert.deepEqual(await store.get(['a', 'b']), [{ id: 'a' }, { id: 'b' }]);
  assert.throws(() => asVectorStore(undefined), { code: 'InvalidArgument' });
});

test('a facade says what was not written', async () => {
  const report = {
    ok: ['a'],
    failed: [{ id: 'b', code: 'RateLimited', message: 'slow down', retryable: true }],
    unknown: ['c'],
  };
  const store = { ensure: async () => {}, upsert: async () => report };
  const error = await rejectsWith('RateLimited', asVectorBackend(store).upsertVectors([]));
  assert.equal(error.message, '2 of 3 points were not written: slow down');
  assert.deepEqual(error.details, report);
  report.failed = [];
  await rejectsWith('Timeout', asVectorStore(store).add('a', [1]));
});
