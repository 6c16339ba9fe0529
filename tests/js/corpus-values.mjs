// Values of the files in tests/corpus that JSON has no words for: { "$": "NaN" }. Runs in browsers as well.
const made = {
  NaN: () => NaN,
  Infinity: () => Infinity,
  undefined: () => undefined,
  bigint: () => 384n,
  symbol: () => Symbol('path'),
  function: () => () => ({ path: 'db' }),
  map: () => new Map([['path', 'db']]),
  url: () => new URL('file:///tmp/db'),
  bytes: () => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9),
  signal: () => new AbortController().signal,
  aborted: () => AbortSignal.abort(),
  /** 10 MB of text. */
  long: () => 'x'.repeat(10 << 20),
  longKey: () => ({ path: 'db', ['x'.repeat(10 << 20)]: 1 }),
  /** A path of 5,000 characters in parts that are short enough. */
  deep: () => '/tmp' + '/abcdefghi'.repeat(500),
  nested: () => {
    let out = {};
    for (let i = 0; i < 100_000; i++) out = { out };
    return out;
  },
};

/** `texts` are put in for `$NAME` at the beginning of strings. */
export function corpusValue(given, texts = {}) {
  if (typeof given === 'string') {
    const name = Object.keys(texts).find((name) => given.startsWith(`$${name}`));
    return name === undefined ? given : texts[name] + given.slice(name.length + 1);
  }
  if (Array.isArray(given)) return given.map((value) => corpusValue(value, texts));
  if (typeof given !== 'object' || given === null) return given;
  const keys = Object.keys(given);
  if (keys.length === 1 && keys[0] === '$') return made[given.$]();
  const out = {};
  // Not by assignment: that would call the setter of __proto__.
  for (const key of keys) {
    const value = corpusValue(given[key], texts);
    Object.defineProperty(out, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return out;
}
