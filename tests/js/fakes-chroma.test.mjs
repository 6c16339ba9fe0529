// The fake Chroma answers as the real one did.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeChroma } from '../support/fakes/chroma.mjs';
import { parse, print } from '../support/fakes/lossless.mjs';
import { random } from '../support/fakes/random.mjs';
import { difference, recording, replay, settleTies, without } from '../support/fakes/recordings.mjs';
import { startChroma } from '../support/servers.mjs';

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

test('the fake Chroma and a real one answer 300 random requests alike', async (t) => {
  const real = await startChroma(t, { fresh: true });
  if (real.skip) return t.skip(real.skip);
  const fake = new FakeChroma();
  const { below, one, chance, next } = random(6);

  const pool = Array.from({ length: 14 }, (_, i) => `id ${i}`);
  const some = (most) => Array.from({ length: 1 + below(most) }, () => one(pool));
  const vector = (size = 4) => Array.from({ length: size }, () => Math.fround(next() * 4 - 2));
  const scalars = [
    0,
    1,
    2,
    -3,
    '1.0',
    '1.5',
    '-0.5',
    '1e300',
    true,
    false,
    '"x"',
    '"y"',
    '"1"',
    '9007199254740993',
    '9007199254740992',
  ];
  const value = () => {
    if (chance(0.1)) return 'null';
    if (chance(0.15)) return one(['[1,2]', '[1.5,2]', '["x","y"]', '[true]', '[]', '[1,2.0]']);
    return String(one(scalars));
  };
  const keys = ['a', 'b', 'a.b', 'é', '__proto__'];
  const metadata = () => {
    if (chance(0.1)) return 'null';
    const fields = new Map(Array.from({ length: 1 + below(3) }, () => [one(keys), value()]));
    return `{${[...fields].map(([key, field]) => `${JSON.stringify(key)}:${field}`)}}`;
  };
  const document = () => one(['null', '"alpha beta"', '"Beta"', '""', '"a*b.c\\nü"']);
  const records = (how) => {
    const ids = some(4);
    const size = steps > 30 && chance(0.08) ? 3 : 4;
    const fields = [`"ids":${JSON.stringify(ids)}`];
    const list = (make) => `[${ids.map(make)}]`;
    if (how !== 'update' || chance(0.5)) fields.push(`"embeddings":${list(() => JSON.stringify(vector(size)))}`);
    if (chance(0.8)) fields.push(`"metadatas":${list(metadata)}`);
    if (chance(0.6)) fields.push(`"documents":${list(document)}`);
    if (chance(0.2)) fields.push(`"uris":${list(document)}`);
    return `{${fields}}`;
  };
  const where = (depth = 0) => {
    if (depth < 2 && chance(0.3))
      return `{"${one(['$and', '$or'])}":[${Array.from({ length: below(3) }, () => where(depth + 1))}]}`;
    const key = JSON.stringify(one(keys));
    if (chance(0.1))
      return `{"#document":{"${one(['$contains', '$not_contains', '$regex'])}":"${one(['a', 'Beta', 'b.c'])}"}}`;
    if (chance(0.1)) return `{${key}:${one(scalars)}}`;
    if (chance(0.25))
      return `{${key}:{"${one(['$in', '$nin'])}":[${Array.from({ length: below(3) }, () => one(scalars))}]}}`;
    return `{${key}:{"${one(['$eq', '$ne', '$gt', '$gte', '$lt', '$lte', '$contains', '$not_contains'])}":${one(scalars)}}}`;
  };
  const clauses = () => {
    const fields = [];
    if (chance(0.7)) fields.push(`"where":${where()}`);
    if (chance(0.2))
      fields.push(
        `"where_document":{"${one(['$contains', '$not_contains', '$not_regex'])}":"${one(['a', '', 'Beta', 'ü'])}"}`,
      );
    return fields;
  };
  const include = (names) => `"include":${JSON.stringify(names.filter(() => chance(0.6)))}`;
  const parts = ['documents', 'embeddings', 'metadatas', 'uris'];

  let steps = 0;
  const send = {
    upsert: () => records('upsert'),
    add: () => records('add'),
    update: () => records('update'),
    delete: () => {
      const fields = chance(0.5) ? clauses() : [];
      if (fields.length === 0 || chance(0.3)) fields.push(`"ids":${JSON.stringify(some(3))}`);
      if (fields.length > 0 && chance(0.2)) fields.push('"limit":2');
      return `{${fields}}`;
    },
    get: () => {
      const fields = [...clauses(), include(parts)];
      if (chance(0.2)) fields.push(`"ids":${JSON.stringify(some(4))}`);
      if (chance(0.4)) fields.push(`"limit":${below(5)}`);
      if (chance(0.4)) fields.push(`"offset":${below(5)}`);
      return `{${fields}}`;
    },
    query: () => {
      const queries = Array.from({ length: 1 + below(2) }, () => vector(chance(0.05) ? 3 : 4));
      const fields = [`"query_embeddings":${JSON.stringify(queries)}`, ...clauses(), include(['distances', ...parts])];
      if (chance(0.8)) fields.push(`"n_results":${1 + below(6)}`);
      return `{${fields}}`;
    },
  };
  const database = '/api/v2/tenants/default_tenant/databases/default_database/collections';
  const headers = { 'content-type': 'application/json' };
  const ids = {};
  const both = async (method, of, body) => {
    const answer = await fetch(real.url + of('real'), { method, body, headers: body === undefined ? {} : headers });
    const expected = { status: answer.status, body: await answer.text() };
    const actual = fake.answer({ method, path: of('fake'), headers: body === undefined ? {} : headers, body });
    return { expected, actual };
  };
  // The schema grows with the keys that were written; no adapter reads it.
  const normal = ({ body }) =>
    without(body === '' ? '' : parse(body), ['id', 'schema', 'log_position', 'version'], (text) =>
      typeof text === 'string' ? text.replace(/ at line 1 column \d+/, '') : text,
    );
  const equal = async (method, of, body) => {
    const { expected, actual } = await both(method, of, body);
    const what = `${method} ${of('fake')} ${body ?? ''}`;
    assert.equal(actual.status, expected.status, `${what}\nreal: ${expected.body}\nfake: ${actual.body}`);
    assert.equal(
      difference(normal(actual), normal(expected)),
      undefined,
      `${what}\nreal: ${expected.body}\nfake: ${actual.body}`,
    );
    return { expected, actual };
  };
  const spaces = ['l2', 'cosine', 'ip'];
  for (const space of spaces) {
    const body = print({ name: `c-${space}`, configuration: { hnsw: { space } }, metadata: { n: 1 } });
    const { expected, actual } = await equal('POST', () => database, body);
    ids[space] = { real: parse(expected.body).id, fake: parse(actual.body).id };
  }
  const weighted = [
    'upsert',
    'upsert',
    'upsert',
    'add',
    'update',
    'update',
    'delete',
    'get',
    'get',
    'query',
    'query',
    'query',
  ];
  for (; steps < 300; steps++) {
    const space = one(spaces);
    const verb = one(weighted);
    await equal('POST', (side) => `${database}/${ids[space][side]}/${verb}`, send[verb]());
    if (chance(0.2)) await equal('GET', (side) => `${database}/${ids[space][side]}/count`);
  }
  for (const space of spaces) {
    await equal('POST', (side) => `${database}/${ids[space][side]}/get`, print({ include: parts }));
    await equal('GET', () => `${database}/c-${space}`);
  }
});
