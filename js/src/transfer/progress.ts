// How far a transfer is.
import { shown } from '../check.js';
import { invalid } from '../errors.js';

export interface TransferProgress {
  /** check: a file is looked through before anything is written. verify: both ends are compared. */
  phase: 'check' | 'copy' | 'verify';
  /** Points dealt with, and all there are, as far as is known. */
  done: number;
  total: number;
  /** Since this run began. */
  pointsPerSecond: number;
  /** undefined: not known yet. */
  millisecondsLeft: number | undefined;
}

export type OnProgress = (progress: TransferProgress) => void;

export function readProgress(given: unknown, what: string): OnProgress {
  if (given === undefined) return () => {};
  if (typeof given === 'function') return given as OnProgress;
  throw invalid(`${what}: onProgress must be a function, got ${shown(given)}`, given);
}

export class Pace {
  readonly #phase: TransferProgress['phase'];
  readonly #total: number;
  readonly #tell: OnProgress;
  readonly #before: number;
  readonly #started = performance.now();
  #done: number;

  /** `before`: done by an earlier run. */
  constructor(phase: TransferProgress['phase'], total: number, tell: OnProgress, before = 0) {
    this.#phase = phase;
    this.#total = total;
    this.#tell = tell;
    this.#before = before;
    this.#done = before;
  }

  step(points: number): void {
    this.#done += points;
    const milliseconds = performance.now() - this.#started;
    const now = this.#done - this.#before;
    const total = Math.max(this.#total, this.#done);
    this.#tell({
      phase: this.#phase,
      done: this.#done,
      total,
      pointsPerSecond: milliseconds > 0 ? (now / milliseconds) * 1000 : 0,
      millisecondsLeft: now > 0 ? (milliseconds * (total - this.#done)) / now : undefined,
    });
  }
}
