// What every volume must do, whatever it keeps its files in. No kind earns an exception.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rejectsWith } from './support.mjs';

const bytes = (...values) => Uint8Array.from(values);
const text = (value) => new TextEncoder().encode(value);
const manifest = (generation) => `manifest-${generation.toString(16).padStart(16, '0')}`;

// `make(test)` answers a function that opens a volume; each call opens the same place again.
export function volumeConformance(name, make) {
  describe(`volume: ${name}`, () => {
    const check = (title, body) =>
      it(title, async (test) => {
        const open = await make(test);
        const volume = await open();
        await volume.lock(true);
        try {
          await body(volume, open);
        } finally {
          await volume.unlock();
          await volume.close();
        }
      });
    const listed = async (volume) =>
      Object.fromEntries((await volume.list()).map((file) => [file.name, file.length]).sort());

    check('is empty at first', async (volume) => {
      assert.deepEqual(await volume.list(), []);
      await rejectsWith('NotFound', volume.read('segment-1', 0, 10));
    });

    check('reads what was written, any part of it', async (volume) => {
      await volume.write('segment-1', bytes(1, 2, 3, 4, 5));
      assert.deepEqual(await listed(volume), { 'segment-1': 5 });
      const read = async (offset, length) => [...(await volume.read('segment-1', offset, length))];
      assert.deepEqual(await read(0, 5), [1, 2, 3, 4, 5]);
      assert.deepEqual(await read(1, 3), [2, 3, 4]);
      assert.deepEqual(await read(3, 100), [4, 5]);
      assert.deepEqual(await read(5, 1), []);
      assert.deepEqual(await read(9, 1), []);
      assert.deepEqual(await read(0, 0), []);
    });

    check('keeps its own copy', async (volume) => {
      const buffer = bytes(9, 9, 1, 2, 9);
      await volume.write('segment-1', buffer.subarray(2, 4));
      buffer.fill(0);
      (await volume.read('segment-1', 0, 2)).fill(7);
      assert.deepEqual([...(await volume.read('segment-1', 0, 2))], [1, 2]);
    });

    check('holds empty and large files', async (volume) => {
      await volume.write('empty', bytes());
      const large = Uint8Array.from({ length: 3_000_001 }, (_, i) => i * 31);
      await volume.write('large', large);
      assert.deepEqual(await listed(volume), { empty: 0, large: 3_000_001 });
      assert.equal((await volume.read('empty', 0, 10)).length, 0);
      assert.equal(Buffer.compare(await volume.read('large', 0, 4_000_000), large), 0);
    });

    check('refuses to write a name twice, and keeps the first', async (volume) => {
      await volume.write('segment-1', text('first'));
      await rejectsWith('Conflict', volume.write('segment-1', text('second')));
      assert.equal(Buffer.from(await volume.read('segment-1', 0, 99)).toString(), 'first');
    });

    check('refuses names that could leave it', async (volume) => {
      for (const name of ['', '.', '..', '../x', '/x', 'a/b', 'a\\b', 'A', 'a\0', 'é', 'x'.repeat(101)]) {
        await rejectsWith('Internal', volume.write(name, bytes(1)));
        await rejectsWith('Internal', volume.read(name, 0, 1));
        await rejectsWith('Internal', volume.append(name, 0, 0, bytes(1), false));
      }
      assert.deepEqual(await volume.list(), []);
      await volume.write('x'.repeat(100), bytes(1));
    });

    check('appends to a log piece by piece and reads it as one', async (volume) => {
      await volume.append('log-1', 0, 0, bytes(1, 2), false);
      await volume.append('log-1', 2, 0, bytes(3), true);
      await volume.append('log-1', 3, 0, bytes(4, 5, 6), false);
      await volume.append('log-10', 0, 0, bytes(9), false);
      assert.deepEqual(await listed(volume), { 'log-1': 6, 'log-10': 1 });
      assert.deepEqual([...(await volume.read('log-1', 0, 99))], [1, 2, 3, 4, 5, 6]);
      assert.deepEqual([...(await volume.read('log-1', 1, 3))], [2, 3, 4]);
      assert.deepEqual([...(await volume.read('log-1', 6, 3))], []);
    });

    check('refuses an append at another length or generation', async (volume) => {
      await volume.append('log-1', 0, 0, bytes(1, 2), false);
      await rejectsWith('Conflict', volume.append('log-1', 0, 0, bytes(3), false));
      await rejectsWith('Conflict', volume.append('log-1', 1, 0, bytes(3), false));
      await rejectsWith('Conflict', volume.append('log-1', 3, 0, bytes(3), false));
      await rejectsWith('Conflict', volume.append('log-1', 2, 1, bytes(3), false));
      assert.deepEqual(await listed(volume), { 'log-1': 2 });
      await volume.append('log-1', 2, 0, bytes(3), false);
      assert.deepEqual([...(await volume.read('log-1', 0, 99))], [1, 2, 3]);
    });

    check('commits one generation after the other', async (volume) => {
      assert.equal(await volume.commit(0, text('one'), [], false), 1);
      assert.equal(await volume.commit(1, text('two'), [], true), 2);
      assert.deepEqual(await listed(volume), { [manifest(1)]: 3, [manifest(2)]: 3 });
      for (const expected of [0, 1, 3]) await rejectsWith('Conflict', volume.commit(expected, text('x'), [], false));
      await rejectsWith('Conflict', volume.append('log-1', 0, 1, bytes(1), false));
      assert.equal(Buffer.from(await volume.read(manifest(2), 0, 9)).toString(), 'two');
      assert.deepEqual(Object.keys(await listed(volume)), [manifest(1), manifest(2)]);
    });

    check('removes what a commit makes obsolete, logs with all their pieces', async (volume) => {
      await volume.commit(0, text('one'), [], false);
      await volume.write('segment-1', bytes(1));
      await volume.append('log-1', 0, 1, bytes(1, 2), false);
      await volume.append('log-1', 2, 1, bytes(3), false);
      await volume.append('log-2', 0, 1, bytes(4), false);
      await volume.commit(1, text('two'), [manifest(1), 'segment-1', 'log-1', 'never-there'], false);
      assert.deepEqual(await listed(volume), { 'log-2': 1, [manifest(2)]: 3 });
      await rejectsWith('NotFound', volume.read('log-1', 0, 1));
    });

    check('removes nothing when a commit is refused', async (volume) => {
      await volume.write('segment-1', bytes(1));
      await rejectsWith('Conflict', volume.commit(5, text('x'), ['segment-1'], false));
      assert.deepEqual(await listed(volume), { 'segment-1': 1 });
    });

    check('counts generations beyond nine in order', async (volume) => {
      for (let generation = 0; generation < 18; generation++) {
        assert.equal(await volume.commit(generation, text(`${generation}`), [], true), generation + 1);
      }
      await rejectsWith('Conflict', volume.commit(9, text('x'), [], true));
    });

    check('of two commits at once, one wins', async (volume) => {
      const outcomes = await Promise.allSettled([
        volume.commit(0, text('a'), [], false),
        volume.commit(0, text('b'), [], false),
      ]);
      assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ['fulfilled', 'rejected']);
    });

    check('is locked once, until it is unlocked', async (volume, open) => {
      const second = await open();
      await rejectsWith('DatabaseLocked', second.lock(true));
      await second.lock(false);
      await volume.unlock();
      await volume.unlock();
      await second.lock(true);
      await rejectsWith('DatabaseLocked', volume.lock(true));
      await second.unlock();
      await second.close();
    });

    check('keeps everything when it is closed and opened again', async (volume, open) => {
      await volume.write('segment-1', bytes(1, 2));
      await volume.append('log-1', 0, 0, bytes(3), false);
      await volume.commit(0, text('one'), [], false);
      const before = await listed(volume);
      await volume.unlock();
      await volume.close();
      const again = await open();
      await again.lock(true);
      assert.deepEqual(await listed(again), before);
      await again.append('log-1', 1, 1, bytes(4), false);
      assert.deepEqual([...(await again.read('log-1', 0, 9))], [3, 4]);
      await again.unlock();
      await again.close();
    });
  });
}
