// The faults of tests/js/indexeddb-faults.test.mjs in real browsers: a sample, or with NEARFIELD_TORTURE=1 every point
// in every way, in both durabilities.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browsers, servePage } from './volume-support.mjs';

const long = process.env.NEARFIELD_TORTURE !== undefined;

for (const [name, launch] of Object.entries(browsers)) {
  for (const durability of long ? ['strict', 'relaxed'] : ['strict']) {
    test(`indexeddb in ${name}, ${durability}: whichever request fails, and however`, async (t) => {
      const browser = await launch(t);
      if (browser === undefined) return t.skip(`${name} was not found`);
      const page = await servePage(t, browser);
      // Everything the page needs, as globals of it.
      const kinds = await page.evaluate(async (durability) => {
        const { Database, openSession } = await import('/dist/database.js');
        const { compiled } = await import('/dist/load.js');
        const { faultRun } = await import('/tests/js/fault-script.mjs');
        const { deleteDatabase, plans, shim } = await import('/tests/js/indexeddb-faults.mjs');
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
        let runs = 0;
        globalThis.plans = plans;
        globalThis.run = async (plan, afterFailure) => {
          const path = `/nearfield/faults-${runs++}`;
          await faultRun(path, openDatabase, () => shim(plan), afterFailure);
          await deleteDatabase(path);
        };
        const kinds = [];
        await run((kind) => void kinds.push(kind), 'again');
        return kinds;
      }, durability);
      assert.ok(kinds.length > 100, `${kinds.length} points`);
      const step = long ? 1 : 11;
      let failures = 0;
      // A call for each point, so that none takes long.
      for (let n = 0; n < kinds.length; n += step) {
        const { runs, error } = await page.evaluate(
          async (kinds, n, long) => {
            let runs = 0;
            for (const [at, how, afterFailure] of plans(kinds, !long)) {
              if (at !== n) continue;
              try {
                await run((_kind, point) => (point === n ? how : undefined), afterFailure);
                runs++;
              } catch (error) {
                return {
                  runs,
                  error: `${kinds[n]} ${n}: ${how}, then ${afterFailure}: ${error.stack} ${error.message}`,
                };
              }
            }
            return { runs };
          },
          kinds,
          n,
          long,
        );
        assert.equal(error, undefined);
        failures += runs;
      }
      t.diagnostic(`${failures} failures at ${kinds.length} points`);
    });
  }
}
