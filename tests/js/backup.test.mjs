// db.backup and db.restore: every kind of sink and source, what goes wrong in them, and what stays as it was.
import assert from 'node:assert/strict';
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { NearfieldError, open } from 'nearfield';
import { random, randomVector, rejectsWith, temporaryFolder } from './support.mjs';

const corpus = new URL('../corpus/backup/', import.meta.url);

async function makeDatabase(path, points = 300) {
  const db = await open({ path });
  const next = random(5);
  const notes = await db.collection('notes', { dimension: 8, text: {} });
  await notes.upsert(
    Array.from({ length: points }, (_, i) => ({
      id: `p${i}`,
      vector: randomVector(next, 8),
      text: `number ${i}`,
      payload: { i },
    })),
  );
  await db.flush();
  await notes.delete(['p3', 'p4']);
  await (await db.collection('plain', { dimension: 2 })).upsert([{ id: 'only', vector: [1, 2] }]);
  return db;
}

async function contents(db) {
  const all = {};
  for (const name of await db.collections()) {
    all[name] = await (
      await db.collection(name)
    ).get(Array.from({ length: 600 }, (_, i) => `p${i}`).concat('only', 'kept', 'later'), {
      include: ['payload', 'text', 'vector'],
    });
  }
  return all;
}

async function backupBytes(db, options) {
  const chunks = [];
  const report = await db.backup((chunk) => void chunks.push(chunk), options);
  const bytes = Buffer.concat(chunks);
  assert.equal(report.bytes, bytes.length);
  return bytes;
}

test('every kind of sink gets the same bytes, every kind of source gives them back', async (t) => {
  const folder = temporaryFolder(t);
  const db = await makeDatabase(join(folder, 'db'));
  const expected = await contents(db);
  const bytes = await backupBytes(db);
  assert.equal(Object.keys(expected).length, 2);

  const file = join(folder, 'a.backup');
  const report = await db.backup(file);
  assert.deepEqual(report, {
    generation: (await db.info()).generation,
    bytes: bytes.length,
    collections: 2,
    points: 299,
  });
  assert.deepEqual(readFileSync(file), bytes);
  const streamed = [];
  let closed = false;
  await db.backup(
    new WritableStream({
      write: (chunk) => void streamed.push(chunk),
      close: () => void (closed = true),
    }),
  );
  assert.ok(closed);
  assert.deepEqual(Buffer.concat(streamed), bytes);
  await db.close();

  async function* pieces(size) {
    for (let at = 0; at < bytes.length; at += size) {
      yield new Uint8Array(0);
      yield new Uint8Array(bytes.subarray(at, at + size));
    }
  }
  const sources = {
    path: () => file,
    iterable: () => pieces(1000),
    'node stream': () => createReadStream(file),
    'web stream': () => new Blob([bytes]).stream(),
    blob: () => new Blob([bytes]),
    response: () => new Response(bytes),
    view: () => bytes,
    buffer: () => new Uint8Array(bytes).buffer,
  };
  for (const [name, source] of Object.entries(sources)) {
    await t.test(name, async () => {
      const target = await open({ storage: 'memory' });
      await (await target.collection('gone', { dimension: 3 })).upsert([{ id: 'x', vector: [1, 2, 3] }]);
      const seen = [];
      const restored = await target.restore(source(), { onProgress: (at) => seen.push({ ...at }) });
      assert.equal(restored.points, 299);
      assert.equal(restored.bytes, bytes.length);
      assert.equal(restored.generation, (await target.info()).generation);
      assert.deepEqual(await contents(target), expected);
      assert.equal(seen.at(-1).bytes, bytes.length);
      assert.ok([undefined, bytes.length].includes(seen.at(-1).bytesTotal));
      const hits = await (await target.collection('notes')).search({ text: 'number 77', k: 1 });
      assert.equal(hits[0].id, 'p77');
      await (await target.collection('notes')).upsert([{ id: 'later', vector: new Float32Array(8).fill(1) }]);
      await target.close();
    });
  }
});

test('a backup holds the state at its start, while writes and commits go on', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await makeDatabase(path);
  const expected = await contents(db);
  const notes = await db.collection('notes');
  const chunks = [];
  let writes = 0;
  await db.backup(async (chunk) => {
    chunks.push(chunk);
    for (; writes < 4; writes++) {
      await notes.upsert([{ id: 'later', vector: new Float32Array(8).fill(1 + writes) }]);
      await db.flush();
    }
  });
  assert.equal(writes, 4);
  assert.equal((await notes.get(['later'])).length, 1);
  await db.restore(Buffer.concat(chunks));
  assert.deepEqual(await contents(db), expected);
  await db.close();
  // Also on the disk.
  const again = await open({ path });
  assert.deepEqual(await contents(again), expected);
  await again.close();
});

test('sinks that fail, throw, are locked or are none', async (t) => {
  const folder = temporaryFolder(t);
  const db = await makeDatabase(join(folder, 'db'));
  const failure = new Error('no room in the sink');
  for (const sink of [
    () => Promise.reject(failure),
    () => {
      throw failure;
    },
    new WritableStream({
      write() {
        throw failure;
      },
    }),
  ]) {
    const error = await rejectsWith('StorageFailed', db.backup(sink));
    assert.equal(error.cause, failure);
    assert.match(error.message, /no room in the sink/);
  }
  const own = new NearfieldError('QuotaExceeded', 'mine');
  assert.equal(
    await rejectsWith(
      'QuotaExceeded',
      db.backup(() => Promise.reject(own)),
    ),
    own,
  );
  const locked = new WritableStream();
  locked.getWriter();
  for (const sink of [undefined, null, 5, {}, [], locked, '', 'a\0b'])
    await rejectsWith('InvalidArgument', db.backup(sink));
  await rejectsWith(
    'ConfigError',
    db.backup(() => {}, { progress: 1 }),
  );
  await rejectsWith(
    'InvalidArgument',
    db.backup(() => {}, { onProgress: 1 }),
  );
  await rejectsWith(
    'InvalidArgument',
    db.backup(() => {}, { signal: 1 }),
  );

  await rejectsWith('NotFound', db.backup(join(folder, 'missing', 'a.backup')));
  mkdirSync(join(folder, 'taken'));
  await rejectsWith('InvalidArgument', db.backup(join(folder, 'taken')));
  // A failure leaves what stood there, and nothing besides.
  const file = join(folder, 'a.backup');
  writeFileSync(file, 'older');
  const controller = new AbortController();
  const aborted = await rejectsWith(
    'Aborted',
    db.backup(file, { signal: controller.signal, onProgress: () => controller.abort() }),
  );
  assert.equal(aborted.retryable, false);
  assert.equal(readFileSync(file, 'utf8'), 'older');
  assert.deepEqual(readdirSync(folder).sort(), ['a.backup', 'db', 'taken']);
  await rejectsWith('Aborted', db.backup(file, { signal: AbortSignal.abort() }));
  await db.backup(file);
  assert.deepEqual(readFileSync(file), await backupBytes(db));
  await db.close();
});

test('sources that fail, stop or are none change nothing', async (t) => {
  const folder = temporaryFolder(t);
  const db = await makeDatabase(join(folder, 'db'));
  const bytes = await backupBytes(db);
  await (await db.collection('notes')).upsert([{ id: 'kept', vector: new Float32Array(8) }]);
  const before = await contents(db);
  const { generation } = await db.info();
  const failure = new Error('the line went dead');
  async function* broken() {
    yield bytes.subarray(0, 5000);
    throw failure;
  }
  const error = await rejectsWith('StorageFailed', db.restore(broken()));
  assert.equal(error.cause, failure);
  async function* wrong() {
    yield 'text';
  }
  await rejectsWith('InvalidArgument', db.restore(wrong()));
  const read = new Blob([bytes]).stream();
  read.getReader();
  const used = new Response(bytes);
  await used.arrayBuffer();
  for (const source of [undefined, null, 5, {}, [], read, used, '', 'a\0b']) {
    await rejectsWith('InvalidArgument', db.restore(source));
  }
  await rejectsWith('NotFound', db.restore(join(folder, 'missing')));
  await rejectsWith('InvalidArgument', db.restore(folder));
  await rejectsWith('NotFound', db.restore(new Response('', { status: 404 })));
  for (const bad of [
    new Uint8Array(0),
    Buffer.from('not a backup'),
    bytes.subarray(0, -1),
    Buffer.concat([bytes, Buffer.of(0)]),
  ]) {
    await rejectsWith('FormatError', db.restore(bad));
  }
  const newer = readFileSync(new URL('golden-v1.backup', corpus));
  newer[8] = 2;
  await rejectsWith('FormatError', db.restore(newer));

  // A source that never answers is left by an abort, and by closing.
  const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
  const controller = new AbortController();
  const stuck = db.restore(silent, { signal: controller.signal });
  controller.abort();
  await rejectsWith('Aborted', stuck);
  assert.deepEqual(await contents(db), before);
  assert.equal((await db.info()).generation, generation);
  await db.restore(bytes);
  assert.equal((await (await db.collection('notes')).get(['kept'])).length, 0);

  const closing = [db.restore(silent), db.backup(() => new Promise(() => {}))];
  const ends = Promise.all(closing.map((each) => rejectsWith('Closed', each)));
  await db.close();
  await ends;
  await rejectsWith(
    'Closed',
    db.backup(() => {}),
  );
  await rejectsWith('Closed', db.restore(bytes));
});

test('a read-only database is backed up beside its writer and restores nothing', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const writer = await makeDatabase(path);
  const reader = await open({ path, readOnly: true });
  assert.deepEqual(await backupBytes(reader), await backupBytes(writer));
  await rejectsWith('ReadOnly', reader.restore(await backupBytes(writer)));
  await reader.close();
  await writer.close();
});

test('the backup of version 1 stays readable', async () => {
  const db = await open({ storage: 'memory' });
  const report = await db.restore(readFileSync(new URL('golden-v1.backup', corpus)));
  assert.equal(report.collections, 2);
  assert.equal(report.points, 2);
  const notes = await db.collection('notes');
  const [a] = await notes.get(['a'], { include: ['text', 'vector', 'payload'] });
  assert.equal(a.text, 'other words');
  assert.deepEqual([...a.vector], [3, 2, 1]);
  assert.equal((await notes.search({ text: 'words', k: 1 }))[0].id, 'a');
  await db.close();
  assert.ok(existsSync(new URL('cases.json', corpus)));
});

test('a backup whose folder cannot be synced is not reported as written', async (t) => {
  const folder = temporaryFolder(t);
  const db = await open({ storage: 'memory' });
  await (await db.collection('c', { text: {} })).upsert([{ id: 'a', text: 'x' }]);
  const { open: openFile } = fs;
  fs.open = async (path, ...rest) => {
    const handle = await openFile(path, ...rest);
    if (path === folder) handle.sync = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
    return handle;
  };
  syncBuiltinESMExports();
  t.after(() => {
    fs.open = openFile;
    syncBuiltinESMExports();
  });
  await rejectsWith('StorageFailed', db.backup(join(folder, 'x.backup')));
  fs.open = openFile;
  syncBuiltinESMExports();
  await db.backup(join(folder, 'y.backup'));
  await db.close();
});
