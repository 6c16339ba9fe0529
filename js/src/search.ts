// One search: from the caller's options to a message, and from the engine's answer to hits.
import {
  checkSignal,
  encodeJson,
  isObject,
  readBoolean,
  readChoice,
  readNumber,
  readOptions,
  readText,
  readVector,
  readWhole,
  shown,
  type Vector,
} from './check.js';
import type { Engine } from './engine.js';
import type { Session } from './session.js';
import { NearfieldError, invalid } from './errors.js';
import { Message } from './message.js';

/** `{ field: value }`, operators of generated/operators.ts, `$and`, `$or`, `$not`; fields are dotted paths. */
export type Filter = { readonly [field: string]: unknown };

export type Part = 'payload' | 'text' | 'vector';

export type Fusion =
  /** Sum of weight / (k + rank) over the legs; default k 60, weights [dense, text] 1. */
  | { kind: 'rrf'; k?: number | undefined; weights?: readonly [number, number] | undefined }
  /** alpha * dense + (1 - alpha) * text, each scaled to 0..1 over its best candidates; default alpha .35. */
  | { kind: 'convex'; alpha?: number | undefined };

export interface SearchOptions {
  vector?: Vector | undefined;
  text?: string | undefined;
  /** Default 'auto': every leg there is a query for. */
  mode?: 'auto' | 'dense' | 'text' | 'hybrid' | undefined;
  /** How many hits at most, 1 to 10,000; default 10. */
  k?: number | undefined;
  /** How many of the best to leave out; default 0. offset + k is at most 10,000. */
  offset?: number | undefined;
  filter?: Filter | undefined;
  /** Hits below this score are left out. */
  minScore?: number | undefined;
  /** Default ['payload', 'text']. */
  include?: readonly Part[] | undefined;
  /** Never approximate; default false. */
  exact?: boolean | undefined;
  /** Breadth of a graph search, 1 to 10,000; default 128. */
  ef?: number | undefined;
  /** Default { kind: 'rrf' }. */
  fusion?: Fusion | undefined;
  /** Adds `plan` to the answer. */
  explain?: boolean | undefined;
  /** Adds `highlights` to each hit: where its text matches the query's words. */
  highlights?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** What one leg of a search thought of a hit; ranks count from 1. */
export interface LegScore {
  score: number;
  rank: number;
}

export interface Hit<Payload = Record<string, unknown>> {
  id: string;
  /** Greater is closer. */
  score: number;
  payload?: Payload;
  text?: string;
  vector?: Float32Array;
  parts?: { dense?: LegScore; text?: LegScore };
  /** Pairs [begin, end) of UTF-16 offsets into the text, ascending. */
  highlights?: [number, number][];
}

/** How a search was carried out. */
export interface Plan {
  strategy: string;
  reason: string;
  /** Points that pass the filter, and their share of the collection. */
  rowsAllowed: number;
  selectivity: number;
  rowsScored: number;
  /** Time of the call; for a batch, of all its queries. */
  microseconds: number;
}

export type Hits<Payload = Record<string, unknown>> = Hit<Payload>[] & { plan?: Plan };

/** A search that was checked, as the engine takes it. */
export interface Query {
  /** JSON text, as core/collection/request.h reads it. */
  options: string;
  vector?: Float32Array;
  highlights?: boolean;
  /** The vector is the embedding of the text. */
  embed?: boolean;
}

const maxK = 10_000;
const parts: readonly Part[] = ['payload', 'text', 'vector'];

const unsupported = {
  sparse: 'this version has no sparse vectors; use text for words or vector for embeddings',
  nprobe: 'this version has no partitioned index; use ef with an hnsw index',
  rescore: 'this version keeps every vector as it is, so there is nothing to rescore',
};

export function readInclude(value: unknown): Part[] {
  if (!Array.isArray(value)) throw invalid(`include must be an array, got ${shown(value)}`, value);
  return value.map((part: unknown) => readChoice(part, 'include', parts));
}

/** `dimension` is the collection's. */
export function readQuery(given: unknown, dimension: number): Query {
  const options = readOptions(
    given,
    'search',
    [
      'vector',
      'text',
      'mode',
      'k',
      'offset',
      'filter',
      'minScore',
      'include',
      'exact',
      'ef',
      'fusion',
      'explain',
      'highlights',
      'signal',
    ],
    unsupported,
  );
  checkSignal(options.signal);
  const out: Record<string, unknown> = {};
  const query: Query = { options: '' };
  if (options.vector !== undefined) query.vector = readVector(options.vector, 'vector', dimension);
  if (options.text !== undefined) out['text'] = readText(options.text, 'text');
  if (options.vector === undefined && options.text === undefined) {
    throw invalid('search: give a vector, a text, or both');
  }
  if (options.mode === 'sparse') {
    throw new NearfieldError('Unsupported', `search: mode 'sparse' is not supported: ${unsupported.sparse}`, {
      value: 'sparse',
    });
  }
  if (options.mode !== undefined) out['mode'] = readChoice(options.mode, 'mode', ['auto', 'dense', 'text', 'hybrid']);
  if (options.k !== undefined) out['k'] = readWhole(options.k, 'k', 1, maxK);
  if (options.offset !== undefined) out['offset'] = readWhole(options.offset, 'offset', 0, maxK);
  if (options.minScore !== undefined) out['minScore'] = readNumber(options.minScore, 'minScore');
  if (options.include !== undefined) out['include'] = readInclude(options.include);
  if (options.exact !== undefined) out['exact'] = readBoolean(options.exact, 'exact');
  if (options.ef !== undefined) out['ef'] = readWhole(options.ef, 'ef', 1, maxK);
  if (options.fusion !== undefined) out['fusion'] = readFusion(options.fusion);
  if (options.explain !== undefined) out['explain'] = readBoolean(options.explain, 'explain');
  if (options.highlights !== undefined) query.highlights = readBoolean(options.highlights, 'highlights');
  query.options = withFilter(out, options.filter);
  return query;
}

function readFusion(given: unknown): object {
  const kind = isObject(given) ? given['kind'] : given;
  if (kind === 'dbsf') {
    throw new NearfieldError('Unsupported', "fusion: kind 'dbsf' is not supported; use 'rrf' or 'convex'", {
      value: kind,
    });
  }
  readChoice(kind, 'fusion.kind', ['rrf', 'convex']);
  if (kind === 'convex') {
    const { alpha } = readOptions(given, 'fusion', ['kind', 'alpha']);
    if (alpha === undefined) return { kind };
    const value = readNumber(alpha, 'fusion.alpha');
    if (value < 0 || value > 1) throw invalid(`fusion.alpha must be from 0 to 1, got ${value}`, value);
    return { kind, alpha: value };
  }
  const { k, weights } = readOptions(given, 'fusion', ['kind', 'k', 'weights']);
  const out: Record<string, unknown> = { kind };
  if (k !== undefined) {
    out['k'] = readNumber(k, 'fusion.k');
    if ((out['k'] as number) <= 0) throw invalid(`fusion.k must be greater than 0, got ${shown(k)}`, k);
  }
  if (weights !== undefined) {
    if (!Array.isArray(weights) || weights.length !== 2) {
      throw invalid('fusion.weights must be two numbers: for the dense side and for the text', weights);
    }
    out['weights'] = weights.map((weight: unknown, i) => {
      const value = readNumber(weight, `fusion.weights[${i}]`);
      if (value < 0) throw invalid(`fusion.weights[${i}] must not be negative, got ${value}`, value);
      return value;
    });
  }
  return out;
}

/** JSON text of checked options and a filter that still has to be. */
export function withFilter(options: Record<string, unknown>, filter: unknown): string {
  const text = JSON.stringify(options);
  if (filter === undefined) return text;
  const encoded = encodeJson(filter, 'filter', 'FilterError');
  return `${text.slice(0, -1)}${text.length > 2 ? ',' : ''}"filter":${encoded}}`;
}

/** Runs a batch in one call across the line. */
export function runQueries<Payload>(
  session: Session,
  collection: string,
  queries: readonly Query[],
): Promise<Hits<Payload>[]> {
  const described = queries.map(
    ({ options, vector, highlights, embed }) =>
      `{"options":${options},"components":${vector?.length ?? 0},"highlights":${highlights === true},"embed":${embed === true}}`,
  );
  const message = new Message(`{"collection":${JSON.stringify(collection)},"queries":[${described.join(',')}]}`);
  for (const { vector } of queries) if (vector !== undefined) message.floats(vector);
  const started = performance.now();
  type Answer = { results: { hits: Hit<Payload>[]; plan?: EnginePlan }[] };
  return session.ask('_search', message, ({ results }: Answer, engine) => {
    const microseconds = Math.round((performance.now() - started) * 1000);
    return results.map(({ hits, plan }) => {
      const out: Hits<Payload> = takeVectors(engine, hits);
      if (plan !== undefined) {
        const { strategy, reason, rowsAllowed, rowsScored, count } = plan;
        const selectivity = count === 0 ? 0 : rowsAllowed / count;
        out.plan = { strategy, reason, rowsAllowed, selectivity, rowsScored, microseconds };
      }
      return out;
    });
  });
}

type EnginePlan = Pick<Plan, 'strategy' | 'reason' | 'rowsAllowed' | 'rowsScored'> & { count: number };

/** Replaces the places of vectors in the engine's memory by copies. To be called before the next call. */
export function takeVectors<Row extends { vector?: Float32Array }>(engine: Engine, rows: Row[]): Row[] {
  for (const row of rows) {
    if (row.vector === undefined) continue;
    const [offset, count] = row.vector as unknown as [number, number];
    row.vector = engine.memory.floats(offset, count);
  }
  return rows;
}
