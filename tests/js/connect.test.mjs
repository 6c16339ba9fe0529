// connect(): which store a configuration opens, and which it does not.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { connect } from '../../dist/index.js';
import { rejectsWith, temporaryFolder } from './support.mjs';

const lancedb = (path) => ({ vectordb: { backend: 'lancedb', path } });

test('a folder of another product is refused, and left as it is', async (t) => {
  for (const [product, name, isFolder] of [
    ['LanceDB', 'specs.lance', true],
    ['Chroma', 'chroma.sqlite3', false],
    ['Qdrant', 'collection', true],
  ]) {
    const path = join(temporaryFolder(t), 'data');
    mkdirSync(isFolder ? join(path, name) : path, { recursive: true });
    if (!isFolder) writeFileSync(join(path, name), 'theirs');
    const error = await rejectsWith('InvalidConfig', connect({ config: lancedb(path) }));
    assert.match(error.message, new RegExp(`holds files of ${product}`));
    assert.equal(error.value, path);
    assert.deepEqual(readdirSync(path), [name]);
  }
});

test('a name with a local path is the embedded engine, whose first vector says the dimension', async (t) => {
  const path = join(temporaryFolder(t), 'data');
  const store = await connect({ config: lancedb(path) });
  assert.deepEqual([store.backend, store.name], ['embedded', 'specs']);
  await rejectsWith('NotFound', store.search({ vector: [1, 0] }));
  // From now on it is as if it were there.
  assert.deepEqual(await store.ensure(), { created: true, differences: [] });
  assert.deepEqual(await store.ensure(), { created: false, differences: [] });
  assert.deepEqual([...(await store.search({ vector: [1, 0] }))], []);
  await store.upsert([{ id: 'a', vector: [1, 0] }]);
  await rejectsWith('DimensionMismatch', store.upsert([{ id: 'b', vector: [1, 0, 0] }]));
  assert.equal((await store.info()).dimension, 2);
  await store.close();

  const again = await connect({ config: lancedb(path) });
  assert.equal((await again.search({ vector: [1, 0] }))[0].id, 'a');
  await again.close();
  await rejectsWith('Closed', again.count());
});

test('what is wrong with a configuration is thrown with all of it', async () => {
  const config = { backend: { provider: 'qdrant', url: 'http://localhost:1', timeout: '2s', batch_size: -1 } };
  const error = await rejectsWith('InvalidConfig', connect({ config }));
  assert.equal(error.details.problems.length, 2);
  await rejectsWith(
    'HostNotAllowed',
    connect({ config: { backend: { provider: 'qdrant', url: 'http://db.example.com' } } }),
  );
  await rejectsWith('ConfigError', connect({ confg: {} }));
  await rejectsWith('InvalidArgument', connect({ config: {}, fetch: 'no' }));
});

test('an upsert of many batches is looked through before the first is written, as one of one batch is', async (t) => {
  const config = { backend: { provider: 'memory', vector_size: 2, batch_size: 2 } };
  const store = await connect({ config, environment: {} });
  t.after(() => store.close());
  await store.ensure();
  const vector = [1, 0];
  const good = ['a', 'b', 'c', 'd'].map((id) => ({ id, vector }));
  const bad = [{ id: 'a', vector }, null, { id: 'e', vector: [1] }, { id: '', vector }, { id: 'e', vector, vektor: 1 }];
  for (const each of bad) {
    await assert.rejects(store.upsert([...good, each]), (error) => /points\[4\]|expected 2, got 1/.test(error.message));
    assert.equal(await store.count(), 0);
  }
  // What the engine alone can tell is reported of its own batch.
  const long = { id: 'x'.repeat(1025), vector };
  const report = await store.upsert([...good, long, { id: 'y', vector }, { id: 'z', vector }]);
  assert.deepEqual(report.ok, ['a', 'b', 'c', 'd', 'z']);
  assert.deepEqual(
    report.failed.map(({ id, code }) => [id.length, code]),
    [1025, 1].map((length) => [length, 'LimitExceeded']),
  );
  const batch = good.map(({ id }) => ({ id: `later ${id}`, vector }));
  const writing = store.upsert(batch);
  batch.length = 0;
  assert.equal((await writing).ok.length, 4);
  assert.deepEqual((await store.health({ signal: AbortSignal.abort() })).ready, false);
});
