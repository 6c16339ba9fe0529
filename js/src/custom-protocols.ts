// The three protocols that an object of the caller's may speak, all as the methods of a store.
import type { Backend, PartialStore, VectorBackend, VectorStore } from './backends.js';
import { isObject, shown } from './check.js';
import type { Point, StoredPoint } from './collection.js';
import { NearfieldError, invalid } from './errors.js';
import type { Hits, SearchOptions } from './search.js';

/** An object, and how it is spoken to. */
export interface Speech {
  /** Only the methods that are there. */
  calls: PartialStore;
  /** Filters are not handed to search(). */
  filtersHere: boolean;
  /** search() knows a vector, k, include and perhaps a filter, and nothing else; count(), delete() and scroll() no filter. */
  vectorsOnly: boolean;
  /** The object's name for a method of Store. */
  method(call: string): string;
  /** These two throw Unsupported for what it cannot take. */
  checkPoint?(point: Point, what: string): void;
  checkSearch?(options: SearchOptions): void;
}

type Methods = Partial<VectorStore & VectorBackend> & PartialStore & { filters?: unknown };

/** Throws InvalidArgument where the object speaks none of them. */
export function protocolOf(object: Backend, backend: string): Speech {
  const methods = object as Methods;
  const has = (name: string) => typeof (object as unknown as Record<string, unknown>)[name] === 'function';
  const said = methods.filters;
  if (said !== undefined && typeof said !== 'boolean') {
    throw invalid(`backend ${backend}: filters must be true or false, got ${shown(said)}`, said);
  }
  if (has('upsert')) {
    const simple = said === false;
    const calls = present(methods, has);
    const refusals = simple ? { checkSearch: limits(backend, '').checkSearch } : {};
    return { calls, filtersHere: simple, vectorsOnly: simple, method: (call) => call, ...refusals };
  }
  const small = { filtersHere: said !== true, vectorsOnly: true };
  if (has('add')) {
    const calls = { ...present(methods, has), ...ofVectorStore(methods as VectorStore, has, backend) };
    return { ...small, calls, method: (call) => (call === 'upsert' ? 'add' : call), ...limits(backend, 'add') };
  }
  if (has('upsertVectors')) {
    const calls = { ...present(methods, has), ...ofVectorBackend(methods as VectorBackend, has, backend) };
    const names: Record<string, string> = {
      upsert: 'upsertVectors',
      search: 'searchVectors',
      drop: 'deleteCollection',
    };
    return { ...small, calls, method: (call) => names[call] ?? call, ...limits(backend, 'upsertVectors') };
  }
  throw invalid(
    `backend ${backend}: its object has none of upsert(), add() and upsertVectors(), by which protocols are told apart`,
  );
}

const storeCalls = [
  'ensure',
  'upsert',
  'search',
  'searchBatch',
  'get',
  'delete',
  'count',
  'scroll',
  'clear',
  'drop',
  'info',
  'health',
  'createSnapshot',
  'listSnapshots',
  'deleteSnapshot',
  'close',
] as const;

// Looked up when they are called, so that an object may replace its methods.
function present(object: Methods, has: (name: string) => boolean): PartialStore {
  const calls: Record<string | symbol, unknown> = {};
  const call = (name: string | symbol) =>
    (object as unknown as Record<string | symbol, (...given: unknown[]) => unknown>)[name];
  for (const name of [...storeCalls.filter(has), Symbol.asyncDispose]) {
    if (typeof call(name) === 'function') calls[name] = (...given: unknown[]) => call(name)?.apply(object, given);
  }
  return calls as unknown as PartialStore;
}

/** What the small protocols have no word for, in the payload. */
const reserved = '_nearfield';

interface Own {
  text?: unknown;
  /** The payload's own value of this name. */
  own?: unknown;
  /** There is none. */
  payload?: false;
}

function packed({ text, payload }: Point): Record<string, unknown> {
  const given = payload as Record<string, unknown> | undefined;
  const own: Own = {};
  if (text !== undefined && text !== '') own.text = text;
  if (given === undefined) own.payload = false;
  else if (Object.hasOwn(given, reserved)) own.own = given[reserved];
  return Object.keys(own).length === 0 ? { ...given } : { ...given, [reserved]: own };
}

function unpacked(given: unknown): { payload?: unknown; text?: unknown } {
  if (!isObject(given) || !Object.hasOwn(given, reserved)) return given == null ? {} : { payload: given };
  const { [reserved]: kept, ...payload } = given;
  const { text, own, payload: there } = (isObject(kept) ? kept : { own: kept }) as Own;
  if (own !== undefined) payload[reserved] = own;
  return { ...(text === undefined ? {} : { text }), ...(there === false ? {} : { payload }) };
}

function ofVectorStore(object: VectorStore, has: (name: string) => boolean, backend: string): PartialStore {
  const bad = (call: string, what: string, value: unknown) =>
    new NearfieldError('RemoteProtocolError', `backend ${backend}: ${call}() ${what}, got ${shown(value)}`, { value });
  const read = async (id: string) => {
    const found: unknown = await object.get(id);
    if (found === null || found === undefined) return undefined;
    if (!isObject(found)) throw bad('get', 'must answer { embedding, metadata } or null', found);
    return { id, ...unpacked(found['metadata']), vector: found['embedding'] };
  };
  const calls: PartialStore = {
    async upsert(points, { signal } = {}) {
      const ok: string[] = [];
      for (const [i, point] of points.entries()) {
        // Nobody waits for the rest any more.
        if (signal?.aborted) break;
        try {
          await object.add(point.id, Array.from(point.vector as Float32Array), packed(point));
          ok.push(point.id);
        } catch (cause) {
          if (i === 0) throw cause;
          const known = cause instanceof NearfieldError;
          const why = {
            code: known ? cause.code : 'RemoteRejected',
            message: cause instanceof Error ? cause.message : String(cause),
            retryable: known && cause.retryable,
          };
          const failed = points.slice(i).map(({ id }, j) => ({
            id,
            ...why,
            message: j === 0 ? `add() failed: ${why.message}` : `not tried: ${why.message}`,
          }));
          return { ok, failed, unknown: [] };
        }
      }
      return { ok, failed: [], unknown: [] };
    },
  };
  if (has('search')) {
    calls.search = async ({ vector, k = 10, filter, include = [] }) => {
      const found: unknown = await object.search(Array.from(vector as Float32Array), k, filter ?? null);
      if (!Array.isArray(found)) return found as Hits;
      const hits: unknown[] = [];
      for (const hit of found as unknown[]) {
        if (!isObject(hit)) throw bad('search', 'must answer hits of { id, score, metadata }', hit);
        const whole = { id: hit['id'], score: hit['score'], ...unpacked(hit['metadata']) };
        if (!include.includes('vector') || typeof hit['id'] !== 'string') {
          hits.push(whole);
        } else {
          const stored = has('get') ? await read(hit['id']) : undefined;
          if (stored?.vector == null) throw noVectors(backend, has('get') ? 'get' : 'search');
          hits.push({ ...whole, vector: stored.vector });
        }
      }
      return hits as Hits;
    };
  }
  if (has('get')) {
    calls.get = async (ids, { include = [] } = {}) => {
      const points: unknown[] = [];
      for (const id of ids) {
        const point = await read(id);
        if (point === undefined) continue;
        if (include.includes('vector') && point.vector == null) throw noVectors(backend, 'get');
        points.push(point);
      }
      return points as StoredPoint[];
    };
  }
  if (has('delete')) {
    calls.delete = async (target) => {
      // Filters are chosen by before.
      let deleted = 0;
      for (const id of target as string[]) {
        const was: unknown = await object.delete(id);
        if (typeof was !== 'boolean') throw bad('delete', 'must answer true or false', was);
        if (was) deleted++;
      }
      return deleted;
    };
  }
  if (has('count')) calls.count = async () => object.count();
  if (has('clear') && has('count')) {
    calls.clear = async () => {
      const before = await object.count();
      await object.clear();
      return before;
    };
  }
  return calls;
}

function ofVectorBackend(object: VectorBackend, has: (name: string) => boolean, backend: string): PartialStore {
  const calls: PartialStore = {
    async upsert(points) {
      const vectors = points.map((point) => ({
        id: point.id,
        vector: Array.from(point.vector as Float32Array),
        payload: packed(point),
      }));
      if (vectors.length > 0) await object.upsertVectors(vectors);
    },
  };
  if (has('searchVectors')) {
    calls.search = async ({ vector, k = 10, include = [] }) => {
      const found: unknown = await object.searchVectors(Array.from(vector as Float32Array), k);
      if (!Array.isArray(found)) return found as Hits;
      return found.map((hit: unknown) => {
        if (!isObject(hit)) return hit;
        if (include.includes('vector') && hit['vector'] == null) throw noVectors(backend, 'searchVectors');
        return { id: hit['id'], score: hit['score'], vector: hit['vector'], ...unpacked(hit['payload']) };
      }) as Hits;
    };
  }
  if (has('deleteCollection')) {
    calls.drop = async () => {
      const was: unknown = await object.deleteCollection();
      // The protocol has no answer.
      return was === undefined || was === null ? true : (was as boolean);
    };
  }
  return calls;
}

function noVectors(backend: string, method: string): NearfieldError {
  return new NearfieldError(
    'Unsupported',
    `include 'vector' is not supported: ${method}() of the backend ${backend} answers no vectors`,
    { value: 'vector' },
  );
}

function limits(backend: string, add: string): Required<Pick<Speech, 'checkPoint' | 'checkSearch'>> {
  const refuse = (what: string, value: string) =>
    new NearfieldError('Unsupported', `${what} is not supported: the backend ${backend} knows vectors only`, { value });
  return {
    checkPoint(point, what) {
      if (point.vector === undefined) throw refuse(`${what} without a vector (${add}() takes one)`, 'vector');
    },
    checkSearch(options) {
      for (const name of ['ef', 'nprobe', 'rescore', 'exact', 'fusion', 'explain', 'highlights'] as const) {
        if (options[name] !== undefined && options[name] !== false) throw refuse(`search: ${name}`, name);
      }
      const { mode = 'auto' } = options;
      if (mode === 'text' || mode === 'hybrid') throw refuse(`search: mode '${mode}'`, mode);
      if (options.text !== undefined && mode === 'auto') throw refuse('search: text', 'text');
      if (options.vector === undefined) throw refuse('search without a vector', 'vector');
    },
  };
}
