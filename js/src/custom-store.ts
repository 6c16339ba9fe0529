// A store behind an object of the caller's: what it is told is checked, and so is everything that it answers.
import { makeBackend, type Backend, type BackendSettings, type PartialStore } from './backends.js';
import {
  checkSignal,
  encodeJson,
  isWellFormed,
  isObject,
  readId,
  readOptions,
  readText,
  readVector,
  readWhole,
  shown,
} from './check.js';
import { maxPage, readIds, type Point, type ReadOptions, type ScrollOptions } from './collection.js';
import type { StoredPoint, UpsertReport } from './collection.js';
import { protocolOf, type Speech } from './custom-protocols.js';
import { parseJson } from './engine.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';
import { orderTexts, readPayloadFilter, shownFilter, type PayloadTest } from './payload-filter.js';
import { readSignal } from './remote-store.js';
import { readInclude, readQuery, type Filter, type Hit, type Hits, type Part } from './search.js';
import type { Plan, SearchOptions } from './search.js';
import { unlessAborted } from './signal.js';
import type { CallOptions, EnsureReport, Store, StoreHealth, StoreInfo, StoreSnapshot } from './store.js';

/** Points an object is asked for at most while it is looked for those that pass a filter. */
const maxCandidates = 1_000_000;
const deletedAtOnce = 1000;
const maxIdBytes = 1024;
const usualParts: readonly Part[] = ['payload', 'text'];

/** Private to the package; use connect(). */
export async function openCustom<Payload extends object>(settings: BackendSettings): Promise<Store<Payload>> {
  try {
    // What the factory does with the settings it is given changes nothing here.
    return new CustomStore<Payload>(settings, await makeBackend({ ...settings }));
  } catch (cause) {
    throw wrapped(settings.backend, 'its factory', cause);
  }
}

export class CustomStore<Payload extends object = Record<string, unknown>> implements Store<Payload> {
  readonly backend: string;
  readonly name: string;
  readonly #settings: BackendSettings;
  readonly #speech: Speech;
  readonly #calls: PartialStore;
  // Of the first vector, where the configuration does not say.
  #dimension: number | undefined;
  readonly #running = new Set<AbortController>();
  #closing: Promise<void> | undefined;

  constructor(settings: BackendSettings, object: Backend) {
    this.backend = settings.backend;
    this.name = settings.collection;
    this.#settings = settings;
    this.#dimension = settings.dimension;
    this.#speech = protocolOf(object, settings.backend);
    this.#calls = this.#speech.calls;
  }

  async ensure(options?: CallOptions): Promise<EnsureReport> {
    const signal = readSignal(options, 'ensure');
    this.#requireOpen();
    if (this.#calls.ensure === undefined) return { created: false, differences: [] };
    const ask = (signal: AbortSignal) => this.#calls.ensure?.({ signal });
    return this.#run('ensure', [signal], ask, (answer) => {
      const { created, differences } = isObject(answer) ? answer : {};
      if (typeof created !== 'boolean' || !Array.isArray(differences)) {
        throw this.#bad('ensure', 'must answer { created, differences }', answer);
      }
      const read = (given: unknown) => {
        const { name, asked, found } = isObject(given) ? given : {};
        if (typeof name === 'string' && typeof asked === 'string' && typeof found === 'string') {
          return { name, asked, found };
        }
        throw this.#bad('ensure', 'answers a difference that is not { name, asked, found } of texts', given);
      };
      return { created, differences: Array.from(differences, read) };
    });
  }

  async upsert(points: readonly Point<Payload>[], options?: CallOptions): Promise<UpsertReport> {
    const signal = readSignal(options, 'upsert');
    if (!Array.isArray(points)) throw invalid(`points must be an array, got ${shown(points)}`);
    this.#requireOpen();
    const ids = new Set<string>();
    let dimension = this.#dimension;
    const taken = points.map((given: unknown, i) => {
      const point = readPoint(given, `points[${i}]`, dimension);
      dimension ??= (point.vector as Float32Array | undefined)?.length;
      if (ids.has(point.id)) {
        throw invalid(`points[${i}]: the id ${shown(point.id)} stands twice in one batch`, point.id);
      }
      ids.add(point.id);
      this.#speech.checkPoint?.(point, `points[${i}]`);
      return point;
    });
    const report: UpsertReport = { ok: [], failed: [], unknown: [] };
    for (let first = 0; first < taken.length; first += this.#settings.batchRows) {
      const some = taken.slice(first, first + this.#settings.batchRows);
      const wanted = some.map(({ id }) => id);
      try {
        const ask = (signal: AbortSignal) => this.#calls.upsert(some, { signal });
        const part = await this.#run('upsert', [signal], ask, (answer) =>
          answer === undefined ? { ok: wanted, failed: [], unknown: [] } : this.#readReport(answer, wanted),
        );
        for (const list of ['ok', 'failed', 'unknown'] as const) (report[list] as unknown[]).push(...part[list]);
        this.#dimension ??= dimension;
      } catch (error) {
        if (first === 0 || !(error instanceof NearfieldError) || error.code === 'Aborted') throw error;
        // Nobody knows what of these points is there.
        report.unknown.push(...wanted);
        const { code, message, retryable } = error;
        const why = `not tried: ${message}`;
        const left = taken.slice(first + wanted.length);
        report.failed.push(...left.map(({ id }) => ({ id, code, message: why, retryable })));
        break;
      }
    }
    return report;
  }

  #readReport(answer: unknown, wanted: string[]): UpsertReport {
    const bad = (why: string, value: unknown) => this.#bad('upsert', why, value);
    const { ok, failed, unknown } = isObject(answer) ? answer : {};
    if (!Array.isArray(ok) || !Array.isArray(failed) || !Array.isArray(unknown)) {
      throw bad('must answer nothing, or { ok, failed, unknown }', answer);
    }
    const named = Array.from(failed, (given: unknown) => {
      const { id, code, message, retryable } = isObject(given) ? given : {};
      if (typeof id === 'string' && typeof code === 'string' && typeof message === 'string') {
        return { id, code, message, retryable: retryable === true };
      }
      throw bad('answers a failure that is not { id, code, message, retryable }', given);
    });
    const seen = new Set<unknown>();
    for (const id of [...ok, ...named.map((each) => each.id), ...unknown] as unknown[]) {
      if (seen.has(id)) throw bad('reports an id twice:', id);
      seen.add(id);
    }
    const missing = wanted.find((id) => !seen.has(id));
    if (missing !== undefined) throw bad('does not report:', missing);
    if (seen.size !== wanted.length) {
      throw bad(
        'reports an id that it was not given:',
        [...seen].find((id) => !wanted.includes(id as string)),
      );
    }
    return { ok: [...(ok as string[])], failed: named, unknown: [...(unknown as string[])] };
  }

  async search(options: SearchOptions): Promise<Hits<Payload>> {
    return this.#search(options);
  }

  async searchBatch(queries: readonly SearchOptions[], options?: CallOptions): Promise<Hits<Payload>[]> {
    const signal = readSignal(options, 'searchBatch');
    if (!Array.isArray(queries)) throw invalid(`queries must be an array, got ${shown(queries)}`);
    this.#requireOpen();
    const batch = this.#calls.searchBatch;
    if (batch === undefined || this.#speech.vectorsOnly) {
      const answers: Hits<Payload>[] = [];
      for (const query of queries) answers.push(await this.#search(query, signal));
      return answers;
    }
    const asked = queries.map((query: unknown) => this.#readSearch(query));
    const answers: Hits<Payload>[] = [];
    for (let first = 0; first < asked.length; first += this.#settings.searchBatch) {
      const some = asked.slice(first, first + this.#settings.searchBatch);
      const ask = (signal: AbortSignal) => this.#calls.searchBatch?.(some.map(handedOut), { signal });
      const part = await this.#run('searchBatch', [signal, ...some.map(signalOf)], ask, (answer) => {
        if (!Array.isArray(answer) || answer.length !== some.length) {
          throw this.#bad('searchBatch', `must answer ${some.length} lists of hits`, answer);
        }
        return some.map((each, i) => this.#readHits('searchBatch', answer[i], each));
      });
      answers.push(...part);
    }
    return answers;
  }

  async #search(given: unknown, batchSignal?: AbortSignal): Promise<Hits<Payload>> {
    this.#requireOpen();
    const asked = this.#readSearch(given);
    if (this.#calls.search === undefined) throw this.#cannot('search');
    const ask = async (each: Asked) =>
      this.#run(
        'search',
        [signalOf(asked), batchSignal],
        (signal) => this.#calls.search?.({ ...handedOut(each), signal }),
        (answer) => this.#readHits('search', answer, each),
      );
    return this.#speech.vectorsOnly ? this.#searchHere(asked, ask) : ask(asked);
  }

  /** Of objects that only know how to answer the k closest: the rest of a search, exactly. */
  async #searchHere(asked: Asked, ask: (each: Asked) => Promise<Hits<Payload>>): Promise<Hits<Payload>> {
    const { offset, k, minScore, include } = asked;
    const need = offset + k;
    const passed = this.#speech.filtersHere ? undefined : asked.options.filter;
    const payload: readonly Part[] =
      asked.passes === undefined ? include : [...new Set([...include, 'payload' as const])];
    for (let count = asked.passes === undefined || passed !== undefined ? need + 1 : 4 * need; ; count *= 4) {
      const size = Math.min(count, maxCandidates);
      const { offset: _o, minScore: _m, filter: _f, ...rest } = asked.options;
      const options = { ...rest, k: size, include: payload, ...(passed === undefined ? {} : { filter: passed }) };
      const whole = { ...asked, options, offset: 0, k: size, minScore: -Infinity, include: payload };
      const hits = await ask(passed === undefined ? { ...whole, passes: undefined } : whole);
      const good = asked.passes === undefined ? hits : hits.filter((hit) => asked.passes?.(hit.payload));
      // Equal scores are ordered by id, so all that share the last place have to be seen.
      const last = hits.at(-1)?.score ?? -Infinity;
      const worst = good[need - 1]?.score ?? -Infinity;
      if (hits.length < size || last < worst || last < minScore) {
        const found = good.slice(offset, need).filter(({ score }) => score >= minScore);
        if (!include.includes('payload')) for (const hit of found) delete hit.payload;
        return found;
      }
      if (size === maxCandidates) {
        const of = asked.options.filter === undefined ? '' : ` with the filter ${shownFilter(asked.options.filter)}`;
        throw new NearfieldError('LimitExceeded', `search${of}: not decided among the best ${maxCandidates} points`);
      }
    }
  }

  #readSearch(given: unknown): Asked {
    // Each property is read once.
    const options = (isObject(given) ? { ...given } : given) as SearchOptions;
    const query = readQuery(options);
    for (const name of Object.keys(options) as (keyof SearchOptions)[]) {
      if (options[name] === undefined) delete options[name];
    }
    this.#speech.checkSearch?.(options);
    if (options.vector !== undefined) {
      const { length } = options.vector;
      options.vector = readVector(options.vector, 'vector', this.#dimension ?? (length > 0 ? length : 1));
    }
    const passes = options.filter === undefined ? undefined : readPayloadFilter(options.filter);
    if (options.filter !== undefined) options.filter = parseJson<Filter>(query.filter);
    const include = options.include === undefined ? usualParts : readInclude(options.include);
    const minScore = options.minScore ?? -Infinity;
    return { options: { ...options, include }, passes, include, k: query.k, offset: query.offset, minScore };
  }

  // Checked, copied, and by score and id.
  #readHits(call: string, answer: unknown, asked: Asked): Hits<Payload> {
    if (!Array.isArray(answer)) throw this.#bad(call, 'must answer an array of hits', answer);
    if (answer.length > asked.k) throw this.#bad(call, `answers more than ${asked.k} hits:`, answer.length);
    const seen = new Set<string>();
    let before = Infinity;
    const hits = Array.from(answer, (given: unknown): Hit<Payload> => {
      const point = this.#readStored(call, given, asked.include, seen);
      const { score, parts, highlights } = given as Record<string, unknown>;
      if (typeof score !== 'number' || !Number.isFinite(score)) {
        throw this.#bad(call, `answers for ${shown(point.id)} a score that is no finite number:`, score);
      }
      if (score > before) {
        throw this.#bad(call, `must answer the greatest score first, and has ${score} after:`, before);
      }
      before = score;
      if (score < asked.minScore) throw this.#bad(call, `answers a score below ${asked.minScore}:`, score);
      if (asked.include.includes('payload') && asked.passes !== undefined && !asked.passes(point.payload)) {
        throw this.#bad(call, 'answers a point that does not pass the filter:', point.id);
      }
      const hit: Hit<Payload> = { ...point, score };
      if (parts !== undefined) hit.parts = this.#readParts(call, parts, point.id);
      if (highlights !== undefined) hit.highlights = this.#readHighlights(call, highlights, point.id);
      return hit;
    });
    hits.sort((a, b) => b.score - a.score || orderTexts(a.id, b.id));
    const { plan } = answer as Hits;
    if (plan === undefined) return hits;
    if (!isObject(plan)) throw this.#bad(call, 'answers a plan that is no object:', plan);
    return Object.assign(hits, { plan: parseJson<Plan>(encodeJson(plan, 'plan', 'RemoteProtocolError')) });
  }

  #readParts(call: string, parts: unknown, id: string): NonNullable<Hit['parts']> {
    const bad = () => this.#bad(call, `answers for ${shown(id)} parts that are not { dense, text }:`, parts);
    if (!isObject(parts)) throw bad();
    const read: NonNullable<Hit['parts']> = {};
    for (const leg of ['dense', 'text'] as const) {
      const given = parts[leg];
      if (given === undefined) continue;
      const { score, rank } = isObject(given) ? given : {};
      if (typeof score !== 'number' || typeof rank !== 'number') throw bad();
      read[leg] = { score, rank };
    }
    return read;
  }

  #readHighlights(call: string, highlights: unknown, id: string): [number, number][] {
    const bad = () => this.#bad(call, `answers for ${shown(id)} highlights that are not pairs of offsets:`, highlights);
    if (!Array.isArray(highlights)) throw bad();
    return Array.from(highlights, (pair: unknown): [number, number] => {
      const [begin, end] = (Array.isArray(pair) && pair.length === 2 ? pair : []) as unknown[];
      if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end)) throw bad();
      return [begin as number, end as number];
    });
  }

  async get(ids: readonly string[], options?: ReadOptions & CallOptions): Promise<StoredPoint<Payload>[]> {
    const { include, signal } = readOptions(options, 'get', ['include', 'signal']);
    const parts = include === undefined ? usualParts : readInclude(include);
    const wanted = readIds(ids);
    this.#requireOpen();
    if (this.#calls.get === undefined) throw this.#cannot('get');
    const unique = [...new Set(wanted)];
    const known = new Set(unique);
    const ask = (stop: AbortSignal) => this.#calls.get?.(unique, { include: [...parts], signal: stop });
    return this.#run('get', [signal], ask, (answer) => {
      if (!Array.isArray(answer)) throw this.#bad('get', 'must answer an array of points', answer);
      const found = new Map<string, StoredPoint<Payload>>();
      const seen = new Set<string>();
      for (const each of answer as unknown[]) {
        const point = this.#readStored('get', each, parts, seen);
        if (!known.has(point.id)) throw this.#bad('get', 'answers a point that nobody asked for:', point.id);
        found.set(point.id, point);
      }
      return wanted.flatMap((id) => found.get(id) ?? []);
    });
  }

  async delete(target: readonly string[] | { filter: Filter }, options?: CallOptions): Promise<number> {
    const signal = readSignal(options, 'delete');
    this.#requireOpen();
    if (Array.isArray(target)) {
      const ids = [...new Set(readIds(target))];
      return this.#number('delete', signal, ids.length, (signal) => this.#calls.delete?.(ids, { signal }));
    }
    const { filter } = readOptions(target, 'delete', ['filter']);
    // A filter that is missing must not mean everything; clear() does.
    if (filter === undefined) throw invalid('delete: give an array of ids or { filter }; clear() deletes everything');
    const passes = readPayloadFilter(filter);
    if (!this.#speech.vectorsOnly) {
      const copy = parseJson<Filter>(encodeJson(filter, 'filter', 'FilterError'));
      return this.#number('delete', signal, Infinity, (signal) => this.#calls.delete?.({ filter: copy }, { signal }));
    }
    if (this.#calls.delete === undefined) throw this.#cannot('delete');
    this.#requireScroll('delete', filter);
    const ids: string[] = [];
    for await (const page of this.#pages(passes, { batch: deletedAtOnce, include: ['payload'] }, signal)) {
      ids.push(...page.map(({ id }) => id));
    }
    let deleted = 0;
    for (let first = 0; first < ids.length; first += deletedAtOnce) {
      const some = ids.slice(first, first + deletedAtOnce);
      deleted += await this.#number('delete', signal, some.length, (signal) => this.#calls.delete?.(some, { signal }));
    }
    return deleted;
  }

  async count(options?: { filter?: Filter | undefined } & CallOptions): Promise<number> {
    const { filter, signal: given } = readOptions(options, 'count', ['filter', 'signal']);
    const signal = given as AbortSignal | undefined;
    this.#requireOpen();
    if (filter === undefined)
      return this.#number('count', signal, Infinity, (signal) => this.#calls.count?.({ signal }));
    const passes = readPayloadFilter(filter);
    if (!this.#speech.vectorsOnly) {
      const copy = parseJson<Filter>(encodeJson(filter, 'filter', 'FilterError'));
      return this.#number('count', signal, Infinity, (signal) => this.#calls.count?.({ filter: copy, signal }));
    }
    this.#requireScroll('count', filter);
    let count = 0;
    for await (const page of this.#pages(passes, { batch: maxPage, include: ['payload'] }, signal))
      count += page.length;
    return count;
  }

  async *scroll(options?: ScrollOptions): AsyncGenerator<StoredPoint<Payload>[], void, undefined> {
    const { filter, batch, include, signal } = readOptions(options, 'scroll', ['filter', 'batch', 'include', 'signal']);
    const size = batch === undefined ? 256 : readWhole(batch, 'batch', 1, maxPage);
    const parts = include === undefined ? usualParts : readInclude(include);
    const passes = filter === undefined ? undefined : readPayloadFilter(filter);
    this.#requireOpen();
    checkSignal(signal);
    if (this.#calls.scroll === undefined) throw this.#cannot('scroll');
    const passed =
      filter === undefined || this.#speech.vectorsOnly
        ? {}
        : { filter: parseJson<Filter>(encodeJson(filter, 'filter', 'FilterError')) };
    const asked = { ...passed, batch: size, include: parts };
    yield* this.#pages(passes, asked, signal as AbortSignal | undefined);
  }

  async *#pages(
    passes: PayloadTest | undefined,
    options: { filter?: Filter; batch: number; include: readonly Part[] },
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StoredPoint<Payload>[], void, undefined> {
    const { include } = options;
    const parts: readonly Part[] = passes === undefined ? include : [...new Set([...include, 'payload' as const])];
    const ask = () => this.#calls.scroll?.({ ...options, include: [...parts], ...(signal && { signal }) });
    const iterator = await this.#run('scroll', [signal], ask, (pages) => {
      const begin = (pages as AsyncIterable<unknown> | null | undefined)?.[Symbol.asyncIterator];
      if (typeof begin !== 'function') throw this.#bad('scroll', 'must answer an async generator of pages', pages);
      const begun: unknown = begin.call(pages);
      if (!isObject(begun)) throw this.#bad('scroll', 'must answer an async generator of pages', begun);
      return begun as unknown as AsyncIterator<unknown>;
    });
    const seen = new Set<string>();
    let ended = false;
    try {
      for (;;) {
        const points = await this.#run(
          'scroll',
          [signal],
          () => iterator.next(),
          (step) => {
            if (!isObject(step)) throw this.#bad('scroll', 'must answer an async generator of pages', step);
            if (step['done'] === true) return undefined;
            const page = step['value'];
            if (!Array.isArray(page)) throw this.#bad('scroll', 'must answer pages that are arrays of points', page);
            if (page.length > options.batch) {
              throw this.#bad('scroll', `answers a page of more than ${options.batch} points:`, page.length);
            }
            const points: StoredPoint<Payload>[] = [];
            for (const given of page as unknown[]) {
              const point = this.#readStored('scroll', given, parts, seen);
              if (passes !== undefined && !passes(point.payload)) {
                if (this.#speech.vectorsOnly) continue;
                throw this.#bad('scroll', 'answers a point that does not pass the filter:', point.id);
              }
              if (!include.includes('payload')) delete point.payload;
              points.push(point);
            }
            return points;
          },
        );
        if (points === undefined) {
          ended = true;
          return;
        }
        if (points.length > 0) yield points;
      }
    } finally {
      if (!ended) {
        // What it does with that is its own business; it may be waiting for something that never comes.
        (async () => iterator.return?.())().catch(() => {});
      }
    }
  }

  async clear(options?: CallOptions): Promise<number> {
    const signal = readSignal(options, 'clear');
    this.#requireOpen();
    return this.#number('clear', signal, Infinity, (signal) => this.#calls.clear?.({ signal }));
  }

  async drop(options?: CallOptions): Promise<boolean> {
    const signal = readSignal(options, 'drop');
    this.#requireOpen();
    if (this.#calls.drop === undefined) throw this.#cannot('drop');
    const ask = (signal: AbortSignal) => this.#calls.drop?.({ signal });
    return this.#run('drop', [signal], ask, (answer) => {
      if (typeof answer !== 'boolean') throw this.#bad('drop', 'must answer true or false', answer);
      this.#dimension = this.#settings.dimension;
      return answer;
    });
  }

  async info(options?: CallOptions): Promise<StoreInfo> {
    const signal = readSignal(options, 'info');
    this.#requireOpen();
    const { metric } = this.#settings;
    if (this.#calls.info === undefined) {
      const count = await this.count({ signal });
      return { backend: this.backend, version: '', count, dimension: this.#dimension ?? 0, metric, details: {} };
    }
    const ask = (signal: AbortSignal) => this.#calls.info?.({ signal });
    return this.#run('info', [signal], ask, (answer) => this.#readInfo(answer));
  }

  #readInfo(answer: unknown): StoreInfo {
    const { metric } = this.#settings;
    const about = isObject(answer) ? answer : {};
    const { version = '', count, dimension = this.#dimension ?? 0, details = {}, metric: compared = metric } = about;
    const whole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
    if (typeof version !== 'string' || !whole(count) || !whole(dimension) || !isObject(details)) {
      throw this.#bad('info', 'must answer { count, and where it likes dimension, version, details }', answer);
    }
    if (compared !== metric) throw this.#bad('info', `compares by another metric than ${metric}:`, compared);
    const own = { backend: this.backend, version, count: count as number, dimension: dimension as number };
    return { ...own, metric, details };
  }

  async health(options?: CallOptions): Promise<StoreHealth> {
    try {
      const signal = readSignal(options, 'health');
      this.#requireOpen();
      if (this.#calls.health === undefined) {
        if (this.#calls.count !== undefined) await this.count({ signal });
        return { ready: true, message: '' };
      }
      const ask = (signal: AbortSignal) => this.#calls.health?.({ signal });
      return await this.#run('health', [signal], ask, (answer) => {
        const { ready, message = '' } = isObject(answer) ? answer : {};
        if (typeof ready !== 'boolean' || typeof message !== 'string') {
          throw this.#bad('health', 'must answer { ready, message }', answer);
        }
        return { ready, message };
      });
    } catch (error) {
      return { ready: false, message: reasonOf(error) };
    }
  }

  async createSnapshot(options?: CallOptions): Promise<StoreSnapshot> {
    const signal = readSignal(options, 'createSnapshot');
    this.#requireOpen();
    if (this.#calls.createSnapshot === undefined) throw this.#cannot('createSnapshot');
    const ask = (signal: AbortSignal) => this.#calls.createSnapshot?.({ signal });
    return this.#run('createSnapshot', [signal], ask, (answer) => this.#readSnapshot('createSnapshot', answer));
  }

  async listSnapshots(options?: CallOptions): Promise<StoreSnapshot[]> {
    const signal = readSignal(options, 'listSnapshots');
    this.#requireOpen();
    if (this.#calls.listSnapshots === undefined) throw this.#cannot('listSnapshots');
    const ask = (signal: AbortSignal) => this.#calls.listSnapshots?.({ signal });
    return this.#run('listSnapshots', [signal], ask, (answer) => {
      if (!Array.isArray(answer)) throw this.#bad('listSnapshots', 'must answer an array', answer);
      return Array.from(answer, (each: unknown) => this.#readSnapshot('listSnapshots', each));
    });
  }

  async deleteSnapshot(name: string, options?: CallOptions): Promise<void> {
    const signal = readSignal(options, 'deleteSnapshot');
    const text = readText(name, 'name');
    this.#requireOpen();
    if (this.#calls.deleteSnapshot === undefined) throw this.#cannot('deleteSnapshot');
    const ask = (signal: AbortSignal) => this.#calls.deleteSnapshot?.(text, { signal });
    await this.#run('deleteSnapshot', [signal], ask, () => {});
  }

  #readSnapshot(call: string, answer: unknown): StoreSnapshot {
    const { name, bytes, created } = isObject(answer) ? answer : {};
    const good =
      typeof name === 'string' &&
      (bytes === undefined || Number.isSafeInteger(bytes)) &&
      (created === undefined || typeof created === 'string');
    if (!good) throw this.#bad(call, 'must answer snapshots as { name, bytes, created }', answer);
    return {
      name,
      ...(bytes === undefined ? {} : { bytes: bytes as number }),
      ...(created === undefined ? {} : { created }),
    };
  }

  async close(): Promise<void> {
    this.#closing ??= (async () => {
      for (const stop of this.#running) stop.abort(new Error(`the store ${this.name} is closed`));
      try {
        await (this.#calls.close?.() ?? this.#calls[Symbol.asyncDispose]?.());
      } catch (cause) {
        throw wrapped(this.backend, 'close()', cause);
      }
    })();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new NearfieldError('Closed', `the store ${this.name} is closed`);
  }

  // Without scroll() nobody can tell which points there are.
  #requireScroll(call: string, filter: unknown): void {
    if (this.#calls.scroll !== undefined) return;
    const why = `the backend ${this.backend} takes no filters, and has no scroll() to look through its points with`;
    throw new NearfieldError('Unsupported', `${call} with the filter ${shownFilter(filter)} is not supported: ${why}`, {
      value: 'filter',
    });
  }

  /**
   * What `read` makes of the answer of the object's method; ends at once when one of the caller's signals fires or the
   * store is closed, and so does the signal that the object gets.
   */
  async #run<Result>(
    call: string,
    signals: readonly unknown[],
    work: (signal: AbortSignal) => unknown,
    read: (answer: unknown) => Result,
  ): Promise<Result> {
    this.#requireOpen();
    const given = signals.filter((signal) => signal !== undefined) as AbortSignal[];
    given.forEach(checkSignal);
    const stop = new AbortController();
    const abort = ({ target }: Event) => stop.abort((target as AbortSignal).reason);
    for (const signal of given) signal.addEventListener('abort', abort);
    this.#running.add(stop);
    let answer: unknown;
    try {
      // A method that throws in place of rejecting is one that fails.
      answer = await unlessAborted((async () => work(stop.signal))(), stop.signal);
    } catch (cause) {
      throw wrapped(this.backend, `${this.#speech.method(call)}()`, cause);
    } finally {
      for (const signal of given) signal.removeEventListener('abort', abort);
      this.#running.delete(stop);
    }
    try {
      return read(answer);
    } catch (cause) {
      // A getter or a proxy among what it answers.
      if (cause instanceof NearfieldError) throw cause;
      const what = `backend ${this.backend}: ${this.#speech.method(call)}() answers what cannot be read`;
      throw new NearfieldError('RemoteProtocolError', `${what}: ${reasonOf(cause)}`, { cause });
    }
  }

  async #number(
    call: 'count' | 'delete' | 'clear',
    signal: AbortSignal | undefined,
    most: number,
    work: (signal: AbortSignal) => unknown,
  ): Promise<number> {
    if (this.#calls[call] === undefined) throw this.#cannot(call);
    return this.#run(call, [signal], work, (answer) => {
      if (!Number.isSafeInteger(answer) || (answer as number) < 0 || (answer as number) > most) {
        throw this.#bad(call, most === Infinity ? 'must answer how many' : `must answer how many of ${most}`, answer);
      }
      return answer as number;
    });
  }

  // Only the parts that were asked for, and copies of them.
  #readStored(call: string, given: unknown, include: readonly Part[], seen: Set<string>): StoredPoint<Payload> {
    if (!isObject(given)) throw this.#bad(call, 'answers a point that is no object:', given);
    const { id, payload, text, vector } = given;
    if (typeof id !== 'string' || id === '' || !isWellFormed(id)) {
      throw this.#bad(call, 'answers an id that is no text:', id);
    }
    if (seen.has(id)) throw this.#bad(call, 'answers an id twice:', id);
    seen.add(id);
    const point: StoredPoint<Payload> = { id };
    if (include.includes('payload') && payload !== undefined && payload !== null) {
      if (!isObject(payload)) throw this.#bad(call, `answers for ${shown(id)} a payload that is no object:`, payload);
      const what = `backend ${this.backend}: ${this.#speech.method(call)}(): the payload of ${shown(id)}`;
      point.payload = parseJson<Payload>(encodeJson(payload, what, 'RemoteProtocolError'));
    }
    if (include.includes('text') && text !== undefined && text !== null && text !== '') {
      if (typeof text !== 'string' || !isWellFormed(text))
        throw this.#bad(call, `answers for ${shown(id)} a text that is none:`, text);
      point.text = text;
    }
    if (include.includes('vector') && vector !== undefined && vector !== null) {
      point.vector = this.#readStoredVector(call, vector, id);
    }
    return point;
  }

  #readStoredVector(call: string, vector: unknown, id: string): Float32Array {
    try {
      const values = Array.isArray(vector) || ArrayBuffer.isView(vector) ? vector : undefined;
      const numbers = Array.isArray(values) ? values : Array.from(values as unknown as ArrayLike<number>);
      return readVector(numbers, 'vector', this.#dimension ?? numbers.length);
    } catch (cause) {
      throw this.#bad(call, `answers for ${shown(id)} a vector that is none: ${reasonOf(cause)}:`, vector);
    }
  }

  #cannot(call: string): NearfieldError {
    return new NearfieldError(
      'Unsupported',
      `${call}() is not supported: the backend ${this.backend} has no ${this.#speech.method(call)}()`,
      { value: call },
    );
  }

  /** `what` ends with a colon where the value is the end of the sentence. */
  #bad(call: string, what: string, value: unknown): NearfieldError {
    const sentence = what.endsWith(':') ? `${what} ${shown(value)}` : `${what}, got ${shown(value)}`;
    return new NearfieldError(
      'RemoteProtocolError',
      `backend ${this.backend}: ${this.#speech.method(call)}() ${sentence}`,
      { value },
    );
  }
}

/** A search, checked. */
interface Asked {
  options: SearchOptions;
  passes: PayloadTest | undefined;
  include: readonly Part[];
  k: number;
  offset: number;
  /** -Infinity: none. */
  minScore: number;
}

/** A copy: what the object does with it changes no later question, and not how its answer is read. */
function handedOut({ options }: Asked): SearchOptions {
  const { vector, include, filter } = options;
  return {
    ...options,
    ...(vector === undefined ? {} : { vector: vector.slice() }),
    ...(include === undefined ? {} : { include: [...include] }),
    ...(filter === undefined ? {} : { filter: parseJson<Filter>(encodeJson(filter, 'filter', 'FilterError')) }),
  };
}

function signalOf({ options }: Asked): AbortSignal | undefined {
  return options.signal;
}

function readPoint(given: unknown, what: string, dimension: number | undefined): Point {
  if (!isObject(given)) throw invalid(`${what} must be an object, got ${shown(given)}`, given);
  const {
    id: name,
    vector,
    text,
    payload,
  } = readOptions(given, what, ['id', 'vector', 'text', 'payload'], {
    sparse: 'this version has no sparse vectors; use text for words',
  });
  const id = readId(name, `${what}.id`);
  // A unit of UTF-16 is a byte at least.
  const bytes = id.length > maxIdBytes ? id.length : new TextEncoder().encode(id).length;
  if (bytes > maxIdBytes) {
    throw new NearfieldError(
      'LimitExceeded',
      `the id ${shown(id)} has ${bytes} bytes; at most ${maxIdBytes} are allowed`,
      {
        value: bytes,
      },
    );
  }
  const point: Point = { id };
  if (vector !== undefined) {
    const length: unknown = (vector as { length?: unknown } | null)?.length;
    point.vector = readVector(
      vector,
      `${what}.vector`,
      dimension ?? (typeof length === 'number' && length > 0 ? length : 1),
    );
  }
  if (text !== undefined) point.text = readText(text, `${what}.text`);
  if (payload !== undefined) {
    if (!isObject(payload)) throw invalid(`${what}.payload must be an object, got ${shown(payload)}`, payload);
    point.payload = parseJson(encodeJson(payload, `${what}.payload`));
  }
  return point;
}

function wrapped(backend: string, what: string, cause: unknown): NearfieldError {
  if (cause instanceof NearfieldError) return cause;
  return new NearfieldError('RemoteRejected', `backend ${backend}: ${what} failed: ${reasonOf(cause)}`, { cause });
}
