// Backups: where their bytes go to and come from. What is in them is the engine's business (storage/FORMAT.md).
import { checkSignal, isObject, readOptions, readText, shown } from './check.js';
import { NearfieldError, invalid, reasonOf, type Code } from './errors.js';
import { builtin, isNode } from './host.js';
import type { Session } from './session.js';

/** A stream, a function that gets each piece and is waited for, or in Node the path of a file. */
export type BackupSink =
  WritableStream<Uint8Array<ArrayBuffer>> | ((chunk: Uint8Array<ArrayBuffer>) => void | PromiseLike<void>) | string;

/** A stream, pieces of any size, the bytes, an answer of fetch, or in Node the path of a file. */
export type BackupSource =
  ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Blob | Response | ArrayBuffer | ArrayBufferView | string;

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

interface Sink {
  write(chunk: Uint8Array<ArrayBuffer>): void | PromiseLike<void>;
  close(): Promise<void>;
  abort(reason: unknown): Promise<void>;
}

interface Source {
  /** undefined at the end. */
  read(): Promise<unknown>;
  /** Lets go, also before the end. */
  close(): Promise<void>;
  bytesTotal: number | undefined;
}

/** See Database.backup. */
export async function backup(session: Session, to: unknown, given: unknown): Promise<BackupReport> {
  const options = readBackupOptions(given, 'backup');
  const sink = await openSink(to);
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
  const source = await openSource(from);
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
        rest = bytesOf(chunk);
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

async function openSink(to: unknown): Promise<Sink> {
  if (typeof to === 'function') {
    const write = to as (chunk: Uint8Array<ArrayBuffer>) => void | PromiseLike<void>;
    return { write, close: async () => {}, abort: async () => {} };
  }
  if (typeof to === 'string') return openFileSink(readPath(to, 'the sink'));
  if (isObject(to) && typeof to['getWriter'] === 'function') {
    const stream = to as unknown as WritableStream<Uint8Array<ArrayBuffer>>;
    if (stream.locked) throw invalid('the sink is locked: somebody else has its writer');
    const writer = stream.getWriter();
    return {
      write: (chunk) => writer.write(chunk),
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    };
  }
  throw invalid(`the sink must be a WritableStream, a function or a path, got ${shown(to)}`);
}

async function openSource(from: unknown): Promise<Source> {
  if (typeof from === 'string') return openFileSource(readPath(from, 'the source'));
  if (from instanceof ArrayBuffer || ArrayBuffer.isView(from)) {
    let whole: Uint8Array | undefined = bytesOf(from);
    return {
      bytesTotal: whole.length,
      read: async () => {
        const bytes = whole;
        whole = undefined;
        return bytes;
      },
      close: async () => {},
    };
  }
  if (typeof Blob !== 'undefined' && from instanceof Blob) return streamSource(from.stream(), from.size);
  if (typeof Response !== 'undefined' && from instanceof Response) {
    const { ok, status, url, body, bodyUsed } = from;
    if (!ok) throw new NearfieldError('NotFound', `${url} was answered with status ${status}`, { value: status });
    if (bodyUsed) throw invalid('the source is a Response that was read already');
    return body === null ? openSource(new ArrayBuffer(0)) : streamSource(body);
  }
  if (isObject(from) && typeof from['getReader'] === 'function') {
    return streamSource(from as unknown as ReadableStream<Uint8Array>);
  }
  if (isObject(from) && Symbol.asyncIterator in from) {
    const iterator = (from as unknown as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    return {
      bytesTotal: undefined,
      read: async () => {
        const { done, value } = await iterator.next();
        return done === true ? undefined : value;
      },
      close: async () => void (await iterator.return?.()),
    };
  }
  throw invalid(`the source must be a stream, pieces, a Blob, a Response, bytes or a path, got ${shown(from)}`);
}

function streamSource(stream: ReadableStream<Uint8Array>, bytesTotal?: number): Source {
  if (stream.locked) throw invalid('the source is locked: somebody else reads it');
  const reader = stream.getReader();
  return {
    bytesTotal,
    read: async () => (await reader.read()).value,
    close: () => reader.cancel(),
  };
}

function bytesOf(chunk: unknown): Uint8Array<ArrayBuffer> {
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) {
    const { buffer, byteOffset, byteLength } = chunk as ArrayBufferView<ArrayBuffer>;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  throw invalid(`a piece of a backup must be bytes, got ${shown(chunk)}`);
}

function readPath(path: string, what: string): string {
  if (!isNode()) throw new NearfieldError('Unsupported', `${what} can be a path only where there are files`);
  const text = readText(path, what);
  if (text === '' || text.includes('\0')) throw invalid(`${what}: path ${shown(text)} names no file`, text);
  return text;
}

// Under its name only once it is whole and durable; what stood there before stays until then.
async function openFileSink(path: string): Promise<Sink> {
  const [files, paths] = await Promise.all([
    builtin<typeof import('node:fs/promises')>('node:fs/promises'),
    builtin<typeof import('node:path')>('node:path'),
  ]);
  const draft = `${path}.${process.pid}.tmp`;
  const attempt = <Value>(work: Promise<Value>): Promise<Value> =>
    work.catch((cause: unknown) => {
      throw fileError('write', path, cause);
    });
  const handle = await attempt(files.open(draft, 'w'));
  return {
    write: async (chunk) => {
      let done = 0;
      while (done < chunk.length) done += (await attempt(handle.write(chunk, done))).bytesWritten;
    },
    close: async () => {
      await attempt(handle.sync());
      await attempt(handle.close());
      await attempt(files.rename(draft, path));
      await attempt(syncFolder(files, paths.dirname(path)));
    },
    abort: async () => {
      await handle.close().catch(() => {});
      await files.unlink(draft);
    },
  };
}

// The new name is durable once its folder is.
async function syncFolder(files: typeof import('node:fs/promises'), path: string): Promise<void> {
  try {
    const folder = await files.open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (cause) {
    // Windows cannot sync folders and needs no such thing.
    const system = isObject(cause) ? cause['code'] : undefined;
    if (!['EPERM', 'EISDIR', 'EINVAL'].includes(String(system))) throw cause;
  }
}

async function openFileSource(path: string): Promise<Source> {
  const files = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const attempt = <Value>(work: Promise<Value>): Promise<Value> =>
    work.catch((cause: unknown) => {
      throw fileError('read', path, cause);
    });
  const handle = await attempt(files.open(path, 'r'));
  const stat = await handle.stat();
  return {
    bytesTotal: stat.isFile() ? stat.size : undefined,
    read: async () => {
      const bytes = new Uint8Array(1 << 20);
      const { bytesRead } = await attempt(handle.read(bytes, 0, bytes.length));
      return bytesRead === 0 ? undefined : bytes.subarray(0, bytesRead);
    },
    close: () => handle.close(),
  };
}

function fileError(action: string, path: string, cause: unknown): NearfieldError {
  const system = isObject(cause) ? cause['code'] : undefined;
  let code: Code = 'StorageFailed';
  if (system === 'ENOENT' || system === 'ENOTDIR') code = 'NotFound';
  if (system === 'EISDIR' || system === 'ENOTEMPTY' || system === 'EEXIST') code = 'InvalidArgument';
  if (system === 'ENOSPC' || system === 'EDQUOT' || system === 'EFBIG') code = 'QuotaExceeded';
  if (system === 'EROFS' || (action === 'write' && (system === 'EACCES' || system === 'EPERM'))) code = 'ReadOnly';
  return new NearfieldError(code, `cannot ${action} the backup ${path}: ${reasonOf(cause)}`, {
    value: path,
    details: { system },
    cause,
  });
}
