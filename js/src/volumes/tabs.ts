// What tabs of one origin tell each other about a volume: who writes, by a Web Lock, and that something was written,
// over a BroadcastChannel. Both end with the tab, however it ends.
import { NearfieldError } from '../errors.js';
import { attemptLock, lockAborted, poll, unref } from './waiting.js';
import type { LockOptions } from './volume.js';

// A tab can die between a commit and its announcement, so readers also look by themselves; more often where nothing is
// announced at all.
const pollAnnouncedMs = 5000;
const pollSilentMs = 1000;

// Where Web Locks are missing (pages that are not served securely), this keeps one page from opening a database twice;
// between pages the fence of the volume is what holds.
const heldHere = new Set<string>();

export class WriterLock {
  readonly #path: string;
  #release: (() => void) | undefined;
  #lost = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Somebody took the lock away; true until release(). */
  get lost(): boolean {
    return this.#lost;
  }

  /** Nothing where it is held already. DatabaseLocked, or Aborted by the signal. */
  async take(options: LockOptions): Promise<void> {
    if (this.#release !== undefined) return;
    const { signal, wait = false } = options;
    if (signal?.aborted) throw lockAborted(this.#path, signal);
    const name = `nearfield:${this.#path}`;
    const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
    if (locks === undefined) {
      await attemptLock(
        this.#path,
        async () => {
          if (heldHere.has(name)) throw this.#busy();
          heldHere.add(name);
          this.#release = () => heldHere.delete(name);
        },
        options,
      );
      return;
    }
    await new Promise<void>((resolve, reject) => {
      let granted = false;
      const held = locks.request(
        name,
        { mode: 'exclusive', ...(wait ? (signal ? { signal } : {}) : { ifAvailable: true }) },
        (lock) => {
          if (lock === null) {
            reject(this.#busy());
            return undefined;
          }
          granted = true;
          // The lock is held until this promise is resolved, or the page is gone.
          return new Promise<void>((release) => {
            this.#release = release;
            resolve();
          });
        },
      );
      held.catch((cause: unknown) => {
        if (granted) {
          // Stolen.
          if (this.#release !== undefined) this.#lost = true;
        } else if (signal?.aborted) {
          reject(lockAborted(this.#path, signal));
        } else {
          reject(new NearfieldError('StorageFailed', `cannot lock ${this.#path}`, { value: this.#path, cause }));
        }
      });
    });
  }

  release(): void {
    const release = this.#release;
    this.#release = undefined;
    this.#lost = false;
    release?.();
  }

  #busy(): NearfieldError {
    return new NearfieldError(
      'DatabaseLocked',
      `${this.#path} is being written by another tab; close it there, or open it with readOnly: true`,
      { value: this.#path },
    );
  }
}

export class Announcements {
  readonly #path: string;
  readonly #watchers = new Set<() => void>();
  #channel: BroadcastChannel | undefined;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Tells the other tabs that something was written. */
  post(): void {
    this.#open()?.postMessage('changed');
  }

  /** Calls `changed` after announcements of others, and when `state` changes. Answers a function that ends it. */
  watch(state: () => Promise<string>, changed: () => void): () => void {
    // Each watcher is its own, also when one function is given twice.
    const watcher = () => changed();
    this.#watchers.add(watcher);
    const stop = poll(state, this.#open() === undefined ? pollSilentMs : pollAnnouncedMs, watcher);
    return () => {
      this.#watchers.delete(watcher);
      stop();
    };
  }

  /** Ends the channel. Watchers hear nothing more from it. */
  close(): void {
    this.#closed = true;
    this.#watchers.clear();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #open(): BroadcastChannel | undefined {
    if (this.#closed || typeof BroadcastChannel === 'undefined') return undefined;
    if (this.#channel === undefined) {
      this.#channel = unref(new BroadcastChannel(`nearfield:${this.#path}`));
      this.#channel.onmessage = () => {
        for (const watcher of this.#watchers) watcher();
      };
    }
    return this.#channel;
  }
}
