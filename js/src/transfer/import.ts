// importPoints(): files into a store.
import { checkSignal, isObject, readChoice, readOptions, readText, readWhole, shown } from '../check.js';
import { NearfieldError, invalid } from '../errors.js';
import { pageBytes, rawAbout, sizeOf, type RawPoint } from '../raw.js';
import { openSource, readsTwice, type ByteSource } from '../sinks.js';
import type { Store } from '../store.js';
import { pointsFormats, type PointsFormat } from './export.js';
import { Bytes } from './lines.js';
import { looksLikeHeader, readHeader, readPoint, type PointsHeader } from './jsonl.js';
import { readFvecs, readNpy, type Rows } from './matrix.js';
import { checkStore, findInfo, maxRows, rawOf, requireFit, usualRows } from './points.js';
import { Pace, readProgress, type TransferProgress } from './progress.js';
import { writePoints, type Failure } from './write.js';

/**
 * Of formats with two files. Without `points`, ids are the numbers of rows, from '0'. Lines without a header belong to
 * rows in their order.
 */
export interface ImportSources {
  vectors: ByteSource;
  points?: ByteSource | undefined;
}

export interface ImportOptions {
  /** Default 'jsonl'. */
  format?: PointsFormat | undefined;
  /** What makes the vectors of the store; a header that names another is refused. Default: what its configuration says. */
  model?: string | undefined;
  /** Points of a batch, each of which is written whole or not at all; 1 to 10,000, default 1,000, fewer where they are large. */
  batch?: number | undefined;
  /** Looks through the files and writes nothing. Default false. */
  dryRun?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: TransferProgress) => void) | undefined;
}

export interface ImportReport {
  format: PointsFormat;
  /** In the files. */
  points: number;
  written: number;
  failed: Failure[];
  /** The files were looked through before anything was written. */
  checked: boolean;
  milliseconds: number;
}

/**
 * Writes the points of a file into a store, replacing those whose ids are known. What can be read twice (paths, blobs,
 * bytes) is looked through first, and nothing is written if anything is wrong with it. Streams are written batch by
 * batch: where one breaks off, `error.details.written` says how many points are in the store.
 *
 * ```js
 * const { written } = await importPoints(store, 'notes.jsonl');
 * ```
 *
 * Throws FormatError, naming line and byte; DimensionMismatch and SchemaMismatch before anything is written; NotFound,
 * InvalidArgument, and what writing to the store throws.
 */
export async function importPoints(
  store: Store<object>,
  from: ByteSource | ImportSources,
  options?: ImportOptions,
): Promise<ImportReport> {
  const started = performance.now();
  const given = readOptions(options, 'importPoints', ['format', 'model', 'batch', 'dryRun', 'signal', 'onProgress']);
  const to = rawOf(checkStore(store, 'importPoints: the first argument'));
  const format = given.format === undefined ? 'jsonl' : readChoice(given.format, 'format', pointsFormats);
  const batch = given.batch === undefined ? usualRows : readWhole(given.batch, 'batch', 1, maxRows);
  const about = to[rawAbout];
  const model = given.model === undefined ? about.model : readText(given.model, 'model');
  const dryRun = given.dryRun === true;
  if (given.dryRun !== undefined && typeof given.dryRun !== 'boolean') {
    throw invalid(`importPoints: dryRun must be true or false, got ${shown(given.dryRun)}`, given.dryRun);
  }
  const tell = readProgress(given.onProgress, 'importPoints');
  checkSignal(given.signal);
  const signal = given.signal as AbortSignal | undefined;
  const sources = readSources(from, format);

  const there = await findInfo(store, signal);
  const shape = {
    dimension: there?.dimension || about.dimension,
    metric: there?.metric ?? about.metric,
    model,
  };
  const report: ImportReport = { format, points: 0, written: 0, failed: [], checked: false, milliseconds: 0 };
  const each = [sources.vectors, sources.points].filter((source) => source !== undefined);
  const twice = (await Promise.all(each.map(readsTwice))).every(Boolean);
  for (const write of [...(twice || dryRun ? [false] : []), ...(dryRun ? [] : [true])]) {
    const input = await open(sources, format);
    try {
      requireFit(input, shape);
      const pace = new Pace(write ? 'copy' : 'check', input.count ?? 0, tell);
      report.points = 0;
      // Not before there is something to write.
      let ensured = !write;
      const ensure = async () => {
        if (!ensured) await store.ensure({ signal });
        ensured = true;
      };
      for await (const points of batches(input, batch)) {
        checkSignal(signal);
        if (write) {
          await ensure();
          const failed = await writePoints(to, points, input.dimension, signal);
          report.failed.push(...failed);
          report.written += points.length - failed.length;
        }
        report.points += points.length;
        pace.step(points.length);
      }
      await ensure();
      report.checked ||= !write;
    } catch (error) {
      throw report.written > 0 ? withWritten(error, report.written) : error;
    } finally {
      await input.close();
    }
  }
  report.milliseconds = performance.now() - started;
  return report;
}

function withWritten(error: unknown, written: number): unknown {
  if (!(error instanceof NearfieldError)) return error;
  const message = `${error.message} (${written} points before it are written)`;
  return new NearfieldError(error.code, message, {
    value: error.value,
    details: { ...error.details, written },
    cause: error,
  });
}

interface Sources {
  vectors: unknown;
  points: unknown;
}

function readSources(from: unknown, format: PointsFormat): Sources {
  if (format === 'jsonl') return { vectors: undefined, points: from };
  const plain = isObject(from) && Object.getPrototypeOf(from) === Object.prototype;
  if (!plain || !('vectors' in from)) {
    throw invalid(`importPoints: ${format} is a file of vectors; give { vectors, points }, not ${shown(from)}`);
  }
  const { vectors, points } = readOptions(from, 'importPoints', ['vectors', 'points']);
  return { vectors, points };
}

interface Input {
  dimension: number;
  metric: string | undefined;
  model: string;
  /** As the header says; undefined: as many as there are. */
  count: number | undefined;
  /** undefined after the last one; throws FormatError. */
  next(): Promise<RawPoint | undefined>;
  /** FormatError at the place that was read last. */
  wrong(why: string): NearfieldError;
  close(): Promise<void>;
}

async function open({ vectors, points }: Sources, format: PointsFormat): Promise<Input> {
  const opened: Bytes[] = [];
  const take = async (source: unknown, noun: string) => {
    const bytes = new Bytes(await openSource(source, noun), noun);
    opened.push(bytes);
    return bytes;
  };
  const close = async () => {
    for (const bytes of opened) await bytes.close();
  };
  try {
    const lines = points === undefined ? undefined : await take(points, 'points');
    if (format === 'jsonl') return { ...(await openLines(lines as Bytes)), close };
    const bytes = await take(vectors, 'vectors');
    const rows = await (format === 'npy' ? readNpy(bytes) : readFvecs(bytes));
    const input = lines === undefined ? numbered(rows, bytes) : await joined(lines, rows, bytes, format);
    return { ...input, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Opened = Omit<Input, 'close'>;

async function openLines(lines: Bytes): Promise<Opened> {
  const first = await lines.nextLine();
  if (first === undefined) throw lines.wrong('the file is empty');
  const header = readHeader(first, lines);
  if (header.vectors !== 'inline') {
    throw lines.wrong(`the vectors are in a file beside it; import it with format ${shown(header.vectors)}`);
  }
  const next = async () => {
    const line = await lines.nextLine();
    return line === undefined ? undefined : readPoint(line, header.dimension, lines).point;
  };
  return { ...header, next, wrong: (why) => lines.wrong(why) };
}

function numbered(rows: Rows, bytes: Bytes): Opened {
  if (rows.dimension === 0) throw bytes.wrong('the file is empty');
  let row = 0;
  const next = async () => {
    const vector = await rows.next();
    return vector === undefined ? undefined : { id: String(row++), vector };
  };
  const { dimension, count } = rows;
  return { dimension, metric: undefined, model: '', count, next, wrong: (why) => bytes.wrong(why) };
}

async function joined(lines: Bytes, rows: Rows, bytes: Bytes, format: PointsFormat): Promise<Opened> {
  let line = await lines.nextLine();
  if (line === undefined) throw lines.wrong('the file is empty');
  let header: PointsHeader | undefined;
  if (looksLikeHeader(line)) {
    header = readHeader(line, lines);
    if (header.vectors !== format) throw lines.wrong(`its vectors are ${shown(header.vectors)}, not ${shown(format)}`);
    // A store whose points have no vectors is exported with as many rows.
    if (rows.dimension !== 0 && header.dimension !== rows.dimension) {
      throw lines.wrong(`Vector dimension mismatch: expected ${header.dimension}, got ${rows.dimension}`);
    }
    line = await lines.nextLine();
  }
  let row = 0;
  const next = async () => {
    if (line === undefined) {
      if ((await rows.next()) !== undefined) throw bytes.wrong(`row ${row} belongs to no point`);
      return undefined;
    }
    const { point, row: named } = readPoint(line, undefined, lines);
    const wanted = header === undefined ? (named ?? row) : named;
    if (wanted !== undefined) {
      if (wanted !== row) throw lines.wrong(`row must be ${row}, the next one, got ${wanted}`);
      point.vector = await rows.next();
      if (point.vector === undefined) throw lines.wrong(`there is no row ${row} in the file of vectors`);
      row++;
    }
    line = await lines.nextLine();
    return point;
  };
  return {
    dimension: header?.dimension ?? rows.dimension,
    metric: header?.metric,
    model: header?.model ?? '',
    count: header?.count,
    next,
    wrong: (why) => lines.wrong(why),
  };
}

// Checks the count, and that no id stands twice in a batch.
async function* batches(input: Input, most: number): AsyncGenerator<RawPoint[], void, undefined> {
  let batch: RawPoint[] = [];
  let ids = new Set<string>();
  let bytes = 0;
  let seen = 0;
  for (;;) {
    const point = await input.next();
    if (point === undefined) break;
    if (seen++ === input.count) throw input.wrong(`the header announces ${input.count} points, and more come`);
    if (ids.has(point.id)) throw input.wrong(`the id ${shown(point.id)} stands twice`);
    batch.push(point);
    ids.add(point.id);
    bytes += sizeOf(point);
    if (batch.length < most && bytes < pageBytes) continue;
    yield batch;
    batch = [];
    ids = new Set();
    bytes = 0;
  }
  if (input.count !== undefined && seen < input.count) {
    throw input.wrong(`the header announces ${input.count} points, and there are ${seen}`);
  }
  if (batch.length > 0) yield batch;
}
