// Backends of the caller's own, by name.
import { isObject, readText, shown } from './check.js';
import type { Point } from './collection.js';
import { NearfieldError, invalid } from './errors.js';
import type { Metric } from './generated/metrics.js';
import type { Filter } from './search.js';
import type { Store } from './store.js';

/** What the configuration says of a registered backend; checked. */
export interface BackendSettings {
  /** That it was registered by. */
  backend: string;
  collection: string;
  /** Components of a vector; undefined: those of the first. */
  dimension: number | undefined;
  metric: Metric;
  /** Candidates of a graph search; 0: not said. */
  ef: number;
  /** Rows that are written together. */
  batchRows: number;
  /** Queries that travel together. */
  searchBatch: number;
  /** Of hybrid searches, how much vectors count; undefined where they were not asked for. */
  hybridAlpha: number | undefined;
  /** Its own table, [vectordb.<name>] or [backend.<name>], with variables put in; may hold secrets. */
  custom: Record<string, unknown>;
}

type Awaitable<Value> = Value | Promise<Value>;

/**
 * SpecMem's protocol. `metadata` is the payload, and of points with a text it has `_nearfield` too; it must come back as
 * it was given.
 */
export interface VectorStore {
  /** Replaces what has the id. */
  add(id: string, embedding: number[], metadata: Record<string, unknown>): Awaitable<void>;
  /** The `topK` closest, greatest score first. `filters` is null unless the store says that it takes them. */
  search(embedding: number[], topK: number, filters: Filter | null): Awaitable<readonly SearchResult[]>;
  /** Null or undefined: not there. */
  get(id: string): Awaitable<VectorRecord | null | undefined>;
  /** Whether it was there. */
  delete(id: string): Awaitable<boolean>;
  count(): Awaitable<number>;
  clear(): Awaitable<void>;
}

export interface SearchResult {
  id: string;
  /** Greater is closer. */
  score: number;
  metadata?: Record<string, unknown> | null | undefined;
}

export interface VectorRecord {
  embedding?: ArrayLike<number> | undefined;
  metadata?: Record<string, unknown> | null | undefined;
}

/** CodeWeaver's protocol. `payload` as `metadata` of VectorStore. */
export interface VectorBackend {
  /** Replaces what has the ids. */
  upsertVectors(vectors: VectorPoint[]): Awaitable<void>;
  /** The `limit` closest, greatest score first. */
  searchVectors(queryVector: number[], limit: number): Awaitable<readonly VectorHit[]>;
  deleteCollection(): Awaitable<void>;
}

export interface VectorPoint {
  id: string;
  vector: number[];
  payload: Record<string, unknown>;
}

export interface VectorHit {
  id: string;
  /** Greater is closer. */
  score: number;
  payload?: Record<string, unknown> | null | undefined;
  vector?: ArrayLike<number> | undefined;
}

/** A store, or the part of one that there is: calls that need the rest are refused with Unsupported. */
export interface PartialStore extends Partial<Omit<Store, 'backend' | 'name' | 'upsert'>> {
  /** Must be there. Without an answer every point was written. */
  upsert(points: readonly Point[], options?: { signal?: AbortSignal | undefined }): Promise<unknown>;
}

/**
 * What a registered backend makes: an object that speaks one of the three protocols, told apart by `upsert`, `add` and
 * `upsertVectors`. One of the two small ones may have methods of Store besides, such as scroll() or close().
 */
export type Backend = (PartialStore | VectorStore | VectorBackend) & {
  /**
   * Whether search() takes filters as they are, and means by them what this package does. Where not, it is asked for the
   * k closest to a vector, by a k that may be beyond 10,000, and for more until enough of them pass; what counts, deletes
   * and scrolls by a filter looks through scroll(). Default: true with `upsert`, else false. False with `upsert` says
   * also what is so with the small protocols: that search() knows a vector, k and include, and no other option.
   */
  filters?: boolean;
};

/** A function, or a class: that is called with new. */
export type BackendFactory<Made = Backend> =
  ((settings: BackendSettings) => Awaitable<Made>) | (new (settings: BackendSettings) => Made);

const builtIn = ['embedded', 'memory', 'lancedb', 'chroma', 'qdrant', 'weaviate', 'docarray', 'custom'];

// Undefined until the first is registered.
let registry: Map<string, BackendFactory> | undefined;

/**
 * Makes a name that `backend` of [vectordb] and `provider` of [backend] may have from now on, in this realm.
 *
 * ```js
 * registerBackend('mystore', ({ collection, dimension }) => new MyVectorStore(collection, dimension));
 * const store = await connect({ config: '[vectordb]\nbackend = "mystore"' });
 * ```
 *
 * A factory that has no way to serve these settings, such as a metric, throws NearfieldError('Unsupported', why). Names
 * are a letter and up to 63 letters, digits, _ and -. Throws InvalidArgument, and Conflict where the name is taken
 * or built in.
 */
export function registerBackend(name: string, factory: BackendFactory): void {
  const text = readText(name, 'name');
  if (!/^[A-Za-z][\w-]{0,63}$/.test(text) || text === 'constructor' || text === 'prototype') {
    throw invalid(`the name of a backend is a letter and up to 63 letters, digits, _ and -, got ${shown(text)}`, name);
  }
  if (typeof factory !== 'function') {
    throw invalid(`backend ${text}: the factory must be a function or a class, got ${shown(factory)}`, factory);
  }
  if (builtIn.includes(text.toLowerCase())) {
    throw new NearfieldError('Conflict', `${shown(text)} is a backend of nearfield itself; choose another name`, {
      value: name,
    });
  }
  if (registry?.has(text)) {
    throw new NearfieldError('Conflict', `a backend ${shown(text)} is registered; unregisterBackend() takes it away`, {
      value: name,
    });
  }
  registry ??= new Map();
  registry.set(text, factory);
}

/** registerBackend() by CodeWeaver's name, for its protocol. */
export function registerVectorBackend(
  name: string,
  factory: BackendFactory<VectorBackend & { filters?: boolean }>,
): void {
  registerBackend(name, factory as BackendFactory);
}

/** Whether there was one. Stores that it made stay as they are. */
export function unregisterBackend(name: string): boolean {
  return registry?.delete(name) ?? false;
}

/** Private to the package. */
export function registeredBackends(): string[] {
  return [...(registry?.keys() ?? [])];
}

/** Private to the package. */
export async function makeBackend(settings: BackendSettings): Promise<Backend> {
  const factory = registry?.get(settings.backend);
  if (factory === undefined) {
    throw new NearfieldError('NotFound', `no backend ${shown(settings.backend)} is registered`, {
      value: settings.backend,
    });
  }
  // Of classes, and of nothing else that can be called, the prototype cannot be replaced; those that were compiled to
  // functions have methods there.
  const { value: prototype, writable } = Object.getOwnPropertyDescriptor(factory, 'prototype') ?? {};
  const isClass = writable === false || (isObject(prototype) && Object.getOwnPropertyNames(prototype).length > 1);
  const made: unknown = isClass
    ? new (factory as new (settings: BackendSettings) => Backend)(settings)
    : await (factory as (settings: BackendSettings) => Awaitable<Backend>)(settings);
  if (!isObject(made)) throw invalid(`backend ${settings.backend}: the factory answered ${shown(made)}, not an object`);
  return made as unknown as Backend;
}
