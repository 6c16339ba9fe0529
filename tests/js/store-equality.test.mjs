// Searches on servers against the embedded engine: the same points, 7 filters, 200 queries, exact: equal ids, scores within
// 1e-4. On the fakes, whose arithmetic is plain double loops, and on the real servers that the environment names.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { connect } from 'nearfield';

import { compareSearches, filters, makePoints, makeQueries } from '../support/equal-search.mjs';
import { FakeChroma } from '../support/fakes/chroma.mjs';
import { used } from '../support/fakes/fake.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { realServer, startChroma } from '../support/servers.mjs';
import { providers } from '../support/wired.mjs';

const dimension = 12;
const fakes = { qdrant: FakeQdrant, chroma: FakeChroma, weaviate: FakeWeaviate };
/** What each server can compare by. */
const metrics = {
  qdrant: ['cosine', 'euclidean', 'dot', 'manhattan'],
  chroma: ['cosine', 'euclidean', 'dot'],
  weaviate: ['cosine', 'euclidean', 'dot', 'manhattan'],
};

async function compare(t, provider, more) {
  const points = makePoints(300, dimension);
  for (const metric of metrics[provider]) {
    await t.test(metric, async (t) => {
      // All of the bar by one metric; what another one changes shows in a few.
      const queries = makeQueries(metric === 'cosine' ? 200 : 20, dimension);
      const backend = {
        collection: `Equal_${randomUUID().replaceAll('-', '')}`,
        vector_size: dimension,
        distance_metric: metric,
      };
      const open = (table, rest) =>
        connect({ config: { backend: { ...backend, ...table } }, environment: {}, ...rest });
      const embedded = await open({ provider: 'memory' });
      const store = await open({ provider, ...more.table }, { fetch: more.fetch });
      try {
        for (const each of [embedded, store]) {
          await each.ensure();
          const { ok } = await each.upsert(points);
          assert.equal(ok.length, points.length);
        }
        const result = await compareSearches(embedded, store, queries);
        assert.deepEqual(result.differences, []);
        for (const why of Object.values(result.unsupported)) t.diagnostic(`not compared: ${why}`);
        assert.deepEqual(result.unsupported, {});
        assert.equal(result.compared, queries.length * Object.keys(filters).length);
      } finally {
        await store.drop();
        await store.close();
        await embedded.close();
      }
    });
  }
}

for (const provider of providers) {
  test(`searches on a fake ${provider} are those of the embedded engine`, async (t) => {
    const fake = used(t, new fakes[provider]({ validate: false }));
    await compare(t, provider, { table: { url: 'https://server.example' }, fetch: fake.fetch });
  });

  test(`searches on a real ${provider} are those of the embedded engine`, async (t) => {
    const { url, skip } =
      provider === 'chroma'
        ? await startChroma(t)
        : { url: realServer(provider), skip: `${provider.toUpperCase()}_URL is not set` };
    if (!url) return t.skip(skip);
    await compare(t, provider, { table: { url } });
  });
}
