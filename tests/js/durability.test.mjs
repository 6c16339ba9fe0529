// What was acknowledged is there again: after closing, after killing the process, and not for two writers at once.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { open } from 'nearfield';
import { random, randomVector, rejectsWith, temporaryFolder } from './support.mjs';

const project = new URL('../..', import.meta.url);

test('a closed database is as it was when it is opened again', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const next = random(30);
  const points = Array.from({ length: 500 }, (_, i) => ({
    id: `p${i}`,
    vector: randomVector(next, 16),
    text: `number ${i} of many`,
    payload: { i },
  }));
  const schema = { dimension: 16, metric: 'euclidean', index: 'hnsw', text: {} };
  const queries = Array.from({ length: 10 }, (_, i) => ({ vector: randomVector(next, 16), text: `number ${i}` }));

  let db = await open({ path });
  let collection = await db.collection('c', schema);
  await collection.upsert(points);
  await collection.delete(['p3', 'p4']);
  const before = await collection.searchBatch(queries);
  await db.close();
  assert.equal(existsSync(join(path, 'LOCK')), false);

  for (const readOnly of [false, true]) {
    db = await open({ path, readOnly });
    collection = await db.collection('c', schema);
    assert.equal(await collection.count(), 498);
    assert.deepEqual(await collection.searchBatch(queries), before);
    const { recovery } = await db.info();
    assert.ok(recovery.generation > 0);
    assert.deepEqual(recovery.rebuilt, []);
    await db.close();
  }
});

test('a read-only database takes no lock and refuses writes', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  await rejectsWith('NotFound', open({ path, readOnly: true }));
  assert.equal(existsSync(path), false);
  const writer = await open({ path });
  await (await writer.collection('c', { dimension: 2 })).upsert([{ id: 'a', vector: [1, 2] }]);
  const reader = await open({ path, readOnly: true });
  const collection = await reader.collection('c');
  assert.equal(await collection.count(), 1);
  await rejectsWith('ReadOnly', collection.upsert([{ id: 'b' }]));
  await rejectsWith('ReadOnly', collection.delete(['a']));
  await rejectsWith('ReadOnly', collection.clear());
  await rejectsWith('ReadOnly', reader.collection('new', { dimension: 2 }));
  await rejectsWith('ReadOnly', reader.dropCollection('c'));
  assert.equal((await collection.search({ vector: [1, 2] })).length, 1);
  await reader.close();
  await writer.close();
});

test('two cannot write at once', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const first = await open({ path });
  const error = await rejectsWith('DatabaseLocked', open({ path }));
  assert.equal(error.value, process.pid);
  assert.equal(error.retryable, true);
  assert.ok(error.message.includes(path));
  await first.close();
  await (await open({ path })).close();
});

test('a killed process leaves what it acknowledged, and no lock', async (t) => {
  for (const durability of ['strict', 'relaxed']) {
    const path = join(temporaryFolder(t), 'db');
    // Says each id once its upsert is acknowledged, and never stops.
    const script = `
      import { open } from 'nearfield';
      const db = await open({ path: ${JSON.stringify(path)}, durability: '${durability}' });
      const c = await db.collection('c', { dimension: 4, text: {} });
      for (let i = 0; ; i++) {
        await c.upsert([{ id: 'p' + i, vector: [i, 1, 2, 3], text: 'text ' + i, payload: { i } }]);
        console.log(i);
      }
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let acknowledged = -1;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged === 40) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.ok(acknowledged >= 40);
    assert.ok(readdirSync(path).includes('LOCK'));

    const db = await open({ path });
    const c = await db.collection('c');
    // The upsert that was under way may be there or not; whatever is there is whole.
    const count = await c.count();
    assert.ok(count === acknowledged + 1 || count === acknowledged + 2, `${count} of ${acknowledged + 1}`);
    for (let i = 0; i < count; i++) {
      const [point] = await c.get([`p${i}`], { include: ['payload', 'text', 'vector'] });
      assert.deepEqual(point, {
        id: `p${i}`,
        payload: { i },
        text: `text ${i}`,
        vector: Float32Array.of(i, 1, 2, 3),
      });
    }
    await c.upsert([{ id: 'after', vector: [0, 0, 0, 1] }]);
    await db.close();
    const again = await open({ path });
    assert.equal(await (await again.collection('c')).count(), count + 1);
    await again.close();
  }
});

test('garbage in the folder is reported, not taken for an empty database', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path });
  await (await db.collection('c', { dimension: 2 })).upsert([{ id: 'a', vector: [1, 2] }]);
  await db.close();
  for (const name of readdirSync(path)) if (name.startsWith('manifest-')) writeFileSync(join(path, name), 'garbage');
  const error = await rejectsWith('StorageCorrupt', open({ path }));
  assert.equal(error.retryable, false);
  // The lock was given back.
  assert.equal(existsSync(join(path, 'LOCK')), false);
});

test('writes go on being checkpointed as the log grows', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const db = await open({ path });
  const c = await db.collection('c', { text: {} });
  const { generation } = await db.info();
  for (let i = 0; i < 6; i++) {
    const points = Array.from({ length: 100 }, (_, j) => ({ id: `${i}.${j}`, text: `${i} ${'word '.repeat(2000)}` }));
    await c.upsert(points, { durability: 'relaxed' });
  }
  await db.flush();
  assert.ok((await db.info()).generation > generation);
  const after = (await db.info()).generation;
  await db.flush();
  assert.equal((await db.info()).generation, after, 'a second flush has nothing to do');
  await db.close();
  const again = await open({ path, readOnly: true });
  assert.equal((await again.info()).recovery.logBatches, 0);
  assert.equal(await (await again.collection('c')).count(), 600);
  await again.close();
});
