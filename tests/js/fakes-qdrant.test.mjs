// The fake Qdrant answers as the real one did.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse, print } from '../support/fakes/lossless.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { random } from '../support/fakes/random.mjs';
import { difference, recording, replay, settleTies, without } from '../support/fakes/recordings.mjs';
import { realServer } from '../support/servers.mjs';

// Left out, and why.
const leftOut = {
  groups: 'adapters do not group',
};

// With a cut through equal scores, either point is right.
const cutThroughTies = ['query-offset', 'query-by-id'];

// What an adapter must not send, though the server may take it.
const improper = [
  'create-zero-size',
  'create-bad-distance',
  'index-bad-type',
  'upsert-nowait',
  'upsert-columnar-uneven',
  'upsert-wrong-dimension-nowait',
  'upsert-nan',
  'upsert-null-component',
  'upsert-1e400',
  'upsert-string-id',
  'upsert-negative-id',
  'upsert-malformed',
  'query-limit-0',
  'filter-match-float',
  'filter-empty-should',
  'filter-bare-key',
  'filter-unknown-field',
  'filter-two-predicates-one-condition',
  'hybrid-upsert-dup-indices',
  'hybrid-upsert-uneven',
  'delete-bad',
  'unknown-route',
  'wrong-method',
];

const exchanges = recording('qdrant');

test('the fake Qdrant answers as recorded', { skip: exchanges === null }, (t) => {
  let now = 0;
  const open = new FakeQdrant({ now: () => now });
  const locked = new FakeQdrant({ apiKey: 'test-key', readOnlyKey: 'read-key', now: () => now });
  let snapshot;
  const { matched, left, failures } = replay(exchanges, {
    outOfScope: ({ name }) => leftOut[name],
    fakeFor: ({ name }) => (name.startsWith('auth-') ? locked : open),
    headers: [
      'retry-after',
      'access-control-allow-origin',
      'access-control-allow-methods',
      'access-control-allow-headers',
    ],
    request({ name, request, n }) {
      now = n < 140 ? 0 : 1000; // strict-rate-* came at once
      if (name === 'upsert-too-large') {
        const begin = '{"points":[{"id":40,"vector":[1,0,0,0],"payload":{"x":"';
        return { ...request, body: `${begin}${'a'.repeat(34603068 - begin.length - 5)}"}}]}` };
      }
      // Snapshots have names of their own.
      const own = [...open.collections.values()].flatMap(({ snapshots }) => snapshots)[0]?.name;
      snapshot ??= own;
      return { ...request, path: request.path.replace(/docs-5300561453389913[^?]*/, own) };
    },
    // Times, counters and names that are the server's own; serde's position in errors; indexing happens when it happens.
    normalise(body, { name }) {
      if (/^snapshot/.test(name)) body = without(body, ['name', 'creation_time', 'size', 'checksum']);
      return without(
        body,
        [
          'time',
          'operation_id',
          'version',
          'commit',
          'indexed_vectors_count',
          'segments_count',
          ...(cutThroughTies.includes(name) ? ['id'] : []),
        ],
        (value) => {
          if (typeof value === 'string') return value.replace(/(untagged enum \w+) at line 1 column \d+/, '$1');
          const scored = Array.isArray(value) && value.length > 0 && value.every((hit) => hit?.score !== undefined);
          return scored
            ? settleTies(
                value,
                (hit) => hit.score,
                (hit) => hit.id,
              )
            : value;
        },
      );
    },
  });
  assert.deepEqual(failures, []);
  assert.equal(matched.length + left.length, exchanges.length);
  assert.deepEqual(
    matched.filter(({ violations }) => violations.length > 0).map(({ name }) => name),
    improper,
  );
  t.diagnostic(
    `${matched.length} of ${exchanges.length} exchanges; left out: ${left.map(({ name, reason }) => `${name} (${reason})`)}`,
  );
});

test('u64 ids and i64 payloads stay exact', async (t) => {
  const fake = await new FakeQdrant().listen();
  t.after(() => fake.close());
  const call = async (method, path, body) => {
    const answer = await fetch(fake.url + path, {
      method,
      body,
      headers: body && { 'content-type': 'application/json' },
    });
    return parse(await answer.text()).result;
  };
  await call('PUT', '/collections/c', '{"vectors":{"size":2,"distance":"Dot"}}');
  await call(
    'PUT',
    '/collections/c/points?wait=true',
    '{"points":[{"id":18446744073709551615,"vector":[1,2],"payload":{"n":9223372036854775807,"x":1.0,"__proto__":{"a":1}}}]}',
  );
  const [point] = await call('POST', '/collections/c/points', '{"ids":[18446744073709551615],"with_vector":true}');
  assert.equal(point.id, 18446744073709551615n);
  assert.equal(point.payload.n, 9223372036854775807n);
  assert.equal(Number(point.payload.x), 1);
  assert.equal(typeof point.payload.x, 'object', '1.0 is not 1');
  assert.deepEqual(Object.keys(point.payload), ['n', 'x', '__proto__']);
  const equal = { filter: { must: [{ key: 'x', match: { value: 1 } }] } };
  assert.equal((await call('POST', '/collections/c/points/count', JSON.stringify(equal))).count, 0);
  fake.check();
});

test('the fake Qdrant and a real one answer 300 random requests alike', async (t) => {
  const real = realServer('qdrant');
  if (real === null) return t.skip('no real Qdrant: QDRANT_URL is not set');
  const fake = new FakeQdrant();
  const { below, one, chance, next } = random(7);
  const path = `/collections/random-${Date.now()}`;
  const headers = { 'content-type': 'application/json' };
  t.after(() => fetch(real + path, { method: 'DELETE' }));

  const normal = (body) =>
    without(parse(body), ['time', 'operation_id', 'version', 'usage'], (value) => {
      if (typeof value === 'string') return value.replace(/ at line 1 column \d+/, '');
      const scored = Array.isArray(value) && value.length > 0 && value.every((hit) => hit?.score !== undefined);
      return scored
        ? settleTies(
            value,
            (hit) => hit.score,
            (hit) => hit.id,
          )
        : value;
    });
  const equal = async (method, target, body) => {
    const answer = await fetch(real + path + target, { method, body, headers });
    const expected = await answer.text();
    const actual = fake.answer({ method, path: path + target, body, headers });
    const what = `${method} ${target} ${body}\nreal: ${expected}\nfake: ${actual.body}`;
    assert.equal(actual.status, answer.status, what);
    assert.equal(difference(normal(actual.body), normal(expected)), undefined, what);
  };

  const distance = one(['Cosine', 'Dot', 'Euclid', 'Manhattan']);
  // Without idf: the server's counts points that were written again more than once. The recordings have it.
  await equal('PUT', '', print({ vectors: { d: { size: 4, distance } }, sparse_vectors: { s: {} } }));
  for (const [field, type] of [
    ['tag', 'keyword'],
    ['body', 'text'],
  ]) {
    await equal('PUT', '/index?wait=true', print({ field_name: field, field_schema: type }));
  }

  const vector = () => Array.from({ length: 4 }, () => Math.fround(next() * 4 - 2));
  const sparse = () => ({ indices: [0, 1, 2, 3, 4, 5].filter(() => chance(0.5)), values: [] });
  const filled = ({ indices }) => ({ indices, values: indices.map(() => 1 + below(8) / 4) });
  const id = () =>
    chance(0.5)
      ? String(1 + below(8))
      : chance(0.2)
        ? '18446744073709551615'
        : `"00000000-0000-4000-8000-00000000000${below(8)}"`;
  const scalar = () =>
    one([
      '0',
      '1',
      '1.0',
      '1.5',
      '-2',
      'true',
      'false',
      '"red"',
      '"Red"',
      '"dark red"',
      '9007199254740993',
      '9007199254740992',
      '"2020-01-02T03:04:05Z"',
      '"2021-05-06"',
    ]);
  const value = (depth = 0) => {
    if (chance(0.1)) return 'null';
    if (chance(0.2)) return `[${Array.from({ length: below(3) }, scalar)}]`;
    if (depth < 2 && chance(0.2)) return `{"k":${value(depth + 1)},"v":${scalar()}}`;
    if (depth < 2 && chance(0.1)) return `[{"k":${scalar()},"v":${scalar()}},{"k":${scalar()}}]`;
    return scalar();
  };
  const keys = ['tag', 'n', 'a', 'b', 'o', 'body'];
  const payload = () =>
    `{${[...new Set(Array.from({ length: below(5) }, () => one(keys)))].map((key) => `"${key}":${key === 'body' ? one(['"the quick fox"', '"Quick brown"', '"fox-3"']) : value()}`)}}`;
  const point = () =>
    `{"id":${id()},"vector":{"d":${JSON.stringify(vector())}${chance(0.7) ? `,"s":${JSON.stringify(filled(sparse()))}` : ''}},"payload":${payload()}}`;
  const condition = (depth = 0) => {
    if (depth < 2 && chance(0.25)) return filter(depth + 1);
    if (chance(0.1)) return `{"has_id":[${Array.from({ length: below(4) }, id)}]}`;
    const key = one(['tag', 'n', 'a', 'b', 'b[]', 'o', 'o.k', 'o[].k', 'o.v', 'missing']);
    // Indexes find values of their type alone, and have their own mind of lists of none.
    const lists = key === 'tag' ? ['any'] : ['any', 'except'];
    if (chance(0.15)) return `{"${one(['is_empty', 'is_null'])}":{"key":"${key}"}}`;
    if (chance(0.1))
      return `{"nested":{"key":"${one(['o', 'o[]', 'b'])}","filter":{"must":[{"key":"k","match":{"value":${one(['1', '"red"', 'true'])}}}]}}}`;
    if (chance(0.1))
      return `{"key":"${one(['body', 'tag'])}","match":{"text":"${one(['quick', 'fox QUICK', 'red', 'Red'])}"}}`;
    if (chance(0.3))
      return `{"key":"${key}","range":{"${one(['gt', 'gte', 'lt', 'lte'])}":${one(['0', '1', '1.25', '-2', ...(lists.length > 1 ? ['9007199254740992', '"2020-06-01T00:00:00Z"'] : [])])}}}`;
    if (chance(0.1)) return `{"key":"${key}","values_count":{"${one(['gt', 'lt', 'gte', 'lte'])}":${below(3)}}}`;
    if (chance(0.3))
      return `{"key":"${key}","match":{"${one(lists)}":${one(['["red","Red"]', '[1,0]', '[9007199254740993]', '["dark red"]', ...(lists.length > 1 ? ['[]'] : [])])}}}`;
    return `{"key":"${key}","match":{"value":${one(['0', '1', '-2', 'true', 'false', '"red"', '"Red"', '9007199254740993', '9007199254740992'])}}}`;
  };
  const filter = (depth = 0) => {
    const clauses = ['must', 'should', 'must_not'].filter(() => chance(0.5));
    if (clauses.length === 0) clauses.push('must');
    const list = () => Array.from({ length: 1 + below(2) }, () => condition(depth));
    const fields = clauses.map((clause) => `"${clause}":[${list()}]`);
    if (chance(0.1)) fields.push(`"min_should":{"conditions":[${list()},${list()}],"min_count":2}`);
    return `{${fields}}`;
  };
  for (let step = 0; step < 300; step++) {
    if (step % 12 === 0) await equal('PUT', '/points?wait=true', `{"points":[${Array.from({ length: 6 }, point)}]}`);
    else if (step % 40 === 39) {
      const some = filter();
      await equal('POST', '/points/count', `{"filter":${some},"exact":true}`);
      await equal('POST', '/points/delete?wait=true', `{"filter":${some}}`);
    } else if (step % 40 === 20) await equal('POST', '/points/delete?wait=true', `{"points":[${id()},${id()}]}`);
    else if (chance(0.4)) await equal('POST', '/points/count', `{"filter":${filter()},"exact":true}`);
    else if (chance(0.4))
      await equal(
        'POST',
        '/points/scroll',
        `{"filter":${filter()},"limit":${1 + below(4)},"offset":${id()},"with_payload":true,"with_vector":true}`,
      );
    else if (chance(0.5))
      await equal(
        'POST',
        '/points/query',
        `{"query":${JSON.stringify(vector())},"using":"d","filter":${filter()},"limit":50,"with_payload":${one(['true', 'false', '["tag","o.k"]', '{"exclude":["n"]}'])}}`,
      );
    else if (chance(0.5))
      await equal(
        'POST',
        '/points/query',
        `{"query":${JSON.stringify(filled({ indices: [0, 2, 4] }))},"using":"s","limit":50}`,
      );
    else await equal('POST', '/points', `{"ids":[${id()},${id()}],"with_payload":true,"with_vector":["d"]}`);
  }
});
