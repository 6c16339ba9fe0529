// Made by scripts/generate.mjs from core/index/kinds.def.

/** The kinds of index. */
export const indexKinds = [
  'flat',
  'hnsw',
  'ivf_flat',
  'ivf_pq',
  'ivf_rabitq',
] as const;
export type IndexKind = (typeof indexKinds)[number];
