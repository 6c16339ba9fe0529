// Writes of one store that touch the same points, while the server has trouble with the first of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nearfield';

import { Turns } from '../../dist/turns.js';
import { FakeChroma } from '../support/fakes/chroma.mjs';
import { used } from '../support/fakes/fake.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { providers } from '../support/wired.mjs';
import { random, rejectsWith } from './support.mjs';

const fakes = { qdrant: FakeQdrant, chroma: FakeChroma, weaviate: FakeWeaviate };
const isUpsert = (url, { method }) =>
  method !== 'GET' && (/\/points\?wait=true$/.test(url) || /\/batch\/objects$/.test(url) || /\/upsert$/.test(url));
const point = (id, v) => ({ id, vector: [1, 0, 0], payload: { v } });

/** A store whose first upserts are answered by `trouble(send)`, as long as there are any in the list. */
async function troubled(t, provider, troubles) {
  const fake = used(t, new fakes[provider]({ validate: false }));
  const fetch = async (url, init) => {
    const trouble = isUpsert(url, init) ? troubles.shift() : undefined;
    return trouble === undefined ? fake.fetch(url, init) : trouble(() => fake.fetch(url, init));
  };
  const store = await connect({
    config: {
      backend: {
        provider,
        url: 'https://server.example',
        collection: 'turns',
        vector_size: 3,
        retry_delay: 0.05,
      },
    },
    environment: {},
    fetch,
  });
  t.after(() => store.close());
  await store.ensure();
  return store;
}

const busy = async () => new Response('later', { status: 503 });

for (const provider of providers) {
  test(`${provider}: a write that has to be sent again does not undo a later one`, async (t) => {
    const store = await troubled(t, provider, [busy]);
    await Promise.all([store.upsert([point('a', 1), point('b', 1)]), store.upsert([point('b', 2)])]);
    assert.deepEqual(
      (await store.get(['a', 'b'])).map(({ payload }) => payload.v),
      [1, 2],
    );
  });

  test(`${provider}: nor brings back what was deleted`, async (t) => {
    for (const remove of [
      (store) => store.delete(['a']),
      (store) => store.delete({ filter: { v: 1 } }),
      (store) => store.clear(),
    ]) {
      const store = await troubled(t, provider, [busy]);
      const [, deleted] = await Promise.all([store.upsert([point('a', 1)]), remove(store)]);
      assert.equal(deleted, 1);
      assert.equal(await store.count(), 0);
      await store.drop();
    }
  });
}

test('writes to other points do not wait', async (t) => {
  let go;
  const held = new Promise((resolve) => (go = resolve));
  const store = await troubled(t, 'qdrant', [(send) => held.then(send)]);
  const first = store.upsert([point('a', 1)]);
  await store.upsert([point('b', 1)]);
  assert.equal(await store.count(), 1);
  go();
  await first;
});

test('a write that waits is cancelled at once, and lets nobody overtake', async (t) => {
  let go;
  const held = new Promise((resolve) => (go = resolve));
  const store = await troubled(t, 'qdrant', [(send) => held.then(send)]);
  const first = store.upsert([point('a', 1)]);
  const cancel = new AbortController();
  const second = store.upsert([point('a', 2)], { signal: cancel.signal });
  const third = store.upsert([point('a', 3)]);
  cancel.abort();
  await rejectsWith('Aborted', second);
  await sleep(20);
  assert.equal(await store.count(), 0);
  go();
  await Promise.all([first, third]);
  assert.equal((await store.get(['a']))[0].payload.v, 3);
});

test('closing ends writes that wait', async (t) => {
  const store = await troubled(t, 'qdrant', [() => new Promise(() => {})]);
  const writes = [store.upsert([point('a', 1)]), store.upsert([point('a', 2)]), store.clear()];
  const ended = Promise.allSettled(writes);
  await store.close();
  assert.deepEqual(
    (await ended).map(({ reason }) => reason.code),
    ['Aborted', 'Closed', 'Closed'],
  );
});

const all = ['a', 'b', 'c', 'd'];
const meet = (ids = all, others = all) => ids.some((id) => others.includes(id));

test('writes that share an id keep their order, whatever ends when', async () => {
  for (let seed = 0; seed < 200; seed++) {
    const next = random(seed);
    const turns = new Turns();
    const under = new Set();
    const calls = [];
    for (let i = 0; i < 20; i++) {
      const ids = next() < 0.1 ? undefined : all.filter(() => next() < 0.4);
      const before = calls.filter((call) => meet(ids, call.ids));
      const call = { ids, over: false };
      calls.push(call);
      const cancel = new AbortController();
      const give = () => {
        call.over ||= !under.has(call);
        cancel.abort();
      };
      if (next() < 0.2) setTimeout(give, next() * 3);
      const wait = next() * 3;
      const fails = next() < 0.2;
      const write = async () => {
        for (const each of before) assert.ok(each.over, 'it overtook');
        under.add(call);
        await sleep(wait);
        under.delete(call);
        call.over = true;
        if (fails) throw new Error('wanted');
      };
      call.done = turns.take(ids, cancel.signal, write).catch((error) => {
        if (error.code !== 'Aborted' && error.message !== 'wanted') throw error;
      });
    }
    await Promise.all(calls.map(({ done }) => done));
  }
});
