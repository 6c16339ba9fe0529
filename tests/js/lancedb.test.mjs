// Tables of LanceDB that other programs made, and several who write.
import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, registerBackend, unregisterBackend } from 'nearfield';
import { lancedbBackend } from '../../dist/lancedb.js';
import { lancedbPackages } from '../support/lancedb.mjs';
import { rejectsWith, temporaryFolder } from './support.mjs';

const { packages, skip = false } = await lancedbPackages();

/** A table of these columns, and a function that opens it as a store. */
async function tableOf(t, columns) {
  const { lancedb, arrow } = packages;
  const path = temporaryFolder(t);
  const made = Object.entries(columns).map(([name, [type, values]]) => [name, arrow.vectorFromArray(values, type)]);
  const database = await lancedb.connect(path);
  await database.createTable('rows', new arrow.Table(Object.fromEntries(made)));
  database.close();
  registerBackend('lance', lancedbBackend(packages));
  t.after(() => unregisterBackend('lance'));
  return async (names = {}) => {
    const lance = { path, table: 'rows', ...names };
    const store = await connect({ config: { backend: { provider: 'lance', vector_size: 3, lance } }, environment: {} });
    t.after(() => store.close());
    return store;
  };
}

const vectors = (...rows) => {
  const { FixedSizeList, Field, Float32 } = packages.arrow;
  return [new FixedSizeList(3, new Field('item', new Float32(), true)), rows];
};
const texts = (...rows) => [new packages.arrow.Utf8(), rows];
const idsOf = (points) => points.map(({ id }) => id);

test('ids that are numbers are texts here, and found by them', { skip }, async (t) => {
  const open = await tableOf(t, {
    key: [new packages.arrow.Int64(), [1n, -2n, 2n ** 60n]],
    vector: vectors([1, 0, 0], [0, 1, 0], [0, 0, 1]),
  });
  const store = await open({ id: 'key' });
  const all = ['1', '-2', String(2n ** 60n)];
  assert.deepEqual(idsOf(await store.get(all)), all);
  assert.deepEqual(
    await store.get(['01', '+1', '1.0', "1') OR ('1' = '1", '']).catch((error) => error.code),
    'InvalidArgument',
  );
  assert.deepEqual(await store.get(['01', '+1', '1.0', "1') OR ('1' = '1"]), []);
});

test('the column that is named is searched, also beside another of vectors', { skip }, async (t) => {
  const open = await tableOf(t, {
    id: texts('a', 'b'),
    title: vectors([1, 0, 0], [0, 1, 0]),
    body: vectors([0, 1, 0], [1, 0, 0]),
  });
  const vector = [1, 0, 0];
  assert.deepEqual(idsOf(await (await open({ vector: 'title' })).search({ vector, k: 1 })), ['a']);
  assert.deepEqual(idsOf(await (await open({ vector: 'body' })).search({ vector, k: 1 })), ['b']);
  const error = await rejectsWith('SchemaMismatch', (await open()).search({ vector }));
  assert.match(error.message, /no column vector/);
});

test('a table without ids says which columns it has', { skip }, async (t) => {
  const open = await tableOf(t, { name: texts('a', null), vector: vectors([1, 0, 0], [0, 1, 0]) });
  const store = await open();
  for (const call of [() => store.ensure(), () => store.search({ vector: [1, 0, 0] }), () => store.get(['a'])]) {
    const { message } = await rejectsWith('SchemaMismatch', call());
    assert.match(message, /no column id; it has name, vector/);
  }
  const error = await rejectsWith('SchemaMismatch', (await open({ id: 'name' })).search({ vector: [1, 0, 0] }));
  assert.match(error.message, /a row without name/);
});

test('a payload that is no JSON is named', { skip }, async (t) => {
  const open = await tableOf(t, {
    id: texts('a'),
    vector: vectors([1, 0, 0]),
    payload: texts('not json'),
    text: texts('words'),
  });
  const error = await rejectsWith('RemoteProtocolError', (await open()).get(['a']));
  assert.match(error.message, /"a" a payload that is no JSON: "not json"/);
});

test('stores that write at the same time do not make two points of one', { skip }, async (t) => {
  const { lancedb } = packages;
  assert.ok(lancedb);
  registerBackend('lance', lancedbBackend(packages));
  t.after(() => unregisterBackend('lance'));
  const config = { backend: { provider: 'lance', vector_size: 3, lance: { path: temporaryFolder(t) } } };
  const stores = await Promise.all([1, 2, 3].map(() => connect({ config, environment: {} })));
  t.after(() => Promise.all(stores.map((store) => store.close())));
  const made = await Promise.all(stores.map((store) => store.ensure()));
  assert.deepEqual(made.map(({ created }) => created).sort(), [false, false, true]);
  const point = (i) => ({ id: 'same', vector: [1, i, 0], payload: { i } });
  await Promise.all(Array.from({ length: 12 }, (_, i) => stores[i % 3].upsert([point(i)])));
  assert.equal(await stores[0].count(), 1);
});
