// A trap, or running out of memory in the middle of a write, ends an instance and nothing else: it saves nothing any
// more, every call says so, and recover() goes on from what was acknowledged.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from 'nearfield';
import { openSpecs } from 'nearfield/specs';
import { MemoryVolume } from '../../dist/volumes/memory.js';
import { NodeVolume } from '../../dist/volumes/node.js';
import { breakMemory, engineWithPages, watchMemories } from './instances.mjs';
import { random, randomVector, rejectsWith, temporaryFolder } from './support.mjs';

const schema = { dimension: 2, text: {} };
const points = (prefix, count) =>
  Array.from({ length: count }, (_, i) => ({ id: `${prefix}${i}`, vector: [1, i], text: `word${i}`, payload: { i } }));

for (const storage of ['node', 'memory']) {
  test(`after a trap every call is refused until recover(), which loses nothing: ${storage}`, async (t) => {
    const memories = watchMemories(t);
    const path = join(temporaryFolder(t), 'db');
    const other = await open({ storage: 'memory' });
    const db = await open({ path, storage });
    const c = await db.collection('c', schema);
    await c.upsert(points('a', 100));
    await db.flush();
    await c.upsert(points('b', 10));
    await c.delete(['a3']);
    await c.upsert(points('r', 10), { durability: 'relaxed' });
    const before = await c.search({ vector: [1, 5], text: 'word5', k: 20 });
    const lock = storage === 'node' ? readFileSync(join(path, 'LOCK'), 'utf8') : '';

    breakMemory(memories[1]);
    const error = await rejectsWith('InstancePoisoned', c.search({ vector: [1, 2] }));
    assert.ok(error.cause instanceof WebAssembly.RuntimeError, String(error.cause));
    for (const call of [
      () => c.upsert(points('x', 1)),
      () => c.delete(['a1']),
      () => c.clear(),
      () => c.count(),
      () => c.get(['a1']),
      () => c.info(),
      () => c.scroll().next(),
      () => db.collection('c'),
      () => db.collection('new', schema),
      () => db.collections(),
      () => db.dropCollection('c'),
      () => db.flush(),
      () => db.info(),
    ]) {
      await rejectsWith('InstancePoisoned', call());
    }
    assert.deepEqual(await other.collections(), []);
    if (storage === 'node') await rejectsWith('DatabaseLocked', open({ path }));

    const made = memories.length;
    await Promise.all([db.recover(), db.recover()]);
    assert.equal(memories.length, made + 1, 'two calls share one new instance');
    if (storage === 'node') assert.equal(readFileSync(join(path, 'LOCK'), 'utf8'), lock, 'the lock was given away');
    assert.deepEqual(await c.search({ vector: [1, 5], text: 'word5', k: 20 }), before);
    assert.equal(await c.count(), 119);
    await c.upsert(points('after', 5));
    assert.equal(await c.count(), 124);
    assert.equal(await (await db.collection('c')).count(), 124);

    // As often as it takes.
    breakMemory(memories.at(-1));
    await rejectsWith('InstancePoisoned', c.upsert(points('y', 1)));
    await db.recover();
    assert.equal(await c.count(), 124);
    await db.close();
    await rejectsWith('Closed', db.recover());
    await other.close();
    if (storage !== 'node') return;
    const again = await open({ path });
    assert.equal(await (await again.collection('c')).count(), 124);
    await again.close();
  });
}

test('recover() of a database that is well does nothing', async (t) => {
  const memories = watchMemories(t);
  const db = await open({ storage: 'memory' });
  const c = await db.collection('c', schema);
  await c.upsert(points('a', 3));
  await db.recover();
  assert.equal(memories.length, 1);
  assert.equal(await c.count(), 3);
  await db.close();
});

test('what waits when another call traps is rejected, and what it had on its way is there after recover()', async (t) => {
  const memories = watchMemories(t);
  const { append } = MemoryVolume.prototype;
  const held = [];
  const db = await open({ storage: 'memory' });
  const c = await db.collection('c', schema);
  await c.upsert(points('a', 1));
  t.mock.method(MemoryVolume.prototype, 'append', async function (...arguments_) {
    await new Promise((resolve) => held.push(resolve));
    return append.apply(this, arguments_);
  });
  const first = c.upsert(points('b', 1));
  const second = c.upsert(points('d', 1));
  const results = Promise.allSettled([first, second]);
  while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  breakMemory(memories[0]);
  await rejectsWith('InstancePoisoned', c.count());
  for (const { reason } of await results) assert.equal(reason?.code, 'InstancePoisoned', String(reason));

  // Not before the append has landed: the new engine would not know of it, and its own would be refused.
  let recovered = false;
  const recovering = db.recover().then(() => (recovered = true));
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(recovered, false);
  t.mock.restoreAll();
  for (const release of held) release();
  await recovering;
  assert.equal((await c.get(['a0', 'b0', 'd0'])).length, 2);
  await c.upsert(points('e', 1));
  assert.equal(await c.count(), 3);
  await db.close();
});

test('a broken database still gives its lock back, and saves nothing', async (t) => {
  const memories = watchMemories(t);
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path });
  const c = await db.collection('c', schema);
  await c.upsert(points('a', 3));
  const files = readdirSync(path).sort();
  breakMemory(memories[0]);
  await rejectsWith('InstancePoisoned', c.count());
  await db.close();
  assert.deepEqual(
    readdirSync(path).sort(),
    files.filter((name) => name !== 'LOCK'),
  );
  const again = await open({ path });
  assert.equal(await (await again.collection('c')).count(), 3);
  await again.close();
});

test('a recover() that fails says why, keeps the lock, and can be tried again', async (t) => {
  const memories = watchMemories(t);
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path });
  const c = await db.collection('c', schema);
  await c.upsert(points('a', 3));
  breakMemory(memories[0]);
  await rejectsWith('InstancePoisoned', c.count());
  const { list } = NodeVolume.prototype;
  t.mock.method(NodeVolume.prototype, 'list', () => Promise.reject(new Error('the disk is gone')));
  await rejectsWith('StorageFailed', db.recover());
  const error = await rejectsWith('InstancePoisoned', c.count());
  assert.match(error.message, /recover\(\) failed.*the disk is gone/);
  await rejectsWith('InstancePoisoned', c.upsert(points('b', 1)));
  await rejectsWith('DatabaseLocked', open({ path }));
  NodeVolume.prototype.list = list;

  const manifest = readdirSync(path).filter((name) => name.startsWith('manifest-'));
  const sound = manifest.map((name) => readFileSync(join(path, name)));
  for (const name of manifest) writeFileSync(join(path, name), 'garbage');
  await rejectsWith('StorageCorrupt', db.recover());
  manifest.forEach((name, i) => writeFileSync(join(path, name), sound[i]));
  await db.recover();
  assert.equal(await c.count(), 3);
  await db.close();
});

test('a trap while recovering leaves the database broken, not half open', async (t) => {
  const memories = watchMemories(t);
  const db = await open({ storage: 'memory' });
  const c = await db.collection('c', schema);
  await c.upsert(points('a', 3));
  breakMemory(memories[0]);
  await rejectsWith('InstancePoisoned', c.count());
  const { list } = MemoryVolume.prototype;
  MemoryVolume.prototype.list = function () {
    MemoryVolume.prototype.list = list;
    breakMemory(memories[1]);
    return list.call(this);
  };
  await rejectsWith('InstancePoisoned', db.recover());
  await rejectsWith('InstancePoisoned', c.count());
  await db.recover();
  assert.equal(await c.count(), 3);
  await db.close();
});

test('spec documents go on after a trap, questions in words included', async (t) => {
  const memories = watchMemories(t);
  const documents = [
    { path: 'a.md', text: '# Uploads\n\nBroken uploads are retried.\n' },
    { path: 'b.md', text: '# Birds\n\nThe kestrel hovers.\n' },
  ];
  const specs = await openSpecs({ storage: 'memory' });
  await specs.index(documents);
  const before = await specs.search('retry of uploads');
  breakMemory(memories[0]);
  await rejectsWith('InstancePoisoned', specs.search('retry of uploads'));
  await rejectsWith('InstancePoisoned', specs.index(documents));
  await rejectsWith('InstancePoisoned', specs.info());
  await specs.recover();
  assert.deepEqual(await specs.search('retry of uploads'), before);
  const report = await specs.index([...documents, { path: 'c.md', text: '# Locks\n\nOne writer.\n' }]);
  assert.equal(report.filesUnchanged, 2);
  assert.equal(report.filesIndexed, 1);
  assert.equal((await specs.search('one writer'))[0].payload.source, 'c.md');
  await specs.close();
});

test('a collection that was made again with other vectors is known as it is now', async () => {
  const db = await open({ storage: 'memory' });
  const c = await db.collection('c', schema);
  await c.upsert(points('a', 3));
  await db.dropCollection('c');
  await rejectsWith('NotFound', c.upsert(points('a', 1)));
  await db.collection('c', { dimension: 3 });
  await rejectsWith('DimensionMismatch', c.upsert(points('a', 1)));
  await c.upsert([{ id: 'b', vector: [1, 2, 3] }]);
  assert.equal((await c.search({ vector: [1, 2, 3] })).length, 1);
  await db.close();
});

test('out of memory: calls that only read, or had not begun, change nothing; a write that was under way poisons', async (t) => {
  const wasm = engineWithPages(1024);
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path, wasm });
  const c = await db.collection('c', { dimension: 2 });
  const acknowledged = new Set();
  const seen = { whole: 0, refused: 0, halfway: 0 };
  const write = async (id, megabytes) => {
    // Several points: one text has a limit of its own.
    const batch = Array.from({ length: megabytes * 4 }, (_, i) => ({
      id: `${id}.${i}`,
      text: `${i} `.padEnd(256 * 1024, '.'),
    }));
    const large = c.upsert(batch);
    // Waits behind it: must not be saved from what the other one left halfway.
    const small = c.upsert([{ id: `small ${id}` }]);
    const [result, other] = await Promise.allSettled([large, small]);
    if (other.status === 'fulfilled') acknowledged.add(`small ${id}`);
    else assert.match(other.reason.code, /^(OutOfMemory|InstancePoisoned)$/);
    if (result.status === 'fulfilled') {
      for (const { id } of batch) acknowledged.add(id);
      seen.whole++;
    } else {
      const error = result.reason;
      assert.equal(error.code, 'OutOfMemory', error.stack);
      const after = await c.count().catch((error) => error);
      if (typeof after === 'number') {
        assert.equal(other.status, 'fulfilled');
        assert.equal(after, acknowledged.size);
        seen.refused++;
        return;
      }
      assert.equal(after.code, 'InstancePoisoned');
      seen.halfway++;
      await db.recover();
    }
    const found = new Set();
    for await (const page of c.scroll({ batch: 10 })) for (const { id } of page) found.add(id);
    for (const id of acknowledged) assert.ok(found.has(id), `${id} was acknowledged and is not there`);
    assert.equal(found.has(`small ${id}`), other.status === 'fulfilled', 'saved by an instance that had broken');
    // Part of a batch is as wrong as none of an acknowledged one.
    const here = [...found].filter((one) => one.startsWith(`${id}.`)).length;
    assert.ok(here === 0 || here === batch.length, `${here} of ${batch.length}`);
    for (const id of found) acknowledged.add(id);
  };
  await write('small', 1);
  for (const megabytes of [60, 30, 26, 22, 20, 18, 16, 14, 12, 10, 8]) {
    await write(`b${megabytes}`, megabytes);
    if (seen.halfway > 0 && seen.refused > 0) break;
  }
  assert.ok(seen.refused > 0 && seen.halfway > 0, JSON.stringify(seen));
  await c.upsert([{ id: 'last', vector: [1, 2] }]);
  await db.close();

  const again = await open({ path });
  const found = await again.collection('c');
  assert.equal(await found.count(), acknowledged.size + 1);
  await again.close();
});

// Up to there no sum of an address and a size wraps: wasm/CMakeLists.txt.
test('memory ends 256 MB before what 32 bits can address', async (t) => {
  const memories = watchMemories(t);
  const db = await open({ storage: 'memory' });
  const [memory] = memories;
  const most = 3840 * 16;
  assert.throws(() => memory.grow(most + 1 - memory.buffer.byteLength / 65536), RangeError);
  await db.close();
});

// In each case rows, and what saving them takes, fit; what an index learns from does not fit as well.
for (const [pages, rows, schema] of [
  [1600, 40_000, { index: 'ivf_flat' }],
  [600, 20_000, { index: 'ivf_rabitq', vectorStorage: 'onDemand' }],
]) {
  const name = `${schema.index}, ${schema.vectorStorage ?? 'memory'}`;
  test(`an index that there is no memory for is given up, and nothing else: ${name}`, async (t) => {
    const path = join(temporaryFolder(t), 'db');
    const dimension = 384;
    const next = random(1);
    const points = (first, count) =>
      Array.from({ length: count }, (_, i) => ({ id: `p${first + i}`, vector: randomVector(next, dimension) }));
    const db = await open({ path, wasm: engineWithPages(pages), cacheBytes: 1 << 20 });
    const c = await db.collection('c', { dimension, ...schema });
    for (let i = 0; i < rows; i += 500) await c.upsert(points(i, 500), { durability: 'relaxed' });
    const error = await rejectsWith('OutOfMemory', c.optimize());
    assert.match(error.message, /index of "c"/);
    const { index } = await c.info();
    assert.equal(index.kind, 'flat');
    assert.match(index.reason, /no memory/);

    // Searches scan, writes go on, and asking again makes nothing worse.
    const vector = randomVector(next, dimension);
    const hits = await c.search({ vector, k: 20 });
    assert.deepEqual(hits, await c.search({ vector, k: 20, exact: true }));
    await c.upsert(points(rows, 500));
    await rejectsWith('OutOfMemory', c.optimize());
    await db.flush();
    assert.equal(await c.count(), rows + 500);

    // With a tenth of them there is room.
    await c.delete(Array.from({ length: rows }, (_, i) => `p${i}`).filter((_, i) => i % 10 !== 0));
    while ((await c.info()).tombstones > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await c.optimize();
    const after = await c.info();
    assert.equal(after.index.kind, schema.index);
    assert.equal(after.index.unindexed, 0);
    assert.equal(after.count, rows / 10 + 500);
    await db.close();

    const again = await open({ path });
    const found = await again.collection('c');
    assert.equal(await found.count(), rows / 10 + 500);
    await again.close();
  });
}
