// doctor(): agrees with open() about what is there, and rescues what open() would leave.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { doctor, open } from 'nearfield';
import { rejectsWith, temporaryFolder } from './support.mjs';

const frameHeaderBytes = 16;
const fileHeaderBytes = 40;

async function makeDatabase(path) {
  const db = await open({ path });
  const notes = await db.collection('notes', { dimension: 2, text: {} });
  await notes.upsert([{ id: 'a', vector: [1, 2], text: 'first' }]);
  await db.flush();
  for (const id of ['b', 'c', 'd']) await notes.upsert([{ id, vector: [1, 2], text: `text of ${id}` }]);
  // Killed, as it were: closing would move the log into segments.
  const files = readdirSync(path).map((name) => [name, readFileSync(join(path, name))]);
  await db.close();
  for (const name of readdirSync(path)) unlinkSync(join(path, name));
  for (const [name, bytes] of files) if (name !== 'LOCK') writeFileSync(join(path, name), bytes);
}

function read(path) {
  return Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));
}

const newest = (path, kind) =>
  readdirSync(path)
    .filter((name) => name.startsWith(kind))
    .sort()
    .at(-1);

test('a sound database is sound, and nothing is touched', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  await makeDatabase(path);
  const before = read(path);
  for (const repair of [false, true]) {
    const report = await doctor({ path, repair });
    assert.equal(report.healthy, true);
    assert.equal(report.opens, report.newest);
    assert.deepEqual(
      report.files.map((file) => file.name),
      Object.keys(before).sort(),
    );
    for (const file of report.files) {
      assert.equal(file.state, 'sound');
      assert.equal(file.bytes, before[file.name].length);
      assert.deepEqual(file.damage, []);
      assert.ok(file.generations.length > 0 && file.meaning !== '');
    }
    assert.deepEqual(report.generations[0].collections, [{ name: 'notes', points: 4 }]);
    assert.equal(report.generations[0].logRecords, 3);
    assert.deepEqual(report.problems, []);
    assert.equal(report.repair?.generation, repair ? 0 : undefined);
    assert.deepEqual(read(path), before);
  }
});

test('damage in the middle of a log is shown, and what stands behind it is rescued', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  await makeDatabase(path);
  const log = newest(path, 'log-');
  const bytes = readFileSync(join(path, log));
  bytes[fileHeaderBytes + frameHeaderBytes + 20] ^= 1;
  writeFileSync(join(path, log), bytes);
  writeFileSync(join(path, 'notes.txt'), 'mine');
  const before = read(path);

  const report = await doctor({ path });
  assert.equal(report.healthy, false);
  assert.equal(report.files.find((file) => file.name === 'notes.txt').state, 'foreign');
  const found = report.files.find((file) => file.name === log);
  assert.equal(found.state, 'damaged');
  assert.equal(found.damage[0].offset, fileHeaderBytes);
  assert.equal(report.problems.length, 1);
  assert.deepEqual(report.generations[0].collections, [{ name: 'notes', points: 1 }]);
  assert.deepEqual(read(path), before);

  const { repair } = await doctor({ path, repair: true });
  assert.equal(repair.generation, report.newest + 1);
  assert.deepEqual(repair.collections, [{ name: 'notes', points: 3, rescued: 2, ids: ['c', 'd'] }]);
  assert.equal(repair.lost.length, 1);
  const after = read(path);
  for (const [name, content] of Object.entries(before)) assert.deepEqual(after[name], content);
  assert.equal(existsSync(join(path, 'LOCK')), false);

  const db = await open({ path });
  assert.equal((await db.info()).recovery.generation, repair.generation);
  const notes = await db.collection('notes');
  assert.deepEqual(
    (await notes.get(['a', 'b', 'c', 'd'], { include: ['text'] })).map(({ id, text }) => [id, text]),
    [
      ['a', 'first'],
      ['c', 'text of c'],
      ['d', 'text of d'],
    ],
  );
  assert.equal((await notes.search({ text: 'text', k: 5 })).length, 2);
  await db.close();
});

test('a database that open() refuses is explained', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  await makeDatabase(path);
  for (const name of readdirSync(path)) if (name.startsWith('manifest-')) writeFileSync(join(path, name), 'garbage');
  await rejectsWith('StorageCorrupt', open({ path }));
  const before = read(path);
  const report = await doctor({ path, repair: true });
  assert.equal(report.opens, 0);
  assert.equal(report.repair.generation, 0);
  assert.match(report.repair.meaning, /nothing can be repaired/);
  assert.deepEqual(read(path), before);
});

test('what is no database, what is locked, and bad options', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'db');
  for (const repair of [false, true]) {
    await rejectsWith('NotFound', doctor({ path, repair }));
    assert.equal(existsSync(path), false);
  }
  mkdirSync(path);
  await rejectsWith('NotFound', doctor({ path, repair: true }));
  assert.deepEqual(readdirSync(path), []);
  const db = await open({ path });
  await db.collection('c', { dimension: 2 });
  // Looking takes no lock; repairing does.
  assert.equal((await doctor({ path })).healthy, true);
  await rejectsWith('DatabaseLocked', doctor({ path, repair: true }));
  await db.collection('d', { dimension: 2 });
  await db.close();
  await rejectsWith('Unsupported', doctor({ storage: 'memory' }));
  await rejectsWith('InvalidArgument', doctor({ path, repair: 1 }));
  await rejectsWith('ConfigError', doctor({ path, readOnly: true }));
  await rejectsWith('InvalidArgument', doctor());
});

test('the doctor is a file of its own, found or given', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  await makeDatabase(path);
  const url = new URL('../../dist/nearfield-doctor.wasm', import.meta.url);
  const bytes = readFileSync(url);
  for (const wasm of [undefined, url, bytes, new WebAssembly.Module(bytes), Promise.resolve(new Response(bytes))]) {
    assert.equal((await doctor({ path, wasm })).healthy, true);
  }
  // Neither file does what the other is for.
  const before = read(path);
  const engine = new URL('../../dist/nearfield.wasm', import.meta.url);
  const error = await rejectsWith('InvalidArgument', doctor({ path, repair: true, wasm: engine }));
  assert.match(error.message, /doctor\(\) nearfield-doctor\.wasm/);
  await rejectsWith('InvalidArgument', open({ path, wasm: url }));
  const missing = new Response('', { status: 404 });
  assert.match((await rejectsWith('NotFound', doctor({ path, wasm: missing }))).message, /doctor\(\{ wasm \}\)/);
  assert.deepEqual(read(path), before);
  await (await open({ path })).close();
});
