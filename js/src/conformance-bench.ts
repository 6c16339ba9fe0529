// What the checks of the conformance script work with: stores, seeded points, comparisons that say what they found.
import type { Vector } from './check.js';
import type { Point, StoredPoint } from './collection.js';
import type { ConformanceOptions, ConformanceTarget } from './conformance.js';
import { NearfieldError } from './errors.js';
import { metrics, type Metric } from './generated/metrics.js';
import { orderTexts, sameJson } from './payload-filter.js';
import type { Hits, SearchOptions } from './search.js';
import type { Store } from './store.js';

/** Of all vectors. */
export const dimension = 8;

export interface ConformanceCheck {
  name: string;
  /** Answers what was left out, if anything was. */
  run(bench: Bench): Promise<string | void>;
}

/** There is nothing to check, or no way to. */
export class Skip extends Error {}

/** A point with everything. */
export type Whole = Point & { vector: Float32Array };

export class Bench {
  readonly #open: ConformanceOptions['open'];
  readonly #name: string;
  // One at a time: some places let one in only.
  #current: { key: string; store: Store } | undefined;
  #state: number;
  #exact: boolean | undefined;

  constructor(open: ConformanceOptions['open'], seed: number) {
    this.#open = open;
    this.#state = seed;
    // Nobody else's: two runs at once do not meet.
    const own = crypto.getRandomValues(new Uint32Array(2)).reduce((text, word) => text + word.toString(36), '');
    this.#name = `Nearfield_conformance_${own}`;
  }

  /** From 0 to 1. Mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  one<Value>(list: readonly Value[]): Value {
    return list[this.below(list.length)] as Value;
  }

  vector(): Float32Array {
    return Float32Array.from({ length: dimension }, () => this.next() * 2 - 1);
  }

  points(count: number, prefix = 'p'): Whole[] {
    return Array.from({ length: count }, (_, i) => ({
      id: `${prefix}${i}`,
      vector: this.vector(),
      payload: { number: i, even: i % 2 === 0, group: `g${i % 5}` },
    }));
  }

  target(about: { metric: Metric; hybrid: boolean }): ConformanceTarget {
    const collection = `${this.#name}_${metrics.indexOf(about.metric)}${about.hybrid ? 'h' : ''}`;
    return { collection, dimension, ...about };
  }

  /** The one that is open already, or a new one whose collection is there; the one before is dropped. */
  async store(about: { metric: Metric; hybrid: boolean }): Promise<Store> {
    const key = `${about.metric}${about.hybrid}`;
    if (this.#current?.key === key) return this.#current.store;
    await this.end();
    const store = await this.#open(this.target(about)).catch((error: unknown) => {
      // A configuration that every store must have was taken before.
      const plain = about.metric === 'cosine' && !about.hybrid;
      if (plain || !(error instanceof NearfieldError) || error.code !== 'InvalidConfig') throw error;
      throw new Skip(error.message);
    });
    this.#current = { key, store };
    await store.ensure();
    return store;
  }

  /** Closes the store, and opens one in its place that is closed after `use`. */
  async instead(target: ConformanceTarget, use: (store: Store) => Promise<void>): Promise<void> {
    await this.close();
    const store = await this.#open(target);
    try {
      await use(store);
    } finally {
      await store.close();
    }
  }

  /** The next who asks for it opens it again. */
  async close(): Promise<void> {
    const { store } = this.#current ?? {};
    this.#current = undefined;
    await store?.close();
  }

  async plain(): Promise<Store> {
    return this.store({ metric: 'cosine', hybrid: false });
  }

  /** Nothing in it. */
  async empty(store?: Store): Promise<Store> {
    const own = store ?? (await this.plain());
    try {
      await own.clear();
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      await own.drop();
      await own.ensure();
    }
    return own;
  }

  /** These points in it, and nothing else. */
  async filled(points: readonly Point[], store?: Store): Promise<Store> {
    const own = await this.empty(store);
    await write(own, points);
    return own;
  }

  /** search(), exact where the store can be told to be. */
  async find(store: Store, options: SearchOptions): Promise<Hits> {
    if (this.#exact !== false) {
      try {
        const hits = await store.search({ ...options, exact: true });
        this.#exact = true;
        return hits;
      } catch (error) {
        if (this.#exact === true || !isUnsupported(error) || !/\bexact\b/.test(error.message)) throw error;
        this.#exact = false;
      }
    }
    return store.search(options);
  }

  /** As options of a search. */
  exact(): { exact?: boolean } {
    return this.#exact === true ? { exact: true } : {};
  }

  /** Drops what was made, or empties what cannot be dropped, and closes it. */
  async end(): Promise<void> {
    const { store } = this.#current ?? {};
    await store
      ?.drop()
      .catch(() => store.clear())
      .catch(() => {});
    await this.close().catch(() => {});
  }
}

export function isUnsupported(error: unknown): error is NearfieldError {
  return error instanceof NearfieldError && error.code === 'Unsupported';
}

/** upsert() of which everything must be written. */
export async function write(store: Store, points: readonly Point[]): Promise<void> {
  const report = await store.upsert(points);
  same('the report of upsert()', sorted(report.ok), sorted(points.map(({ id }) => id)));
  same('what upsert() reports as failed', report.failed, []);
  same('what upsert() reports as unknown', report.unknown, []);
}

/** Throws what was expected and found where the two are not the same JSON. */
export function same(what: string, found: unknown, expected: unknown): void {
  if (!sameJson(found, expected)) throw new Error(`${what}: expected ${text(expected)}, found ${text(found)}`);
}

export function must(what: string, holds: boolean, found: unknown): void {
  if (!holds) throw new Error(`expected ${what}, found ${text(found)}`);
}

/** That a call fails with one of these codes; answers the error. */
export async function fails(
  what: string,
  codes: string | readonly string[],
  call: () => Promise<unknown>,
): Promise<NearfieldError> {
  const wanted = typeof codes === 'string' ? [codes] : codes;
  let answer: unknown;
  try {
    answer = await call();
  } catch (error) {
    if (error instanceof NearfieldError && (wanted.includes(error.code) || error.code === 'Unsupported')) return error;
    const found = error instanceof NearfieldError ? `${error.code}: ${error.message}` : String(error);
    throw new Error(`${what}: expected ${wanted.join(' or ')}, found ${found}`);
  }
  throw new Error(`${what}: expected ${wanted.join(' or ')}, found the answer ${text(answer)}`);
}

export function text(value: unknown): string {
  const json =
    JSON.stringify(value, (_, each: unknown) => {
      if (typeof each === 'bigint') return `${each}n`;
      return ArrayBuffer.isView(each) ? Array.from(each as Float32Array) : each;
    }) ?? String(value);
  return json.length > 400 ? `${json.slice(0, 400)}…` : json;
}

export function sorted(ids: readonly string[]): string[] {
  return [...ids].sort(orderTexts);
}

export function idsOf(points: readonly { id: string }[]): string[] {
  return points.map(({ id }) => id);
}

/** All points of a scroll, each of which must come once. */
export async function scrolled(store: Store, options?: Parameters<Store['scroll']>[0]): Promise<StoredPoint[]> {
  const all: StoredPoint[] = [];
  const seen = new Set<string>();
  for await (const page of store.scroll(options)) {
    const most = options?.batch ?? 256;
    must(`pages of 1 to ${most} points`, page.length > 0 && page.length <= most, page.length);
    for (const point of page) {
      must(`scroll() to hand out ${text(point.id)} once`, !seen.has(point.id), 'it twice');
      seen.add(point.id);
      all.push(point);
    }
  }
  return all;
}

/** The score that a search must give; greater is closer. */
export function score(metric: Metric, a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb, squares, absolutes] = [0, 0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    dot += x * y;
    aa += x * x;
    bb += y * y;
    squares += (x - y) ** 2;
    absolutes += Math.abs(x - y);
  }
  switch (metric) {
    case 'cosine':
      return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
    case 'dot':
      return dot;
    case 'euclidean':
      return -Math.sqrt(squares);
    case 'manhattan':
      return -absolutes;
  }
}

const tolerance = 1e-4;

/**
 * That hits are the best of the points for a vector: by plain loops over all of them. Points whose scores differ by less
 * than what is allowed may stand in each other's place.
 */
export function best(
  what: string,
  hits: Hits,
  points: readonly Whole[],
  metric: Metric,
  asked: { vector: Vector; k: number; offset?: number; minScore?: number },
): void {
  const { vector, k, offset = 0, minScore = -Infinity } = asked;
  const scores = new Map(points.map((point) => [point.id, score(metric, point.vector, vector)]));
  const ranked = [...scores].sort((a, b) => b[1] - a[1] || orderTexts(a[0], b[0]));
  const expected = ranked.slice(offset, offset + k).filter(([, value]) => value >= minScore);
  same(`${what}: how many hits`, hits.length, expected.length);
  const seen = new Set<string>();
  hits.forEach((hit, i) => {
    const own = scores.get(hit.id);
    const [id, value] = expected[i] as [string, number];
    if (own === undefined || seen.has(hit.id)) throw new Error(`${what}: hit ${i} should not be there: ${text(hit)}`);
    seen.add(hit.id);
    const near = (a: number, b: number) => Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));
    if (!near(hit.score, own)) throw new Error(`${what}: ${text(hit.id)} has the score ${own}, found ${hit.score}`);
    if (!near(hit.score, value)) {
      throw new Error(`${what}: hit ${i}: expected ${text(id)} with ${value}, found ${text(hit.id)} with ${hit.score}`);
    }
  });
  inOrder(what, hits);
}

/** best() by cosine. */
export function bestOf(what: string, hits: Hits, points: readonly Whole[], asked: { vector: Vector; k: number }): void {
  best(what, hits, points, 'cosine', asked);
}

export function inOrder(what: string, hits: Hits): void {
  for (let i = 1; i < hits.length; i++) {
    const [a, b] = [hits[i - 1]!, hits[i]!];
    const right = a.score > b.score || (a.score === b.score && orderTexts(a.id, b.id) < 0);
    must(`${what} by score and then by id`, right, [a.id, a.score, b.id, b.score]);
  }
}

/** That a stored vector is the one that was given; stores that compare by cosine may keep its direction only. */
export function sameVector(what: string, found: Float32Array | undefined, given: Vector, metric: Metric): void {
  must(
    `${what} as a Float32Array of ${given.length}`,
    found instanceof Float32Array && found.length === given.length,
    found,
  );
  const stored = found as Float32Array;
  if (Array.from(stored).every((value, i) => value === Math.fround(given[i] as number))) return;
  const direction = metric === 'cosine' && score('cosine', stored, given) > 1 - 1e-6;
  must(what, direction, [Array.from(stored), 'where this was given:', Array.from(given)]);
}
