// Points of any store, in pages, of which at most two are in memory: the one that is being dealt with and the next.
import { checkSignal, encodeJson, isObject, shown } from '../check.js';
import type { Point, StoredPoint, UpsertReport } from '../collection.js';
import { parseJson } from '../engine.js';
import { NearfieldError, invalid } from '../errors.js';
import {
  pageBytes,
  rawAbout,
  rawGet,
  rawScroll,
  rawUpsert,
  sizeOf,
  type RawAbout,
  type RawPage,
  type RawPoint,
  type RawStore,
} from '../raw.js';
import type { Store, StoreInfo } from '../store.js';

/** Of the first page, when nothing is known of the points; the next is at most so many times longer, and so on. */
const [firstRows, growth] = [100, 4];
export const maxRows = 10_000;
export const usualRows = 1000;

/** The raw methods of a store; of one that has none, its public ones in their place. */
export function rawOf(store: Store<object>): RawStore {
  return rawScroll in store ? (store as unknown as RawStore) : new PublicStore(store);
}

export function checkStore(store: unknown, what: string): Store<object> {
  const methods = ['ensure', 'upsert', 'get', 'count', 'scroll', 'search', 'searchBatch', 'info'] as const;
  if (isObject(store) && methods.every((name) => typeof store[name] === 'function')) {
    return store as unknown as Store<object>;
  }
  throw invalid(`${what} must be a store, as connect() answers, got ${shown(store)}`);
}

// Scrolls again from the beginning where it cannot go on from a place.
class PublicStore implements RawStore {
  readonly #store: Store<object>;
  #pages: AsyncGenerator<StoredPoint<object>[], void, undefined> | undefined;
  #next = 0;

  constructor(store: Store<object>) {
    this.#store = store;
  }

  get [rawAbout](): RawAbout {
    const { backend, name } = this.#store;
    return { place: `${backend}, collection ${name}`, dimension: undefined, metric: undefined };
  }

  async [rawScroll](from: string, limit: number, signal?: AbortSignal): Promise<RawPage> {
    if (this.#pages === undefined || from !== String(this.#next)) {
      await this.#pages?.return();
      this.#pages = this.#store.scroll({ batch: limit, include: ['payload', 'text', 'vector'], signal });
      this.#next = 0;
    }
    const { done, value } = await this.#pages.next();
    if (done === true) {
      this.#pages = undefined;
      return { points: [], next: '' };
    }
    return { points: value.map(toRaw), next: String(++this.#next) };
  }

  async [rawGet](ids: readonly string[], signal?: AbortSignal): Promise<RawPoint[]> {
    return (await this.#store.get(ids, { include: ['payload', 'text', 'vector'], signal })).map(toRaw);
  }

  async [rawUpsert](points: readonly RawPoint[], _: number, signal?: AbortSignal): Promise<UpsertReport> {
    return this.#store.upsert(points.map(fromRaw), { signal });
  }
}

function toRaw({ id, payload, text, vector }: StoredPoint<object>): RawPoint {
  return {
    id,
    ...(payload === undefined ? {} : { payload: encodeJson(payload, `payload of ${shown(id)}`) }),
    ...(text === undefined ? {} : { text }),
    ...(vector === undefined ? {} : { vector }),
  };
}

function fromRaw({ id, payload, text, vector }: RawPoint): Point<object> {
  return {
    id,
    ...(payload === undefined ? {} : { payload: parseJson<object>(payload) }),
    ...(text === undefined ? {} : { text }),
    ...(vector === undefined ? {} : { vector }),
  };
}

/** What is there; undefined where there is no collection. */
export async function findInfo(store: Store<object>, signal: AbortSignal | undefined): Promise<StoreInfo | undefined> {
  try {
    return await store.info({ signal });
  } catch (error) {
    if (error instanceof NearfieldError && error.code === 'NotFound') return undefined;
    throw error;
  }
}

/** What two ends say of their vectors; undefined, or a dimension of 0: not known. */
export interface Shape {
  dimension?: number | undefined;
  metric?: string | undefined;
  model?: string | undefined;
}

/** Throws DimensionMismatch and SchemaMismatch where vectors of one are of no use in the other. */
export function requireFit(from: Shape, to: Shape): void {
  if (from.dimension && to.dimension && from.dimension !== to.dimension) {
    throw new NearfieldError(
      'DimensionMismatch',
      `Vector dimension mismatch: expected ${to.dimension}, got ${from.dimension}`,
      { value: from.dimension, details: { expected: to.dimension } },
    );
  }
  if (from.metric && to.metric && from.metric !== to.metric) {
    const message = `Metric mismatch: expected ${to.metric}, got ${from.metric}; searches would answer otherwise`;
    throw new NearfieldError('SchemaMismatch', message, { value: from.metric, details: { expected: to.metric } });
  }
  if (from.model && to.model && from.model !== to.model) {
    const message = `Embedding model mismatch: expected ${to.model}, got ${from.model}; their vectors do not compare`;
    throw new NearfieldError('SchemaMismatch', message, { value: from.model, details: { expected: to.model } });
  }
}

/** How many rows to ask for, so that a page stays small. */
class PageSize {
  readonly #most: number;
  #rows: number;

  constructor(most: number, first: number, dimension: number) {
    this.#most = most;
    this.#rows = within(Math.min(most, first), pageBytes / (dimension * 4 + 1));
  }

  get rows(): number {
    return this.#rows;
  }

  /** Learns from a page that came. */
  saw(points: readonly RawPoint[]): void {
    if (points.length === 0) return;
    let bytes = 0;
    for (const point of points) bytes += sizeOf(point);
    this.#rows = within(Math.min(this.#most, growth * points.length), (pageBytes * points.length) / bytes);
  }
}

function within(most: number, rows: number): number {
  return Math.max(1, Math.min(most, Math.floor(rows)));
}

/** From `from` to the end, at most `most` points each; the next page is read while the last one is dealt with. */
export async function* readPages(
  store: RawStore,
  from: string,
  most: number,
  dimension: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RawPage, void, undefined> {
  // A page of somebody else's store is as long as the first one.
  const size = new PageSize(most, store instanceof PublicStore ? most : firstRows, dimension);
  const read = (at: string) => {
    const page = store[rawScroll](at, size.rows, signal);
    // Looked at a little later.
    page.catch(() => {});
    return page;
  };
  for (let coming: Promise<RawPage> | undefined = read(from); coming !== undefined;) {
    const page: RawPage = await coming;
    checkSignal(signal);
    size.saw(page.points);
    coming = page.next === '' ? undefined : read(page.next);
    if (page.points.length > 0) yield page;
  }
}
