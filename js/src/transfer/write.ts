// Points into a store, with what can be tried again tried again.
import type { UpsertReport } from '../collection.js';
import { NearfieldError } from '../errors.js';
import { rawUpsert, type RawPoint, type RawStore } from '../raw.js';
import { pause } from '../signal.js';

/** What could not be written. */
export interface Failure {
  id: string;
  code: string;
  message: string;
  /** A later run may write it. */
  retryable: boolean;
}

const tries = 4;
const [leastPauseMs, mostPauseMs] = [250, 8000];
const never = new AbortController().signal;

/**
 * Answers what was not written. Points that failed for a passing reason, or of which nobody knows, are sent again: a point
 * that is written twice is the same point. Throws where nothing of a call was written and trying again is no help.
 */
export async function writePoints(
  store: RawStore,
  points: readonly RawPoint[],
  dimension: number,
  signal: AbortSignal | undefined,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  let rest = points;
  for (let tried = 1, delay = leastPauseMs; rest.length > 0; tried++, delay = Math.min(2 * delay, mostPauseMs)) {
    let report: UpsertReport;
    try {
      report = await store[rawUpsert](rest, dimension, signal);
    } catch (error) {
      if (tried === tries || !(error instanceof NearfieldError) || !error.retryable) throw error;
      await pause(delay, signal ?? never);
      continue;
    }
    const again = new Set(report.unknown);
    const passing: Failure[] = report.unknown.map((id) => ({
      id,
      code: 'Timeout',
      message: 'sent, and never answered: it may be written',
      retryable: true,
    }));
    for (const failed of report.failed) {
      if (failed.retryable) again.add(failed.id);
      (failed.retryable ? passing : failures).push({ ...failed });
    }
    if (tried === tries) return [...failures, ...passing];
    rest = rest.filter(({ id }) => again.has(id));
    if (rest.length > 0) await pause(delay, signal ?? never);
  }
  return failures;
}
