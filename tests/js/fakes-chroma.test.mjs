// The fake Chroma answers as the real one did.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeChroma } from '../support/fakes/chroma.mjs';
import { recording, replay, settleTies, without } from '../support/fakes/recordings.mjs';

// With a cut through equal distances, either record is right.
const cut = ['ip: bigger dot product gives a negative distance'];

// What an adapter must not send, though the server may take it.
const improper = [
  'v1 is gone',
  'unknown route',
  'create configuration unknown space',
  'create nested collection metadata',
  'create malformed json',
  'create text/plain content-type',
  'create no content type',
  'upsert length mismatch',
  'upsert metadata length mismatch',
  'upsert empty embedding',
  'upsert without embeddings',
  'upsert embeddings null',
  'upsert numeric id',
  'upsert empty id',
  'upsert nested metadata',
  'upsert mixed-type array metadata',
  'upsert reserved metadata key',
  'upsert $-key metadata',
  'upsert #-key metadata',
  'upsert sparse vector in metadata',
  'upsert sparse vector unsorted',
  'get include unknown',
  'where gt string',
  'where in empty',
  'where in mixed',
  'where two keys in one object',
  'where two operators on a key',
  'where not',
  'where exists',
  'where empty object',
  'where null operand',
  'where null eq operand',
  'where_document bad regex',
  'where_document empty object',
  'query n_results 0',
  'query base64 embedding',
  'conditional get (newer builds only)',
  'unknown auth token is ignored by the open server',
  'where $in with 40000 values',
  'get by 40000 ids',
  'delete with limit and no where',
  'delete with limit and ids',
  'delete where {}',
  'delete nothing given',
  'delete ids []',
  'upsert of max_batch_size+1 records',
  'unknown body field',
  'method not allowed',
  'extra: where $in mixed int/float',
  'extra: query negative n_results',
  'extra: query unknown embedding key (query_texts only)',
];

const exchanges = recording('chroma');

test('the fake Chroma answers as recorded', { skip: exchanges === null }, (t) => {
  const open = new FakeChroma({ cors: ['*'], allowReset: true, maxBytes: 2 * 1024 * 1024 });
  const closed = new FakeChroma();
  // The recorder's ids are not ours.
  const ids = new Map();
  const named = {
    docs_l2: '6f53d809-3940-4609-b865-991a33c71cda',
    docs_cos: '2890f09f-7ee8-47cc-b68a-4f624294652d',
    docs_ip: '43692623-8221-4682-86ad-3af6edf37dd5',
    extra1: '0a52f128-7e5d-4e08-a84e-1c8c3ff1ff18',
  };
  const translate = (text) => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => ids.get(id) ?? id);
  const numbers = (count) => Array.from({ length: count }, (_, i) => `i${i}`);
  const bodies = {
    '<where k $in 40000 strings>': () => ({ where: { k: { $in: numbers(40000) } }, include: [] }),
    '<40000 ids>': () => ({ ids: numbers(40000), include: [] }),
    '<5462 records>': () => ({ ids: numbers(5462), embeddings: numbers(5462).map(() => [1, 2, 3]) }),
    '<3 MB document>': () => ({ ids: ['big'], embeddings: [[1, 2, 3]], documents: ['x'.repeat(3_000_000)] }),
  };
  const { matched, left, failures } = replay(exchanges, {
    outOfScope: () => undefined,
    fakeFor: ({ n }) => (n > 900 && n < 950 ? closed : open),
    headers: ['allow', 'access-control-allow-origin', 'access-control-allow-methods', 'access-control-allow-headers'],
    request({ request }) {
      for (const { id, name } of open.collections) if (name in named && !ids.has(named[name])) ids.set(named[name], id);
      return { ...request, path: translate(request.path), body: bodies[request.body]?.() ?? request.body };
    },
    // Ids and times that are the server's own; threads; serde's position and path in errors; a list that was cut.
    normalise(body, { name, response }) {
      if (typeof body === 'string' && /^[[{]/.test(body)) body = null;
      if (typeof response.body === 'string' && /^[[{]/.test(response.body)) return null;
      if (/list databases|get database$/.test(name)) body = without(body, ['id']);
      // Equal distances stand in any order; a cut through them may keep either.
      if (body?.distances)
        body.ids = body.ids.map((row, q) =>
          settleTies(
            row.map((id, i) => ({ id: cut.includes(name) ? 'any' : id, distance: body.distances[q][i] })),
            (hit) => hit.distance,
            (hit) => hit.id,
          ).map(({ id }) => id),
        );
      if (cut.includes(name)) body = without(body, ['embeddings']);
      if (body?.log_position !== undefined) body = without(body, ['id', 'log_position', 'version']);
      return without(body, ['num_threads', 'nanosecond heartbeat'], (value) =>
        typeof value === 'string'
          ? translate(value)
              .replace(/ at line 1 column \d+/, '')
              .replace(/(as JSON: )\w+: /, '$1')
          : value,
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
