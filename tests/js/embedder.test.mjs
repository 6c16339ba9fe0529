// The embedder by itself: vectors for texts, without a database.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { loadEmbedder } from 'nearfield';
import { rejectsWith, temporaryFolder } from './support.mjs';

const own = (name) => new URL(`../../dist/model/${name}`, import.meta.url);
const golden = readFileSync(new URL('../core/text/golden.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line));

test('vectors are those of the reference implementation', async () => {
  const embedder = await loadEmbedder();
  const { dimension, name } = embedder;
  assert.equal(dimension, 256);
  assert.equal(name, JSON.parse(readFileSync(new URL('../../core/text/model/meta.json', import.meta.url))).name);
  const rows = embedder.embed(golden.map(({ text }) => text));
  assert.equal(rows.length, golden.length * dimension);
  golden.forEach(({ text, embedding }, i) => {
    embedding.forEach((expected, j) => {
      const found = rows[i * dimension + j];
      assert.ok(Math.abs(found - expected) <= 1e-4, `${JSON.stringify(text)}[${j}]: ${found}, not ${expected}`);
    });
  });
  embedder.close();
});

test('many texts give what each gives by itself, and the rows are the caller’s', async () => {
  const embedder = await loadEmbedder();
  // More texts than one step carries, and one that fills a step alone.
  const texts = Array.from({ length: 2500 }, (_, i) => `requirement ${i}: retry the upload`);
  texts[1500] = 'word '.repeat(300_000);
  const rows = embedder.embed(texts);
  for (const i of [0, 1, 1023, 1024, 1499, 1500, 1501, 2499]) {
    assert.deepEqual(rows.subarray(i * 256, (i + 1) * 256), embedder.embed([texts[i]]), `text ${i}`);
  }
  const before = rows.slice(0, 256);
  embedder.embed(['something else']);
  assert.deepEqual(rows.slice(0, 256), before);
  assert.deepEqual(embedder.embed([]), new Float32Array(0));
  assert.ok(embedder.embed(['']).every((component) => component === 0));
  embedder.close();
});

test('what is no text is refused by name', async () => {
  const embedder = await loadEmbedder();
  for (const [texts, value] of [
    ['one text', 'one text'],
    [undefined, undefined],
    [{ length: 1, 0: 'a' }, undefined],
    [['fine', 7], 7],
    [['fine', null], null],
    [['fine', , 'text'], undefined],
    [['half \ud800'], 'half \ud800'],
    [new Float32Array(2), undefined],
  ]) {
    assert.throws(
      () => embedder.embed(texts),
      (error) => error.code === 'InvalidArgument' && (value === undefined || error.value === value),
    );
  }
  assert.throws(() => embedder.embed(['fine', 7]), /texts\[1\] must be a string, got 7/);
  embedder.close();
  embedder.close();
  assert.throws(() => embedder.embed(['text']), { code: 'Closed' });
});

test('a model comes from addresses, answers or bytes', async () => {
  const vocabulary = readFileSync(own('vocab.txt'));
  const table = readFileSync(own('table.bin'));
  const expected = (await loadEmbedder()).embed(['sign in']);
  for (const model of [
    { vocabulary: own('vocab.txt'), table: own('table.bin').href },
    { vocabulary, table: table.buffer.slice(table.byteOffset, table.byteOffset + table.length) },
    { vocabulary: new Response(vocabulary), table: Promise.resolve(new Response(table)) },
  ]) {
    const embedder = await loadEmbedder({ model });
    assert.equal(embedder.name, 'custom');
    assert.deepEqual(embedder.embed(['sign in']), expected);
    embedder.close();
  }
});

test('a model that cannot be had or read is refused', async () => {
  const vocabulary = readFileSync(own('vocab.txt'));
  const table = readFileSync(own('table.bin'));
  const used = new Response(table);
  await used.arrayBuffer();
  // As fetch answers without a network.
  const offline = { then: (resolve, reject) => reject(new TypeError('Failed to fetch')) };
  for (const [model, code] of [
    [7, 'InvalidArgument'],
    [{ vocabulary }, 'InvalidArgument'],
    [{ vocabulary, table: 7 }, 'InvalidArgument'],
    [{ vocabulary, table: 'table.bin' }, 'InvalidArgument'],
    [{ vocabulary, table, name: 'mine' }, 'ConfigError'],
    [{ vocabulary, table: own('missing.bin') }, 'NotFound'],
    [{ vocabulary, table: new Response('', { status: 404 }) }, 'NotFound'],
    [{ vocabulary, table: used }, 'StorageFailed'],
    [{ vocabulary, table: offline }, 'StorageFailed'],
    [{ vocabulary, table: table.subarray(0, 1000) }, 'FormatError'],
    [{ vocabulary: new Uint8Array(0), table }, 'FormatError'],
  ]) {
    await rejectsWith(code, loadEmbedder({ model }));
  }
  await rejectsWith('ConfigError', loadEmbedder({ models: {} }));
  await rejectsWith('InvalidArgument', loadEmbedder('here'));
  await rejectsWith('InvalidArgument', loadEmbedder({ wasm: 7 }));
});

test('the model of the package is read once, and a failure is not remembered', async (t) => {
  const dist = fileURLToPath(new URL('../../dist', import.meta.url));
  const copy = temporaryFolder(t);
  for (const name of ['package.json', 'dist']) {
    const demo = /[\\/]dist[\\/]demo/;
    cpSync(join(dist, '..', name), join(copy, name), { recursive: true, filter: (path) => !demo.test(path) });
  }
  const model = join(copy, 'dist/model');
  rmSync(model, { recursive: true });
  const { loadEmbedder: load } = await import(pathToFileURL(join(copy, 'dist/index.js')));
  const { openSpecs } = await import(pathToFileURL(join(copy, 'dist/specs.js')));
  // Not the class of the copy's errors, so only the code is looked at.
  await assert.rejects(load(), { code: 'NotFound' });
  cpSync(join(dist, 'model'), model, { recursive: true });
  const first = await load();
  rmSync(model, { recursive: true });
  const second = await load();
  assert.deepEqual(second.embed(['sign in']), first.embed(['sign in']));
  const specs = await openSpecs({ storage: 'memory' });
  await specs.index([{ path: 'a.md', text: '# A\n\nUsers sign in.\n' }]);
  assert.equal((await specs.search('log in', { mode: 'dense' })).length, 1);
  await specs.close();
});
