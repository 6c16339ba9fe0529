// exportPoints(): a store's points as files.
import { checkSignal, isObject, readChoice, readOptions, readText, readWhole, shown } from '../check.js';
import { NearfieldError, invalid } from '../errors.js';
import { rawAbout, type RawPoint } from '../raw.js';
import { openSink, type ByteSink, type Sink } from '../sinks.js';
import { unlessAborted } from '../signal.js';
import type { Store } from '../store.js';
import { headerLine, pointLine, type PointsHeader } from './jsonl.js';
import { npyHeader, rowBytes } from './matrix.js';
import { checkStore, maxRows, rawOf, readPages, usualRows } from './points.js';
import { Pace, readProgress, type TransferProgress } from './progress.js';

/**
 * 'jsonl': JSON Lines, vectors and all, in one file. 'npy', 'fvecs': vectors in a file of their own, and JSON Lines of the
 * rest beside it.
 */
export type PointsFormat = 'jsonl' | 'npy' | 'fvecs';
export const pointsFormats = ['jsonl', 'npy', 'fvecs'] as const;

/** Of formats with two files. 'npy' says first how many rows come, so its vectors go to a path. */
export interface ExportSinks {
  vectors: ByteSink;
  points: ByteSink;
}

export interface ExportOptions {
  /** Default 'jsonl'. */
  format?: PointsFormat | undefined;
  /** What made the vectors, for the header; default: what the store's configuration says. */
  model?: string | undefined;
  /** Points of a page, of which two are in memory; 1 to 10,000, default 1,000, fewer where they are large. */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: TransferProgress) => void) | undefined;
}

export interface ExportReport {
  format: PointsFormat;
  points: number;
  /** Of these with a vector. */
  vectors: number;
  /** Of all files. */
  bytes: number;
  dimension: number;
  metric: string;
  milliseconds: number;
}

const encoder = new TextEncoder();
/** Lines go to the sink in pieces of about this size. */
const pieceCharacters = 1 << 20;

/**
 * Writes all points of a store, a page at a time: vectors as the floats they are, 64-bit integers to the last digit.
 *
 * ```js
 * await exportPoints(store, 'notes.jsonl');
 * await exportPoints(store, { vectors: 'notes.npy', points: 'notes.jsonl' }, { format: 'npy' });
 * ```
 *
 * A path gets its file when all of it is written. Throws what reading the store throws, InvalidArgument, Conflict where
 * points come or go meanwhile, and what writing a file fails with.
 */
export async function exportPoints(
  store: Store<object>,
  to: ByteSink | ExportSinks,
  options?: ExportOptions,
): Promise<ExportReport> {
  const started = performance.now();
  const given = readOptions(options, 'exportPoints', ['format', 'model', 'batch', 'signal', 'onProgress']);
  const from = rawOf(checkStore(store, 'exportPoints: the first argument'));
  const format = given.format === undefined ? 'jsonl' : readChoice(given.format, 'format', pointsFormats);
  const batch = given.batch === undefined ? usualRows : readWhole(given.batch, 'batch', 1, maxRows);
  const model = given.model === undefined ? (from[rawAbout].model ?? '') : readText(given.model, 'model');
  const tell = readProgress(given.onProgress, 'exportPoints');
  checkSignal(given.signal);
  const signal = given.signal as AbortSignal | undefined;

  const { dimension, metric } = await store.info({ signal });
  const count = await store.count({ signal });
  const header: PointsHeader = { model, dimension, metric, count, vectors: format === 'jsonl' ? 'inline' : format };
  const sinks = await openSinks(to, format);
  const out = new Writer(sinks.points, sinks.vectors, header, signal);
  const pace = new Pace('copy', count, tell);
  try {
    await out.begin();
    for await (const { points } of readPages(from, '', batch, dimension, signal)) {
      await out.page(points);
      pace.step(points.length);
    }
    await out.end();
  } catch (error) {
    await sinks.points.abort(error).catch(() => {});
    await sinks.vectors?.abort(error).catch(() => {});
    throw error;
  }
  const { points, vectors, bytes } = out;
  return { format, points, vectors, bytes, dimension, metric, milliseconds: performance.now() - started };
}

async function openSinks(to: unknown, format: PointsFormat): Promise<{ points: Sink; vectors: Sink | undefined }> {
  if (format === 'jsonl') return { points: await openSink(to, 'export'), vectors: undefined };
  const plain = isObject(to) && !('getWriter' in to);
  if (!plain) throw invalid(`exportPoints: ${format} has two files; give { vectors, points }, not ${shown(to)}`);
  const { vectors, points } = readOptions(to, 'exportPoints', ['vectors', 'points']);
  const why = 'npy says first how many rows come, which is known last: its vectors need a path; or take fvecs';
  if (format === 'npy' && typeof vectors !== 'string') throw new NearfieldError('Unsupported', why);
  if (vectors === points) throw invalid('exportPoints: vectors and points must not be the same file');
  const opened = await openSink(points, 'export');
  try {
    const second = await openSink(vectors, 'export');
    if (format !== 'npy' || second.patch !== undefined) return { points: opened, vectors: second };
    await second.abort(why).catch(() => {});
    throw new NearfieldError('Unsupported', why);
  } catch (error) {
    await opened.abort(error).catch(() => {});
    throw error;
  }
}

class Writer {
  points = 0;
  vectors = 0;
  bytes = 0;
  readonly #points: Sink;
  readonly #vectors: Sink | undefined;
  readonly #header: PointsHeader;
  readonly #signal: AbortSignal | undefined;

  constructor(points: Sink, vectors: Sink | undefined, header: PointsHeader, signal: AbortSignal | undefined) {
    this.#points = points;
    this.#vectors = vectors;
    this.#header = header;
    this.#signal = signal;
  }

  async begin(): Promise<void> {
    const { vectors, dimension } = this.#header;
    if (vectors !== 'inline' && dimension === 0) {
      throw invalid(`exportPoints: the store has no vectors, and ${vectors} is nothing else`);
    }
    await this.#write(this.#points, encoder.encode(`${headerLine(this.#header)}\n`));
    if (vectors === 'npy') await this.#write(this.#vectors!, npyHeader(0, dimension));
  }

  async page(points: readonly RawPoint[]): Promise<void> {
    const inline = this.#vectors === undefined;
    let text = '';
    let row = this.vectors;
    for (const point of points) {
      text += `${pointLine(point, inline ? -1 : row)}\n`;
      if (point.vector !== undefined) row++;
      if (text.length < pieceCharacters) continue;
      await this.#write(this.#points, encoder.encode(text));
      text = '';
    }
    if (text !== '') await this.#write(this.#points, encoder.encode(text));
    if (!inline) {
      const rows = points.flatMap(({ vector }) => (vector === undefined ? [] : [vector]));
      await this.#write(this.#vectors!, rowBytes(rows, this.#header.vectors === 'fvecs'));
    }
    this.points += points.length;
    this.vectors = row;
  }

  async end(): Promise<void> {
    const { count, vectors, dimension } = this.#header;
    if (this.points !== count) {
      const message = `the store changed while it was exported: ${count} points were there, and ${this.points} came; export it again`;
      throw new NearfieldError('Conflict', message, { value: this.points });
    }
    if (vectors === 'npy') await this.#vectors!.patch!(0, npyHeader(this.vectors, dimension));
    await this.#vectors?.close();
    await this.#points.close();
  }

  async #write(sink: Sink, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (bytes.length === 0) return;
    await unlessAborted(Promise.resolve(sink.write(bytes)), this.#signal);
    this.bytes += bytes.length;
  }
}
