// migrate(): all points of one store into another.
import { checkSignal, readOptions, readWhole, shown } from '../check.js';
import { NearfieldError, invalid } from '../errors.js';
import { rawAbout, rawGet, rawScroll, type RawPoint } from '../raw.js';
import type { Store } from '../store.js';
import { openJournal, readState, writeState, type MigrationJournal, type MigrationState } from './journal.js';
import { checkStore, findInfo, maxRows, rawOf, readPages, requireFit, usualRows } from './points.js';
import { Pace, readProgress, type OnProgress, type TransferProgress } from './progress.js';
import { verify, type Verification } from './verify.js';
import { writePoints, type Failure } from './write.js';

export interface MigrateOptions {
  /** Points of a batch, of which two are in memory; 1 to 10,000, default 1,000, fewer where they are large. */
  batch?: number | undefined;
  /**
   * Where to keep how far it is, so that a run that was killed can be gone on with: a path (Node), or something of the
   * caller's. Default: nowhere; a run then begins at the beginning, which is slower and ends the same. What changes in
   * the source between two runs, among the points that the first one copied, the second does not see.
   */
  journal?: string | MigrationJournal | undefined;
  /** Says what would happen, and writes nothing. Default false. */
  dryRun?: boolean | undefined;
  /** Points that are compared in the end; 0 to 10,000, default 200. 0: nothing is. */
  sample?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: TransferProgress) => void) | undefined;
}

export interface MigrateReport {
  from: string;
  to: string;
  dryRun: boolean;
  /** It went on where an earlier run had ended. */
  resumed: boolean;
  /** Points of the source, and of the target before. */
  points: number;
  before: number;
  /** The target's collection is not there, and is made. */
  creates: boolean;
  dimension: number;
  metric: string;
  /** Settings of the target's collection that differ from its configuration and change no result. */
  differences: { name: string; asked: string; found: string }[];
  /** Points written, by earlier runs too. */
  copied: number;
  /** Points that could not be written. */
  failed: Failure[];
  /** undefined: dryRun, or sample 0. */
  verified: Verification | undefined;
  milliseconds: number;
  /** Of this run. */
  pointsPerSecond: number;
}

/** More than this is no partial failure. */
const mostFailures = 1000;
const retryBatch = 20;

/**
 * Copies all points of one store into another, a batch at a time, and compares both in the end. Points of the same ids
 * are replaced, others stay. It can be stopped and run again at any time: nothing is lost, and nothing is there twice.
 *
 * ```js
 * const report = await migrate(here, there, { journal: 'migration.json' });
 * if (!report.verified.ok) console.log(report.verified.differences);
 * ```
 *
 * Throws DimensionMismatch and SchemaMismatch before anything is written, NotFound where there is no source, FormatError
 * for a journal that is none, InvalidArgument for one of other stores, and what the stores throw.
 */
export async function migrate(
  from: Store<object>,
  to: Store<object>,
  options?: MigrateOptions,
): Promise<MigrateReport> {
  const known = ['batch', 'journal', 'dryRun', 'sample', 'signal', 'onProgress'] as const;
  const given = readOptions(options, 'migrate', known);
  const batch = given.batch === undefined ? usualRows : readWhole(given.batch, 'batch', 1, maxRows);
  const sample = given.sample === undefined ? 200 : readWhole(given.sample, 'sample', 0, maxRows);
  if (given.dryRun !== undefined && typeof given.dryRun !== 'boolean') {
    throw invalid(`migrate: dryRun must be true or false, got ${shown(given.dryRun)}`, given.dryRun);
  }
  checkSignal(given.signal);
  const run = new Migration(
    checkStore(from, 'migrate: the first argument'),
    checkStore(to, 'migrate: the second argument'),
    { batch, sample, signal: given.signal as AbortSignal | undefined, tell: readProgress(given.onProgress, 'migrate') },
  );
  const report = await run.plan();
  if (given.dryRun === true) return report;
  return run.carryOut(report, await openJournal(given.journal));
}

interface Settings {
  batch: number;
  sample: number;
  signal: AbortSignal | undefined;
  tell: OnProgress;
}

class Migration {
  readonly #from;
  readonly #to;
  readonly #settings: Settings;
  readonly #started = performance.now();

  constructor(from: Store<object>, to: Store<object>, settings: Settings) {
    this.#from = { store: from, raw: rawOf(from) };
    this.#to = { store: to, raw: rawOf(to) };
    this.#settings = settings;
  }

  /** The source can be read from a cursor of an earlier run. */
  get #goesOn(): boolean {
    return rawScroll in this.#from.store;
  }

  /** What there is on both sides. Writes nothing. */
  async plan(): Promise<MigrateReport> {
    const { signal } = this.#settings;
    const [ours, theirs] = [this.#from.raw[rawAbout], this.#to.raw[rawAbout]];
    if (this.#from.store === this.#to.store || (ours.place === theirs.place && this.#goesOn)) {
      throw invalid(`migrate: both ends are the same store, ${ours.place}`, ours.place);
    }
    const source = await this.#from.store.info({ signal });
    const target = await findInfo(this.#to.store, signal);
    const dimension = source.dimension || ours.dimension || 0;
    requireFit(
      { dimension, metric: source.metric, model: ours.model },
      {
        dimension: target?.dimension || theirs.dimension,
        metric: target?.metric ?? theirs.metric,
        model: theirs.model,
      },
    );
    const points = await this.#from.store.count({ signal });
    const before = target === undefined ? 0 : await this.#to.store.count({ signal });
    return {
      from: ours.place,
      to: theirs.place,
      dryRun: true,
      resumed: false,
      points,
      before,
      creates: target === undefined,
      dimension,
      metric: source.metric,
      differences: [],
      copied: 0,
      failed: [],
      verified: undefined,
      milliseconds: performance.now() - this.#started,
      pointsPerSecond: 0,
    };
  }

  async carryOut(plan: MigrateReport, journal: MigrationJournal | undefined): Promise<MigrateReport> {
    const { signal, sample } = this.#settings;
    const found = await this.#earlier(plan, journal);
    const state: MigrationState = found ?? {
      from: plan.from,
      to: plan.to,
      cursor: '',
      copiedAll: false,
      copied: 0,
      before: plan.before,
      last: '',
      failed: [],
      sample: [],
      seen: 0,
    };
    const earlier = state.copied;
    // So that a run which is killed in its first batch is known to have been alone.
    if (found === undefined) await journal?.write(writeState(state));
    // Only now: a journal that is refused leaves no empty collection behind.
    const { differences } = await this.#to.store.ensure({ signal });
    const started = performance.now();
    const left = new Set(state.failed);
    if (!state.copiedAll) await this.#copy(state, plan, journal);
    await this.#retry(state, plan, left, journal);
    const seconds = (performance.now() - started) / 1000;
    const verified = sample === 0 ? undefined : await this.#verify(state, plan);
    // Kept where nothing but points that failed is missing: the next run tries those again.
    if (state.failed.length === 0 || verified?.ok === false) await journal?.remove();
    return {
      ...plan,
      dryRun: false,
      resumed: found !== undefined,
      before: state.before,
      differences,
      copied: state.copied,
      failed: state.failed,
      verified,
      milliseconds: performance.now() - this.#started,
      pointsPerSecond: seconds > 0 ? (state.copied - earlier) / seconds : 0,
    };
  }

  // What an earlier run left, unless the target has lost what that one wrote, or the source has got more since.
  async #earlier(plan: MigrateReport, journal: MigrationJournal | undefined): Promise<MigrationState | undefined> {
    const text = await journal?.read();
    if (text === undefined) return undefined;
    const state = readState(text);
    if (state.from !== plan.from || state.to !== plan.to) {
      const message = `the journal belongs to a migration from ${state.from} to ${state.to}, not from ${plan.from} to ${plan.to}; name another file, or remove it`;
      throw invalid(message);
    }
    if (plan.creates || !(state.copiedAll || this.#goesOn)) return undefined;
    // It is kept while points fail, maybe for good.
    if (state.copiedAll && state.seen !== plan.points) return undefined;
    if (state.last === '') return state;
    const there = await this.#to.raw[rawGet]([state.last], this.#settings.signal);
    return there.length === 1 ? state : undefined;
  }

  async #copy(state: MigrationState, plan: MigrateReport, journal: MigrationJournal | undefined): Promise<void> {
    const { batch, signal, tell } = this.#settings;
    const pace = new Pace('copy', plan.points, tell, state.copied);
    for await (const { points, next } of readPages(this.#from.raw, state.cursor, batch, plan.dimension, signal)) {
      const failed = await writePoints(this.#to.raw, points, plan.dimension, signal);
      this.#choose(state, points);
      state.copied += points.length - failed.length;
      state.failed.push(...failed);
      requireFew(state.failed);
      state.last = lastWritten(points, failed) ?? state.last;
      state.cursor = next;
      state.copiedAll = next === '';
      // Only now: what it says is durable.
      await journal?.write(writeState(state));
      pace.step(points.length);
    }
  }

  // Points that failed for a passing reason are read again and written once more; those that an earlier run left, too.
  async #retry(
    state: MigrationState,
    plan: MigrateReport,
    left: ReadonlySet<Failure>,
    journal: MigrationJournal | undefined,
  ): Promise<void> {
    const { signal } = this.#settings;
    const again = state.failed.filter((failure) => failure.retryable || left.has(failure));
    if (again.length === 0) return;
    state.failed = state.failed.filter((failure) => !again.includes(failure));
    for (let first = 0; first < again.length; first += retryBatch) {
      const ids = again.slice(first, first + retryBatch).map(({ id }) => id);
      const points = await this.#from.raw[rawGet](ids, signal);
      const failed = await writePoints(this.#to.raw, points, plan.dimension, signal);
      state.copied += points.length - failed.length;
      state.failed.push(...failed);
    }
    await journal?.write(writeState(state));
  }

  #verify(state: MigrationState, plan: MigrateReport): Promise<Verification> {
    const failed = new Set(state.failed.map(({ id }) => id));
    const sample = state.sample.filter((id) => !failed.has(id));
    const pace = new Pace('verify', sample.length, this.#settings.tell);
    const expected = { from: plan.points, to: plan.points - failed.size, others: state.before > 0 };
    return verify(this.#from, this.#to, sample, expected, this.#settings.signal, (points) => pace.step(points));
  }

  // Each point that came is as likely to be in the sample as any other.
  #choose(state: MigrationState, points: readonly RawPoint[]): void {
    const { sample } = this.#settings;
    for (const { id } of points) {
      state.seen++;
      if (state.sample.length < sample) {
        state.sample.push(id);
        continue;
      }
      const place = Math.floor(Math.random() * state.seen);
      if (place < sample) state.sample[place] = id;
    }
  }
}

function lastWritten(points: readonly RawPoint[], failed: readonly Failure[]): string | undefined {
  const not = new Set(failed.map(({ id }) => id));
  for (let i = points.length - 1; i >= 0; i--) if (!not.has(points[i]!.id)) return points[i]!.id;
  return undefined;
}

function requireFew(failed: readonly Failure[]): void {
  if (failed.length <= mostFailures) return;
  const { id, code, message } = failed[0] as Failure;
  const why = `more than ${mostFailures} points could not be written; the first is ${shown(id)}: ${message}`;
  throw new NearfieldError(code as NearfieldError['code'], why, { value: id });
}
