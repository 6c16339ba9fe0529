// Made by scripts/generate.mjs from core/quant/codes.def.

/** How an index holds vectors while it compares them. */
export const codeKinds = [
  'f32',
  'f16',
  'sq8',
  'rq8',
  'rq4',
  'pq',
  'pq4',
  'rabitq',
] as const;
export type CodeKind = (typeof codeKinds)[number];
