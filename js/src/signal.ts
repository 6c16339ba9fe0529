// Waiting that can be given up.
import { NearfieldError } from './errors.js';

/** Resolves after a while, at once when the signal fires. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });
}

/** `work` with a signal that fires when one of these does. */
export async function withAnyOf<Result>(
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal | undefined) => Promise<Result>,
): Promise<Result> {
  const given = [...new Set(signals)].filter((signal) => signal !== undefined);
  if (given.length < 2) return work(given[0]);
  // Not every host has AbortSignal.any().
  const any = new AbortController();
  const abort = ({ target }: Event) => any.abort((target as AbortSignal).reason);
  for (const signal of given) signal.addEventListener('abort', abort);
  try {
    return await work(any.signal);
  } finally {
    for (const signal of given) signal.removeEventListener('abort', abort);
  }
}

/** What `work` does, or Aborted as soon as the signal fires; the work itself goes on. */
export async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return work;
  // Somebody else may look at it, or nobody.
  work.catch(() => {});
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () =>
      reject(new NearfieldError('Aborted', 'the call was cancelled by its signal', { cause: signal.reason }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
