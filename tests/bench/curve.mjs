// Speed at a recall: what lies between the points of a sweep.

/**
 * Queries a second at `target` recall, from points { effort, recall, qps } by rising effort, as { qps, how }; null where
 * no point reaches it.
 *
 * Between the last point below and the first one at or above the target, log(qps) is taken as linear in log(1 - recall),
 * which graphs follow closely: a fixed share more work removes a fixed share of the misses. Where already the first point
 * reaches the target, its own speed is the answer: less than the truth, never more.
 */
export function speedAt(points, target) {
  const above = points.findIndex(({ recall }) => recall >= target);
  if (above < 0) return null;
  const { effort, recall, qps } = points[above];
  if (above === 0 || recall === target)
    return { qps, how: effort === null ? `recall ${recall.toFixed(4)}` : `${effort}` };
  const below = points[above - 1];
  // No misses at all would be infinitely far away; half a miss in 10,000 stands for it.
  const misses = (value) => Math.log(Math.max(1 - value, 5e-5));
  const share = (misses(target) - misses(below.recall)) / (misses(recall) - misses(below.recall));
  const speed = Math.exp(Math.log(below.qps) + share * (Math.log(qps) - Math.log(below.qps)));
  return { qps: speed, how: `${below.effort}..${effort}` };
}
