// Waiting for what announces itself unreliably or not at all: locks and changes of other processes and tabs.
import { NearfieldError } from '../errors.js';
import type { LockOptions } from './volume.js';

const firstPauseMs = 50;
const longestPauseMs = 1000;

/** Lets a process end although the timer or channel is still there; browsers know no such thing. */
export function unref<Thing>(thing: Thing): Thing {
  (thing as { unref?: () => void } | undefined)?.unref?.();
  return thing;
}

export function lockAborted(path: string, signal: AbortSignal): NearfieldError {
  return new NearfieldError('Aborted', `waiting for the lock of ${path} was cancelled`, { cause: signal.reason });
}

/**
 * Takes a lock with `attempt`, which throws DatabaseLocked where somebody else has it. Told to wait, asks again after
 * growing pauses, which `listen` may cut short by calling its argument; it answers a function that ends that.
 */
export async function attemptLock(
  path: string,
  attempt: () => Promise<void>,
  { wait = false, signal }: LockOptions,
  listen?: (wake: () => void) => () => void,
): Promise<void> {
  let wake = (): void => {};
  let stop: (() => void) | undefined;
  const onAbort = () => wake();
  try {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (signal?.aborted) throw lockAborted(path, signal);
      // Before the attempt: a release between the two is not slept through.
      let woken = false;
      const pause = new Promise<void>((resolve) => {
        wake = () => {
          woken = true;
          resolve();
        };
      });
      if (wait && stop === undefined) {
        stop = listen?.(() => wake()) ?? (() => {});
        signal?.addEventListener('abort', onAbort);
      }
      try {
        return await attempt();
      } catch (error) {
        if (!wait || !(error instanceof NearfieldError) || error.code !== 'DatabaseLocked') throw error;
      }
      if (woken) continue;
      const timer = setTimeout(() => wake(), pauseMs);
      await pause;
      clearTimeout(timer);
    }
  } finally {
    stop?.();
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * Calls `changed` whenever `state` answers something else than the time before, and after its first answer: what
 * happened before that one would go unnoticed. Errors of `state` are states too. Answers a function that ends it.
 */
export function poll(state: () => Promise<string>, everyMs: number, changed: () => void): () => void {
  let known: string | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    const found = await state().catch((error: unknown) => String(error));
    if (stopped) return;
    if (found !== known) changed();
    known = found;
    timer = unref(setTimeout(() => void look(), everyMs));
  };
  void look();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
