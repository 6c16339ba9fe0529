// Stores: one collection wherever it is, by the methods of a collection of our own.
import type { Point, ReadOptions, ScrollOptions, StoredPoint, UpsertReport } from './collection.js';
import type { Metric } from './generated/metrics.js';
import type { Filter, Hits, SearchOptions } from './search.js';

export interface CallOptions {
  /** Ends the call at once, with Aborted; what it had sent may be written all the same. */
  signal?: AbortSignal | undefined;
}

/** What ensure() found. */
export interface EnsureReport {
  /** The collection was not there. */
  created: boolean;
  /** Settings of a collection that was there which differ and change no result: of its index, of where it keeps things. */
  differences: { name: string; asked: string; found: string }[];
}

export interface StoreInfo {
  /** 'embedded', 'qdrant', 'chroma', 'weaviate' or a registered name. */
  backend: string;
  /** Of the server; '' where there is none. */
  version: string;
  count: number;
  /** 0: not known yet. */
  dimension: number;
  metric: Metric;
  /** What the store says about itself. */
  details: Record<string, unknown>;
  /** Of stores on servers: how requests went. */
  http?: {
    /** 'open': it failed so often that it is left alone for a while. */
    breaker: 'closed' | 'open' | 'halfOpen';
    requests: number;
    attempts: number;
    retries: number;
    inFlight: number;
    waiting: number;
  };
}

export interface StoreHealth {
  ready: boolean;
  /** Why not. */
  message: string;
}

export interface StoreSnapshot {
  name: string;
  bytes?: number;
  /** As the server says it. */
  created?: string;
}

/**
 * One collection of a configured store. Whatever it is made of, greater scores are closer, hits are ordered by score and
 * then by id, any string is an id, an upsert replaces the whole point, and a filter means the same. What a store cannot
 * do is refused with Unsupported, which names the option or the clause.
 */
export interface Store<Payload extends object = Record<string, unknown>> {
  /** As StoreInfo has it. */
  readonly backend: string;
  /** Of the collection. */
  readonly name: string;

  /**
   * Makes the collection where it is not there, or compares it with the configuration.
   *
   * Throws SchemaMismatch and DimensionMismatch, and, like all of these, what requests to servers fail with:
   * NetworkFailed, Timeout, TlsFailed, Unauthorized, RateLimited, RemoteUnavailable, RemoteRejected,
   * RemoteProtocolError, Backpressure, HostNotAllowed; and Aborted, Closed.
   */
  ensure(options?: CallOptions): Promise<EnsureReport>;
  /** The report names every id once. Throws only where nothing was written, and Aborted. */
  upsert(points: readonly Point<Payload>[], options?: CallOptions): Promise<UpsertReport>;
  search(options: SearchOptions): Promise<Hits<Payload>>;
  searchBatch(queries: readonly SearchOptions[], options?: CallOptions): Promise<Hits<Payload>[]>;
  /** In the order of `ids`, without those that are not there. */
  get(ids: readonly string[], options?: ReadOptions & CallOptions): Promise<StoredPoint<Payload>[]>;
  /** Answers how many existed. */
  delete(target: readonly string[] | { filter: Filter }, options?: CallOptions): Promise<number>;
  count(options?: { filter?: Filter | undefined } & CallOptions): Promise<number>;
  /** In pages, in the store's own order. */
  scroll(options?: ScrollOptions): AsyncGenerator<StoredPoint<Payload>[], void, undefined>;
  /** Deletes every point; the collection stays. Answers how many there were. */
  clear(options?: CallOptions): Promise<number>;
  /** Deletes the collection. Answers whether it existed. */
  drop(options?: CallOptions): Promise<boolean>;
  info(options?: CallOptions): Promise<StoreInfo>;
  /** Does not throw: what goes wrong is the message. */
  health(options?: CallOptions): Promise<StoreHealth>;
  /** These three throw Unsupported where the store keeps no snapshots of its own. */
  createSnapshot(options?: CallOptions): Promise<StoreSnapshot>;
  listSnapshots(options?: CallOptions): Promise<StoreSnapshot[]>;
  deleteSnapshot(name: string, options?: CallOptions): Promise<void>;
  /** Ends calls that are under way with Aborted. Later ones throw Closed. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
