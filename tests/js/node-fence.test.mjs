// A writer whose lock was taken from it, at any moment, must not disturb the next one nor acknowledge what that one
// does not see. Process namespaces and people who remove LOCK files by hand make this happen.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeVolume } from '../../dist/volumes/node.js';
import { hookedFiles } from './hooked-files.mjs';
import { rejectsWith, temporaryFolder } from './support.mjs';

const text = (value) => new TextEncoder().encode(value);
const log = 'log-0000000000000001';

// What a reader finds: { name: contents }.
function snapshot(folder) {
  const names = readdirSync(folder).filter((name) => name !== 'LOCK' && !name.endsWith('.tmp'));
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

async function opened(folder, files) {
  const volume = await NodeVolume.open(folder, false, files);
  await volume.lock();
  return volume;
}

// A database at generation 1, with a log of that many bytes.
async function makeDatabase(folder, logged) {
  const volume = await opened(folder);
  await volume.write('segment-old', text('old'));
  await volume.commit(0, text('one'), [], false);
  if (logged !== '') await volume.append(log, 0, 1, text(logged), false);
  await volume.unlock();
  await volume.close();
}

const late = [
  { what: 'first append to a new log', logged: '', run: (volume) => volume.append(log, 0, 1, text('late'), false) },
  { what: 'first append to a log', logged: 'before', run: (volume) => volume.append(log, 6, 1, text('late'), false) },
  {
    what: 'next append',
    logged: 'before',
    prepare: (volume) => volume.append(log, 6, 1, text(' '), false),
    run: (volume) => volume.append(log, 7, 1, text('late'), false),
  },
  {
    what: 'next append, relaxed',
    logged: 'before',
    prepare: (volume) => volume.append(log, 6, 1, text(' '), true),
    run: (volume) => volume.append(log, 7, 1, text('late'), true),
  },
  { what: 'commit', logged: 'before', run: (volume) => volume.commit(1, text('late'), ['segment-old'], false) },
  { what: 'commit, relaxed', logged: '', run: (volume) => volume.commit(1, text('late'), ['segment-old'], true) },
  { what: 'write', logged: 'before', run: (volume) => volume.write('segment-late', text('late')) },
];

const rivals = {
  appends: async (volume, found) => {
    const generation = Object.keys(found).filter((name) => name.startsWith('manifest-')).length;
    const name = `log-${generation.toString(16).padStart(16, '0')}`;
    const before = found[name] ?? '';
    await volume.append(name, before.length, generation, text('rival'), false);
    return { [name]: `${before}rival` };
  },
  commits: async (volume, found) => {
    const generation = Object.keys(found).filter((name) => name.startsWith('manifest-')).length;
    await volume.commit(generation, text('rival'), [], false);
    return { [`manifest-${(generation + 1).toString(16).padStart(16, '0')}`]: 'rival' };
  },
};

// Whether the late one's effect is among what the rival found when it had the lock.
const contains = (found) =>
  Object.entries(found).some(([name, contents]) => !name.startsWith('LOCK') && contents.includes('late'));

for (const { what, logged, prepare, run } of late) {
  for (const [rivalName, rival] of Object.entries(rivals)) {
    test(`node: ${what} by a writer that loses its lock to one that ${rivalName}, at every step`, async (t) => {
      // Undisturbed once, to count the steps.
      let steps = 0;
      for (let stealAt = -1; stealAt < steps; stealAt++) {
        const folder = join(temporaryFolder(t), 'db');
        await makeDatabase(folder, logged);
        let step = 0;
        let counting = false;
        let found;
        let expected;
        let second;
        const volume = await opened(
          folder,
          hookedFiles(async (_operation, args, call) => {
            if (counting && step++ === stealAt) {
              rmSync(join(folder, 'LOCK'), { force: true });
              second = await opened(folder);
              found = snapshot(folder);
              expected = { ...found, ...(await rival(second, found)) };
            }
            return call(...args);
          }),
        );
        await prepare?.(volume);
        counting = true;
        const outcome = await run(volume).then(
          () => 'acknowledged',
          (error) => error.code,
        );
        counting = false;
        if (stealAt < 0) {
          assert.equal(outcome, 'acknowledged');
          steps = step;
          await volume.unlock();
          await volume.close();
          continue;
        }
        const where = `stolen at step ${stealAt} of ${steps}`;
        if (outcome === 'acknowledged') assert.ok(contains(found), `acknowledged what the next writer lacks, ${where}`);
        else assert.equal(outcome, 'Conflict', where);

        // Its own commit may still clear away after it. The log of a generation that the rival has left behind may get a
        // record more: nobody reads it again, or finds it like any unacknowledged one.
        const rest = ({ 'segment-old': _, [log]: old, ...others }) =>
          rivalName === 'commits' ? others : { [log]: old, ...others };
        assert.deepEqual(rest(snapshot(folder)), rest(expected), where);
        for (const call of [
          () => run(volume),
          () => volume.append('log-0000000000000009', 0, 9, text('late'), false),
          () => volume.commit(9, text('late'), [], false),
          () => volume.write('segment-later', text('late')),
        ]) {
          await rejectsWith('Conflict', call());
        }
        assert.deepEqual(rest(snapshot(folder)), rest(expected), where);
        await volume.unlock();
        await volume.close();

        // The rival is not disturbed, and its lock is still there.
        await second.write('segment-rival', text('rival'));
        await second.unlock();
        await second.close();
        assert.deepEqual(
          readdirSync(folder).filter((name) => name === 'LOCK' || name.endsWith('.tmp')),
          [],
        );
      }
      assert.ok(steps > 3);
    });
  }
}

test('node: a lock that somebody else wrote over or removed refuses every write until it is taken anew', async (t) => {
  const folder = temporaryFolder(t);
  for (const spoil of [
    () => writeFileSync(join(folder, 'LOCK'), '{"pid":1,"started":"","host":"elsewhere"}'),
    () => rmSync(join(folder, 'LOCK')),
  ]) {
    for (const call of [
      (volume) => volume.append('log-1', 0, 0, text('x'), false),
      (volume) => volume.append('log-1', 0, 0, text('x'), true),
      (volume) => volume.commit(0, text('x'), [], false),
      (volume) => volume.write('segment-1', text('x')),
    ]) {
      const volume = await opened(folder);
      spoil();
      await rejectsWith('Conflict', call(volume));
      await rejectsWith('Conflict', call(volume));
      await rejectsWith('Conflict', volume.lock());
      await volume.unlock();
      rmSync(join(folder, 'LOCK'), { force: true });
      await volume.lock();
      await call(volume);
      await volume.unlock();
      await volume.close();
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
    }
  }
});
