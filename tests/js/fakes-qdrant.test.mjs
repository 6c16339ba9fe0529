// The fake Qdrant answers as the real one did.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse } from '../support/fakes/lossless.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { recording, replay, settleTies, without } from '../support/fakes/recordings.mjs';

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
