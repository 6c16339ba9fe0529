// Made by scripts/generate.mjs from core/index/kinds.def.

/** The kinds of index. */
export const indexKinds = [
  'flat',
  'hnsw',
] as const;
export type IndexKind = (typeof indexKinds)[number];
