// A store on a server: core/remote speaks to it, in an engine of its own.
import { checkSignal, isObject, readOptions, readText, readWhole, shown } from './check.js';
import {
  maxPage,
  readIds,
  writePoint,
  type Point,
  type ReadOptions,
  type ScrollOptions,
  type StoredPoint,
  type UpsertReport,
} from './collection.js';
import type { Engine, Verb } from './engine.js';
import { NearfieldError, errorFromEngine, invalid, reasonOf } from './errors.js';
import { readAnswers } from './hits.js';
import type { Http } from './http.js';
import { Message } from './message.js';
import { Pump } from './pump.js';
import {
  rawAbout,
  rawGet,
  rawParts,
  rawScroll,
  rawUpsert,
  readRaw,
  writeRaw,
  type RawAbout,
  type RawPage,
  type RawPoint,
  type RawStore,
} from './raw.js';
import {
  readInclude,
  readQuery,
  takeVectors,
  withFilter,
  writeQuery,
  type Filter,
  type Hits,
  type Query,
  type SearchOptions,
} from './search.js';
import { withAnyOf } from './signal.js';
import type { CallOptions, EnsureReport, Store, StoreHealth, StoreInfo, StoreSnapshot } from './store.js';
import { Turns } from './turns.js';
import { MemoryVolume } from './volumes/memory.js';

export class RemoteStore<Payload extends object = Record<string, unknown>> implements Store<Payload>, RawStore {
  readonly backend: string;
  readonly name: string;
  readonly #engine: Engine;
  readonly #pump: Pump;
  readonly #http: Http;
  readonly #writes = new Turns();
  // Undefined: the server knows.
  readonly #dimension: number | undefined;
  #closing: Promise<void> | undefined;

  /** Private to the package, as the next three; see raw.ts. */
  readonly [rawAbout]: RawAbout;

  /** Private to the package; use connect(). `engine` has connected. */
  constructor(engine: Engine, http: Http, about: RawAbout & { backend: string; name: string }) {
    this.#engine = engine;
    this.#http = http;
    this.#pump = new Pump(engine, new MemoryVolume(about.backend), false, http);
    this.backend = about.backend;
    this.name = about.name;
    this.#dimension = about.dimension;
    const { place, dimension, metric, model } = about;
    this[rawAbout] = { place, dimension, metric, model };
  }

  async ensure(options?: CallOptions): Promise<EnsureReport> {
    return this.#run('_storeEnsure', {}, readSignal(options, 'ensure'));
  }

  async upsert(points: readonly Point<Payload>[], options?: CallOptions): Promise<UpsertReport> {
    const signal = readSignal(options, 'upsert');
    if (!Array.isArray(points)) throw invalid(`points must be an array, got ${shown(points)}`);
    const message = this.#message({});
    const ids = new Set<string>();
    message.word(points.length);
    for (let i = 0; i < points.length; i++) {
      const id = writePoint(message, points[i], `points[${i}]`, this.#dimension);
      if (ids.has(id)) throw invalid(`points[${i}]: the id ${shown(id)} stands twice in one batch`, id);
      ids.add(id);
    }
    return this.#upserted([...ids], message, signal);
  }

  async #upserted(ids: readonly string[], message: Message, signal: AbortSignal | undefined): Promise<UpsertReport> {
    type Report = { ok: string[]; failed: { id: string; code: number; message: string }[]; unknown: string[] };
    const { ok, failed, unknown } = await this.#write<Report>('_storeUpsert', ids, message, signal);
    const named = failed.map(({ id, code, message: why }) => {
      const error = errorFromEngine(code, why, undefined);
      return { id, code: error.code, message: why, retryable: error.retryable };
    });
    return { ok, failed: named, unknown };
  }

  async search(options: SearchOptions): Promise<Hits<Payload>> {
    const [hits] = await this.#search([readStoreQuery(options)], options.signal);
    return hits as Hits<Payload>;
  }

  async searchBatch(queries: readonly SearchOptions[], options?: CallOptions): Promise<Hits<Payload>[]> {
    const signal = readSignal(options, 'searchBatch');
    if (!Array.isArray(queries)) throw invalid(`queries must be an array, got ${shown(queries)}`);
    const read = queries.map(readStoreQuery);
    const own = queries.map((query: SearchOptions) => query.signal);
    return withAnyOf([signal, ...own], async (any) => this.#search(read, any));
  }

  async #search(queries: StoreQuery[], signal: AbortSignal | undefined): Promise<Hits<Payload>[]> {
    const message = this.#message({}).word(queries.length);
    for (const { query, ownFusion } of queries) {
      const length = (query.vector as { length?: unknown } | undefined)?.length;
      const dimension = this.#dimension ?? (typeof length === 'number' ? length : 0);
      writeQuery(message, query, dimension, ownFusion);
    }
    return this.#send('_storeSearch', message, signal, ({ place }: { place: number }) =>
      readAnswers<Payload>(this.#engine, place, queries.length, 0),
    );
  }

  async get(ids: readonly string[], options?: ReadOptions & CallOptions): Promise<StoredPoint<Payload>[]> {
    const { include, signal } = readOptions(options, 'get', ['include', 'signal']);
    const message = this.#message(include === undefined ? {} : { include: readInclude(include) });
    message.strings(readIds(ids));
    return this.#send('_storeGet', message, signal, ({ points }: { points: StoredPoint<Payload>[] }) =>
      takeVectors(this.#engine, points),
    );
  }

  async delete(target: readonly string[] | { filter: Filter }, options?: CallOptions): Promise<number> {
    const signal = readSignal(options, 'delete');
    let message: Message;
    let ids: readonly string[] | undefined;
    if (Array.isArray(target)) {
      ids = readIds(target);
      message = this.#message({}).strings(ids);
    } else {
      const { filter } = readOptions(target, 'delete', ['filter']);
      // A filter that is missing must not mean everything; clear() does.
      if (filter === undefined) throw invalid('delete: give an array of ids or { filter }; clear() deletes everything');
      message = this.#message({}, filter);
    }
    return (await this.#write<{ deleted: number }>('_storeRemove', ids, message, signal)).deleted;
  }

  async count(options?: { filter?: Filter | undefined } & CallOptions): Promise<number> {
    const { filter, signal } = readOptions(options, 'count', ['filter', 'signal']);
    return (await this.#send<{ count: number }>('_storeCount', this.#message({}, filter), signal)).count;
  }

  async *scroll(options?: ScrollOptions): AsyncGenerator<StoredPoint<Payload>[], void, undefined> {
    const { filter, batch, include, signal } = readOptions(options, 'scroll', ['filter', 'batch', 'include', 'signal']);
    const limit = batch === undefined ? 256 : readWhole(batch, 'batch', 1, maxPage);
    const fixed: Record<string, unknown> = { limit };
    if (include !== undefined) fixed['include'] = readInclude(include);
    type Page = { points: StoredPoint<Payload>[]; next: string };
    for (let from = ''; ;) {
      const message = this.#message({ ...fixed, from }, filter);
      const { points, next } = await this.#send('_storeScroll', message, signal, (page: Page) => ({
        ...page,
        points: takeVectors(this.#engine, page.points),
      }));
      if (points.length > 0) yield points;
      if (next === '') return;
      from = next;
    }
  }

  async [rawScroll](from: string, limit: number, signal?: AbortSignal): Promise<RawPage> {
    const message = this.#message({ limit, include: rawParts, from });
    return this.#send('_storeScroll', message, signal, (page: { points: unknown[]; next: string }) => ({
      points: readRaw(page, this.#engine),
      next: page.next,
    }));
  }

  async [rawGet](ids: readonly string[], signal?: AbortSignal): Promise<RawPoint[]> {
    const message = this.#message({ include: rawParts }).strings(readIds(ids));
    return this.#send('_storeGet', message, signal, (found: { points: unknown[] }) => readRaw(found, this.#engine));
  }

  async [rawUpsert](points: readonly RawPoint[], _dimension: number, signal?: AbortSignal): Promise<UpsertReport> {
    const ids = points.map(({ id }) => id);
    return this.#upserted(ids, writeRaw(this.#message({}), points), signal);
  }

  async clear(options?: CallOptions): Promise<number> {
    const signal = readSignal(options, 'clear');
    return (await this.#write<{ deleted: number }>('_storeClear', undefined, this.#message({}), signal)).deleted;
  }

  async drop(options?: CallOptions): Promise<boolean> {
    const signal = readSignal(options, 'drop');
    return (await this.#write<{ existed: boolean }>('_storeDrop', undefined, this.#message({}), signal)).existed;
  }

  async info(options?: CallOptions): Promise<StoreInfo> {
    return this.#run('_storeInfo', {}, readSignal(options, 'info'));
  }

  async health(options?: CallOptions): Promise<StoreHealth> {
    try {
      return await this.#run<StoreHealth>('_storeHealth', {}, readSignal(options, 'health'));
    } catch (error) {
      return { ready: false, message: reasonOf(error) };
    }
  }

  async createSnapshot(options?: CallOptions): Promise<StoreSnapshot> {
    return (await this.#snapshots({ action: 'create' }, readSignal(options, 'createSnapshot')))[0] as StoreSnapshot;
  }

  async listSnapshots(options?: CallOptions): Promise<StoreSnapshot[]> {
    return this.#snapshots({ action: 'list' }, readSignal(options, 'listSnapshots'));
  }

  async deleteSnapshot(name: string, options?: CallOptions): Promise<void> {
    await this.#snapshots({ action: 'delete', name: readText(name, 'name') }, readSignal(options, 'deleteSnapshot'));
  }

  async #snapshots(options: Record<string, unknown>, signal: AbortSignal | undefined): Promise<StoreSnapshot[]> {
    return (await this.#run<{ snapshots: StoreSnapshot[] }>('_storeSnapshots', options, signal)).snapshots;
  }

  async close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#pump.cancelRequests();
      this.#engine.dispose();
      await this.#http.close();
    })();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #message(options: Record<string, unknown>, filter?: unknown): Message {
    if (this.#closing !== undefined) throw new NearfieldError('Closed', `the store ${this.name} is closed`);
    // Of when retries may begin again.
    return new Message(withFilter({ ...options, now: Date.now() }, filter));
  }

  #run<Answer extends object>(verb: Verb, options: Record<string, unknown>, signal: AbortSignal | undefined) {
    return this.#send<Answer>(verb, this.#message(options), signal);
  }

  // `ids`: of the points it may change; undefined: any.
  async #write<Answer extends object>(
    verb: Verb,
    ids: readonly string[] | undefined,
    message: Message,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    checkSignal(signal);
    return this.#writes.take(ids, signal, () => this.#send<Answer>(verb, message, signal));
  }

  async #send<Answer extends object, Result = Answer>(
    verb: Verb,
    message: Message,
    signal: unknown,
    read?: (answer: Answer) => Result,
  ): Promise<Result> {
    checkSignal(signal);
    return this.#pump.runCancelled(verb, message.finish(), signal as AbortSignal | undefined, read);
  }
}

interface StoreQuery {
  query: Query;
  ownFusion: boolean;
}

function readStoreQuery(given: unknown): StoreQuery {
  const query = readQuery(given);
  if (query.explain) {
    throw new NearfieldError('Unsupported', 'search: explain is not supported: a server does not say how it searches', {
      value: 'explain',
    });
  }
  return { query, ownFusion: isObject(given) && given['fusion'] !== undefined };
}

/** Of options that have nothing else. */
export function readSignal(given: unknown, what: string): AbortSignal | undefined {
  const { signal } = readOptions(given, what, ['signal']);
  checkSignal(signal);
  return signal as AbortSignal | undefined;
}
