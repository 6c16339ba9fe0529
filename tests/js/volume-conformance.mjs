// What every volume must do, whatever it keeps its files in. No kind earns an exception.
//
// Knows no test runner, so that browsers can run it too: `assert` has equal, deepEqual and ok.

const bytes = (...values) => Uint8Array.from(values);
const text = (value) => new TextEncoder().encode(value);
const string = (value) => new TextDecoder().decode(value);
const manifest = (generation) => `manifest-${generation.toString(16).padStart(16, '0')}`;

/**
 * The cases, as [title, run]: `run(open)` gets a function that opens a volume at a place of its own; each call opens the
 * same place again. `shared`: two of them can be open side by side.
 */
export function conformanceCases(assert, { shared = true } = {}) {
  const cases = [];
  const check = (title, body) => {
    cases.push([
      title,
      async (open) => {
        const volume = await open();
        await volume.lock();
        try {
          await body(volume, open);
        } finally {
          await volume.unlock();
          await volume.close();
        }
      },
    ]);
  };
  const rejectsWith = async (code, promise) => {
    const error = await promise.then(
      () => assert.ok(false, `expected ${code}`),
      (thrown) => thrown,
    );
    assert.equal(error.code, code, error.stack);
  };
  const checkShared = shared ? check : () => {};
  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  // Lengths by reading, where the volume lists none.
  const listed = async (volume) => {
    const entries = [];
    for (const { name, length } of await volume.list()) {
      const { length: read } = await volume.read(name, 0, 1 << 30);
      entries.push([name, length ?? read]);
      assert.equal(length ?? read, read);
    }
    return Object.fromEntries(entries.sort());
  };

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
    const found = await volume.read('large', 0, 4_000_000);
    assert.ok(found.length === large.length && found.every((byte, i) => byte === large[i]));
  });

  check('refuses to write a name twice, and keeps the first', async (volume) => {
    await volume.write('segment-1', text('first'));
    await rejectsWith('Conflict', volume.write('segment-1', text('second')));
    assert.equal(string(await volume.read('segment-1', 0, 99)), 'first');
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
    assert.equal(string(await volume.read(manifest(2), 0, 9)), 'two');
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

  check('gives the lock it has once more', async (volume) => {
    await volume.lock();
    await volume.lock({ wait: true });
    await volume.unlock();
    await volume.unlock();
    await volume.lock();
  });

  checkShared('is locked once, until it is unlocked', async (volume, open) => {
    const second = await open();
    await rejectsWith('DatabaseLocked', second.lock());
    await volume.unlock();
    await volume.unlock();
    await second.lock();
    await rejectsWith('DatabaseLocked', volume.lock());
    await second.unlock();
    await second.close();
  });

  checkShared('waits for the lock where it is told to, one after the other', async (volume, open) => {
    const waiting = [await open(), await open()];
    const order = [];
    const turns = waiting.map(async (other, i) => {
      await other.lock({ wait: true });
      order.push(i);
      await rejectsWith('DatabaseLocked', volume.lock());
      await other.unlock();
    });
    await pause(150);
    assert.deepEqual(order, []);
    await volume.unlock();
    await Promise.all(turns);
    assert.deepEqual(order.sort(), [0, 1]);
    for (const other of waiting) await other.close();
    await volume.lock();
  });

  checkShared('stops waiting for the lock when its signal says so', async (volume, open) => {
    const second = await open();
    await rejectsWith('Aborted', second.lock({ wait: true, signal: AbortSignal.abort() }));
    const abort = new AbortController();
    const waiting = second.lock({ wait: true, signal: abort.signal });
    setTimeout(() => abort.abort(), 80);
    await rejectsWith('Aborted', waiting);
    // Whoever gave up is not in the way of the next.
    await volume.unlock();
    await second.lock({ wait: true, signal: new AbortController().signal });
    await second.unlock();
    await second.close();
  });

  checkShared('tells watchers what others append and commit, until they stop', async (volume, open) => {
    const reader = await open();
    let calls = 0;
    const heard = async (before) => {
      while (calls === before) await pause(10);
      // Echoes of the same change, so that the next one is heard for itself.
      for (let last = -1; last !== calls; await pause(100)) last = calls;
    };
    const stop = reader.watch(() => calls++);
    await heard(0);
    for (const change of [
      () => volume.append('log-0000000000000000', 0, 0, bytes(1), false),
      () => volume.append('log-0000000000000000', 1, 0, bytes(1), true),
      () => volume.commit(0, text('one'), [], false),
    ]) {
      const before = calls;
      await change();
      await heard(before);
    }
    stop();
    stop();
    const before = calls;
    await volume.commit(1, text('two'), [], false);
    await pause(100);
    assert.equal(calls, before);
    reader.watch(() => {});
    await reader.close();
  });

  check('keeps everything when it is closed and opened again', async (volume, open) => {
    await volume.write('segment-1', bytes(1, 2));
    await volume.append('log-1', 0, 0, bytes(3), false);
    await volume.commit(0, text('one'), [], false);
    const before = await listed(volume);
    await volume.unlock();
    await volume.close();
    const again = await open();
    await again.lock();
    assert.deepEqual(await listed(again), before);
    await again.append('log-1', 1, 1, bytes(4), false);
    assert.deepEqual([...(await again.read('log-1', 0, 9))], [3, 4]);
    await again.unlock();
    await again.close();
  });
  return cases;
}
