// Filters: every operator over payloads of every kind, against plain loops.
import { Skip, bestOf, fails, idsOf, isUnsupported, must, same, scrolled, sorted, text } from './conformance-bench.js';
import type { Bench, ConformanceCheck, Whole } from './conformance-bench.js';
import { readPayloadFilter } from './payload-filter.js';
import type { Filter } from './search.js';
import type { Store } from './store.js';

const big = 2n ** 53n + 1n;

// Fields that are missing, null, of mixed types, arrays and objects on the way.
const values: unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  10,
  2 ** 53,
  big,
  1e17,
  1e300,
  '',
  'a',
  'A',
  'ab',
  'b',
  '1',
  'true',
  'null',
  'Ä',
  '漢字',
  '😀',
  '\uffee',
  'two words',
  [],
  [1],
  [1, 2],
  ['a', 'ab'],
  [null],
  [true, 0],
  [[1], [2, 'x']],
  [[]],
  {},
  { a: 1 },
  { a: 'x' },
  { a: null },
  { a: { b: 'c' } },
  { a: [1, { b: 2 }] },
  [{ a: 1 }, { a: 2 }],
  [{ a: [{ b: 'c' }] }],
  [{ a: 1, c: 3 }],
];
const scalars = [
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  10,
  2 ** 53,
  big,
  1e17,
  '',
  'a',
  'A',
  '1',
  'true',
  'Ä',
  '😀',
  'two words',
];
const wholes = [
  [],
  [1],
  [1, 2],
  [2, 1],
  ['a', 'ab'],
  [null],
  [[1], [2, 'x']],
  {},
  { a: 1 },
  { a: { b: 'c' } },
  [{ a: 1 }],
];
const ordered = [0, 1, 1.5, -5, 2 ** 53, big, 1e299, -1e300, '', 'a', 'ab', 'Z', 'Ä', '\uffee', '😀'];
const paths = ['v.a', 'v.a.b', 'n.v', 'missing', 'v.missing'];

function dataset(bench: Bench): Whole[] {
  const points: Whole[] = values.map((v, i) => ({
    id: `v${i}`,
    vector: bench.vector(),
    payload: { v, n: { v: bench.one(values) }, tag: `t${i % 3}`, number: i } as Record<string, unknown>,
  }));
  points.push({ id: 'without v', vector: bench.vector(), payload: { tag: 't0', number: 99 } });
  points.push({ id: 'with nothing', vector: bench.vector(), payload: {} });
  points.push({ id: 'without a payload', vector: bench.vector() });
  return points;
}

const each = <Value>(list: readonly Value[], make: (value: Value) => Filter): Filter[] => list.map(make);
const equal = (operator: '$eq' | '$ne'): Filter[] => [
  ...each([...scalars, ...wholes], (value) => ({ v: { [operator]: value } })),
  ...paths.flatMap((path) => each([1, 'x', 'c', null, { b: 'c' }], (value) => ({ [path]: { [operator]: value } }))),
];
const range = (operator: '$gt' | '$gte' | '$lt' | '$lte'): Filter[] => [
  ...each(ordered, (value) => ({ v: { [operator]: value } })),
  ...paths.flatMap((path) => each([1, 'b'], (value) => ({ [path]: { [operator]: value } }))),
];
const within = (operator: '$in' | '$nin'): Filter[] => [
  ...each(
    [
      [],
      [1],
      [1, 'a', 10],
      ['a', 'Ä', '😀'],
      [null],
      [true, false],
      [0, -1, 1.5],
      [big, 2 ** 53],
      [[1, 2], { a: 1 }],
      ['nobody'],
    ],
    (list) => ({
      v: { [operator]: list },
    }),
  ),
  ...each(paths, (path) => ({ [path]: { [operator]: [1, 'c', null] } })),
];

const lists: Record<string, () => Filter[]> = {
  'equality without an operator': () => [
    ...each([...scalars, ...wholes.filter((value) => Array.isArray(value))], (v) => ({ v })),
    { tag: 't1' },
    { tag: 't1', number: 4 },
    ...each(paths, (path) => ({ [path]: 1 })),
  ],
  $eq: () => equal('$eq'),
  $ne: () => equal('$ne'),
  $gt: () => range('$gt'),
  $gte: () => range('$gte'),
  $lt: () => range('$lt'),
  $lte: () => range('$lte'),
  'several operators in a field': () => [
    { v: { $gt: 0, $lt: 10 } },
    { v: { $gte: 'a', $lte: 'b' } },
    { number: { $gte: 5, $lt: 20, $ne: 7 } },
    { v: { $gt: 1, $lt: 1 } },
    { v: { $exists: true, $ne: null } },
  ],
  $in: () => within('$in'),
  $nin: () => within('$nin'),
  $contains: () =>
    ['', 'a', 'b', 'wo w', '漢', '😀', 1, 2, null, true, [1], [2, 'x'], { a: 1 }].flatMap((value) => [
      { v: { $contains: value } },
      { 'n.v': { $contains: value } },
    ]),
  $exists: () =>
    ['v', ...paths, 'tag', 'n'].flatMap((path) => each([true, false], (there) => ({ [path]: { $exists: there } }))),
  $and: () => [
    { $and: [] },
    { $and: [{ tag: 't0' }] },
    { $and: [{ tag: 't0' }, { number: { $lt: 20 } }] },
    { $and: [{ v: 1 }, { v: 2 }] },
    { tag: 't1', $and: [{ number: { $gt: 3 } }, {}] },
  ],
  $or: () => [
    { $or: [] },
    { $or: [{ tag: 't0' }] },
    { $or: [{ tag: 't0' }, { number: { $lt: 7 } }] },
    { $or: [{ v: null }, { v: { $exists: false } }] },
    { tag: 't1', $or: [{ number: 4 }, { number: 7 }] },
    { $or: [{ $and: [] }, { tag: 'none' }] },
  ],
  $not: () => [
    { $not: {} },
    { $not: { tag: 't0' } },
    { $not: { v: { $gt: 0 } } },
    { $not: { $not: { v: 1 } } },
    { $not: { tag: 't0', number: { $lt: 9 } } },
    { $not: { $or: [{ tag: 't0' }, { v: { $exists: false } }] } },
    { tag: 't2', $not: { v: null } },
  ],
};

// A filter must mean the same wherever it stands.
async function checkFilter(bench: Bench, store: Store, points: readonly Whole[], filter: Filter): Promise<void> {
  const passes = readPayloadFilter(filter);
  const expected = sorted(idsOf(points.filter(({ payload }) => passes(payload))));
  const hits = await bench.find(store, { vector: bench.vector(), k: 1000, filter, include: [] });
  const found = sorted(idsOf(hits));
  if (text(found) === text(expected)) return;
  const [wide, narrow] = [found.filter((id) => !expected.includes(id)), expected.filter((id) => !found.includes(id))];
  const named = (ids: string[]) => text(ids.map((id) => points.find((point) => point.id === id)?.payload?.['v']));
  throw new Error(
    `the filter ${text(filter)}: finds ${wide.length} points too many (v: ${named(wide)}), and ${narrow.length} too few (v: ${named(narrow)})`,
  );
}

async function checkAll(bench: Bench, filters: readonly Filter[]): Promise<string> {
  const points = dataset(bench);
  const store = await bench.filled(points);
  const left: string[] = [];
  for (const filter of filters) {
    try {
      await checkFilter(bench, store, points, filter);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      must(`Unsupported to name the clause of ${text(filter)}`, /filter|\$\w+/.test(error.message), error.message);
      left.push(error.message);
    }
  }
  if (left.length === filters.length) throw new Skip(left[0]);
  return left.length === 0 ? '' : `${left.length} of ${filters.length} are Unsupported, such as: ${left[0]}`;
}

function randomFilter(bench: Bench, depth: number): Filter {
  const kind = depth === 0 ? 0 : bench.below(5);
  const inner = () => Array.from({ length: 1 + bench.below(3) }, () => randomFilter(bench, depth - 1));
  if (kind === 1) return { $and: inner() };
  if (kind === 2) return { $or: inner() };
  if (kind === 3) return { $not: randomFilter(bench, depth - 1) };
  const list = bench.one(Object.values(lists).slice(0, 12))();
  return bench.one(list);
}

export const filterChecks: readonly ConformanceCheck[] = [
  ...Object.entries(lists).map(([name, filters]) => ({
    name: `filters: ${name}`,
    run: async (bench: Bench) => checkAll(bench, filters()),
  })),
  {
    name: 'filters: combined at random',
    run: async (bench) =>
      checkAll(
        bench,
        Array.from({ length: 60 }, () => randomFilter(bench, 3)),
      ),
  },
  {
    name: 'filters mean the same to search(), count() and scroll()',
    async run(bench) {
      const points = dataset(bench);
      const store = await bench.filled(points);
      for (const filter of [
        { tag: 't1' },
        { number: { $gte: 10, $lt: 30 } },
        { $or: [{ tag: 't0' }, { number: 4 }] },
      ]) {
        const passes = readPayloadFilter(filter);
        const expected = points.filter(({ payload }) => passes(payload));
        const vector = bench.vector();
        const hits = await bench.find(store, { vector, k: 5, filter });
        bestOf(`search with ${text(filter)}`, hits, expected, { vector, k: 5 });
        same(`count() with ${text(filter)}`, await store.count({ filter }), expected.length);
        same(
          `scroll() with ${text(filter)}`,
          sorted(idsOf(await scrolled(store, { filter, batch: 4 }))),
          sorted(idsOf(expected)),
        );
      }
    },
  },
  {
    name: 'filters that are none are FilterError',
    async run(bench) {
      const points = bench.points(3);
      const store = await bench.filled(points);
      const vector = bench.vector();
      const bad: unknown[] = [
        [],
        'tag',
        7,
        { v: {} },
        { v: { $foo: 1 } },
        { v: { gt: 1 } },
        { $foo: [] },
        { $gt: 1 },
        { v: { $and: [] } },
        { $and: {} },
        { $or: [1] },
        { $not: [] },
        { v: { $in: 1 } },
        { v: { $gt: null } },
        { v: { $gt: [1] } },
        { v: { $exists: 1 } },
        { v: NaN },
        { v: { $eq: () => 1 } },
        Array.from({ length: 40 }).reduce<Filter>((inner) => ({ $not: inner }), { v: 1 }),
      ];
      for (const filter of bad) {
        const given = filter as Filter;
        await fails(`search() with the filter ${text(filter).slice(0, 80)}`, 'FilterError', () =>
          store.search({ vector, filter: given }),
        );
        await fails(`count() with the filter ${text(filter).slice(0, 80)}`, 'FilterError', () =>
          store.count({ filter: given }),
        );
      }
      same('what a good search finds', (await bench.find(store, { vector, filter: { number: 1 } })).length, 1);
    },
  },
];
