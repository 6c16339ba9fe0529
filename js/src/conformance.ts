// Conformance: whether a store does what store.ts says, as a list of checks with names. For every store of ours, and for
// anyone's backend; no test framework in it.
import { isObject, readOptions, readWhole, shown } from './check.js';
import { checkConfig, type ConfigReport } from './config.js';
import { conformanceChecks } from './conformance-checks.js';
import { Bench, Skip, type ConformanceCheck } from './conformance-bench.js';
import { connect, type ConnectOptions } from './connect.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';
import type { Metric } from './generated/metrics.js';
import type { Store } from './store.js';

/** What a store is opened with; those that know fewer of these open without, and throw what connect() throws otherwise. */
export interface ConformanceTarget {
  collection: string;
  dimension: number;
  metric: Metric;
  /** With full-text search beside vectors. */
  hybrid: boolean;
}

export interface ConformanceOptions {
  /** Opens the store; called several times. Each collection is the script's own, and dropped in the end. */
  open: (target: ConformanceTarget) => Promise<Store>;
  /** Of everything random; default 1. */
  seed?: number | undefined;
  /** Only the checks with this in their names. */
  only?: string | undefined;
  /** Seconds that a check may take before it has failed, 1 to 86,400; default 120. */
  patience?: number | undefined;
  /** Called when a check has ended. */
  onCheck?: ((result: ConformanceResult) => void) | undefined;
}

export interface ConformanceResult {
  name: string;
  state: 'passed' | 'failed' | 'skipped';
  /** What was expected and found, or what the store says it cannot do; of checks that passed, what they left out. */
  message: string;
  milliseconds: number;
}

export interface ConformanceReport {
  backend: string;
  /** Nothing failed. */
  ok: boolean;
  passed: number;
  failed: number;
  skipped: number;
  checks: ConformanceResult[];
}

/**
 * Runs the checks. What the store refuses with Unsupported is skipped, and says so; everything else that is not as store.ts
 * has it is a failure.
 *
 * ```js
 * const { ok, checks } = await conformance({ open: openerOf({ config: '[backend]\nprovider = "memory"' }) });
 * ```
 *
 * Throws InvalidArgument, and what `open` throws the first time.
 */
export async function conformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const known = ['open', 'seed', 'only', 'patience', 'onCheck'] as const;
  const { open, seed, only, patience, onCheck } = readOptions(options, 'conformance', known);
  if (typeof open !== 'function') throw invalid(`conformance: open must be a function, got ${shown(open)}`);
  if (onCheck !== undefined && typeof onCheck !== 'function') throw invalid('conformance: onCheck must be a function');
  const bench = new Bench(
    open as ConformanceOptions['open'],
    seed === undefined ? 1 : readWhole(seed, 'seed', 0, 0xffff_ffff),
  );
  const seconds = patience === undefined ? 120 : readWhole(patience, 'patience', 1, 86_400);
  const wanted = conformanceChecks.filter(({ name }) => only === undefined || name.includes(String(only)));
  const checks: ConformanceResult[] = [];
  let backend = '';
  try {
    const first = bench.store({ metric: 'cosine', hybrid: false });
    backend = (await within(seconds, first, 'the store could not be opened')).backend;
    for (const check of wanted) {
      const result = await runCheck(check, bench, seconds);
      checks.push(result);
      (onCheck as ConformanceOptions['onCheck'])?.(result);
    }
  } finally {
    await within(seconds, bench.end(), '').catch(() => {});
  }
  const count = (state: string) => checks.filter((each) => each.state === state).length;
  const failed = count('failed');
  return { backend, ok: failed === 0, passed: count('passed'), failed, skipped: count('skipped'), checks };
}

async function runCheck({ name, run }: ConformanceCheck, bench: Bench, seconds: number): Promise<ConformanceResult> {
  const started = performance.now();
  const ended = (state: ConformanceResult['state'], message: string) => {
    return { name, state, message, milliseconds: Math.round(performance.now() - started) };
  };
  try {
    const left = await within(seconds, run(bench), 'it did not end');
    return ended('passed', left ?? '');
  } catch (error) {
    // Calls under way end with their store; the next check opens another.
    if (error instanceof OutOfPatience) await within(seconds, bench.close(), '').catch(() => {});
    if (error instanceof Skip) return ended('skipped', error.message);
    if (error instanceof NearfieldError && error.code === 'Unsupported') return ended('skipped', error.message);
    const what = error instanceof NearfieldError ? `threw ${error.code}: ${error.message}` : reasonOf(error);
    return ended('failed', what);
  }
}

class OutOfPatience extends Error {}

/** The timer keeps Node from ending in the middle of a promise that nobody settles. */
async function within<Result>(seconds: number, work: Promise<Result>, what: string): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new OutOfPatience(`${what} within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Opens the store of a configuration with the collections of the script in place of its own. Checks that need a metric or a
 * setting that the configuration has no key for are skipped.
 */
export function openerOf(options: ConnectOptions = {}): ConformanceOptions['open'] {
  let known: Promise<ConfigReport> | undefined;
  return async (target) => {
    const { fetch: _, ...config } = options;
    known ??= checkConfig(config);
    const { dialect, settings } = await known;
    const changes = dialect === 'backend' ? ofBackend(target) : ofVectordb(target, String(settings['name']));
    const given = options.override ?? {};
    const table = given[dialect];
    return connect({
      ...options,
      override: { ...given, [dialect]: { ...(isObject(table) ? table : {}), ...changes } },
    });
  };
}

function ofBackend({ collection, dimension, metric, hybrid }: ConformanceTarget): Record<string, unknown> {
  return {
    collection,
    vector_size: dimension,
    distance_metric: metric,
    ...(hybrid ? { enable_hybrid_search: true, hybrid_alpha: 0.5 } : {}),
  };
}

function ofVectordb(
  { collection, dimension, metric, hybrid }: ConformanceTarget,
  name: string,
): Record<string, unknown> {
  if (hybrid) throw new Skip('[vectordb] has no key for hybrid search');
  if (name === 'qdrant')
    return { qdrant: { collection, vector_params: { size: dimension, distance: titled(metric) } } };
  if (name === 'chroma') {
    if (metric === 'manhattan') throw new Skip('[vectordb.chroma] has no manhattan');
    return { chroma: { collection, distance_metric: { cosine: 'cosine', dot: 'ip', euclidean: 'l2' }[metric] } };
  }
  if (metric !== 'cosine') throw new Skip(`[vectordb] has no key for the metric of ${name}`);
  if (name === 'lancedb') return { lancedb: { table: collection } };
  if (name === 'weaviate') return { weaviate: { collection } };
  return { collection };
}

function titled(metric: Metric): string {
  return { cosine: 'Cosine', dot: 'Dot', euclidean: 'Euclid', manhattan: 'Manhattan' }[metric];
}
