// Recall on real embeddings after half of the points were deleted and as many others inserted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from 'nearfield';
import { dataFolder } from '../bench/support.mjs';
import { loadVectors } from '../bench/truth.mjs';
import { random } from './support.mjs';

const k = 10;
const rows = 12_000;
const questions = 200;

const folder = dataFolder('vectors-dev');
const data = folder && loadVectors(folder, { rows: (rows * 3) / 2, queries: questions }, k);

const view = (values, i) => values.subarray(i * data.dim, (i + 1) * data.dim);
const pointsOf = (some) => some.map((row) => ({ id: `${row}`, vector: view(data.base, row) }));
const upTo = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** How many of the ten nearest of all questions are found without `exact`, as a share. */
async function recallOf(collection) {
  let found = 0;
  for (let i = 0; i < questions; i++) {
    const vector = view(data.asked, i);
    const exact = await collection.search({ vector, k, exact: true, include: [] });
    const hits = await collection.search({ vector, k, include: [] });
    found += hits.filter(({ score }) => score >= exact[k - 1].score).length;
  }
  return found / (questions * k);
}

for (const kind of ['hnsw', 'ivf_flat', 'ivf_rabitq']) {
  test(
    `${kind}: recall after replacing half of the points is within one point of an index built afresh`,
    { skip: data ? false : 'the development vectors are absent' },
    async () => {
      const db = await open({ storage: 'memory' });
      const schema = { dimension: data.dim, metric: 'cosine', index: kind };
      const changed = await db.collection('changed', schema);
      await changed.upsert(pointsOf(upTo(0, rows)));
      await changed.optimize();

      // A random half, by exchanging each place with a random later one.
      const next = random(2026);
      const order = upTo(0, rows);
      for (let i = 0; i < rows / 2; i++) {
        const other = i + Math.floor(next() * (rows - i));
        [order[i], order[other]] = [order[other], order[i]];
      }
      const kept = order.slice(rows / 2);
      await changed.delete(order.slice(0, rows / 2).map(String));
      const inserted = upTo(rows, (rows * 3) / 2);
      await changed.upsert(pointsOf(inserted));
      const before = await recallOf(changed);
      await changed.optimize();
      assert.equal(await changed.count(), rows);

      const fresh = await db.collection('fresh', schema);
      await fresh.upsert(pointsOf([...kept, ...inserted]));
      await fresh.optimize();
      const [after, anew] = [await recallOf(changed), await recallOf(fresh)];
      const measured = `at once ${before}, optimized ${after}, built afresh ${anew}`;
      console.log(`${kind}: ${measured}`);
      assert.ok(Math.min(before, after) >= anew - 0.01, measured);
      await db.close();
    },
  );
}
