// Points on their way from one store to another: payloads stay the JSON text that the engine keeps, so that nothing of
// them is lost in a number of JavaScript, and nothing is parsed and printed again. Private to the package.
import type { UpsertReport } from './collection.js';
import type { Engine } from './engine.js';
import type { Metric } from './generated/metrics.js';
import type { Message } from './message.js';

/** A point; what it does not have is left out. */
export interface RawPoint {
  id: string;
  /** JSON text of an object. */
  payload?: string | undefined;
  text?: string | undefined;
  vector?: Float32Array | undefined;
}

export interface RawPage {
  points: RawPoint[];
  /** What the next call begins with; '': these were the last. */
  next: string;
}

/** Where a store is, and what its collection would be made with. */
export interface RawAbout {
  /** The same for two stores that are one, also in another process; nothing secret. */
  place: string;
  /** undefined: that of the first vector, or what the server says. */
  dimension: number | undefined;
  metric: Metric | undefined;
  /** Its folder of files, where it has one. */
  folder?: string | undefined;
  /** What made its vectors, where the configuration says that. */
  model?: string | undefined;
}

/** How a store hands points on, beside its public methods. One that somebody else wrote does without. */
export interface RawStore {
  readonly [rawAbout]: RawAbout;
  /** The page that begins at `from`, '' at first: `limit` points, or fewer where they are large. Fails as scroll() does. */
  [rawScroll](from: string, limit: number, signal?: AbortSignal): Promise<RawPage>;
  /** As get(). */
  [rawGet](ids: readonly string[], signal?: AbortSignal): Promise<RawPoint[]>;
  /** As upsert(). `dimension`: of the collection, should it have to be made; 0: it has no vectors. */
  [rawUpsert](points: readonly RawPoint[], dimension: number, signal?: AbortSignal): Promise<UpsertReport>;
}

export const rawAbout = Symbol('rawAbout');
export const rawScroll = Symbol('rawScroll');
export const rawGet = Symbol('rawGet');
export const rawUpsert = Symbol('rawUpsert');

/** Of a page, about; pages of great vectors, texts and payloads have fewer rows. */
export const pageBytes = 16 << 20;

/** About, in bytes. */
export function sizeOf({ id, payload, text, vector }: RawPoint): number {
  return 64 + id.length + (payload?.length ?? 0) + (text?.length ?? 0) + (vector?.length ?? 0) * 4;
}

/** What the engine is asked to include. */
export const rawParts = ['payloadText', 'text', 'vector'] as const;

/** A point of an answer: its vector as [offset, count] in the engine's memory. */
type Answered = Omit<RawPoint, 'vector'> & { vector?: Float32Array | readonly [number, number] };

/** To be called before the next call into the engine. The vectors of a page share one buffer. */
export function readRaw({ points }: { points: unknown[] }, engine: Engine): RawPoint[] {
  const rows = points as Answered[];
  let total = 0;
  for (const { vector } of rows) total += vector?.[1] ?? 0;
  const all = new Float32Array(total);
  let at = 0;
  for (const row of rows) {
    if (row.vector === undefined) continue;
    const [offset, count] = row.vector as readonly [number, number];
    const own = all.subarray(at, at + count);
    engine.memory.readFloats(offset, own);
    row.vector = own;
    at += count;
  }
  return rows as RawPoint[];
}

/** Appends points to the binary part of a message; the engine checks them. */
export function writeRaw(message: Message, points: readonly RawPoint[]): Message {
  let most = 4;
  for (const { id, text, payload, vector } of points) {
    // A UTF-16 unit takes at most three bytes; lengths and what fills up to a multiple of four.
    most += 20 + 3 * (id.length + (text?.length ?? 0) + (payload?.length ?? 0)) + 4 * (vector?.length ?? 0);
  }
  message.reserve(most).word(points.length);
  for (const { id, text, payload, vector } of points) {
    message
      .string(id)
      .string(text ?? '')
      .string(payload ?? '');
    message.word(vector?.length ?? 0).align();
    if (vector !== undefined) message.floats(vector);
  }
  return message;
}
