// Every bad input is a typed error that names the value, changes nothing, and is followed by a good call.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { open, load, NearfieldError } from 'nearfield';
import { rejectsWith } from './support.mjs';

const dimension = 384;
const good = () => Array.from({ length: dimension }, (_, i) => Math.sin(i));

describe('bad input', () => {
  let db;
  let notes;
  before(async () => {
    db = await open({ storage: 'memory' });
    notes = await db.collection('notes', { dimension, text: {} });
    await notes.upsert([{ id: 'good', vector: good(), text: 'words', payload: { n: 1 } }]);
  });
  after(() => db.close());

  const check = (title, code, call, more = () => {}) =>
    it(title, async () => {
      const error = await rejectsWith(code, (async () => call())());
      more(error);
      assert.equal(await notes.count(), 1);
      const [hit] = await notes.search({ vector: good(), text: 'words' });
      assert.equal(hit.id, 'good');
      await notes.upsert([{ id: 'good', vector: good(), text: 'words', payload: { n: 1 } }]);
    });
  const names = (value) => (error) => assert.deepEqual(error.value, value);

  describe('vectors', () => {
    const cases = [
      ['one component too few', new Float32Array(383), 'DimensionMismatch', 383],
      ['one too many', new Float32Array(385), 'DimensionMismatch', 385],
      ['none at all', [], 'DimensionMismatch', 0],
      ['NaN', good().with?.(5, NaN) ?? [...good().slice(0, 5), NaN, ...good().slice(6)], 'InvalidArgument', NaN],
      ['Infinity', [Infinity, ...good().slice(1)], 'InvalidArgument', Infinity],
      ['a double beyond floats', [1e39, ...good().slice(1)], 'InvalidArgument', 1e39],
      ['a hole', [, ...good().slice(1)], 'InvalidArgument', undefined],
      ['a string among numbers', ['1', ...good().slice(1)], 'InvalidArgument', '1'],
      ['a bigint among numbers', [1n, ...good().slice(1)], 'InvalidArgument', 1n],
      ['integers', new Int8Array(dimension), 'InvalidArgument'],
      ['bigints', new BigInt64Array(dimension), 'InvalidArgument'],
      ['a DataView', new DataView(new ArrayBuffer(4 * dimension)), 'InvalidArgument'],
      ['a buffer', new ArrayBuffer(4 * dimension), 'InvalidArgument'],
      ['an array-like', { length: dimension }, 'InvalidArgument'],
      ['a string', 'x'.repeat(dimension), 'InvalidArgument'],
      ['null', null, 'InvalidArgument'],
    ];
    for (const [title, vector, code, value] of cases) {
      check(`upsert: ${title}`, code, () => notes.upsert([{ id: 'x', vector }]), names(value));
      check(`search: ${title}`, code, () => notes.search({ vector }), names(value));
    }
    const message = 'Vector dimension mismatch: expected 384, got 383';
    check(
      'says which dimension',
      'DimensionMismatch',
      () => notes.search({ vector: new Float32Array(383) }),
      (error) => assert.equal(error.message, message),
    );
    check('a detached buffer', 'DimensionMismatch', () => {
      const vector = new Float32Array(dimension);
      structuredClone(vector.buffer, { transfer: [vector.buffer] });
      return notes.search({ vector });
    });
    check('a getter that changes its mind', 'InvalidArgument', () => {
      let reads = 0;
      const vector = new Proxy(good(), { get: (target, key) => (key === '3' && reads++ >= 0 ? 'x' : target[key]) });
      return notes.upsert([{ id: 'x', vector }]);
    });
    check('a good point before a bad one', 'DimensionMismatch', () =>
      notes.upsert([
        { id: 'x', vector: good() },
        { id: 'y', vector: [1] },
      ]),
    );
  });

  describe('ids', () => {
    for (const [title, id] of [
      ['empty', ''],
      ['a number', 7],
      ['missing', undefined],
      ['null', null],
      ['NUL inside', 'a\0b'],
      ['half a surrogate pair', 'a\ud800'],
    ]) {
      check(`upsert: ${title}`, 'InvalidArgument', () => notes.upsert([{ id }]), names(id));
      check(`get: ${title}`, 'InvalidArgument', () => notes.get([id]));
      check(`delete: ${title}`, 'InvalidArgument', () => notes.delete([id]));
    }
    check('too long', 'LimitExceeded', () => notes.upsert([{ id: 'x'.repeat(1025) }]));
    check('twice in one batch', 'InvalidArgument', () => notes.upsert([{ id: 'x' }, { id: 'x' }]), names('x'));
    check('no array', 'InvalidArgument', () => notes.get('good'));
    check('delete without a target', 'InvalidArgument', () => notes.delete());
    check('delete with an empty target', 'InvalidArgument', () => notes.delete({}));
  });

  describe('points', () => {
    check('no array', 'InvalidArgument', () => notes.upsert({ id: 'x' }));
    check('null in the array', 'InvalidArgument', () => notes.upsert([null]));
    check('an unknown key', 'ConfigError', () => notes.upsert([{ id: 'x', vektor: [] }]), names('vektor'));
    check('sparse', 'Unsupported', () => notes.upsert([{ id: 'x', sparse: {} }]), names('sparse'));
    check('text that is none', 'InvalidArgument', () => notes.upsert([{ id: 'x', text: 7 }]), names(7));
    check('half a surrogate pair', 'InvalidArgument', () => notes.upsert([{ id: 'x', text: 'a\udc00' }]));
    check('more text than is allowed', 'LimitExceeded', () => notes.upsert([{ id: 'x', text: 'x '.repeat(9 << 20) }]));
    check('a vector where none are stored', 'InvalidArgument', async () => {
      const words = await db.collection('words', { text: {} });
      try {
        await words.upsert([{ id: 'x', vector: [1] }]);
      } finally {
        await db.dropCollection('words');
      }
    });
  });

  describe('payloads', () => {
    const cyclic = { list: [] };
    cyclic.list.push(cyclic);
    let deep = {};
    for (let i = 0; i < 100_000; i++) deep = { deep };
    for (const [title, payload, path] of [
      ['an array', []],
      ['a string', 'x'],
      ['null', null],
      ['a function', { f: () => 1 }, 'points[0].payload.f'],
      ['a symbol', { s: Symbol('s') }, 'points[0].payload.s'],
      ['a bigint of 65 bits', { a: { b: [1, 2n ** 64n] } }, 'points[0].payload.a.b[1]'],
      ['NaN', { n: NaN }, 'points[0].payload.n'],
      ['undefined in an array', { list: [undefined] }, 'points[0].payload.list[0]'],
      ['a date', { d: new Date(0) }, 'points[0].payload.d'],
      ['a map', { m: new Map() }, 'points[0].payload.m'],
      [
        'a class with toJSON',
        new (class {
          toJSON() {
            return {};
          }
        })(),
        'points[0].payload',
      ],
      ['toJSON of its own', { toJSON: () => ({}) }, 'points[0].payload.toJSON'],
      ['half a surrogate pair', { s: '\ud800' }, 'points[0].payload.s'],
      ['a key of half a pair', { '\ud800': 1 }, 'points[0].payload'],
      ['a cycle', cyclic, 'points[0].payload.list[0]'],
      ['nesting without end', deep],
    ]) {
      check(
        title,
        'InvalidArgument',
        () => notes.upsert([{ id: 'x', payload }]),
        (error) => {
          if (path !== undefined) assert.equal(error.details.path, path);
        },
      );
    }
    check('a getter that throws', 'InvalidArgument', () =>
      notes.upsert([
        {
          id: 'x',
          payload: {
            get x() {
              throw new NearfieldError('InvalidArgument', 'from the getter');
            },
          },
        },
      ]),
    );
    check('too large', 'LimitExceeded', () => notes.upsert([{ id: 'x', payload: { s: 'x'.repeat(2 << 20) } }]));
  });

  describe('search options', () => {
    for (const k of [0, -1, NaN, 1.5, Infinity, 1e9, 10_001, '10', null, 10n]) {
      check(`k of ${String(k)}`, 'InvalidArgument', () => notes.search({ vector: good(), k }), names(k));
    }
    it('k may be more than there are points', async () => {
      assert.equal((await notes.search({ vector: good(), k: 10_000 })).length, 1);
    });
    check('offset + k', 'InvalidArgument', () => notes.search({ vector: good(), k: 10, offset: 9_991 }), names(9_991));
    for (const [options, code, value] of [
      [{}, 'InvalidArgument'],
      [{ filter: {} }, 'InvalidArgument'],
      [{ text: 7 }, 'InvalidArgument', 7],
      [{ text: 'a', offset: -1 }, 'InvalidArgument', -1],
      [{ text: 'a', minScore: NaN }, 'InvalidArgument', NaN],
      [{ text: 'a', include: ['vectors'] }, 'ConfigError', 'vectors'],
      [{ text: 'a', include: 'text' }, 'InvalidArgument', 'text'],
      [{ text: 'a', exact: 1 }, 'InvalidArgument', 1],
      [{ text: 'a', ef: 0 }, 'InvalidArgument', 0],
      [{ text: 'a', ef: 10_001 }, 'InvalidArgument', 10_001],
      [{ text: 'a', mode: 'magic' }, 'ConfigError', 'magic'],
      [{ text: 'a', mode: 'sparse' }, 'Unsupported', 'sparse'],
      [{ text: 'a', sparse: {} }, 'Unsupported', 'sparse'],
      [{ text: 'a', nprobe: 0 }, 'InvalidArgument', 0],
      [{ text: 'a', rescore: true }, 'InvalidArgument', true],
      [{ text: 'a', fusion: { kind: 'dbsf' } }, 'Unsupported', 'dbsf'],
      [{ text: 'a', fusion: { kind: 'magic' } }, 'ConfigError', 'magic'],
      [{ text: 'a', fusion: { kind: 'convex', alpha: 1.1 } }, 'InvalidArgument', 1.1],
      [{ text: 'a', fusion: { kind: 'convex', alpha: -0.1 } }, 'InvalidArgument', -0.1],
      [{ text: 'a', fusion: { kind: 'convex', k: 60 } }, 'ConfigError', 'k'],
      [{ text: 'a', fusion: { kind: 'rrf', k: 0 } }, 'InvalidArgument', 0],
      [{ text: 'a', fusion: { kind: 'rrf', weights: [1, -1] } }, 'InvalidArgument', -1],
      [{ text: 'a', topK: 10 }, 'ConfigError', 'topK'],
      [{ text: 'a', constructor: 1 }, 'ConfigError', 'constructor'],
      [{ text: 'a', signal: {} }, 'InvalidArgument'],
      [null, 'InvalidArgument'],
      ['words', 'InvalidArgument', 'words'],
    ]) {
      const title = JSON.stringify(options);
      check(
        title,
        code,
        () => notes.search(options),
        (error) => {
          if (value !== undefined) assert.deepEqual(error.value, value);
        },
      );
    }
    check('own __proto__ as an option', 'ConfigError', () => notes.search(JSON.parse('{"text":"a","__proto__":{}}')));
    check('one bad query in a batch', 'InvalidArgument', () => notes.searchBatch([{ text: 'a' }, { text: 'a', k: 0 }]));
    check('text without a text index', 'InvalidArgument', async () => {
      const vectors = await db.collection('vectors', { dimension: 2 });
      try {
        await vectors.search({ text: 'words' });
      } finally {
        await db.dropCollection('vectors');
      }
    });
    check('more text than is allowed', 'LimitExceeded', () => notes.search({ text: 'x '.repeat(1 << 20) }));
  });

  describe('filters', () => {
    let deep = { a: 1 };
    for (let i = 0; i < 40; i++) deep = { $not: deep };
    for (const filter of [
      { year: { $foo: 1 } },
      { $nor: [] },
      { $and: {} },
      { a: { $in: 1 } },
      { a: () => 1 },
      { a: { $gt: NaN } },
      { a: 2n ** 64n },
      deep,
      { $or: Array.from({ length: 2000 }, () => ({ a: 1 })) },
      { a: { $in: Array.from({ length: 20_000 }, (_, i) => i) } },
      [],
      'a = 1',
      null,
    ]) {
      const title =
        (typeof filter === 'object' && JSON.stringify(filter, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))) ||
        String(filter);
      for (const [name, call] of [
        ['search', () => notes.search({ text: 'words', filter })],
        ['count', () => notes.count({ filter })],
        ['delete', () => notes.delete({ filter })],
        ['scroll', () => notes.scroll({ filter }).next()],
      ]) {
        check(`${name}: ${title.slice(0, 60)}`, 'FilterError', call);
      }
    }
    check(
      'says where',
      'FilterError',
      () => notes.count({ filter: { $and: [{}, { year: { $foo: 1 } }] } }),
      (error) => assert.match(error.message, /\$and\[1\]\.year\.\$foo/),
    );
  });

  describe('schemas and names', () => {
    for (const [schema, code, value] of [
      [{ dimension: -1 }, 'InvalidArgument', -1],
      [{ dimension: 1.5 }, 'InvalidArgument', 1.5],
      [{ dimension: NaN }, 'InvalidArgument', NaN],
      [{ dimension: 2 ** 31 }, 'InvalidArgument', 2 ** 31],
      [{ dimension: '384' }, 'InvalidArgument', '384'],
      [{ dimension: 4, metric: 'hamming' }, undefined, 'hamming'],
      [{ dimension: 4, metric: 7 }, 'InvalidArgument', 7],
      [{ dimension: 4, index: 'tree' }],
      [{ dimension: 4, index: { kind: 'ivf_sq' } }, 'InvalidArgument', 'ivf_sq'],
      [{ dimension: 4, index: { kind: 'ivf_pq', code: 'rq8' } }, 'Unsupported', 'rq8'],
      [{ dimension: 4, index: { kind: 'ivf_rabitq', m: 4 } }, 'ConfigError', 'm'],
      [{ dimension: 4, index: { kind: 'ivf_flat', subVectors: 4 } }, 'ConfigError', 'subVectors'],
      [{ dimension: 4, index: { kind: 'ivf_pq', subVectors: 5 } }, 'InvalidArgument', 5],
      [{ dimension: 4, index: { kind: 'ivf_flat', partitions: 0 } }, undefined, 0],
      [{ dimension: 4, metric: 'manhattan', index: 'ivf_rabitq' }, 'Unsupported', 'rabitq'],
      [{ dimension: 4, index: { kind: 'flat', recall: 0.9 } }, 'ConfigError', 'recall'],
      [{ dimension: 4, index: { kind: 'hnsw', recall: 0.3 } }, 'InvalidArgument', 0.3],
      [{ dimension: 4, index: { kind: 'hnsw', recall: '1' } }, 'ConfigError', '1'],
      [{ dimension: 4, index: { kind: 'hnsw', code: 'pq' } }, 'Unsupported', 'pq'],
      [{ dimension: 4, index: { kind: 'hnsw', partitions: 4 } }, 'ConfigError', 'partitions'],
      [{ dimension: 4, index: { kind: 'hnsw', m: 0 } }],
      [{ dimension: 4, index: { kind: 'hnsw', M: 16 } }, 'ConfigError', 'M'],
      [{ dimension: 4, vectorStorage: 'codesOnly' }, 'Unsupported', 'codesOnly'],
      [{ dimension: 4, index: { kind: 'hnsw', code: 'rabitq' } }, 'Unsupported', 'rabitq'],
      [{ dimension: 4, metric: 'manhattan', index: { kind: 'flat', code: 'rq4' } }, 'Unsupported', 'rq4'],
      [{ dimension: 4, index: { kind: 'flat', code: 'rq5' } }, 'InvalidArgument', 'rq5'],
      [{ dimension: 4, vectorStorage: 'disk' }, 'ConfigError', 'disk'],
      [{ dimension: 4, payloadStorage: 'disk' }, 'ConfigError', 'disk'],
      [{ dimension: 4, payload: { year: 'integer' } }, 'Unsupported', 'payload'],
      [{ dimension: 4, text: { fields: 'text' } }],
      [{ dimension: 4, text: { field: ['text'] } }, 'ConfigError'],
      [{ dimension: 4, dimensions: 4 }, 'ConfigError', 'dimensions'],
      [JSON.parse('{"dimension":4,"__proto__":{}}'), 'ConfigError', '__proto__'],
      [[], 'InvalidArgument'],
      [null, 'InvalidArgument'],
    ]) {
      it(JSON.stringify(schema), async () => {
        let error;
        await db.collection('other', schema).catch((thrown) => (error = thrown));
        assert.ok(error instanceof NearfieldError, `accepted, or ${error?.stack}`);
        if (code !== undefined) assert.equal(error.code, code, error.message);
        else assert.ok(['InvalidArgument', 'ConfigError'].includes(error.code), error.stack);
        if (value !== undefined) assert.deepEqual(error.value, value);
        assert.deepEqual(await db.collections(), ['notes']);
      });
    }
    for (const name of ['', 'a b', '../x', 'x'.repeat(101), 'é', 'a\0', 7, null, undefined, '\ud800']) {
      check(`collection name ${String(name).slice(0, 8)}`, 'InvalidArgument', () => db.collection(name, {}));
    }
    check('a collection nobody made', 'NotFound', () => db.collection('nobody'), names('nobody'));
  });

  describe('open and load', () => {
    for (const [options, code, value] of [
      [{ storage: 'opfs', path: 'x' }, 'Unsupported', 'opfs'],
      [{ storage: 'disk', path: 'x' }, 'ConfigError', 'disk'],
      [{ storage: 'node' }, 'InvalidArgument'],
      [{}, 'InvalidArgument'],
      [{ storage: 'node', path: '' }, 'InvalidArgument', ''],
      [{ storage: 'node', path: 'a\0b' }, 'InvalidArgument', 'a\0b'],
      [{ storage: 'node', path: 7 }, 'InvalidArgument', 7],
      [{ storage: 'memory', readonly: true }, 'ConfigError', 'readonly'],
      [{ storage: 'memory', readOnly: 1 }, 'InvalidArgument', 1],
      [{ storage: 'memory', durability: 'none' }, 'ConfigError', 'none'],
      [{ storage: 'memory', wasm: 7 }, 'InvalidArgument'],
      [{ storage: 'indexeddb', path: '../x' }, 'InvalidArgument', '../x'],
      [{ storage: 'indexeddb', path: '/a//b' }, 'InvalidArgument', '/a//b'],
      [{ storage: 'indexeddb', path: 'a b' }, 'InvalidArgument', 'a b'],
      [{ storage: 'indexeddb', path: 'fine' }, 'Unsupported'],
      ['./db', 'InvalidArgument', './db'],
    ]) {
      check(
        JSON.stringify(options),
        code,
        () => open(options),
        (error) => {
          if (value !== undefined) assert.deepEqual(error.value, value);
        },
      );
    }
    check(
      'an HTML page in place of the engine',
      'FormatError',
      () =>
        load({
          wasm: new Response('<!DOCTYPE html><title>Home</title>', { headers: { 'content-type': 'text/html' } }),
        }),
      (error) => assert.match(error.message, /not a WebAssembly file: it begins with "<!DOCTYPE html>/),
    );
    check('an empty file', 'FormatError', () => load({ wasm: new Uint8Array(0) }));
    check('a file that is cut short', 'Unsupported', () =>
      load({ wasm: Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1) }),
    );
    check('an answer of 404', 'NotFound', () => load({ wasm: new Response('', { status: 404 }) }), names(404));
    check('a file that is not there', 'NotFound', () => load({ wasm: new URL('./nothing.wasm', import.meta.url) }));
    check(
      'an address that is none',
      'InvalidArgument',
      () => load({ wasm: 'nearfield.wasm' }),
      names('nearfield.wasm'),
    );
    check('another type', 'InvalidArgument', () => load({ wasm: 7 }));
    check('an unknown option', 'ConfigError', () => load({ wsam: 7 }), names('wsam'));
  });
});
