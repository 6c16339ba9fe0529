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
import { readAnswers } from './hits.js';
import { withMessage, type Message } from './message.js';

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
  /** Breadth of a graph search, 1 to 10,000; default: as tuned for `index.recall`, or 128. */
  ef?: number | undefined;
  /** How many partitions of a partitioned index are looked at, 1 to 65,536; default: as tuned for `index.recall`. */
  nprobe?: number | undefined;
  /** How many candidates of an index get exact scores, 1 to 10,000, but at least k; default: as many as its code needs. */
  rescore?: number | undefined;
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

/** A search that was checked but for its vector, whose components are read while they are written down. */
export interface Query {
  mode: number;
  k: number;
  offset: number;
  /** These three are 0 where the engine decides. */
  ef: number;
  nprobe: number;
  rescore: number;
  /** NaN: none. */
  minScore: number;
  /** Bits, in the order of `parts`. */
  include: number;
  exact: boolean;
  explain: boolean;
  highlights: boolean;
  /** The vector is the embedding of the text. */
  embed: boolean;
  vector: unknown;
  /** These two are empty where there is none; the filter is JSON text. */
  text: string;
  filter: string;
  /** Convex: alpha; else k and the weights. */
  fusion: readonly [number] | readonly [number, number, number];
}

const maxK = 10_000;
const maxNprobe = 65_536;
const parts: readonly Part[] = ['payload', 'text', 'vector'];
const defaultFusion = [60, 1, 1] as const;
const modes = ['auto', 'dense', 'text', 'hybrid'] as const;
const searchOptions = [
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
  'nprobe',
  'rescore',
  'fusion',
  'explain',
  'highlights',
  'signal',
] as const;

const unsupported = {
  sparse: 'this version has no sparse vectors; use text for words or vector for embeddings',
};

export function readInclude(value: unknown): Part[] {
  if (!Array.isArray(value)) throw invalid(`include must be an array, got ${shown(value)}`, value);
  return value.map((part: unknown) => readChoice(part, 'include', parts));
}

export function readQuery(given: unknown): Query {
  const options = readOptions(given, 'search', searchOptions, unsupported);
  checkSignal(options.signal);
  const {
    vector,
    text,
    mode,
    k,
    offset,
    filter,
    minScore,
    include,
    exact,
    ef,
    nprobe,
    rescore,
    fusion,
    explain,
    highlights,
  } = options;
  if (vector === undefined && text === undefined) throw invalid('search: give a vector, a text, or both');
  if (mode === 'sparse') {
    throw new NearfieldError('Unsupported', `search: mode 'sparse' is not supported: ${unsupported.sparse}`, {
      value: 'sparse',
    });
  }
  return {
    vector,
    text: text === undefined ? '' : readText(text, 'text'),
    mode: mode === undefined ? 0 : modes.indexOf(readChoice(mode, 'mode', modes)),
    k: k === undefined ? 10 : readWhole(k, 'k', 1, maxK),
    offset: offset === undefined ? 0 : readWhole(offset, 'offset', 0, maxK),
    minScore: minScore === undefined ? NaN : readNumber(minScore, 'minScore'),
    include: includeBits(include === undefined ? ['payload', 'text'] : readInclude(include)),
    exact: exact !== undefined && readBoolean(exact, 'exact'),
    ef: ef === undefined ? 0 : readWhole(ef, 'ef', 1, maxK),
    nprobe: nprobe === undefined ? 0 : readWhole(nprobe, 'nprobe', 1, maxNprobe),
    rescore: rescore === undefined ? 0 : readWhole(rescore, 'rescore', 1, maxK),
    fusion: fusion === undefined ? defaultFusion : readFusion(fusion),
    explain: explain !== undefined && readBoolean(explain, 'explain'),
    highlights: highlights !== undefined && readBoolean(highlights, 'highlights'),
    embed: false,
    filter: filter === undefined ? '' : encodeFilter(filter),
  };
}

function includeBits(included: readonly Part[]): number {
  return included.reduce((bits, part) => bits | (1 << parts.indexOf(part)), 0);
}

function readFusion(given: unknown): Query['fusion'] {
  const kind = isObject(given) ? given['kind'] : given;
  if (kind === 'dbsf') {
    throw new NearfieldError('Unsupported', "fusion: kind 'dbsf' is not supported; use 'rrf' or 'convex'", {
      value: kind,
    });
  }
  readChoice(kind, 'fusion.kind', ['rrf', 'convex']);
  if (kind === 'convex') {
    const { alpha = 0.35 } = readOptions(given, 'fusion', ['kind', 'alpha']);
    const value = readNumber(alpha, 'fusion.alpha');
    if (value < 0 || value > 1) throw invalid(`fusion.alpha must be from 0 to 1, got ${value}`, value);
    return [value];
  }
  const { k = defaultFusion[0], weights = [1, 1] } = readOptions(given, 'fusion', ['kind', 'k', 'weights']);
  const constant = readNumber(k, 'fusion.k');
  if (constant <= 0) throw invalid(`fusion.k must be greater than 0, got ${constant}`, k);
  if (!Array.isArray(weights) || weights.length !== 2) {
    throw invalid('fusion.weights must be two numbers: for the dense side and for the text', weights);
  }
  const [dense, text] = weights.map((weight: unknown, i) => {
    const value = readNumber(weight, `fusion.weights[${i}]`);
    if (value < 0) throw invalid(`fusion.weights[${i}] must not be negative, got ${value}`, value);
    return value;
  }) as [number, number];
  return [constant, dense, text];
}

export function encodeFilter(filter: unknown): string {
  return encodeJson(filter, 'filter', 'FilterError');
}

/** JSON text of checked options and a filter that still has to be. */
export function withFilter(options: Record<string, unknown>, filter: unknown): string {
  const text = JSON.stringify(options);
  if (filter === undefined) return text;
  const encoded = encodeFilter(filter);
  return `${text.slice(0, -1)}${text.length > 2 ? ',' : ''}"filter":${encoded}}`;
}

/**
 * As core/collection/request.h reads it, behind the flags that wasm/engine.h names. `ownFusion`: not the default, where
 * that is the store's.
 */
export function writeQuery(message: Message, query: Query, dimension: number, ownFusion = false): void {
  message.word((query.highlights ? 1 : 0) | (query.embed ? 2 : 0) | (ownFusion ? 4 : 0));
  const [first, second = 0, third = 0] = query.fusion;
  const convex = query.fusion.length === 1;
  const bits = (query.exact ? 1 << 5 : 0) | (query.explain ? 1 << 6 : 0) | (convex ? 1 << 7 : 0);
  message.word(query.mode | (query.include << 2) | bits);
  message.word(query.k).word(query.offset).word(query.ef).word(query.nprobe).word(query.rescore).double(query.minScore);
  message.double(first).double(second).double(third);
  message.word(query.vector === undefined ? 0 : dimension);
  message.string(query.text).string(query.filter).align();
  if (query.vector !== undefined) readVector(query.vector, 'vector', dimension, message.room(dimension));
}

/** Runs a batch in one call across the line. `dimension` is the collection's. */
export function runQueries<Payload>(
  session: Session,
  collection: string,
  dimension: number,
  queries: readonly Query[],
): Hits<Payload>[] | Promise<Hits<Payload>[]> {
  return withMessage((message) => {
    message.string(collection).word(queries.length);
    for (const query of queries) writeQuery(message, query, dimension);
    // Not cheap beside a small search.
    const explained = queries.some(({ explain }) => explain);
    const started = explained ? performance.now() : 0;
    return session.ask('_search', message, ({ place }: { place: number }, engine) => {
      const microseconds = explained ? Math.round((performance.now() - started) * 1000) : 0;
      return readAnswers<Payload>(engine, place, queries.length, microseconds);
    });
  });
}

/** Replaces the places of vectors in the engine's memory by copies. To be called before the next call. */
export function takeVectors<Row extends { vector?: Float32Array }>(engine: Engine, rows: Row[]): Row[] {
  for (const row of rows) {
    if (row.vector === undefined) continue;
    const [offset, count] = row.vector as unknown as [number, number];
    row.vector = engine.memory.floats(offset, count);
  }
  return rows;
}
