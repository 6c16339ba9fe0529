// One writes, others read at a generation and follow it; the writer's role passes on when the writer is gone.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { NearfieldError, open } from 'nearfield';
import { openSpecs } from 'nearfield/specs';
import { NodeVolume } from '../../dist/volumes/node.js';
import { breakMemory, watchMemories } from './instances.mjs';
import { random, rejectsWith, temporaryFolder } from './support.mjs';

const project = new URL('../..', import.meta.url);

/** Asks until the answer is yes; gives up on what has not come in a minute. */
async function until(condition) {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A process that runs `script`; answers it and an iterator over its lines. It is gone after the test. */
function run(t, script) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

test('a reader sees what is written: by itself, or when it is told to', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const writer = await open({ path });
  const c = await writer.collection('c', { dimension: 2, text: {} });
  await c.upsert([{ id: 'a', vector: [1, 2], text: 'kestrel' }]);
  const follower = await open({ path, readOnly: true });
  const still = await open({ path, readOnly: true, follow: false });
  const changes = [];
  const stop = follower.onChange((change) => changes.push(change));
  const [seen, kept] = [await follower.collection('c'), await still.collection('c')];
  assert.equal((await writer.info()).role, 'writer');
  for (const reader of [follower, still]) {
    const { role, readOnly } = await reader.info();
    assert.deepEqual({ role, readOnly }, { role: 'reader', readOnly: true });
  }

  await c.upsert([{ id: 'b', vector: [2, 1], text: 'heron' }]);
  await until(async () => (await seen.count()) === 2);
  assert.equal((await seen.search({ text: 'heron' }))[0].id, 'b');
  assert.equal(await kept.count(), 1);
  assert.equal(await still.refresh(), true);
  assert.equal(await still.refresh(), false);
  assert.equal(await kept.count(), 2);
  assert.equal(await writer.refresh(), false);

  await writer.collection('new', {});
  await until(async () => (await follower.collections()).includes('new'));
  await rejectsWith('NotFound', still.collection('new'));
  // Another collection of the same name, with vectors of another length.
  await writer.dropCollection('c');
  await (await writer.collection('c', { dimension: 3 })).upsert([{ id: 'z', vector: [1, 2, 3] }]);
  await until(async () => (await seen.get(['z']).catch(() => [])).length === 1);
  assert.equal((await seen.search({ vector: [1, 2, 3] }))[0].id, 'z');
  await rejectsWith('DimensionMismatch', seen.search({ vector: [1, 2] }));

  assert.ok(changes.length > 0);
  assert.ok(changes.every(({ role }) => role === 'reader'));
  const generations = changes.map(({ generation }) => generation);
  assert.deepEqual(
    generations,
    [...generations].sort((a, b) => a - b),
  );
  stop();
  const heard = changes.length;
  await c.count().catch(() => {});
  await (await writer.collection('last', {})).upsert([{ id: 'x' }]);
  await until(async () => (await follower.collections()).includes('last'));
  assert.equal(changes.length, heard);

  await follower.close();
  await rejectsWith('Closed', follower.refresh());
  await still.close();
  await writer.close();
});

test('a reader stays open across commits and compactions of another process, and never sees half a write', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const { child, lines } = run(
    t,
    `
      import { open } from 'nearfield';
      const db = await open({ path: ${JSON.stringify(path)}, durability: 'relaxed' });
      const c = await db.collection('c', { dimension: 4 });
      for (let round = 1; round <= 400; round++) {
        const points = Array.from({ length: 20 }, (_, i) => ({ id: 'p' + i, vector: [round, i, 0, 1], payload: { round } }));
        await c.upsert(points);
        if (round % 7 === 0) await db.flush();
        if (round % 50 === 0) await c.optimize();
        console.log(round);
      }
    `,
  );
  await lines.next();
  const reader = await open({ path, readOnly: true });
  const c = await reader.collection('c');
  let acknowledged = 1;
  let ended = false;
  const listen = (async () => {
    for (let line = await lines.next(); !line.done; line = await lines.next()) acknowledged = Number(line.value);
    ended = true;
  })();
  let last = 0;
  let generations = new Set();
  while (!ended) {
    const before = acknowledged;
    await reader.refresh();
    const hits = await c.search({ vector: [1, 0, 0, 1], k: 100 });
    const rounds = new Set(hits.map(({ payload }) => payload.round));
    assert.equal(hits.length, 20);
    assert.equal(rounds.size, 1, `rows of rounds ${[...rounds]}`);
    const [round] = rounds;
    assert.ok(round >= before && round >= last, `round ${round} after ${before} was acknowledged and ${last} seen`);
    last = round;
    generations.add((await reader.info()).generation);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await listen;
  assert.ok(generations.size > 1, 'the reader saw one generation only');
  await reader.refresh();
  assert.equal((await c.get(['p0']))[0].payload.round, 400);
  await reader.close();
  child.kill('SIGKILL');
});

test('what a reader sees is always a state the writer went through, in their order: 1,000 interleavings', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const next = random(41);
  const whole = (limit) => Math.floor(next() * limit);
  const writer = await open({ path, durability: 'relaxed' });
  let reader = await open({ path, readOnly: true, follow: false });

  // States as text: of each collection its points, by id.
  const model = new Map();
  const states = [];
  const remember = () => {
    const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
    states.push(JSON.stringify(sorted.map(([name, points]) => [name, [...points].sort()])));
  };
  remember();
  let issued = 0;
  let acknowledged = 0;
  let seen = 0;

  const write = async () => {
    const name = `c${whole(2)}`;
    const points = model.get(name);
    const kind = points === undefined ? 'create' : whole(60);
    let call;
    if (kind === 'create') {
      model.set(name, new Map());
      call = () => writer.collection(name, { dimension: 2 });
    } else if (kind < 36) {
      const ids = [...new Set(Array.from({ length: 1 + whole(6) }, () => `p${whole(40)}`))];
      const value = whole(1e9);
      // Now and then too large for the log.
      const text = whole(60) === 0 ? 'x'.repeat(300_000) : '';
      for (const id of ids) points.set(id, value);
      call = async () => {
        const c = await writer.collection(name);
        await c.upsert(ids.map((id) => ({ id, vector: [value, 1], text: text && `${text}${id}`, payload: { value } })));
      };
    } else if (kind < 56) {
      const ids = Array.from({ length: 1 + whole(4) }, () => `p${whole(40)}`);
      for (const id of ids) points.delete(id);
      call = async () => (await writer.collection(name)).delete(ids);
    } else if (kind === 56) {
      points.clear();
      call = async () => (await writer.collection(name)).clear();
    } else if (kind === 57) {
      model.delete(name);
      call = () => writer.dropCollection(name);
    } else if (kind === 58) {
      call = () => writer.flush();
    } else {
      call = async () => (await writer.collection(name)).optimize();
    }
    remember();
    const number = ++issued;
    await call();
    acknowledged = Math.max(acknowledged, number);
  };

  const look = async () => {
    const least = Math.max(seen, acknowledged);
    await reader.refresh();
    const names = (await reader.collections()).sort();
    const found = [];
    for (const name of names) {
      const points = [];
      // One page each: no refresh comes between.
      const c = await reader.collection(name);
      for await (const page of c.scroll({ batch: 10_000 })) {
        for (const { id, payload } of page) points.push([id, payload.value]);
      }
      found.push([name, points.sort()]);
    }
    const text = JSON.stringify(found);
    const at = states.indexOf(text, least);
    assert.ok(at >= 0 && at <= issued, `no state from ${least} to ${issued} is ${text.slice(0, 300)}`);
    seen = at;
  };

  for (let i = 0; i < 1000; i++) {
    if (whole(50) === 0) {
      await reader.close();
      const opening = open({ path, readOnly: true, follow: false });
      if (whole(2) === 0) await write();
      reader = await opening;
      seen = 0;
    }
    // Calls that depend on each other's names are not mixed: each is started when the one before has its answer.
    const writing = (async () => {
      for (let n = whole(3); n >= 0; n--) await write();
    })();
    const steps = whole(4);
    for (let n = 0; n < steps; n++) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([writing, whole(3) === 0 ? undefined : look()]);
    if (whole(10) === 0) {
      await look();
      assert.equal(states[seen], states[issued]);
    }
  }
  await look();
  await reader.close();
  await writer.close();
});

test('a reader whose files are in the way of being read goes on with what it has', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const writer = await open({ path });
  const c = await writer.collection('c', { dimension: 2 });
  await c.upsert([{ id: 'a', vector: [1, 2] }]);
  const reader = await open({ path, readOnly: true, follow: false });
  const seen = await reader.collection('c');
  await c.upsert([{ id: 'b', vector: [1, 2] }]);

  const { read } = NodeVolume.prototype;
  const broken = () => Promise.reject(new NearfieldError('StorageFailed', 'no answer from the disk'));
  NodeVolume.prototype.read = broken;
  try {
    await rejectsWith('StorageFailed', reader.refresh());
    assert.equal(await seen.count(), 1);
    // Twice, then it works: nobody need hear of it.
    let failures = 2;
    NodeVolume.prototype.read = function (...arguments_) {
      return failures-- > 0 ? broken() : read.apply(this, arguments_);
    };
    assert.equal(await reader.refresh(), true);
    assert.ok(failures < 0);
  } finally {
    NodeVolume.prototype.read = read;
  }
  assert.equal(await seen.count(), 2);
  await reader.close();
  await writer.close();
});

test('a reader that finds no files, because each was replaced while they were listed, looks again', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const writer = await open({ path });
  const c = await writer.collection('c', {});
  await c.upsert([{ id: 'a' }]);
  const { list } = NodeVolume.prototype;
  let empty = 0;
  NodeVolume.prototype.list = function () {
    return empty-- > 0 ? Promise.resolve([]) : list.call(this);
  };
  try {
    empty = 1;
    const reader = await open({ path, readOnly: true, follow: false });
    const seen = await reader.collection('c');
    assert.equal(await seen.count(), 1);
    await c.upsert([{ id: 'b' }]);
    for (empty of [1, 2, 3]) await reader.refresh();
    assert.equal(await seen.count(), 2);
    // Gone for good, as far as it can see: what it has is better than nothing.
    empty = Infinity;
    await rejectsWith('StorageFailed', reader.refresh());
    assert.equal(await seen.count(), 2);
    empty = 0;
    await reader.close();
  } finally {
    NodeVolume.prototype.list = list;
  }
  await writer.close();
});

test('a standby takes over after the writer was killed, with everything that was acknowledged', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const { child, lines } = run(
    t,
    `
      import { open } from 'nearfield';
      const db = await open({ path: ${JSON.stringify(path)} });
      const c = await db.collection('c', { dimension: 4 });
      for (let i = 0; ; i++) {
        await c.upsert([{ id: 'p' + i, vector: [i, 1, 2, 3], payload: { i } }]);
        if (i % 10 === 9) await db.flush();
        console.log(i);
      }
    `,
  );
  assert.equal((await lines.next()).value, '0');
  const standby = await open({ path, standby: true });
  const changes = [];
  standby.onChange((change) => changes.push(change));
  assert.equal((await standby.info()).role, 'reader');
  const c = await standby.collection('c');
  const refused = await rejectsWith('ReadOnly', c.upsert([{ id: 'x', vector: [1, 2, 3, 4] }]));
  assert.match(refused.message, /standby/);
  await rejectsWith('Aborted', standby.writable({ signal: AbortSignal.abort() }));
  const patience = new AbortController();
  const given = rejectsWith('Aborted', standby.writable({ signal: patience.signal }));
  patience.abort();
  await given;

  let acknowledged = 0;
  while (acknowledged < 35) acknowledged = Number((await lines.next()).value);
  child.kill('SIGKILL');
  for (let line = await lines.next(); !line.done; line = await lines.next()) acknowledged = Number(line.value);
  await standby.writable();
  assert.equal((await standby.info()).role, 'writer');
  assert.equal((await standby.info()).readOnly, false);
  const count = await c.count();
  assert.ok(count === acknowledged + 1 || count === acknowledged + 2, `${count} of ${acknowledged + 1}`);
  await c.upsert([{ id: 'after', vector: [0, 0, 0, 1] }]);
  assert.equal(changes.at(-1).role, 'writer');
  await rejectsWith('DatabaseLocked', open({ path }));
  await standby.close();
  const again = await open({ path });
  assert.equal(await (await again.collection('c')).count(), count + 1);
  await again.close();
});

test('a standby writes at once where nobody else does, and the next one takes over from it', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const first = await open({ path, standby: true });
  assert.equal((await first.info()).role, 'writer');
  await first.writable();
  const second = await open({ path, standby: true });
  const third = await open({ path, standby: true, follow: false });
  await (await first.collection('c', {})).upsert([{ id: 'a' }]);
  // Giving up is no matter for the others.
  await third.close();
  await rejectsWith('Closed', third.writable());
  assert.equal(existsSync(join(path, 'LOCK')), true);
  const taken = second.writable();
  await first.close();
  await taken;
  assert.deepEqual(await (await second.collection('c')).get(['a']), [{ id: 'a' }]);
  await (await second.collection('c')).upsert([{ id: 'b' }]);
  await second.close();
  await rejectsWith('Closed', second.writable());
  assert.equal(existsSync(join(path, 'LOCK')), false);
});

test('a second writer is refused, or waits as long as it is allowed to', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const first = await open({ path });
  await (await first.collection('c', {})).upsert([{ id: 'a' }]);
  await rejectsWith('DatabaseLocked', open({ path }));
  await rejectsWith('DatabaseLocked', open({ path, wait: false }));
  await rejectsWith('Aborted', open({ path, wait: true, signal: AbortSignal.abort() }));
  const patience = new AbortController();
  const refused = rejectsWith('Aborted', open({ path, wait: true, signal: patience.signal }));
  patience.abort(new Error('enough'));
  await refused;
  const reader = await open({ path, readOnly: true });
  await rejectsWith('ReadOnly', reader.writable());
  const waiting = open({ path, wait: true });
  await first.close();
  const second = await waiting;
  assert.equal(await (await second.collection('c')).count(), 1);
  await second.close();
  await reader.close();
});

test('a writer that lost its lock cannot write any more', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const first = await open({ path });
  const c = await first.collection('c', {});
  await c.upsert([{ id: 'a' }]);
  // Somebody was sure that it is stale.
  rmSync(join(path, 'LOCK'));
  const second = await open({ path });
  const d = await second.collection('c');
  await d.upsert([{ id: 'b' }]);
  await second.flush();
  const error = await rejectsWith('Conflict', c.upsert([{ id: 'x' }]));
  assert.equal(error.retryable, true);
  await rejectsWith('Conflict', first.flush());
  await first.close().catch((error) => assert.equal(error.code, 'Conflict'));
  // It did not take the lock of the other one with it.
  await rejectsWith('DatabaseLocked', open({ path }));
  assert.equal(await d.count(), 2);
  await d.upsert([{ id: 'y' }]);
  await second.close();
  const again = await open({ path });
  assert.deepEqual(
    (await (await again.collection('c')).get(['a', 'b', 'x', 'y'])).map(({ id }) => id),
    ['a', 'b', 'y'],
  );
  await again.close();
});

test('readers and standbys recover after a trap, too', async (t) => {
  const memories = watchMemories(t);
  const path = join(temporaryFolder(t), 'db');
  const writer = await open({ path });
  const c = await writer.collection('c', {});
  await c.upsert([{ id: 'a' }]);
  const standby = await open({ path, standby: true });
  const seen = await standby.collection('c');
  breakMemory(memories[1]);
  await rejectsWith('InstancePoisoned', seen.count());
  await rejectsWith('InstancePoisoned', standby.refresh());
  await c.upsert([{ id: 'b' }]);
  await standby.recover();
  assert.equal(await seen.count(), 2);
  await c.upsert([{ id: 'd' }]);
  await until(async () => (await seen.count()) === 3);

  // Broken while the role passes on: it has the lock, and writes once it is well again.
  breakMemory(memories.at(-1));
  await rejectsWith('InstancePoisoned', seen.count());
  const taken = standby.writable();
  await writer.close();
  await until(() => existsSync(join(path, 'LOCK')) && readFileSync(join(path, 'LOCK'), 'utf8').includes('token'));
  await standby.recover();
  await taken;
  await seen.upsert([{ id: 'e' }]);
  assert.equal(await seen.count(), 4);
  await standby.close();
});

test('spec documents are searched in one place while another one indexes them', async (t) => {
  const path = join(temporaryFolder(t), 'db');
  const writer = await openSpecs({ path });
  await rejectsWith('NotFound', openSpecs({ path, readOnly: true }));
  const standby = await openSpecs({ path, standby: true });
  assert.deepEqual(await standby.search('kestrel'), []);
  await writer.index([{ path: 'a.md', text: '# Birds\n\nThe kestrel hovers.\n' }]);
  await until(async () => (await standby.search('kestrel')).length === 1);
  const reader = await openSpecs({ path, readOnly: true });
  assert.equal((await reader.search('hovering birds')).length, 1);
  await writer.index([{ path: 'b.md', text: '# Fish\n\nThe carp swims.\n' }]);
  await until(async () => (await reader.search('carp', { mode: 'text' })).length === 1);
  await rejectsWith('ReadOnly', reader.index([]));
  await rejectsWith('ReadOnly', standby.index([]));

  // The command line opens for reading: a running writer is not in its way.
  const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
  for (const [words, expected] of [
    [['search', 'carp'], /carp/i],
    [['stats'], /1/],
  ]) {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...words, '--db', path]);
    assert.match(stdout, expected);
  }

  await writer.close();
  await standby.writable();
  const report = await standby.index([{ path: 'c.md', text: '# Moss\n\nMoss grows.\n' }]);
  assert.deepEqual([report.filesIndexed, report.filesRemoved], [1, 1]);
  await until(async () => (await reader.search('moss', { mode: 'text' })).length === 1);
  await standby.close();
  await reader.close();
});
