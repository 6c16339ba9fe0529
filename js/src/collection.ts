// A collection: points with ids, vectors, texts and payloads.
import {
  checkSignal,
  encodeJson,
  isObject,
  readChoice,
  readId,
  readOptions,
  readText,
  readVector,
  readWhole,
  shown,
  type Vector,
} from './check.js';
import type { Session } from './session.js';
import { NearfieldError, invalid } from './errors.js';
import type { CodeKind } from './generated/code-kinds.js';
import type { IndexKind } from './generated/kinds.js';
import type { Metric } from './generated/metrics.js';
import { Message, withMessage } from './message.js';
import {
  pageBytes,
  rawGet,
  rawParts,
  rawScroll,
  rawUpsert,
  readRaw,
  sizeOf,
  writeRaw,
  type RawPage,
  type RawPoint,
} from './raw.js';
import {
  encodeFilter,
  readInclude,
  readQuery,
  runQueries,
  takeVectors,
  withFilter,
  type Filter,
  type Hits,
  type Part,
  type SearchOptions,
} from './search.js';

/** What a collection is; fixed when it is created. */
export interface CollectionSchema {
  /** Components of each vector, 1 to 65,536. Left out: no vectors, only text and payload. */
  dimension?: number | undefined;
  /** Default 'cosine'. */
  metric?: Metric | undefined;
  /**
   * Default 'auto': flat while that is fast enough, then hnsw. 'hnsw' finds most in the least time; the 'ivf_' kinds are
   * made in a tenth of its time and, with 'ivf_rabitq' or 'ivf_pq', in a tenth of its room. They, and learned codes, begin
   * once there are 1,000 points to learn from; until then points are scanned.
   */
  index?:
    | 'auto'
    | IndexKind
    | {
        kind: 'auto' | IndexKind;
        /**
         * The share of the nearest ten that searches are to find which do not say `ef` or `nprobe`, from .5 to 1: what that
         * takes is measured once the index is complete, and again when it has doubled. Default: an `ef` of 128 for hnsw,
         * .95 for the 'ivf_' kinds.
         */
        recall?: number | undefined;
        /** ivf_*: default 4 times the square root of the number of points, but 40 points each. */
        partitions?: number | undefined;
        /** ivf_pq: into how many sub-vectors a vector is cut, each of which takes a byte (pq4: half); default dimension / 4. */
        subVectors?: number | undefined;
        /** hnsw: links per point; default 16. */
        m?: number | undefined;
        /** hnsw: breadth of the search that finds them; default 200. */
        efConstruct?: number | undefined;
        /**
         * What is compared; hits are then rescored by the vectors. Bytes a component in brackets.
         *
         * 'f32' (4): the vectors themselves. 'f16' (2). 'rq8' (1), 'rq4' (1/2): after a rotation. 'sq8' (1): between the
         * least and greatest value of each component, learned from the points. 'rabitq' (1/8): signs around the mean, for
         * 'flat' and 'ivf_rabitq'. 'pq' (1/4), 'pq4' (1/8): the nearest of 256 or 16 learned points, for 'ivf_pq'. The rotating ones, 'rq8', 'rq4' and 'rabitq', are not for manhattan.
         *
         * Default for hnsw 'rq8', but 'f32' for manhattan and where rq8 would not take half the room or less; for flat
         * and ivf_flat 'f32', an exact scan of all points or of partitions; for the other two what their names say.
         */
        code?: CodeKind | undefined;
      }
    | undefined;
  /**
   * 'onDemand': vectors stay in storage. An index then holds its own codes of them in memory, and a search reads those
   * of the best few; without an index (few points, or kind 'flat' with code 'f32') it reads all that are allowed. Default
   * 'memory'.
   */
  vectorStorage?: 'memory' | 'onDemand' | undefined;
  /**
   * 'onDemand': payloads and texts stay in storage and are read for the hits of a search, by get() and by scroll(); a
   * filter reads all of them. Full-text search stays in memory. Default 'memory'.
   */
  payloadStorage?: 'memory' | 'onDemand' | undefined;
  /** Full-text search. Left out: none. */
  text?:
    | {
        /** 'text' is the point's text, other names are dotted payload fields; default ['text']. */
        fields?: readonly string[] | undefined;
        /** English stemming; default true. */
        stemming?: boolean | undefined;
      }
    | undefined;
}

export interface Point<Payload = Record<string, unknown>> {
  /** 1 to 1,024 bytes of UTF-8. */
  id: string;
  vector?: Vector | undefined;
  text?: string | undefined;
  /** Plain JSON data, an object. */
  payload?: Payload | undefined;
}

/** A point as it comes back. */
export interface StoredPoint<Payload = Record<string, unknown>> {
  id: string;
  payload?: Payload;
  text?: string;
  vector?: Float32Array;
}

/** 'strict': on stable storage when the promise resolves. 'relaxed': handed to the system. */
export type Durability = 'strict' | 'relaxed';

export interface WriteOptions {
  /** Default: what the database was opened with, 'strict' if nothing. */
  durability?: Durability | undefined;
  /** Looked at before the write starts; a write that started is carried out. */
  signal?: AbortSignal | undefined;
}

/** Ids by what happened to them. In this version a call is carried out whole or fails whole. */
export interface UpsertReport {
  ok: string[];
  failed: { id: string; code: string; message: string; retryable: boolean }[];
  unknown: string[];
}

export interface ReadOptions {
  /** Default ['payload', 'text']. */
  include?: readonly Part[] | undefined;
}

export interface ScrollOptions extends ReadOptions {
  filter?: Filter | undefined;
  /** Points a page, 1 to 10,000; default 256. */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface OptimizeOptions {
  signal?: AbortSignal | undefined;
  /** Called now and then with how many rows were looked at, and of how many. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

export interface ProbeOptions {
  /** Vectors to ask, 1 to 10,000. Left out: `sample` questions are made. */
  queries?: readonly Vector[] | undefined;
  /** How many questions are made; 1 to 10,000, default 100. */
  sample?: number | undefined;
  /** Hits of each; default 10. */
  k?: number | undefined;
  /** As in a search; default: as searches that do not say. */
  ef?: number | undefined;
  nprobe?: number | undefined;
  rescore?: number | undefined;
}

export interface ProbeReport {
  /** The share of the exact k that was found, from 0 to 1. */
  recall: number;
  questions: number;
}

export interface CollectionInfo {
  count: number;
  /** Deleted and replaced points that still take room; optimize() drops them. */
  tombstones: number;
  dimension: number;
  metric: Metric;
  /** `unindexed`: rows that each search scans because the index does not have them yet; optimize() ends with none. */
  index: { kind: IndexKind; code: CodeKind; parameters: Record<string, number>; reason: string; unindexed: number };
  memory: { indexBytes: number; vectorBytes: number; payloadBytes: number; wasmBytes: number };
  storage: string;
  recovery: Recovery;
  engine: string;
}

/** What opening the database found and did. */
export interface Recovery {
  /** Of the manifest that was used; 0: a new database. */
  generation: number;
  /** Newer manifests that did not check out. */
  generationsSkipped: number;
  logBatches: number;
  logBytesDiscarded: number;
  /** Collections whose derived state was built again from rows. */
  rebuilt: string[];
}

/** A schema as the engine keeps it. */
interface EngineSchema {
  dimension: number;
  metric: Metric;
  index?: { kind?: string; m?: number; efConstruct?: number; recall?: number };
}

interface Description {
  schema: EngineSchema;
  count: number;
  tombstones: number;
  optimizing?: { done: number; total: number };
  kind: IndexKind;
  reason: string;
  code: CodeKind;
  unindexed: number;
  effort: number;
  rescore: number;
  indexBytes: number;
  vectorBytes: number;
  payloadBytes: number;
}

export const maxPage = 10_000;
/** Whole points of one answer. */
const rawRows = 32;
/** Private to the package. */
export const upsertBatches = Symbol('upsertBatches');
const progressMs = 50;

export class Collection<Payload extends object = Record<string, unknown>> {
  readonly name: string;
  readonly #session: Session;
  // The ids that rawScroll() hands out next; `last`: there are no others.
  #ahead: { after: string; ids: string[]; last: boolean } | undefined;
  // Of the schema, as it was at that epoch of the session.
  #known: { epoch: number; dimension: number };

  /** Private to the package; use db.collection(). */
  constructor(session: Session, name: string, dimension: number) {
    this.#session = session;
    this.name = name;
    this.#known = { epoch: session.epoch, dimension };
  }

  /**
   * Adds points, replacing those whose ids are known. Resolves when all of them are durable; when one is bad, the call
   * fails and none is stored.
   *
   * ```js
   * await notes.upsert([{ id: 'a', vector: [0.1, 0.2, 0.3], text: 'words', payload: { year: 2026 } }]);
   * ```
   *
   * Throws InvalidArgument, DimensionMismatch, LimitExceeded, ReadOnly, QuotaExceeded, StorageFailed, Conflict, Closed.
   */
  async upsert(points: readonly Point<Payload>[], options?: WriteOptions): Promise<UpsertReport> {
    const [batch] = this.#readBatches(points, options, Infinity);
    this.#session.requireOpen();
    if (batch === undefined) return { ok: [], failed: [], unknown: [] };
    await this.#session.run('_upsert', batch.message);
    return { ok: batch.ids, failed: [], unknown: [] };
  }

  /**
   * Private to the package: upsert() in batches of at most `size`, one commit each. All points are checked and copied
   * before the first is written; what the engine refuses after that is reported.
   */
  async [upsertBatches](points: readonly Point<Payload>[], options: WriteOptions, size: number): Promise<UpsertReport> {
    const report: UpsertReport = { ok: [], failed: [], unknown: [] };
    for (const [i, { ids, message }] of this.#readBatches(points, options, size).entries()) {
      try {
        checkSignal(options.signal);
        await this.#session.run('_upsert', message);
        for (const id of ids) report.ok.push(id);
      } catch (error) {
        if (i === 0 || !(error instanceof NearfieldError)) throw error;
        const { code, message: why, retryable } = error;
        // Nobody waits for the report, or nothing more can be written.
        if (code === 'Aborted' || code === 'Closed') throw error;
        for (const id of ids) report.failed.push({ id, code, message: why, retryable });
      }
    }
    return report;
  }

  #readBatches(points: unknown, options: unknown, size: number): { ids: string[]; message: Message }[] {
    const relaxed = this.#readWrite(options);
    if (!Array.isArray(points)) throw invalid(`points must be an array, got ${shown(points)}`);
    const count = points.length;
    const seen = new Set<string>();
    const dimension = this.#dimension();
    const batches: { ids: string[]; message: Message }[] = [];
    for (let first = 0; first < count; first += size) {
      const end = Math.min(first + size, count);
      const message = this.#message({ relaxed }).word(end - first);
      const ids: string[] = [];
      for (let i = first; i < end; i++) {
        const id = writePoint(message, points[i], `points[${i}]`, dimension);
        if (seen.has(id)) throw invalid(`points[${i}]: the id ${shown(id)} stands twice in one batch`, id);
        seen.add(id);
        ids.push(id);
      }
      batches.push({ ids, message });
    }
    return batches;
  }

  /**
   * The best points for a vector, a text, or both; by score, greatest first, then by id.
   *
   * ```js
   * const hits = await notes.search({ text: 'words', k: 5, filter: { year: { $gte: 2024 } } });
   * ```
   *
   * Throws InvalidArgument, DimensionMismatch, FilterError, ConfigError, Unsupported, Aborted, Closed.
   */
  async search(options: SearchOptions): Promise<Hits<Payload>> {
    const answers = runQueries<Payload>(this.#session, this.name, this.#dimension(), [readQuery(options)]);
    return (await answers)[0] as Hits<Payload>;
  }

  /** Several searches in one call across the line; answers in their order. */
  async searchBatch(queries: readonly SearchOptions[]): Promise<Hits<Payload>[]> {
    if (!Array.isArray(queries)) throw invalid(`queries must be an array, got ${shown(queries)}`);
    return runQueries<Payload>(this.#session, this.name, this.#dimension(), queries.map(readQuery));
  }

  /** The points of these ids, in their order; ids nobody has are left out. */
  async get(ids: readonly string[], options?: ReadOptions): Promise<StoredPoint<Payload>[]> {
    const { include } = readOptions(options, 'get', ['include']);
    const message = this.#message(include === undefined ? {} : { include: readInclude(include) });
    message.strings(readIds(ids));
    return this.#session.ask('_get', message, ({ points }: { points: StoredPoint<Payload>[] }, engine) =>
      takeVectors(engine, points),
    );
  }

  /**
   * Deletes points by id, or all that a filter matches. Answers how many existed.
   *
   * ```js
   * await notes.delete(['a', 'b']);
   * await notes.delete({ filter: { tag: 'old' } });
   * ```
   */
  async delete(target: readonly string[] | { filter: Filter }, options?: WriteOptions): Promise<number> {
    const relaxed = this.#readWrite(options);
    let message: Message;
    if (Array.isArray(target)) {
      message = this.#message({ relaxed }).strings(readIds(target));
    } else {
      const { filter } = readOptions(target, 'delete', ['filter']);
      // A filter that is missing must not mean everything; clear() does.
      if (filter === undefined) throw invalid('delete: give an array of ids or { filter }; clear() deletes everything');
      message = this.#message({ relaxed }, filter);
    }
    const { deleted } = await this.#session.run<{ deleted: number }>('_remove', message);
    return deleted;
  }

  /** How many points there are, or pass the filter. */
  async count(options?: { filter?: Filter | undefined }): Promise<number> {
    const { filter } = readOptions(options, 'count', ['filter']);
    const encoded = filter === undefined ? '' : encodeFilter(filter);
    return withMessage((message) =>
      this.#session.ask('_count', message.string(this.name).string(encoded), ({ count }: { count: number }) => count),
    );
  }

  /**
   * All points, or those a filter matches, by ascending id, in pages.
   *
   * ```js
   * for await (const page of notes.scroll({ batch: 100 })) for (const point of page) console.log(point.id);
   * ```
   *
   * A point that is written while the loop runs is seen if its id comes after the last one handed out.
   */
  async *scroll(options?: ScrollOptions): AsyncGenerator<StoredPoint<Payload>[], void, undefined> {
    const { filter, batch, include, signal } = readOptions(options, 'scroll', ['filter', 'batch', 'include', 'signal']);
    const limit = batch === undefined ? 256 : readWhole(batch, 'batch', 1, maxPage);
    const fixed: Record<string, unknown> = { limit };
    if (include !== undefined) fixed['include'] = readInclude(include);
    let after = '';
    for (;;) {
      checkSignal(signal);
      const message = this.#message({ ...fixed, after }, filter);
      const points = await this.#session.ask(
        '_scroll',
        message,
        ({ points: page }: { points: StoredPoint<Payload>[] }, engine) => takeVectors(engine, page),
      );
      if (points.length === 0) return;
      after = (points.at(-1) as StoredPoint<Payload>).id;
      yield points;
      if (points.length < limit) return;
    }
  }

  /** Deletes every point. Answers how many there were. */
  async clear(): Promise<number> {
    return (await this.#session.run<{ deleted: number }>('_clear', this.#message({}))).deleted;
  }

  /**
   * Brings the index up to date and drops what deleted and replaced points left behind, in steps of a few milliseconds:
   * searches and writes go on. Both happen by themselves: the index follows a little later than the writes, the rest is
   * dropped once half of the collection is dead. Throws Aborted after `signal`, Conflict while another one is under
   * way, and OutOfMemory where the index does not fit, which searches then do without; no point has changed then.
   */
  async optimize(options?: OptimizeOptions): Promise<void> {
    const { signal, onProgress } = readOptions(options, 'optimize', ['signal', 'onProgress']);
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw invalid(`onProgress must be a function, not ${shown(onProgress)}`, onProgress);
    }
    const report = onProgress as OptimizeOptions['onProgress'];
    checkSignal(signal);
    let running = true;
    const cancel = () => {
      try {
        if (running) this.#session.engine().call('_cancelOptimize', this.#message({}).finish());
      } catch {
        // The database was closed or its engine broke, and `finished` says so.
      }
    };
    const watch = async () => {
      while (running) {
        const { optimizing } = this.#session.engine().call<Description>('_describe', this.#message({}).finish());
        if (optimizing !== undefined) report?.(optimizing);
        await new Promise((resolve) => setTimeout(resolve, progressMs));
      }
    };
    const finished = this.#session.run('_optimize', this.#message({})).finally(() => (running = false));
    (signal as AbortSignal | undefined)?.addEventListener('abort', cancel, { once: true });
    try {
      await Promise.all([finished, report === undefined ? undefined : watch()]);
    } finally {
      (signal as AbortSignal | undefined)?.removeEventListener('abort', cancel);
    }
  }

  /**
   * Measures what searches find of what they would find exactly, on questions of your own, or on some in the middle of
   * random points, which are about as hard as real ones. Searches and writes go on meanwhile.
   *
   * ```js
   * const { recall } = await notes.probe({ k: 10 });
   * ```
   *
   * Throws InvalidArgument (also where there are no points with vectors), DimensionMismatch, Unsupported, Closed.
   */
  async probe(options?: ProbeOptions): Promise<ProbeReport> {
    const { queries, sample, k, ef, nprobe, rescore } = readOptions(options, 'probe', [
      'queries',
      'sample',
      'k',
      'ef',
      'nprobe',
      'rescore',
    ]);
    if (queries !== undefined && !Array.isArray(queries)) {
      throw invalid(`probe: queries must be an array of vectors, got ${shown(queries)}`, queries);
    }
    const most = 10_000;
    const message = this.#message({
      sample: sample === undefined ? 100 : readWhole(sample, 'sample', 1, most),
      k: k === undefined ? 10 : readWhole(k, 'k', 1, most),
      ef: ef === undefined ? 0 : readWhole(ef, 'ef', 1, most),
      nprobe: nprobe === undefined ? 0 : readWhole(nprobe, 'nprobe', 1, 65_536),
      rescore: rescore === undefined ? 0 : readWhole(rescore, 'rescore', 1, most),
    });
    const dimension = this.#dimension();
    if (queries !== undefined && (queries.length === 0 || queries.length > most)) {
      throw invalid(`probe: give 1 to ${most} queries, not ${queries.length}`, queries.length);
    }
    (queries as unknown[] | undefined)?.forEach((query, i) => {
      readVector(query, `queries[${i}]`, dimension, message.room(dimension));
    });
    return this.#session.run<ProbeReport>('_probe', message);
  }

  /** What the collection is, how it is searched and what it takes. */
  async info(): Promise<CollectionInfo> {
    const engine = this.#session.engine();
    const about = engine.call<Description>('_describe', this.#message({}).finish());
    const { m, efConstruct, recall } = about.schema.index ?? {};
    const parameters: Record<string, number> = {};
    if (about.kind === 'hnsw' && m !== undefined) parameters['m'] = m;
    if (about.kind === 'hnsw' && efConstruct !== undefined) parameters['efConstruct'] = efConstruct;
    if (about.kind === 'hnsw') parameters['ef'] = about.effort;
    if (about.kind.startsWith('ivf_')) parameters['nprobe'] = about.effort;
    if (about.kind !== 'flat') parameters['rescore'] = about.rescore;
    if (recall !== undefined) parameters['recall'] = recall;
    return {
      count: about.count,
      tombstones: about.tombstones,
      dimension: about.schema.dimension ?? 0,
      metric: about.schema.metric,
      index: { kind: about.kind, code: about.code, parameters, reason: about.reason, unindexed: about.unindexed },
      memory: {
        indexBytes: about.indexBytes,
        vectorBytes: about.vectorBytes,
        payloadBytes: about.payloadBytes,
        wasmBytes: engine.memory.byteLength,
      },
      storage: this.#session.volume.kind,
      recovery: this.#session.info().recovery,
      engine: 'wasm-simd128',
    };
  }

  /** Private to the package, as the next two; see raw.ts. */
  async [rawScroll](after: string, limit: number): Promise<RawPage> {
    // To find the next ids takes a look at all of them, so many are found at once; what they stand for is read page by page.
    if (this.#ahead?.after !== after || this.#ahead.ids.length === 0) {
      const message = this.#message({ limit: maxPage, include: [], after });
      const ids = await this.#session.ask('_scroll', message, ({ points }: { points: { id: string }[] }) =>
        points.map(({ id }) => id),
      );
      this.#ahead = { after, ids, last: ids.length < maxPage };
    }
    const { ids, last } = this.#ahead;
    // A few at a time: a text may have 16 MiB, and an answer is one string.
    const points: RawPoint[] = [];
    let [taken, bytes] = [0, 0];
    while (taken < Math.min(limit, ids.length) && bytes < pageBytes) {
      const some = await this[rawGet](ids.slice(taken, Math.min(taken + rawRows, limit)));
      taken += rawRows;
      for (const point of some) bytes += sizeOf(point);
      points.push(...some);
    }
    const rest = ids.slice(Math.min(taken, limit));
    const next = rest.length === 0 && last ? '' : (ids[Math.min(taken, limit, ids.length) - 1] as string);
    this.#ahead = next === '' ? undefined : { after: next, ids: rest, last };
    return { points, next };
  }

  async [rawGet](ids: readonly string[]): Promise<RawPoint[]> {
    const message = this.#message({ include: rawParts }).strings(readIds(ids));
    return this.#session.ask('_get', message, readRaw);
  }

  async [rawUpsert](points: readonly RawPoint[]): Promise<UpsertReport> {
    const message = writeRaw(this.#message({ relaxed: this.#session.durability === 'relaxed' }), points);
    if (points.length > 0) await this.#session.run('_upsert', message);
    return { ok: points.map(({ id }) => id), failed: [], unknown: [] };
  }

  // Another writer may have dropped the collection and made one of the same name.
  #dimension(): number {
    const { epoch } = this.#session;
    if (epoch !== this.#known.epoch) {
      const { schema } = this.#session.engine().call<Description>('_describe', this.#message({}).finish());
      this.#known = { epoch, dimension: schema.dimension ?? 0 };
    }
    return this.#known.dimension;
  }

  #message(options: Record<string, unknown>, filter?: unknown): Message {
    return new Message(withFilter({ collection: this.name, ...options }, filter));
  }

  #readWrite(given: unknown): boolean {
    const { durability, signal } = readOptions(given, 'options', ['durability', 'signal']);
    checkSignal(signal);
    return (durability === undefined ? this.#session.durability : readDurability(durability)) === 'relaxed';
  }
}

/** Appends a point to the binary part of a message. `dimension`: as readVector() takes it; undefined: any. */
export function writePoint(message: Message, given: unknown, what: string, dimension: number | undefined): string {
  if (!isObject(given)) throw invalid(`${what} must be an object, got ${shown(given)}`, given);
  const point = readOptions(given, what, ['id', 'vector', 'text', 'payload'], {
    sparse: 'this version has no sparse vectors; use text for words',
  });
  const id = readId(point.id, `${what}.id`);
  message.string(id);
  message.string(point.text === undefined ? '' : readText(point.text, `${what}.text`));
  if (point.payload !== undefined && !isObject(point.payload)) {
    throw invalid(`${what}.payload must be an object, got ${shown(point.payload)}`, point.payload);
  }
  message.string(point.payload === undefined ? '' : encodeJson(point.payload, `${what}.payload`));
  const vector =
    point.vector === undefined
      ? undefined
      : readVector(point.vector, `${what}.vector`, dimension ?? lengthOf(point.vector));
  message.word(vector?.length ?? 0).align();
  if (vector !== undefined) message.floats(vector);
  return id;
}

/** What a vector has where anything may be right. 1 is the least there can be, and none is told from no array later. */
function lengthOf(vector: unknown): number {
  const length: unknown = (vector as { length?: unknown } | null)?.length;
  return typeof length === 'number' && length > 0 ? length : 1;
}

export function readIds(ids: unknown): string[] {
  if (!Array.isArray(ids)) throw invalid(`ids must be an array of strings, got ${shown(ids)}`, ids);
  return ids.map((id: unknown, i) => readId(id, `ids[${i}]`));
}

export function readDurability(value: unknown): Durability {
  return readChoice(value, 'durability', ['strict', 'relaxed']);
}

/** JSON text of a schema, as core/collection/schema.h reads it. */
export function encodeSchema(given: unknown): string {
  const { dimension, metric, index, vectorStorage, payloadStorage, text } = readOptions(
    given,
    'schema',
    ['dimension', 'metric', 'index', 'vectorStorage', 'payloadStorage', 'text'],
    {
      payload: 'this version has no payload indexes; every payload field can be filtered without one, so leave it out',
      sparse: 'this version has no sparse vectors; use text for words',
    },
  );
  if (vectorStorage === 'codesOnly') {
    throw new NearfieldError(
      'Unsupported',
      `schema.vectorStorage ${shown(vectorStorage)} is not supported; use 'memory' or 'onDemand'`,
      {
        value: vectorStorage,
      },
    );
  }
  const out: Record<string, unknown> = {};
  if (dimension !== undefined) out['dimension'] = readWhole(dimension, 'schema.dimension', 1, 65_536);
  if (metric !== undefined) out['metric'] = readText(metric, 'schema.metric');
  if (index !== undefined) out['index'] = readIndex(index);
  if (text !== undefined) out['text'] = text;
  if (vectorStorage !== undefined) {
    out['vectorStorage'] = readChoice(vectorStorage, 'schema.vectorStorage', ['memory', 'onDemand']);
  }
  if (payloadStorage !== undefined) {
    out['payloadStorage'] = readChoice(payloadStorage, 'schema.payloadStorage', ['memory', 'onDemand']);
  }
  return encodeJson(out, 'schema');
}

function readIndex(given: unknown): object {
  const { kind, code, ...rest } = readOptions(typeof given === 'string' ? { kind: given } : given, 'schema.index', [
    'kind',
    'm',
    'efConstruct',
    'code',
    'recall',
    'partitions',
    'subVectors',
  ]);
  return { ...(kind === undefined ? {} : { kind }), ...(code === undefined ? {} : { code }), ...rest };
}
