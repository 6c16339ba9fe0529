// The same points in the embedded engine and in another store: exact searches find the same ids, with scores within 1e-4.
//
// For tests/js/store-equality.test.mjs, which is small, and tests/bench/stores.mjs, which is not.

import { random, randomVector } from '../js/support.mjs';

/** What a search may ask for. A store that cannot do one of these names it: Unsupported. */
export const filters = {
  none: undefined,
  equal: { kind: 'a' },
  range: { n: { $gte: 20, $lt: 70 } },
  'one of': { kind: { $in: ['a', 'c', 'nowhere'] } },
  'either of': { $or: [{ flag: true }, { n: { $lt: 10 } }] },
  not: { $not: { kind: 'b' } },
  both: { $and: [{ kind: { $ne: 'c' } }, { n: { $gt: 5 } }, { flag: false }] },
};

export function makePoints(count, dimension, seed = 6) {
  const next = random(seed);
  return Array.from({ length: count }, (_, i) => ({
    id: `point/${i}`,
    vector: randomVector(next, dimension),
    payload: { kind: 'abc'[Math.floor(next() * 3)], n: Math.floor(next() * 100), flag: next() < 0.5 },
  }));
}

export function makeQueries(count, dimension, seed = 7) {
  const next = random(seed);
  return Array.from({ length: count }, () => randomVector(next, dimension));
}

/**
 * Every filter with every query on both stores; answers { compared, unsupported: { filter: why }, differences: [what],
 * farthest: the greatest difference of two scores }. Where the scores of two neighbours are closer than `tie`, their
 * order is not compared.
 */
export async function compareSearches(embedded, store, queries, { k = 10, atOnce = 50, tie = 1e-6 } = {}) {
  const out = { compared: 0, unsupported: {}, differences: [], farthest: 0 };
  for (const [name, filter] of Object.entries(filters)) {
    for (let first = 0; first < queries.length; first += atOnce) {
      const batch = queries
        .slice(first, first + atOnce)
        .map((vector) => ({ vector, k, filter, exact: true, include: [] }));
      const truth = await embedded.searchBatch(batch);
      let found;
      try {
        found = await store.searchBatch(batch);
      } catch (error) {
        if (error.code !== 'Unsupported') throw error;
        out.unsupported[name] = error.message;
        break;
      }
      for (const [i, hits] of truth.entries()) {
        out.compared++;
        const what = differenceOf(hits, found[i], tie, out);
        if (what !== undefined) out.differences.push(`${name}, query ${first + i}: ${what}`);
      }
    }
  }
  return out;
}

function differenceOf(truth, found, tie, out) {
  if (truth.length !== found.length) return `${found.length} hits in place of ${truth.length}`;
  for (const [rank, { id, score }] of truth.entries()) {
    const far = Math.abs(found[rank].score - score);
    out.farthest = Math.max(out.farthest, far);
    if (!(far <= 1e-4)) return `hit ${rank} has the score ${found[rank].score} in place of ${score}`;
    if (found[rank].id === id) continue;
    const tied = truth.some((other) => other.id === found[rank].id && Math.abs(other.score - score) < tie);
    if (!tied) return `hit ${rank} is ${found[rank].id} in place of ${id}`;
  }
  return undefined;
}
