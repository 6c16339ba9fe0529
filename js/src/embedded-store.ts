// A store in the embedded engine: a collection of a database that the configuration names.
import { checkSignal, isObject, readOptions, readWhole, shown } from './check.js';
import { readIds, upsertBatches } from './collection.js';
import type {
  Collection,
  CollectionSchema,
  Point,
  ReadOptions,
  ScrollOptions,
  StoredPoint,
  UpsertReport,
} from './collection.js';
import type { Database } from './database.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';
import { readQuery, type Filter, type Fusion, type Hits, type SearchOptions } from './search.js';
import {
  rawAbout,
  rawGet,
  rawScroll,
  rawUpsert,
  type RawAbout,
  type RawPage,
  type RawPoint,
  type RawStore,
} from './raw.js';
import { readSignal } from './remote-store.js';
import type { CallOptions, EnsureReport, Store, StoreHealth, StoreInfo, StoreSnapshot } from './store.js';

export interface EmbeddedSettings {
  collection: string;
  /** Without a dimension: that of the first vector. */
  schema: CollectionSchema;
  /** Of searches that do not say. */
  ef: number | undefined;
  fusion: Fusion | undefined;
  /** Rows of one commit, and queries of one call. */
  batchRows: number;
  searchBatch: number;
  /** These three: see RawAbout. */
  place: string;
  folder: string | undefined;
  model: string | undefined;
}

export class EmbeddedStore<Payload extends object = Record<string, unknown>> implements Store<Payload>, RawStore {
  readonly backend = 'embedded';
  readonly name: string;
  readonly #database: Database;
  readonly #settings: EmbeddedSettings;
  #collection: Promise<Collection<Payload>> | undefined;
  // ensure() was called, and the first vector has to say how long vectors are: until then it is as if it were there.
  #awaited = false;
  #closed = false;

  /** Private to the package; use connect(). The store closes the database. */
  constructor(database: Database, settings: EmbeddedSettings) {
    this.#database = database;
    this.#settings = settings;
    this.name = settings.collection;
  }

  async ensure(options?: CallOptions): Promise<EnsureReport> {
    readSignal(options, 'ensure');
    const there = await this.#exists();
    if (!there && this.#settings.schema.dimension === undefined) {
      const created = !this.#awaited;
      this.#awaited = true;
      return { created, differences: [] };
    }
    await this.#made();
    return { created: !there, differences: [] };
  }

  async upsert(given: readonly Point<Payload>[], options?: CallOptions): Promise<UpsertReport> {
    const signal = readSignal(options, 'upsert');
    // Who hands in a list may fill it anew while the collection is looked for.
    const points = Array.isArray(given) ? [...(given as Point<Payload>[])] : given;
    const length = Array.isArray(points) ? vectorLength(points) : undefined;
    // Nothing says nothing about how long vectors are.
    if (Array.isArray(points) && points.length === 0 && (await this.#opened()) === undefined) {
      return { ok: [], failed: [], unknown: [] };
    }
    const collection = await this.#made(length);
    return collection[upsertBatches](points, { signal }, this.#settings.batchRows);
  }

  async search(options: SearchOptions): Promise<Hits<Payload>> {
    const collection = await this.#opened();
    if (collection !== undefined) return collection.search(this.#withDefaults(options));
    readQuery(options);
    return [];
  }

  async searchBatch(queries: readonly SearchOptions[], options?: CallOptions): Promise<Hits<Payload>[]> {
    const signal = readSignal(options, 'searchBatch');
    const collection = await this.#opened();
    const size = this.#settings.searchBatch;
    if (!Array.isArray(queries)) throw invalid(`queries must be an array, got ${shown(queries)}`);
    if (collection === undefined) return queries.map((query: unknown) => (readQuery(query), []));
    const answers: Hits<Payload>[] = [];
    for (let first = 0; first < queries.length; first += size) {
      const some = queries.slice(first, first + size).map((query: SearchOptions) => this.#withDefaults(query));
      checkSignal(signal);
      for (const hits of await collection.searchBatch(some)) answers.push(hits);
    }
    return answers;
  }

  #withDefaults(options: SearchOptions): SearchOptions {
    const { ef, fusion, schema } = this.#settings;
    if (!isObject(options)) return options;
    const kind = typeof schema.index === 'object' ? schema.index.kind : schema.index;
    const walks = kind === undefined || kind === 'auto' || kind === 'hnsw';
    return {
      ...(ef !== undefined && walks && options.nprobe === undefined ? { ef } : {}),
      ...(fusion === undefined ? {} : { fusion }),
      ...options,
    };
  }

  async get(ids: readonly string[], options?: ReadOptions & CallOptions): Promise<StoredPoint<Payload>[]> {
    const { signal, ...rest } = readOptions(options, 'get', ['include', 'signal']);
    readSignal({ signal }, 'get');
    const collection = await this.#opened();
    if (collection !== undefined) return collection.get(ids, rest as ReadOptions);
    readIds(ids);
    return [];
  }

  async delete(target: readonly string[] | { filter: Filter }, options?: CallOptions): Promise<number> {
    const signal = readSignal(options, 'delete');
    return (await this.#opened())?.delete(target, { signal }) ?? 0;
  }

  async count(options?: { filter?: Filter | undefined } & CallOptions): Promise<number> {
    const { signal, ...rest } = readOptions(options, 'count', ['filter', 'signal']);
    readSignal({ signal }, 'count');
    return (await this.#opened())?.count(rest as { filter?: Filter }) ?? 0;
  }

  async *scroll(options?: ScrollOptions): AsyncGenerator<StoredPoint<Payload>[], void, undefined> {
    const collection = await this.#opened();
    if (collection !== undefined) yield* collection.scroll(options);
  }

  async clear(options?: CallOptions): Promise<number> {
    readSignal(options, 'clear');
    return (await this.#opened())?.clear() ?? 0;
  }

  async drop(options?: CallOptions): Promise<boolean> {
    readSignal(options, 'drop');
    this.#collection = undefined;
    this.#requireOpen();
    const awaited = this.#awaited;
    this.#awaited = false;
    return (await this.#database.dropCollection(this.name)) || awaited;
  }

  get [rawAbout](): RawAbout {
    const { schema, place, folder, model } = this.#settings;
    return { place, dimension: schema.dimension, metric: schema.metric ?? 'cosine', folder, model };
  }

  async [rawScroll](from: string, limit: number, signal?: AbortSignal): Promise<RawPage> {
    checkSignal(signal);
    return (await this.#opened())?.[rawScroll](from, limit) ?? { points: [], next: '' };
  }

  async [rawGet](ids: readonly string[], signal?: AbortSignal): Promise<RawPoint[]> {
    checkSignal(signal);
    return (await this.#opened())?.[rawGet](ids) ?? [];
  }

  async [rawUpsert](points: readonly RawPoint[], dimension: number, signal?: AbortSignal): Promise<UpsertReport> {
    checkSignal(signal);
    return (await this.#made(dimension || undefined))[rawUpsert](points);
  }

  async info(options?: CallOptions): Promise<StoreInfo> {
    readSignal(options, 'info');
    const collection = await this.#opened();
    if (collection === undefined) {
      const { metric = 'cosine' } = this.#settings.schema;
      return { backend: this.backend, version: '', count: 0, dimension: 0, metric, details: {} };
    }
    const { count, dimension, metric, ...details } = await collection.info();
    return { backend: this.backend, version: '', count, dimension, metric, details };
  }

  async health(options?: CallOptions): Promise<StoreHealth> {
    try {
      readSignal(options, 'health');
      await this.#exists();
      return { ready: true, message: '' };
    } catch (error) {
      return { ready: false, message: reasonOf(error) };
    }
  }

  async createSnapshot(): Promise<StoreSnapshot> {
    throw noSnapshots();
  }

  async listSnapshots(): Promise<StoreSnapshot[]> {
    throw noSnapshots();
  }

  async deleteSnapshot(): Promise<void> {
    throw noSnapshots();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#database.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #requireOpen(): void {
    if (this.#closed) throw new NearfieldError('Closed', `the store ${this.name} is closed`);
  }

  async #exists(): Promise<boolean> {
    this.#requireOpen();
    return (await this.#database.collections()).includes(this.name);
  }

  /** Undefined: ensure() was called, and it is not made yet. Throws NotFound where there is none. */
  async #opened(): Promise<Collection<Payload> | undefined> {
    if (await this.#exists()) return this.#made();
    if (this.#awaited) return undefined;
    throw new NearfieldError('NotFound', `Collection '${this.name}' not found`, { value: this.name });
  }

  // Dimensions are told apart by the published message, as servers' are.
  readonly #mismatch = async (error: unknown): Promise<never> => {
    const expected = this.#settings.schema.dimension;
    if (error instanceof NearfieldError && error.code === 'SchemaMismatch' && expected !== undefined) {
      const { dimension: got } = await (await this.#database.collection(this.name)).info();
      if (got !== expected) {
        const message = `Vector dimension mismatch: expected ${expected}, got ${got}`;
        throw new NearfieldError('SchemaMismatch', message, { value: got, cause: error });
      }
    }
    throw error;
  };

  async #made(length?: number): Promise<Collection<Payload>> {
    this.#requireOpen();
    if (this.#collection === undefined || !(await this.#exists())) {
      const schema = { ...this.#settings.schema };
      if (schema.dimension === undefined && !(await this.#exists()) && length !== undefined) schema.dimension = length;
      const opening =
        schema.dimension === undefined && (await this.#exists())
          ? this.#database.collection<Payload>(this.name)
          : this.#database.collection<Payload>(this.name, schema).catch(this.#mismatch);
      // A failure is not remembered.
      opening.catch(() => (this.#collection = undefined));
      this.#collection = opening;
    }
    return this.#collection;
  }
}

/** Of the first point that has a vector. */
function vectorLength(points: readonly unknown[]): number | undefined {
  for (const point of points) {
    const vector = isObject(point) ? (point['vector'] as { length?: unknown } | undefined) : undefined;
    if (typeof vector?.length === 'number' && vector.length > 0) return readWhole(vector.length, 'dimension', 1);
  }
  return undefined;
}

function noSnapshots(): NearfieldError {
  return new NearfieldError(
    'Unsupported',
    'an embedded store keeps no snapshots of its own; db.backup() of its database writes one file',
  );
}
