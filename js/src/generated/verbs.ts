// Made by scripts/generate.mjs from wasm/verbs.def.

/** The numbers of the verbs; wasm/engine.h says what each takes. */
export const verbs = {
  _takeEffects: 0,
  _answer: 1,
  _open: 2,
  _close: 3,
  _checkpoint: 4,
  _createCollection: 5,
  _dropCollection: 6,
  _upsert: 7,
  _remove: 8,
  _clear: 9,
  _optimize: 10,
  _cancelOptimize: 11,
  _backup: 12,
  _restore: 13,
  _doctor: 14,
  _refresh: 15,
  _promote: 16,
  _info: 17,
  _describe: 18,
  _probe: 19,
  _search: 20,
  _get: 21,
  _count: 22,
  _scroll: 23,
  _loadEmbedder: 24,
  _embed: 25,
  _openSpecs: 26,
  _indexFiles: 27,
  _removeMissing: 28,
  _cancel: 29,
  _config: 30,
} as const;
/** What an engine can be asked. */
export type Verb = keyof typeof verbs;
