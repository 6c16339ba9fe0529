// The checks of the conformance script, in the order in which they run. Each fills the collection by itself.
import {
  Skip,
  best,
  dimension,
  fails,
  idsOf,
  inOrder,
  isUnsupported,
  must,
  same,
  sameVector,
  scrolled,
  sorted,
  text,
  write,
} from './conformance-bench.js';
import type { ConformanceCheck } from './conformance-bench.js';
import type { Point, StoredPoint } from './collection.js';
import { filterChecks } from './conformance-filters.js';
import { NearfieldError } from './errors.js';
import { metrics } from './generated/metrics.js';
import type { Hits, Part, SearchOptions } from './search.js';

const everything: readonly Part[] = ['payload', 'text', 'vector'];

const ids = [
  'plain',
  '0',
  '1',
  '007',
  '18446744073709551615',
  '18446744073709551616',
  '-1',
  '1.5',
  '1e3',
  'true',
  'null',
  '550e8400-e29b-41d4-a716-446655440000',
  '550E8400-E29B-41D4-A716-446655440000',
  '550e8400e29b41d4a716446655440000',
  '{550e8400-e29b-41d4-a716-446655440000}',
  'urn:uuid:550e8400-e29b-41d4-a716-446655440000',
  '..',
  '.',
  '/',
  'a/b/../c',
  '\\',
  '"',
  "it's",
  '`',
  '$',
  '%2e%2e',
  '?q=1&r=2#s',
  ' ',
  ' leading and trailing ',
  'two\nlines\ttab\r',
  '\u0001\u001f\u007f',
  'é',
  'e\u0301',
  'Ä',
  'ß',
  '漢字',
  '👩‍👩‍👧',
  '\u{10ffff}',
  '\ufeff',
  '\u200b',
  '__proto__',
  'constructor',
  '_nearfield',
  '<script>',
  "'; DROP TABLE points; --",
  'x'.repeat(1024),
  'é'.repeat(512),
];

const payloads: Record<string, unknown>[] = [
  {},
  { text: 'a field of this name', id: 'one of this', vector: [1, 2], score: 3, payload: { payload: 1 } },
  {
    null: null,
    true: true,
    false: false,
    zero: 0,
    one: 1,
    minus: -1,
    half: 0.5,
    tiny: 5e-324,
    huge: 1.7976931348623157e308,
  },
  { safe: Number.MAX_SAFE_INTEGER, unsafe: -Number.MAX_SAFE_INTEGER, float: 1e17, third: 1 / 3, long: 0.1 + 0.2 },
  {
    empty: '',
    space: ' ',
    quotes: '"\'`',
    slash: '\\/',
    control: '\u0000\u0001\n\r\t\u2028',
    surrogates: '👩‍👩‍👧\u{10ffff}',
  },
  {
    array: [],
    arrays: [[], [[]], [1, [2, [3, [4]]]]],
    mixed: [1, 'a', null, true, { b: [2] }, []],
    nulls: [null, null],
  },
  { object: {}, nested: { a: { b: { c: { d: { e: [{ f: 'g' }] } } } } }, same: [{}, {}, { a: {} }] },
  {
    '': 'an empty name',
    ' ': 1,
    'a.b': 2,
    'a[0]': 3,
    $set: 4,
    $and: [5],
    _id: 6,
    _nearfield: { text: 7 },
    ключ: 8,
    '👍': 9,
  },
  {
    dates: '2026-11-22T01:02:03.004Z',
    uuid: '550e8400-e29b-41d4-a716-446655440000',
    number: '12',
    boolean: 'true',
    geo: { lon: 1, lat: 2 },
  },
  JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":"x"}') as Record<
    string,
    unknown
  >,
  { long: 'x'.repeat(20_000), many: Array.from({ length: 300 }, (_, i) => i) },
  Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`field${i}`, i])),
];

const integers = [
  { one: 2n ** 53n, two: 2n ** 53n + 1n, three: -(2n ** 53n) - 1n },
  { least: -(2n ** 63n), most: 2n ** 63n - 1n, unsigned: 2n ** 64n - 1n },
  { list: [9007199254740993n, [1234567890123456789n]], nested: { deep: { id: 1152921504606846977n } } },
];

const texts = [
  'words',
  ' ',
  'Ünïcödé, 漢字 and 👩‍👩‍👧',
  'line one\nline two\r\n\ttabbed',
  '"quoted" \\ back {"json": true}',
  '\u0000 nul \u0001',
  'x'.repeat(20_000),
];

/** Codes of refusals of what a caller gives. */
const callers = ['InvalidArgument', 'ConfigError', 'LimitExceeded', 'DimensionMismatch', 'FilterError'];

export const conformanceChecks: readonly ConformanceCheck[] = [
  {
    name: 'ensure() makes the collection, and finds it again',
    async run(bench) {
      const store = await bench.plain();
      await store.drop();
      const made = await store.ensure();
      if (!made.created) throw new Skip('this store does not say whether it made a collection');
      same('drop() of what is there', await store.drop(), true);
      same('drop() of what is not there', await store.drop(), false);
      same('ensure() of what is not there', (await store.ensure()).created, true);
      same('ensure() of what is there', (await store.ensure()).created, false);
      same('how many points a new collection has', await store.count(), 0);
    },
  },
  {
    name: 'without a collection calls are NotFound, with the published message',
    async run(bench) {
      const store = await bench.plain();
      await store.drop();
      if (!(await store.ensure()).created) throw new Skip('this store does not say whether it made a collection');
      await store.drop();
      try {
        const vector = bench.vector();
        const calls: [string, () => Promise<unknown>][] = [
          ['count()', () => store.count()],
          ['search()', () => store.search({ vector })],
          ['get()', () => store.get(['a'])],
          ['delete()', () => store.delete(['a'])],
          ['scroll()', () => scrolled(store)],
          ['clear()', () => store.clear()],
          ['info()', () => store.info()],
        ];
        for (const [what, call] of calls) {
          const error = await fails(what, 'NotFound', call);
          if (error.code === 'Unsupported') continue;
          same(`the message of ${what}`, error.message, `Collection '${store.name}' not found`);
        }
      } finally {
        await store.ensure();
      }
    },
  },
  {
    name: 'an empty collection',
    async run(bench) {
      const store = await bench.empty();
      const vector = bench.vector();
      same('search()', await bench.find(store, { vector }), []);
      same('a batch of no searches', await store.searchBatch([]), []);
      same('an upsert() of nothing', await store.upsert([]), { ok: [], failed: [], unknown: [] });
      same('count()', await store.count(), 0);
      same('get()', await store.get(['a', 'b']), []);
      same('get() of nothing', await store.get([]), []);
      same('delete()', await store.delete(['a']), 0);
      same('delete() of nothing', await store.delete([]), 0);
      same('clear()', await store.clear(), 0);
      same('scroll()', await scrolled(store), []);
    },
  },
  {
    name: 'any text is an id',
    async run(bench) {
      const points = ids.map((id, i) => ({ id, vector: bench.vector(), payload: { i } }));
      const store = await bench.filled(points);
      const hits = await bench.find(store, { vector: bench.vector(), k: 100 });
      same('the ids that search() finds', sorted(idsOf(hits)), sorted(ids));
      for (const hit of hits) same(`the payload of ${text(hit.id)}`, hit.payload, { i: ids.indexOf(hit.id) });
      same('count()', await store.count(), ids.length);
      const found = await store.get(ids);
      same('the ids that get() finds', idsOf(found), ids);
      found.forEach((point, i) => same(`the payload of ${text(point.id)}`, point.payload, { i }));
      // Ids that some part of the way might take for the same.
      same('ids that nobody has', await store.get(['Plain', 'plain ', '00', '+1', '1.50', 'E\u0301', 'TRUE']), []);
      for (const id of ids) same(`delete() of ${text(id)}`, await store.delete([id]), 1);
      same('count() when all are deleted', await store.count(), 0);
    },
  },
  {
    name: 'ids that are none are refused, and nothing is written',
    async run(bench) {
      const store = await bench.filled(bench.points(2));
      const vector = bench.vector();
      for (const id of ['', 'x'.repeat(1025), 'é'.repeat(513), 'nul\0', '\ud800', 7, null, undefined]) {
        const points = [
          { id: 'good', vector },
          { id, vector },
        ] as Point[];
        await fails(`upsert() of the id ${text(id).slice(0, 40)}`, callers, () => store.upsert(points));
      }
      const hits = await bench.find(store, { vector, k: 10 });
      same('what is there', sorted(idsOf(hits)), ['p0', 'p1']);
    },
  },
  {
    name: 'payloads come back as they were given',
    async run(bench) {
      const points = payloads.map((payload, i) => ({ id: `p${i}`, vector: bench.vector(), payload }));
      const bare = { id: 'bare', vector: bench.vector() };
      const store = await bench.filled([...points, bare]);
      const check = (what: string, found: readonly StoredPoint[]) => {
        same(`how many ${what} answers`, found.length, points.length + 1);
        for (const { id, payload } of found) {
          const given = points.find((point) => point.id === id)?.payload;
          sameText(`the payload of ${id} by ${what}`, payload, given);
        }
      };
      check('search()', await bench.find(store, { vector: bench.vector(), k: 100 }));
      must('no prototype to be changed', !('polluted' in {}), {});
      check('get()', await store.get([...idsOf(points), 'bare']));
      check('scroll()', await scrolled(store));
    },
  },
  {
    name: 'integers of 64 bits come back as they were given',
    async run(bench) {
      const points = integers.map((payload, i) => ({ id: `p${i}`, vector: bench.vector(), payload }));
      const store = await bench.filled(points);
      const check = (what: string, found: readonly StoredPoint[]) => {
        for (const { id, payload } of found) {
          const given = points.find((point) => point.id === id)?.payload;
          sameText(`the payload of ${id} by ${what}`, payload, given);
        }
      };
      check('search()', await bench.find(store, { vector: bench.vector(), k: 100 }));
      check('get()', await store.get(idsOf(points)));
      check('scroll()', await scrolled(store));
    },
  },
  {
    name: 'payloads that are no JSON are refused, and nothing is written',
    async run(bench) {
      const store = await bench.filled(bench.points(2));
      const vector = bench.vector();
      const loop: Record<string, unknown> = {};
      loop['self'] = loop;
      let deep: unknown = 1;
      for (let i = 0; i < 80; i++) deep = [deep];
      const bad = [
        { a: NaN },
        { a: Infinity },
        { a: () => 1 },
        { a: new Date(0) },
        { a: '\ud800' },
        { '\ud800': 1 },
        loop,
        { deep },
        [1],
        'text',
        7,
        null,
        { a: 2n ** 64n },
      ];
      for (const payload of bad) {
        const points = [
          { id: 'good', vector },
          { id: 'bad', vector, payload },
        ] as Point[];
        await fails('upsert() of a payload that is no JSON', callers, () => store.upsert(points));
      }
      const hits = await bench.find(store, { vector, k: 10 });
      same('what is there', sorted(idsOf(hits)), ['p0', 'p1']);
    },
  },
  {
    name: 'texts come back as they were given',
    async run(bench) {
      const points = texts.map((own, i) => ({ id: `t${i}`, vector: bench.vector(), text: own }));
      const both = { id: 'both', vector: bench.vector(), text: 'the text', payload: { text: 'the field' } };
      const store = await bench.filled([...points, both]);
      const check = (what: string, found: readonly StoredPoint[]) => {
        same(`how many ${what} answers`, found.length, points.length + 1);
        for (const point of found) {
          const given: Point | undefined = [...points, both].find(({ id }) => id === point.id);
          sameText(`the text of ${point.id} by ${what}`, point.text, given?.text);
          sameText(`the payload of ${point.id} by ${what}`, point.payload, given?.payload);
        }
      };
      check('search()', await bench.find(store, { vector: bench.vector(), k: 100 }));
      check('get()', await store.get([...idsOf(points), 'both']));
      check('scroll()', await scrolled(store));
    },
  },
  {
    name: 'vectors come back',
    async run(bench) {
      const points = bench.points(20);
      const store = await bench.filled(points);
      const given = new Map(points.map((point) => [point.id, point.vector]));
      const check = (what: string, found: readonly StoredPoint[]) => {
        same(`how many ${what} answers`, found.length, points.length);
        for (const { id, vector } of found)
          sameVector(`the vector of ${id} by ${what}`, vector, given.get(id)!, 'cosine');
      };
      check('search()', await bench.find(store, { vector: bench.vector(), k: 100, include: ['vector'] }));
      check('get()', await store.get(idsOf(points), { include: ['vector'] }));
      check('scroll()', await scrolled(store, { include: ['vector'] }));
    },
  },
  {
    name: 'a point without a vector',
    async run(bench) {
      const store = await bench.filled([{ id: 'with', vector: bench.vector() }]);
      await write(store, [{ id: 'without', payload: { a: 1 }, text: 'words' }]);
      const [found] = await store.get(['without'], { include: everything });
      same('get()', found, { id: 'without', payload: { a: 1 }, text: 'words' });
      same('count()', await store.count(), 2);
      same('search() by a vector', idsOf(await bench.find(store, { vector: bench.vector() })), ['with']);
    },
  },
  {
    name: 'only what include names comes back',
    async run(bench) {
      const store = await bench.filled([{ id: 'a', vector: bench.vector(), text: 'words', payload: { a: 1 } }]);
      const vector = bench.vector();
      const left: string[] = [];
      const names = (point: object | undefined) =>
        Object.keys(point ?? {})
          .filter((name) => (everything as readonly string[]).includes(name))
          .sort();
      for (const include of [undefined, [], ['payload'], ['text'], ['vector'], everything] as (
        readonly Part[] | undefined
      )[]) {
        const expected = [...(include ?? ['payload', 'text'])].sort();
        const asked = include === undefined ? {} : { include };
        const calls: [string, () => Promise<readonly object[]>][] = [
          ['search()', () => bench.find(store, { vector, ...asked })],
          ['get()', () => store.get(['a'], asked)],
          ['scroll()', () => scrolled(store, asked)],
        ];
        for (const [what, call] of calls) {
          await unlessUnsupported(left, async () => {
            same(`the parts by ${what} with include ${text(include)}`, names((await call())[0]), expected);
          });
        }
      }
      return leftOut(left, 18);
    },
  },
  {
    name: 'an upsert replaces the whole point',
    async run(bench) {
      const [first, second] = [bench.vector(), bench.vector().map((value) => -value)];
      const store = await bench.filled([
        { id: 'a', vector: first, text: 'old', payload: { old: 1, both: { x: 1, y: 2 } } },
      ]);
      await write(store, [{ id: 'a', vector: second, payload: { both: { x: 3 } } }]);
      const hits = await bench.find(store, { vector: second, k: 10 });
      same(
        'what is there',
        hits.map(({ id, payload, text: own }) => ({ id, payload, text: own ?? '' })),
        [{ id: 'a', payload: { both: { x: 3 } }, text: '' }],
      );
      must('the new vector to be searched', Math.abs((hits[0]?.score ?? 0) - 1) < 1e-4, hits[0]?.score);
      await write(store, [{ id: 'a', vector: first }]);
      const [bare] = await bench.find(store, { vector: first, k: 10 });
      same(
        'what is left of payload and text',
        { payload: bare?.payload ?? null, text: bare?.text ?? '' },
        { payload: null, text: '' },
      );
      same('count()', await store.count(), 1);
    },
  },
  {
    name: 'an id that stands twice in one upsert is refused',
    async run(bench) {
      const store = await bench.filled([{ id: 'other', vector: bench.vector() }]);
      const twice = ['a', 'b', 'a'].map((id) => ({ id, vector: bench.vector() }));
      await fails('upsert()', 'InvalidArgument', () => store.upsert(twice));
      same('what is there', idsOf(await bench.find(store, { vector: bench.vector() })), ['other']);
    },
  },
  {
    name: 'get() answers in the order of the ids, without those that are missing',
    async run(bench) {
      const points = bench.points(30);
      const store = await bench.filled(points);
      const asked = ['p7', 'missing', 'p29', 'p0', 'P7', 'p15'];
      same('get()', idsOf(await store.get(asked)), ['p7', 'p29', 'p0', 'p15']);
      same('get() of an id twice', idsOf(await store.get(['p3', 'p1', 'p3'])), ['p3', 'p1', 'p3']);
      const all = idsOf(points).reverse();
      same('get() of all', idsOf(await store.get(all)), all);
    },
  },
  {
    name: 'delete() by id',
    async run(bench) {
      const store = await bench.filled(bench.points(10));
      same('delete()', await store.delete(['p1', 'p2', 'missing']), 2);
      same('delete() of an id twice', await store.delete(['p3', 'p3', 'p1']), 1);
      const hits = await bench.find(store, { vector: bench.vector(), k: 100 });
      same('what is left', sorted(idsOf(hits)), ['p0', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9']);
      same('count()', await store.count(), 7);
    },
  },
  {
    name: 'delete() and count() by filter',
    async run(bench) {
      const store = await bench.filled(bench.points(25));
      same('count() by filter', await store.count({ filter: { even: true } }), 13);
      same('count() by a filter that matches nothing', await store.count({ filter: { even: 'yes' } }), 0);
      same('delete() by filter', await store.delete({ filter: { even: true, number: { $lt: 10 } } }), 5);
      same('the same again', await store.delete({ filter: { even: true, number: { $lt: 10 } } }), 0);
      same('count()', await store.count(), 20);
      await fails('delete() without a filter', callers, () => store.delete({} as never));
      same('count() after that', await store.count(), 20);
      same('delete() by {}', await store.delete({ filter: {} }), 20);
      same('count() in the end', await store.count(), 0);
    },
  },
  {
    name: 'clear() empties the collection, drop() removes it',
    async run(bench) {
      const points = bench.points(12);
      const store = await bench.filled(points);
      same('clear()', await store.clear(), 12);
      same('count()', await store.count(), 0);
      await write(store, points);
      same('drop()', await store.drop(), true);
      await store.ensure();
      same('search() of a new collection', await bench.find(store, { vector: bench.vector() }), []);
      await write(store, points);
      same('count() of it', await store.count(), 12);
    },
  },
  ...filterChecks,
  ...metrics.map((metric): ConformanceCheck => ({
    name: `search by ${metric} is the exact search over the same points`,
    async run(bench) {
      const points = bench.points(150);
      const own = await bench.store({ metric, hybrid: false });
      const store = await bench.filled(points, own);
      for (let i = 0; i < 20; i++) {
        const vector = i % 5 === 0 ? points[i]!.vector : bench.vector();
        const k = bench.one([1, 3, 10, 100, 150, 1000]);
        best(`search ${i}`, await bench.find(store, { vector, k }), points, metric, { vector, k });
      }
      const half = points.filter(({ payload }) => payload?.['even'] === true);
      const vector = bench.vector();
      const hits = await bench.find(store, { vector, k: 20, filter: { even: true } });
      best('search with a filter', hits, half, metric, { vector, k: 20 });
      const found = await bench.find(store, { vector, k: 10, include: ['vector'] });
      const given = new Map(points.map((point) => [point.id, point.vector]));
      for (const hit of found) sameVector(`the vector of ${hit.id}`, hit.vector, given.get(hit.id)!, metric);
    },
  })),
  {
    name: 'k, offset and minScore cut the same list',
    async run(bench) {
      const points = bench.points(60);
      const store = await bench.filled(points);
      const vector = bench.vector();
      const whole = await bench.find(store, { vector, k: 60 });
      same('how many there are', whole.length, 60);
      for (const [offset, k] of [
        [0, 1],
        [1, 1],
        [5, 10],
        [55, 10],
        [60, 5],
        [0, 60],
        [59, 1],
      ] as const) {
        const page = await bench.find(store, { vector, k, offset });
        same(`offset ${offset}, k ${k}`, idsOf(page), idsOf(whole).slice(offset, offset + k));
      }
      const middle = (whole[19]!.score + whole[20]!.score) / 2;
      const above = await bench.find(store, { vector, k: 60, minScore: middle });
      same('minScore', idsOf(above), idsOf(whole).slice(0, 20));
      const later = await bench.find(store, { vector, k: 10, offset: 15, minScore: middle });
      same('minScore and offset', idsOf(later), idsOf(whole).slice(15, 20));
      same('a minScore that nothing has', await bench.find(store, { vector, minScore: 2 }), []);
      same('without k', (await bench.find(store, { vector })).length, 10);
    },
  },
  {
    name: 'equal scores are ordered by id',
    async run(bench) {
      const vector = bench.vector();
      const names = ['b', 'a', 'é', 'z', '\uffee', '\u{10000}', 'B', '1', '10', '2'];
      const store = await bench.filled([
        ...names.map((id) => ({ id, vector })),
        { id: 'far', vector: vector.map((value) => -value) },
      ]);
      const order = sorted(names);
      same('all of them', idsOf(await bench.find(store, { vector, k: 20 })), [...order, 'far']);
      const pages: string[] = [];
      for (const offset of [0, 4, 8]) {
        const page = idsOf(await bench.find(store, { vector, k: 4, offset }));
        same(`the hits from ${offset} on`, page.slice(0, 10 - offset), sorted(page.slice(0, 10 - offset)));
        pages.push(...page);
      }
      same('the pages together', sorted(pages), sorted([...names, 'far']));
      if (text(pages) !== text([...order, 'far'])) return 'which of equal scores k leaves out is for the store to say';
      return '';
    },
  },
  {
    name: 'searchBatch() answers what single searches do',
    async run(bench) {
      const points = bench.points(80);
      const store = await bench.filled(points);
      const queries: SearchOptions[] = Array.from({ length: 40 }, (_, i) => ({
        vector: bench.vector(),
        k: 1 + (i % 12),
        offset: i % 3,
        ...(i % 4 === 0 ? { filter: { group: `g${i % 5}` } } : {}),
        ...(i % 7 === 0 ? { include: [] } : {}),
      }));
      // Learns whether exact searches can be asked for.
      await bench.find(store, { vector: bench.vector() });
      const batch = await store.searchBatch(queries.map((query) => ({ ...query, ...bench.exact() })));
      same('how many answers there are', batch.length, queries.length);
      for (const [i, query] of queries.entries()) {
        const single = await bench.find(store, query);
        same(`query ${i}`, batch[i]!.map(bare), single.map(bare));
      }
      const bad = [...queries.slice(0, 2), { vector: [1, 2] }];
      await fails('a batch with a bad query', callers, () => store.searchBatch(bad));
    },
  },
  {
    name: 'full-text and hybrid search',
    async run(bench) {
      const store = await bench.empty(await bench.store({ metric: 'cosine', hybrid: true }));
      const words = ['apple', 'banana', 'cherry', 'dolphin', 'elephant'];
      const points = Array.from({ length: 25 }, (_, i) => ({
        id: `p${i}`,
        vector: bench.vector(),
        text: `${words[i % 5]} number ${i}`,
        payload: { i, even: i % 2 === 0 },
      }));
      await write(store, points);
      const having = (word: string) => sorted(idsOf(points.filter((point) => point.text.includes(word))));
      const byText = await store.search({ text: 'dolphin', k: 25 });
      same('the points with a word', sorted(idsOf(byText)), having('dolphin'));
      inOrder('a search by text', byText);
      const filtered = await store.search({ text: 'dolphin', k: 25, filter: { even: true } });
      const even = having('dolphin').filter((id) => Number(id.slice(1)) % 2 === 0);
      same('the points with a word and a filter', sorted(idsOf(filtered)), even);
      same('a word that nobody has', await store.search({ text: 'xylophone', k: 5 }), []);
      const target = points[8]!;
      const hybrid = await store.search({ vector: target.vector, text: target.text, k: 5 });
      same('the point that is closest by both', hybrid[0]?.id, target.id);
      inOrder('a hybrid search', hybrid);
      const dense = await store.search({ vector: target.vector, k: 5 });
      same('the point that is closest by its vector', dense[0]?.id, target.id);
    },
  },
  {
    name: 'scroll() hands out each point once',
    async run(bench) {
      const points = bench.points(103);
      const store = await bench.filled(points);
      for (const batch of [1, 10, 50, 103, 1000]) {
        if (batch === 1) continue;
        same(`batch ${batch}`, sorted(idsOf(await scrolled(store, { batch }))), sorted(idsOf(points)));
      }
      same('without options', sorted(idsOf(await scrolled(store))), sorted(idsOf(points)));
      const few = await scrolled(store, { batch: 1, filter: { number: { $lt: 7 } } });
      same('by a filter, one by one', sorted(idsOf(few)), ['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6']);
      same('by a filter that matches nothing', await scrolled(store, { filter: { number: -1 } }), []);
      for await (const page of store.scroll({ batch: 10 })) {
        same('a page', page.length, 10);
        break;
      }
      same('count() after a loop that was left', await store.count(), 103);
    },
  },
  {
    name: 'scroll() hands out each point once while others are written and deleted',
    async run(bench) {
      const kept = bench.points(80, 'kept');
      const gone = bench.points(40, 'gone');
      const store = await bench.filled([...kept, ...gone]);
      const seen: string[] = [];
      let step = 0;
      for await (const page of store.scroll({ batch: 9 })) {
        seen.push(...idsOf(page));
        await write(store, bench.points(3, `new${step}-`));
        await store.delete(idsOf(gone.slice(step * 3, step * 3 + 3)));
        if (++step > 200) throw new Error('scroll() does not end');
      }
      const mine = seen.filter((id) => id.startsWith('kept'));
      same('the points that nobody touched', sorted(mine), sorted(idsOf(kept)));
      same(
        'ids that came twice',
        seen.filter((id, i) => seen.indexOf(id) !== i),
        [],
      );
    },
  },
  {
    name: 'vectors of another dimension are refused, with the published message',
    async run(bench) {
      const store = await bench.filled(bench.points(2));
      const short = bench.vector().subarray(1);
      const message = `Vector dimension mismatch: expected ${dimension}, got ${dimension - 1}`;
      const upsert = await fails('upsert()', 'DimensionMismatch', () => store.upsert([{ id: 'x', vector: short }]));
      same('the message of upsert()', upsert.message, message);
      const search = await fails('search()', 'DimensionMismatch', () => store.search({ vector: short }));
      same('the message of search()', search.message, message);
      same('what is there', sorted(idsOf(await bench.find(store, { vector: bench.vector() }))), ['p0', 'p1']);
    },
  },
  {
    name: 'a collection of another dimension is found out by ensure()',
    async run(bench) {
      const store = await bench.plain();
      const again = await store.drop().then(() => store.ensure());
      if (!again.created) throw new Skip('this store does not say whether it made a collection');
      const { dimension: known } = await store.info();
      if (known !== dimension) throw new Skip('this store knows no dimension before the first vector');
      const other = { ...bench.target({ metric: 'cosine', hybrid: false }), dimension: dimension + 1 };
      await bench.instead(other, async (mistaken) => {
        const error = await mistaken.ensure().then(
          (report) => {
            if (report.created) throw new Skip('what is in this store is gone when it is closed');
            throw new Error('ensure(): expected SchemaMismatch or DimensionMismatch, found no error');
          },
          (thrown: unknown) => thrown,
        );
        if (!(error instanceof NearfieldError)) throw error;
        must(
          'SchemaMismatch or DimensionMismatch',
          ['SchemaMismatch', 'DimensionMismatch'].includes(error.code),
          error.code,
        );
        const message = `Vector dimension mismatch: expected ${dimension + 1}, got ${dimension}`;
        must(`the message ${text(message)}`, error.message.includes(message), error.message);
      });
    },
  },
  {
    name: 'what was written is there after the store was opened again',
    async run(bench) {
      const points = bench.points(20);
      await bench.filled(points);
      await bench.close();
      const store = await bench.plain();
      const vector = bench.vector();
      const hits = await bench.find(store, { vector, k: 20 });
      if (hits.length === 0) throw new Skip('what is in this store is gone when it is closed');
      best('search()', hits, points, 'cosine', { vector, k: 20 });
    },
  },
  {
    name: 'a bad call is refused, and a good one after it works',
    async run(bench) {
      const points = bench.points(5);
      const store = await bench.filled(points);
      const vector = bench.vector();
      const wrong = <Value>(value: unknown) => value as Value;
      const calls: [string, () => Promise<unknown>][] = [
        ['upsert() of no array', () => store.upsert(wrong({}))],
        ['upsert() of null', () => store.upsert(wrong([null]))],
        ['a point with an unknown key', () => store.upsert([wrong({ id: 'x', vector, vektor: vector })])],
        ['a vector with NaN', () => store.upsert([{ id: 'x', vector: vector.map(() => NaN) }])],
        ['a vector beyond f32', () => store.upsert([{ id: 'x', vector: Array.from(vector, () => 1e39) }])],
        ['a vector of texts', () => store.upsert([wrong({ id: 'x', vector: Array.from(vector, String) })])],
        ['a text that is none', () => store.upsert([wrong({ id: 'x', vector, text: 7 })])],
        ['a search for nothing', () => store.search({})],
        ['a search without options', () => store.search(wrong(undefined))],
        ['k of 0', () => store.search({ vector, k: 0 })],
        ['k of 10,001', () => store.search({ vector, k: 10_001 })],
        ['k of 1.5', () => store.search({ vector, k: 1.5 })],
        ['a negative offset', () => store.search({ vector, offset: -1 })],
        ['a minScore of NaN', () => store.search({ vector, minScore: NaN })],
        ['an unknown part', () => store.search({ vector, include: wrong(['vectors']) })],
        ['an unknown option', () => store.search(wrong({ vector, top: 3 }))],
        ['a vector of Infinity', () => store.search({ vector: vector.map(() => Infinity) })],
        ['queries that are no array', () => store.searchBatch(wrong({}))],
        ['ids that are no array', () => store.get(wrong('p1'))],
        ['an id that is a number', () => store.get(wrong([1]))],
        ['an empty id', () => store.delete([''])],
        ['a batch of 0', () => scrolled(store, { batch: 0 })],
        ['a signal that is none', () => store.count(wrong({ signal: 'stop' }))],
      ];
      for (const [what, call] of calls) await fails(what, callers, call);
      const hits = await bench.find(store, { vector, k: 10 });
      same('what is there', sorted(idsOf(hits)), sorted(idsOf(points)));
    },
  },
  {
    name: 'many points at once, each reported once',
    async run(bench) {
      const points = bench.points(700);
      const store = await bench.filled(points);
      same('count()', await store.count(), 700);
      const vector = bench.vector();
      best('search()', await bench.find(store, { vector, k: 700 }), points, 'cosine', { vector, k: 700 });
    },
  },
  {
    name: 'calls at the same time do not disturb each other',
    async run(bench) {
      const store = await bench.filled(bench.points(20));
      const rounds = Array.from({ length: 12 }, (_, i) => bench.points(5, `r${i}-`));
      const vector = bench.vector();
      await Promise.all(
        rounds.flatMap((points) => [write(store, points), store.search({ vector }), store.search({ vector, k: 3 })]),
      );
      const hits = await bench.find(store, { vector, k: 200 });
      same('what is there', hits.length, 80);
      await Promise.all(rounds.map((points) => store.delete(idsOf(points))));
      same('count()', await store.count(), 20);
      // Whichever is the last, one of them stays.
      await Promise.all(rounds.map(() => write(store, [{ id: 'same', vector: bench.vector() }])));
      const found = await bench.find(store, { vector, k: 200 });
      same('how many points an id has that was written at the same time', count('same', found), 1);
    },
  },
  {
    name: 'a signal that has fired ends a call with Aborted',
    async run(bench) {
      const points = bench.points(3);
      const store = await bench.filled(points);
      const signal = AbortSignal.abort();
      const vector = bench.vector();
      const calls: [string, () => Promise<unknown>][] = [
        ['upsert()', () => store.upsert([{ id: 'x', vector }], { signal })],
        ['search()', () => store.search({ vector, signal })],
        ['searchBatch()', () => store.searchBatch([{ vector }], { signal })],
        ['get()', () => store.get(['p0'], { signal })],
        ['delete()', () => store.delete(['p0'], { signal })],
        ['count()', () => store.count({ signal })],
        ['scroll()', () => scrolled(store, { signal })],
        ['clear()', () => store.clear({ signal })],
        ['info()', () => store.info({ signal })],
      ];
      for (const [what, call] of calls) await fails(what, 'Aborted', call);
      same('what is there', idsOf(await bench.find(store, { vector, k: 9 })).sort(), idsOf(points));
    },
  },
  {
    name: 'a signal that fires ends a call at once, or comes too late',
    async run(bench) {
      const store = await bench.filled(bench.points(50));
      const outcome = async (call: (signal: AbortSignal) => Promise<unknown>) => {
        const stop = new AbortController();
        const running = call(stop.signal);
        stop.abort(new Error('enough'));
        try {
          await running;
        } catch (error) {
          if (isUnsupported(error)) return;
          must('Aborted', error instanceof NearfieldError && error.code === 'Aborted', String(error));
        }
      };
      const vector = bench.vector();
      await outcome((signal) => store.upsert(bench.points(50), { signal }));
      await outcome((signal) => store.search({ vector, signal }));
      await outcome((signal) => store.count({ signal }));
      await outcome((signal) => scrolled(store, { batch: 5, signal }));
      // What was cut off may still arrive, but only its own.
      const fresh = bench.points(5, 'fresh');
      await write(store, fresh);
      const [hit] = await bench.find(store, { vector: fresh[3]!.vector, k: 1 });
      same('search() after that', hit?.id, 'fresh3');
    },
  },
  {
    name: 'info() and health()',
    async run(bench) {
      const store = await bench.filled(bench.points(4));
      same('health()', await store.health(), { ready: true, message: '' });
      const info = await store.info();
      same(
        'info()',
        { backend: info.backend, count: info.count, dimension: info.dimension, metric: info.metric },
        {
          backend: store.backend,
          count: 4,
          dimension,
          metric: 'cosine',
        },
      );
      must('details that are an object', typeof info.details === 'object' && info.details !== null, info.details);
    },
  },
  {
    name: 'snapshots',
    async run(bench) {
      const store = await bench.filled(bench.points(3));
      const made = await store.createSnapshot();
      must('a snapshot with a name', typeof made.name === 'string' && made.name !== '', made);
      const names = async () => (await store.listSnapshots()).map(({ name }) => name);
      must('it to be listed', (await names()).includes(made.name), await names());
      await store.deleteSnapshot(made.name);
      must('it to be gone', !(await names()).includes(made.name), await names());
    },
  },
  {
    name: 'a closed store answers Closed',
    async run(bench) {
      const store = await bench.filled(bench.points(3));
      const vector = bench.vector();
      const running = Promise.allSettled([store.search({ vector }), store.count()]);
      await bench.close();
      await store.close();
      for (const each of await running) {
        if (each.status === 'fulfilled' || isUnsupported(each.reason)) continue;
        const { code } = each.reason as NearfieldError;
        must(
          'a call under way to end with Aborted',
          ['Aborted', 'Closed', 'NotFound'].includes(code),
          String(each.reason),
        );
      }
      const calls: [string, () => Promise<unknown>][] = [
        ['ensure()', () => store.ensure()],
        ['upsert()', () => store.upsert([{ id: 'x', vector }])],
        ['search()', () => store.search({ vector })],
        ['searchBatch()', () => store.searchBatch([{ vector }])],
        ['get()', () => store.get(['p0'])],
        ['delete()', () => store.delete(['p0'])],
        ['count()', () => store.count()],
        ['scroll()', () => scrolled(store)],
        ['clear()', () => store.clear()],
        ['drop()', () => store.drop()],
        ['info()', () => store.info()],
      ];
      for (const [what, call] of calls) await fails(what, 'Closed', call);
      same('health()', (await store.health()).ready, false);
    },
  },
];

function count(id: string, hits: Hits): number {
  return hits.filter((hit) => hit.id === id).length;
}

function bare({ id, score: own, payload, text: words }: Hits[number]) {
  return { id, score: Number(own.toFixed(5)), payload: payload ?? null, text: words ?? '' };
}

// Unlike same(): kinds of numbers count too, and the order of names does not.
function sameText(what: string, found: unknown, given: unknown): void {
  const plain = (value: unknown): unknown => {
    if (typeof value === 'bigint') return `integer ${value}`;
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== 'object' || value === null) return value;
    return Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, each]) => [name, plain(each)]);
  };
  const [a, b] = [JSON.stringify(plain(found)), JSON.stringify(plain(given))];
  if (a === b) return;
  throw new Error(`${what}: expected ${text(given)}, found ${text(found)}`);
}

export async function unlessUnsupported(left: string[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isUnsupported(error)) throw error;
    left.push(error.message);
  }
}

/** What a check left out; a Skip where it was everything. */
export function leftOut(left: readonly string[], of: number): string {
  if (left.length === 0) return '';
  if (left.length === of) throw new Skip(left[0]);
  return `${left.length} of ${of} are Unsupported: ${left[0]}`;
}
