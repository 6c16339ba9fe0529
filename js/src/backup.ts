// Backups: where their bytes go to and come from. What is in them is the engine's business (storage/FORMAT.md).
import { checkSignal, readOptions, shown } from './check.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';
import type { Session } from './session.js';
import { bytesOf, openSink, openSource, type ByteSink, type ByteSource } from './sinks.js';

export type BackupSink = ByteSink;
export type BackupSource = ByteSource;

export interface BackupProgress {
  /** Of the backup file, so far. */
  bytes: number;
  /** In all: for backup() an estimate, for restore() exact; undefined where the source does not say. */
  bytesTotal: number | undefined;
}

export interface BackupOptions {
  /** Stops with Aborted. A restore can be stopped until the whole file is proved. */
  signal?: AbortSignal | undefined;
  /** Called after each piece. What it throws ends the call. */
  onProgress?: ((progress: BackupProgress) => void) | undefined;
}

export interface BackupReport {
  /** backup(): the generation that is in the file. restore(): the generation the database has now. */
  generation: number;
  /** The size of the backup file. */
  bytes: number;
  collections: number;
  points: number;
}

/** See Database.backup. */
export async function backup(session: Session, to: unknown, given: unknown): Promise<BackupReport> {
  const options = readBackupOptions(given, 'backup');
  const sink = await openSink(to, 'backup');
  const stream = new Steps('the sink of the backup', options.signal);
  let bytes = 0;
  const send = (chunk: Uint8Array, total: number) =>
    stream.step(async () => {
      await sink.write(chunk as Uint8Array<ArrayBuffer>);
      bytes += chunk.length;
      options.onProgress?.({ bytes, bytesTotal: total === 0 ? undefined : Math.max(total, bytes) });
    });
  try {
    const report = await session.runStreamed<BackupReport>('_backup', { send, end: (error) => stream.end(error) });
    await stream.step(() => sink.close());
    return report;
  } catch (error) {
    await sink.abort(error).catch(() => {});
    throw stream.reason ?? error;
  } finally {
    stream.dispose();
  }
}

/** See Database.restore. */
export async function restore(session: Session, from: unknown, given: unknown): Promise<BackupReport> {
  const options = readBackupOptions(given, 'restore');
  const source = await openSource(from, 'backup');
  const stream = new Steps('the source of the backup', options.signal);
  const { bytesTotal } = source;
  let rest = new Uint8Array(0);
  let bytes = 0;
  const receive = (length: number) =>
    stream.step(async () => {
      // Empty pieces are none; an empty answer would be the end.
      while (rest.length === 0 && !stream.ended) {
        const chunk = await source.read();
        if (chunk === undefined) break;
        rest = bytesOf(chunk, 'backup');
      }
      const piece = rest.subarray(0, length);
      rest = rest.subarray(piece.length);
      bytes += piece.length;
      if (piece.length > 0) options.onProgress?.({ bytes, bytesTotal });
      return piece;
    });
  try {
    return await session.runStreamed<BackupReport>('_restore', { receive, end: (error) => stream.end(error) });
  } catch (error) {
    throw stream.reason ?? error;
  } finally {
    stream.dispose();
    await source.close().catch(() => {});
  }
}

function readBackupOptions(given: unknown, what: string): BackupOptions {
  const { signal, onProgress } = readOptions(given, what, ['signal', 'onProgress']);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalid(`onProgress must be a function, got ${shown(onProgress)}`, onProgress);
  }
  checkSignal(signal);
  return { signal, onProgress } as BackupOptions;
}

/** Work on a sink or source, one step after another, each of which an abort or the session's end cuts short. */
class Steps {
  /** What went wrong outside of the engine, with its cause, which does not survive the way through it. */
  reason: NearfieldError | undefined;
  readonly #what: string;
  readonly #signal: AbortSignal | undefined;
  readonly #stopped: Promise<never>;
  #stop!: (error: NearfieldError) => void;

  constructor(what: string, signal: AbortSignal | undefined) {
    this.#what = what;
    this.#signal = signal;
    this.#stopped = new Promise((_, reject) => (this.#stop = reject));
    this.#stopped.catch(() => {});
    signal?.addEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.end(
      new NearfieldError('Aborted', 'the call was cancelled by its signal', { cause: this.#signal?.reason as unknown }),
    );
  };

  get ended(): boolean {
    return this.reason !== undefined;
  }

  end(error: NearfieldError): void {
    this.reason ??= error;
    this.#stop(this.reason);
  }

  async step<Value>(work: () => Value | PromiseLike<Value>): Promise<Value> {
    if (this.reason !== undefined) throw this.reason;
    try {
      return await Promise.race([Promise.resolve().then(work), this.#stopped]);
    } catch (cause) {
      this.end(
        cause instanceof NearfieldError
          ? cause
          : new NearfieldError('StorageFailed', `${this.#what} failed: ${reasonOf(cause)}`, { cause }),
      );
      throw this.reason;
    }
  }

  dispose(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}
