// Made by scripts/generate.mjs from core/metric/metrics.def.

/** How close two vectors are. Greater scores are closer on all. */
export const metrics = [
  'cosine',
  'dot',
  'euclidean',
  'manhattan',
] as const;
export type Metric = (typeof metrics)[number];
