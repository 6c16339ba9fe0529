// The parts between the API and the engine: the pump, and what happens when an instance traps.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { load, open } from 'nearfield';
import { Engine } from '../../dist/engine.js';
import { compiled } from '../../dist/load.js';
import { Message } from '../../dist/message.js';
import { Pump } from '../../dist/pump.js';
import { MemoryVolume } from '../../dist/volumes/memory.js';
import { Session } from '../../dist/session.js';
import { rejectsWith } from './support.mjs';

test('load takes every kind of source, and compiles each once', async (t) => {
  const compile = t.mock.method(WebAssembly, 'compile');
  await Promise.all([load(), load(), load()]);
  assert.equal(compile.mock.callCount(), 1);
  const url = new URL('../../dist/nearfield.wasm', import.meta.url);
  const bytes = readFileSync(url);
  const module = new WebAssembly.Module(bytes);
  for (const wasm of [url, url.href, bytes, module, new Response(bytes), Promise.resolve(new Response(bytes))]) {
    await load({ wasm });
    const db = await open({ storage: 'memory' });
    assert.deepEqual(await db.collections(), []);
    await db.close();
  }
  const failing = new URL('./missing.wasm', import.meta.url);
  await rejectsWith('NotFound', load({ wasm: failing }));
  // The failed one is not remembered as the source.
  await (await open({ storage: 'memory' })).close();
});

test('an instance that traps refuses further work, others go on', async () => {
  const session = await Session.open(new MemoryVolume(), compiled);
  const other = await open({ storage: 'memory' });
  const engine = session.engine();
  // Thrown where the engine would throw it, between writing the message and reading the outcome.
  const write = engine.memory.write;
  engine.memory.write = () => {
    throw new WebAssembly.RuntimeError('unreachable');
  };
  assert.throws(() => engine.call('_info', new Message('{}').finish()), { code: 'InstancePoisoned' });
  engine.memory.write = write;
  assert.throws(() => engine.call('_info', new Message('{}').finish()), { code: 'InstancePoisoned' });
  await rejectsWith('InstancePoisoned', session.run('_checkpoint'));
  await session.close();
  await rejectsWith('Closed', session.run('_checkpoint'));
  assert.deepEqual(await other.collections(), []);
  await other.close();
});

test('what waits when an instance traps is rejected', async () => {
  const engine = await Engine.create(await compiled());
  let release;
  const volume = new MemoryVolume();
  volume.list = () => new Promise((resolve) => (release = resolve));
  const pump = new Pump(engine, volume);
  const opening = pump.run('_open', new Message('{}').finish());
  // Seen when it is awaited below.
  opening.catch(() => {});
  while (release === undefined) await new Promise((resolve) => setImmediate(resolve));
  engine.memory.write = () => {
    throw new RangeError('Maximum call stack size exceeded');
  };
  release([]);
  await rejectsWith('InstancePoisoned', opening);
});

test('malformed messages are refused', async () => {
  const engine = await Engine.create(await compiled());
  const text = (value) => new TextEncoder().encode(value);
  const framed = (json, ...rest) => new Message(json).bytes(Uint8Array.from(rest)).finish();
  for (const [message, code] of [
    [new Uint8Array(0), 'FormatError'],
    [Uint8Array.of(1, 2), 'FormatError'],
    [Uint8Array.of(255, 255, 255, 255), 'FormatError'],
    [text('{}{}'), 'FormatError'],
    [framed('[]'), 'FormatError'],
    [framed('{'), 'FormatError'],
    [framed('{"a":1,"a":2}'), 'FormatError'],
    [framed('['.repeat(1000) + ']'.repeat(1000)), 'LimitExceeded'],
    [framed('{}'), 'Closed'],
  ]) {
    assert.throws(() => engine.call('_info', message), { code });
  }
  assert.throws(() => engine.call('_embed', framed('{}', 255, 255, 255, 255)), { code: 'Unsupported' });
  engine.dispose();
  assert.throws(() => engine.call('_info', framed('{}')), { code: 'Closed' });
});

test('an effect that fails in an unforeseen way is a StorageFailed', async () => {
  const volume = new MemoryVolume();
  volume.list = () => Promise.reject(new TypeError('surprise'));
  const error = await rejectsWith('StorageFailed', Session.open(volume, compiled));
  assert.match(error.message, /surprise/);
});

test('the embedder loads, embeds, and refuses damaged files', async () => {
  const engine = await Engine.create(await compiled());
  const read = (name) => readFileSync(new URL(`../../dist/model/${name}`, import.meta.url));
  const vocabulary = read('vocab.txt');
  const table = read('table.bin');
  const message = (table) =>
    new Message(JSON.stringify({ vocabularyBytes: vocabulary.length })).bytes(vocabulary).bytes(table).finish();
  assert.throws(() => engine.call('_loadEmbedder', message(table.subarray(0, 1000))), { code: 'FormatError' });
  assert.deepEqual(engine.call('_loadEmbedder', message(table)), { dimension: 256 });
  const texts = ['the user signs in', 'logging in', 'a bird in flight', ''];
  const { dimension, vectors } = engine.call('_embed', new Message('{}').strings(texts).finish());
  const floats = engine.memory.floats(...vectors);
  const vector = (i) => floats.subarray(i * dimension, (i + 1) * dimension);
  const dot = (a, b) => a.reduce((sum, component, i) => sum + component * b[i], 0);
  assert.ok(Math.abs(dot(vector(0), vector(0)) - 1) < 1e-5);
  assert.ok(dot(vector(0), vector(1)) > dot(vector(0), vector(2)));
  assert.ok(vector(3).every((component) => component === 0));
  engine.dispose();
});
