// Whole numbers of 64 bits: BigInts, on the way in and out, in payloads and in filters.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, open } from 'nearfield';
import { encodeJson } from '../../dist/check.js';
import { jsonLine } from '../../dist/cli/terminal.js';
import { parseJson } from '../../dist/engine.js';
import { used } from '../support/fakes/fake.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { rejectsWith } from './support.mjs';

const payload = {
  safe: Number.MAX_SAFE_INTEGER,
  first: 2n ** 53n,
  odd: 2n ** 53n + 1n,
  least: -(2n ** 63n),
  most: 2n ** 64n - 1n,
  // Doubles stay doubles, however JSON.stringify writes them.
  doubles: [1e17, 2 ** 53, 2 ** 63, -(2 ** 70), 1e300, 0.1 + 0.2, 1e21],
  text: '9007199254740993 and "9007199254740993" \\ ',
  nested: [{ '9007199254740993': [-9007199254740993n] }],
};

test('what is encoded is parsed as it was', () => {
  const text = encodeJson(payload, 'payload');
  assert.deepEqual(parseJson(text), payload);
  assert.match(text, /"odd":9007199254740993,/);
  assert.match(text, /"doubles":\[100000000000000000\.0,9007199254740992\.0,9223372036854776000\.0,/);
  assert.deepEqual(JSON.parse(jsonLine({ a: 'x', b: 7n })), { a: 'x', b: 7 });
  assert.equal(jsonLine({ id: 2n ** 63n, list: [-1n, 'n'] }), '{"id":9223372036854775808,"list":[-1,"n"]}');
});

test('a whole number is a BigInt where a number would round it, and only there', () => {
  const cases = [
    ['9007199254740991', 9007199254740991],
    ['-9007199254740991', -9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['-9007199254740992', -9007199254740992n],
    ['9223372036854775808', 9223372036854775808n],
    ['-9223372036854775808', -9223372036854775808n],
    ['18446744073709551615', 18446744073709551615n],
    // Beyond 64 bits there are only doubles.
    ['18446744073709551616', 18446744073709551616],
    ['-9223372036854775809', -9223372036854775809],
    ['9007199254740993.0', 9007199254740992],
    ['9007199254740993e0', 9007199254740992],
    ['90071992547409930e-1', 9007199254740992],
    ['0.12345678901234567', 0.12345678901234567],
    ['"9007199254740993"', '9007199254740993'],
    ['"\\"9007199254740993"', '"9007199254740993'],
    ['"\\\\"', '\\'],
    ['["\\\\",9007199254740993]', ['\\', 9007199254740993n]],
    ['[9007199254740993,-9007199254740993]', [9007199254740993n, -9007199254740993n]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseJson(text), expected, text);
  const own = parseJson('{"__proto__":{"a":9007199254740993},"constructor":9007199254740993}');
  assert.deepEqual(Object.keys(own), ['__proto__', 'constructor']);
  assert.equal(Object.getPrototypeOf(own), Object.prototype);
  for (const bad of ['[9007199254740993', '9007199254740993x', '{"a":9007199254740993,}', '09007199254740993']) {
    assert.throws(() => parseJson(bad), { code: 'Internal' }, bad);
  }
});

test('a long text with digits takes no stack', () => {
  const long = { text: '\\"9007199254740993'.repeat(200_000), id: 9007199254740993n };
  assert.deepEqual(parseJson(encodeJson(long, 'long')), long);
});

async function check(store) {
  const vector = [1, 0, 0];
  await store.upsert([
    { id: 'a', vector, payload },
    { id: 'b', vector: [0, 1, 0], payload: { odd: 2n ** 53n, list: [1n, 2] } },
  ]);
  const [hit] = await store.search({ vector, k: 1 });
  assert.deepEqual(hit.payload, payload);
  assert.deepEqual((await store.get(['a']))[0].payload, payload);
  for await (const page of store.scroll()) assert.deepEqual(page.find(({ id }) => id === 'a').payload, payload);
  // Small ones are numbers again.
  assert.deepEqual((await store.get(['b']))[0].payload, { odd: 2n ** 53n, list: [1, 2] });
  assert.equal(await store.count({ filter: { odd: 2n ** 53n + 1n } }), 1);
  assert.equal(await store.count({ filter: { odd: { $in: [2n ** 53n, 7n] } } }), 1);
  assert.equal(await store.count({ filter: { least: -(2n ** 63n) } }), 1);
  for (const value of [2n ** 64n, -(2n ** 63n) - 1n]) {
    const error = await rejectsWith('InvalidArgument', store.upsert([{ id: 'c', vector, payload: { deep: [value] } }]));
    assert.match(error.message, /^points\[0\]\.payload\.deep\[0\] is -?\d+n; whole numbers have 64 bits$/);
    await rejectsWith('FilterError', store.count({ filter: { odd: value } }));
  }
  assert.equal(await store.count(), 2);
}

test('they survive in a collection', async () => {
  const db = await open({ storage: 'memory' });
  await check(await db.collection('notes', { dimension: 3 }));
  await db.close();
});

test('they survive in stores', async (t) => {
  const servers = [
    ['memory', {}],
    ['qdrant', { fetch: used(t, new FakeQdrant()).fetch }],
  ];
  for (const [provider, more] of servers) {
    const store = await connect({ config: { backend: { provider, vector_size: 3 } }, environment: {}, ...more });
    t.after(() => store.close());
    await store.ensure();
    await check(store);
  }
});
