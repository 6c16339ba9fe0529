// The fake Weaviate answers as the real one did.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { parse, print } from '../support/fakes/lossless.mjs';
import { random } from '../support/fakes/random.mjs';
import { difference, recording, replay, settleTies, without } from '../support/fakes/recordings.mjs';
import { realServer } from '../support/servers.mjs';

// Where a cut goes through equal scores, either object is right.
const cut = ['hybrid-alpha-1'];

// What an adapter must not send, though the server may take it.
const improper = [
  'batch-bad-uuid',
  'batch-unknown-class',
  'batch-malformed',
  'batch-nan',
  'near-limit-0',
  'near-limit-huge',
  'near-unknown-property',
  'near-variable',
  'syntax-error',
  'where-contains-any-empty',
  'hybrid-alpha-2',
  'unknown-route',
];

const exchanges = recording('weaviate');

test('the fake Weaviate answers as recorded', { skip: exchanges === null }, (t) => {
  const open = new FakeWeaviate();
  const locked = new FakeWeaviate({ apiKey: 'test-key' });
  const { matched, left, failures } = replay(exchanges, {
    outOfScope: () => undefined,
    fakeFor: ({ name }) => (name.startsWith('auth-') ? locked : open),
    headers: ['access-control-allow-origin', 'access-control-allow-methods'],
    normalise(body, { name }) {
      const ignored = [
        'creationTimeUnix',
        'lastUpdateTimeUnix',
        'explainScore',
        ...(cut.includes(name) ? ['id', 'nf_id'] : []),
      ];
      return without(body, ignored, (value) => {
        // The names of shards are random.
        if (typeof value === 'string') return value.replace(/shard \w+/, 'shard');
        if (typeof value?.score === 'string') return { ...value, score: Number(value.score) };
        const hit = (one) => one?._additional !== undefined;
        if (!Array.isArray(value) || !value.every(hit)) return value;
        const scored = ({ _additional: { score, distance } }) => Number(score ?? distance);
        return settleTies(value, scored, (one) => one._additional.id);
      });
    },
  });
  assert.deepEqual(failures, []);
  assert.equal(matched.length + left.length, exchanges.length);
  assert.deepEqual(
    matched.filter(({ violations }) => violations.length > 0).map(({ name }) => name),
    improper,
  );
  t.diagnostic(`${matched.length} of ${exchanges.length} exchanges`);
});

test('the fake Weaviate and a real one answer 300 random requests alike', async (t) => {
  const real = realServer('weaviate');
  if (real === null) return t.skip('no real Weaviate: WEAVIATE_URL is not set');
  const fake = new FakeWeaviate();
  const { below, one, chance, next } = random(8);
  const name = `Random${Date.now()}`;
  const headers = { 'content-type': 'application/json' };
  t.after(() => fetch(`${real}/v1/schema/${name}`, { method: 'DELETE' }));

  // Shards have random names, equal scores no order, and where an error is met on the way is the server's own.
  const normal = (body) =>
    without(body === '' ? '' : parse(body), ['creationTimeUnix', 'lastUpdateTimeUnix', 'explainScore'], (value) => {
      if (typeof value === 'string')
        return value
          .replace(/^.*: (shard|Nullstate|invalid search term|Filtering by)/, '$1')
          .replace(/shard \w+/, 'shard');
      if (typeof value?.score === 'string') return { ...value, score: Number(value.score) };
      if (!Array.isArray(value) || !value.every((hit) => hit?._additional !== undefined)) return value;
      return settleTies(
        value,
        ({ _additional: { score, distance } }) => score ?? distance ?? 0,
        (hit) => hit._additional.id,
      );
    });
  const equal = async (method, path, body) => {
    const text = body === undefined ? undefined : print(body);
    const answer = await fetch(real + path, { method, body: text, headers: text === undefined ? {} : headers });
    const expected = await answer.text();
    const actual = fake.answer({ method, path, body: text, headers: text === undefined ? {} : headers });
    const what = `${method} ${path} ${text ?? ''}\nreal: ${expected}\nfake: ${actual.body}`;
    assert.equal(actual.status, answer.status, what);
    assert.equal(difference(normal(actual.body), normal(expected)), undefined, what);
  };

  const metric = one(['cosine', 'dot', 'l2-squared', 'manhattan']);
  const property = (title, type, more = {}) => ({ name: title, dataType: [type], ...more });
  await equal('POST', '/v1/schema', {
    class: name,
    vectorConfig: {
      default: { vectorizer: { none: {} }, vectorIndexType: 'hnsw', vectorIndexConfig: { distance: metric } },
    },
    properties: [
      property('tag', 'text', { tokenization: 'field' }),
      property('body', 'text', { tokenization: 'word' }),
      property('tags', 'text[]', { tokenization: 'field' }),
      property('n', 'int', { indexRangeFilters: true }),
      property('x', 'number'),
      property('ok', 'boolean'),
      property('at', 'date'),
      property('ns', 'int[]'),
      property('hidden', 'text', { indexFilterable: false, indexSearchable: false }),
    ],
    invertedIndexConfig: { indexNullState: true },
  });

  const texts = ['red', 'Red', 'dark red', ' red ', 'a*b', 'ü é', 'fox-3', ''];
  const bodies = ['the quick fox', 'Quick brown fox 3', 'the', 'a b', 'fox fox', ''];
  const times = ['2020-01-02T03:04:05Z', '2021-01-01T00:00:00.5+02:00', '1969-12-31T23:59:59Z'];
  const values = {
    tag: () => one(texts),
    body: () => one(bodies),
    tags: () => Array.from({ length: below(3) }, () => one(texts)),
    n: () => one([0, 1, 2, -3, 2147483647, 4294967296]),
    x: () => one([0, 1, 1.5, -0.25, 1e21]),
    ok: () => chance(0.5),
    at: () => one(times),
    ns: () => Array.from({ length: below(3) }, () => below(4)),
    hidden: () => 'h',
  };
  const vector = () => Array.from({ length: 4 }, () => Math.fround(next() * 4 - 2));
  const id = (i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`;
  const objects = () =>
    Array.from({ length: 1 + below(6) }, () => ({
      class: name,
      id: id(below(20)),
      properties: Object.fromEntries(
        Object.keys(values)
          .filter(() => chance(0.6))
          .map((key) => [key, values[key]()]),
      ),
      vectors: { default: vector() },
    })).filter((object, i, all) => all.findIndex((other) => other.id === object.id) === i);
  const literal = (value) =>
    Array.isArray(value)
      ? `[${value.map(literal)}]`
      : typeof value === 'string'
        ? JSON.stringify(value)
        : String(value);
  const leaf = () => {
    const key = one(['tag', 'body', 'tags', 'n', 'x', 'ok', 'at', 'ns']);
    if (chance(0.15)) return `{path:["${key}"],operator:IsNull,valueBoolean:${chance(0.5)}}`;
    if (chance(0.05)) return `{path:["id"],operator:${one(['Equal', 'NotEqual'])},valueText:"${id(below(20))}"}`;
    const type = {
      tag: 'Text',
      body: 'Text',
      tags: 'Text',
      n: 'Int',
      x: 'Number',
      ok: 'Boolean',
      at: 'Date',
      ns: 'Int',
    }[key];
    const value = () => [values[key === 'tags' ? 'tag' : key === 'ns' ? 'n' : key]()].flat()[0];
    if (chance(0.3)) {
      const list = Array.from({ length: 1 + below(3) }, value);
      return `{path:["${key}"],operator:${one(['ContainsAny', 'ContainsAll', 'ContainsNone'])},value${type}:${literal(list)}}`;
    }
    const operators = [
      'Equal',
      'NotEqual',
      ...(type === 'Boolean' ? [] : ['GreaterThan', 'GreaterThanEqual', 'LessThan', 'LessThanEqual']),
    ];
    if (type === 'Text' && chance(0.2))
      return `{path:["${key}"],operator:Like,valueText:${one(['"*re*"', '"?ed"', '"*"', '"qu*"', '"a*b"'])}}`;
    return `{path:["${key}"],operator:${one(operators)},value${type}:${literal(value())}}`;
  };
  const where = (depth = 0) => {
    if (depth === 2 || chance(0.6)) return leaf();
    const operator = one(['And', 'Or', 'Not']);
    const operands = Array.from({ length: operator === 'Not' ? 1 : 1 + below(3) }, () => where(depth + 1));
    return `{operator:${operator},operands:[${operands}]}`;
  };
  const graphql = (query) => equal('POST', '/v1/graphql', { query });
  for (let step = 0; step < 300; step++) {
    if (step % 10 === 0) await equal('POST', '/v1/batch/objects', { objects: objects() });
    if (step % 25 === 24) await equal('DELETE', `/v1/objects/${name}/${id(below(20))}`);
    const fields = 'tag n x ns _additional { id';
    if (chance(0.2)) await graphql(`{ Aggregate { ${name}(where:${where()}) { meta { count } } } }`);
    else if (chance(0.6))
      await graphql(
        `{ Get { ${name}(nearVector:{vector:${literal(vector())}},where:${where()},limit:50) { ${fields} distance vectors { default } } } } }`,
      );
    else if (chance(0.5))
      await graphql(
        `{ Get { ${name}(bm25:{query:"${one(['fox', 'quick fox 3', 'red', 'the'])}",properties:["body"]},limit:50) { ${fields} score } } } }`,
      );
    else if (chance(0.5)) {
      const hybrid = `{query:"${one(['fox', 'quick red'])}",vector:${literal(vector())},alpha:${one([0, 0.25, 1])},properties:["body"],targetVectors:["default"]}`;
      await graphql(`{ Get { ${name}(hybrid:${hybrid},where:${where()},limit:50) { ${fields} score } } } }`);
    } else
      await equal('GET', `/v1/objects?class=${name}&limit=5&after=${chance(0.5) ? '' : id(below(20))}&include=vector`);
  }
});
