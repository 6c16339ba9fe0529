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
