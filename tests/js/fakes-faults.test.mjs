// The faults do what their names say, in all three forms and over every fake.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { FakeChroma } from '../support/fakes/chroma.mjs';
import { used } from '../support/fakes/fake.mjs';
import { Faulty, faults, moreFaults } from '../support/fakes/faults.mjs';
import { parse } from '../support/fakes/lossless.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';

const headers = { 'content-type': 'application/json' };
const database = '/api/v2/tenants/default_tenant/databases/default_database/collections';
const ids = [1, 2].map((n) => `00000000-0000-4000-8000-00000000000${n}`);

/** A fake with a collection of two points; write and read are one request each, count() asks behind the fault's back. */
const servers = {
  qdrant() {
    const fake = new FakeQdrant();
    const send = (method, path, body) =>
      fake.answer({ method, path, headers: body === undefined ? {} : headers, body });
    send('PUT', '/collections/c', '{"vectors":{"size":2,"distance":"Dot"}}');
    const points = (list) =>
      JSON.stringify({ points: list.map((id) => ({ id, vector: [1, 2], payload: { word: 'é' } })) });
    send('PUT', '/collections/c/points?wait=true', points(ids));
    return {
      fake,
      write: {
        method: 'PUT',
        path: '/collections/c/points?wait=true',
        body: points(['00000000-0000-4000-8000-000000000003']),
      },
      read: {
        method: 'POST',
        path: '/collections/c/points/query',
        body: '{"query":[1,1],"with_payload":true,"with_vector":true}',
      },
      count: () => fake.collections.get('c').points.size,
    };
  },
  chroma() {
    const fake = new FakeChroma();
    const send = (method, path, body) => fake.answer({ method, path, headers, body });
    const { id } = JSON.parse(send('POST', database, '{"name":"ccc"}').body);
    const records = (list) =>
      JSON.stringify({ ids: list, embeddings: list.map(() => [1, 2]), metadatas: list.map(() => ({ word: 'é' })) });
    send('POST', `${database}/${id}/upsert`, records(['a', 'b']));
    return {
      fake,
      write: { method: 'POST', path: `${database}/${id}/upsert`, body: records(['c']) },
      read: {
        method: 'POST',
        path: `${database}/${id}/query`,
        body: '{"query_embeddings":[[1,1]],"include":["metadatas","embeddings","distances"]}',
      },
      count: () => fake.collections[0].records.size,
    };
  },
  weaviate() {
    const fake = new FakeWeaviate();
    const send = (method, path, body) => fake.answer({ method, path, headers, body });
    send(
      'POST',
      '/v1/schema',
      JSON.stringify({ class: 'C', vectorConfig: { default: {} }, properties: [{ name: 'word', dataType: ['text'] }] }),
    );
    const objects = (list) =>
      JSON.stringify({
        objects: list.map((id) => ({ class: 'C', id, properties: { word: 'é' }, vectors: { default: [1, 2] } })),
      });
    send('POST', '/v1/batch/objects', objects(ids));
    return {
      fake,
      write: { method: 'POST', path: '/v1/batch/objects', body: objects(['00000000-0000-4000-8000-000000000003']) },
      read: {
        method: 'POST',
        path: '/v1/graphql',
        body: JSON.stringify({
          query: '{ Get { C(nearVector:{vector:[1,1]}) { word _additional { id distance vectors { default } } } } }',
        }),
      },
      count: () => fake.classes.get('C').objects.size,
    };
  },
};

/** What a client sees: { status, headers, text } or { error }. It waits until the promise is kept, or without end. */
async function seen(fetch, url, { method, path, body }, patience) {
  const abort = new AbortController();
  patience?.then(() => abort.abort(new Error('too long')));
  try {
    const answer = await fetch(url + path, { method, headers, body, redirect: 'manual', signal: abort.signal });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  } catch (error) {
    return { error: error.message };
  }
}

/** Kept a little after the fault has struck. */
async function struck(faulty) {
  while (faulty.struck === 0) await sleep(5);
  await sleep(30);
}

/** What must be seen of a fault, given what was seen without it. */
const expected = {
  latency: (got, good) => assert.equal(got.text, good.text),
  slices: (got, good) => assert.equal(got.text, good.text),
  cookies: (got, good) => assert.equal(got.text, good.text),
  'reset-before': broken,
  'reset-after': broken,
  stall: broken,
  'wrong-length': broken,
  cut: broken,
  silence: broken,
  'lying-status': (got) => assert.match(got.text, /disk is full/),
  html: (got) => assert.match(got.headers.get('content-type'), /html/),
  'huge-body': (got) => assert.ok(got.text.length > 2 ** 20),
  'gzip-bomb': (got) => assert.ok(got.text.length > 2 ** 20),
  'empty-body': (got) => assert.equal(got.text, ''),
  'no-content': (got) => assert.equal(got.status, 204),
  deep: (got) => assert.equal(got.text.split('[').length, 1e5 + 1),
  'rate-limited': (got) => assert.deepEqual([got.status, got.headers.get('retry-after')], [429, '2']),
  'rate-limited-bare': (got) => assert.deepEqual([got.status, got.headers.get('retry-after')], [429, null]),
  'error-500': (got) => assert.equal(got.status, 500),
  'unavailable-503': (got) => assert.equal(got.status, 503),
  redirect: (got) => assert.deepEqual([got.status, got.headers.get('location')], [307, 'https://elsewhere.invalid/']),
  'not-json': (got) => assert.throws(() => parse(got.text)),
  'wrong-types': edited(/"(0|3|3\.0|-3|5|1|1\.0)"/),
  'missing-fields': (got, good) => assert.ok(got.text.length < good.text.length),
  'extra-fields': edited(/unexpected/),
  'duplicate-ids'(got, good) {
    const idsIn = ({ text }) => text.match(/"[ab]"|-00000000000\d/g);
    assert.equal(new Set(idsIn(good)).size, 2);
    assert.equal(idsIn(good).length, 2);
    assert.equal(new Set(idsIn(got)).size, idsIn(got).length - 1);
  },
  'nan-scores': edited(/"NaN"/),
  'big-ids': edited(/9007199254740993/),
  'wrong-dimension': edited(/\[2(\.0)?\]/),
  'proto-key': (got, good) =>
    good.text.includes('"_additional"') || edited(/"__proto__":\{"polluted":true\}/)(got, good),
};

function broken(got) {
  assert.notEqual(got.error, undefined, `answered: ${got.text}`);
}

function edited(pattern) {
  return (got, good) => {
    assert.equal(got.status, 200);
    assert.match(got.text, pattern);
    assert.doesNotMatch(good.text, pattern);
    parse(got.text);
  };
}

test('there are 24 faults of the bar', () => assert.equal(faults.length, 24));

for (const [name, make] of Object.entries(servers)) {
  for (const { name: fault, applied } of [...faults, ...moreFaults]) {
    test(`${fault} over ${name}`, async (t) => {
      const options = { latencyMs: 20, bytes: 2 ** 20 + 1 };
      for (const form of ['fetch', 'http']) {
        const { fake, write, read, count } = make();
        used(t, fake);
        const good = await seen(fake.fetch, 'http://fake', read);
        const reading = new Faulty(fake, fault, options);
        const writing = new Faulty(fake, fault, options);
        if (form === 'http') {
          for (const one of [reading, writing]) {
            await one.listen();
            t.after(() => one.close());
          }
        }
        const endless = ['stall', 'silence'].includes(fault);
        const through = (one, request, patience) =>
          seen(form === 'http' ? fetch : one.fetch, form === 'http' ? one.url : 'http://fake', request, patience);
        expected[fault](await through(reading, read, endless ? struck(reading) : undefined), good);
        assert.equal((await through(reading, read)).text, good.text, 'it strikes once');

        await through(writing, write, endless ? struck(writing) : undefined);
        assert.equal(count(), applied ? 3 : 2, form);
        assert.equal(writing.struck, 1);
      }
    });
  }
}
