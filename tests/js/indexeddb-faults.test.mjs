// Every request to IndexedDB fails once, in every way, while the real engine works through a script.
// NEARFIELD_TORTURE=1: both ways of going on after each failure, and both durabilities.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test as suite } from 'node:test';
import { Database, openSession } from '../../dist/database.js';
import { compiled } from '../../dist/load.js';
import { faultRun } from './fault-script.mjs';
import { deleteDatabase, plans, shim } from './indexeddb-faults.mjs';

const long = process.env.NEARFIELD_TORTURE !== undefined;

for (const durability of long ? ['strict', 'relaxed'] : ['strict']) {
  suite(`indexeddb, ${durability}: whichever request fails, and however`, async (test) => {
    let runs = 0;
    const openDatabase = async (path) => {
      const session = await openSession({ path, storage: 'indexeddb', durability }, compiled);
      return {
        db: new Database(session),
        abandon: async () => {
          await session.volume.unlock();
          await session.volume.close();
        },
      };
    };
    const run = async (plan, afterFailure) => {
      const path = `/nearfield/faults-${durability}-${runs++}`;
      await faultRun(path, openDatabase, () => shim(plan), afterFailure);
      await deleteDatabase(path);
    };
    const kinds = [];
    await run((kind) => void kinds.push(kind), 'again');
    assert.ok(kinds.length > 100, `${kinds.length} points`);
    for (const [n, how, afterFailure] of plans(kinds, !long)) {
      let hit = false;
      const plan = (_kind, at) => {
        if (at !== n) return undefined;
        hit = true;
        return how;
      };
      try {
        await run(plan, afterFailure);
      } catch (error) {
        throw new Error(`point ${n} of ${kinds.length}: ${how}, then ${afterFailure}: ${error.message}`, {
          cause: error,
        });
      }
      assert.ok(hit, `point ${n} was not reached`);
    }
    test.diagnostic(`${runs - 1} failures at ${kinds.length} points`);
  });
}
