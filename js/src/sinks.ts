// Sinks and sources of bytes: what backups and exports are written to, and read from.
import { isObject, readText, shown } from './check.js';
import { NearfieldError, invalid, reasonOf, type Code } from './errors.js';
import { builtin, isNode } from './host.js';

/** A stream, a function that gets each piece and is waited for, or in Node the path of a file. */
export type ByteSink =
  WritableStream<Uint8Array<ArrayBuffer>> | ((chunk: Uint8Array<ArrayBuffer>) => void | PromiseLike<void>) | string;

/** A stream, pieces of any size, the bytes, an answer of fetch, or in Node the path of a file. */
export type ByteSource =
  ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Blob | Response | ArrayBuffer | ArrayBufferView | string;

/** Where bytes go to, opened. */
export interface Sink {
  write(chunk: Uint8Array<ArrayBuffer>): void | PromiseLike<void>;
  /** Writes over bytes that were written before; only files can, and not devices and pipes. */
  patch?(position: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Resolves when all of it is where it belongs. */
  close(): Promise<void>;
  /** Leaves nothing behind. */
  abort(reason: unknown): Promise<void>;
}

/** Where bytes come from, opened. */
export interface Source {
  /** undefined at the end. */
  read(): Promise<unknown>;
  /** Lets go, also before the end. */
  close(): Promise<void>;
  bytesTotal: number | undefined;
}

/** `noun`: what its bytes are, for messages. Throws InvalidArgument and what opening a file fails with. */
export async function openSink(to: unknown, noun: string): Promise<Sink> {
  if (typeof to === 'function') {
    const write = to as (chunk: Uint8Array<ArrayBuffer>) => void | PromiseLike<void>;
    return { write, close: async () => {}, abort: async () => {} };
  }
  if (typeof to === 'string') return openFileSink(readPath(to, 'the sink'), noun);
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

/** As openSink(). */
export async function openSource(from: unknown, noun: string): Promise<Source> {
  if (typeof from === 'string') return openFileSource(readPath(from, 'the source'), noun);
  if (from instanceof ArrayBuffer || ArrayBuffer.isView(from)) {
    let whole: Uint8Array | undefined = bytesOf(from, noun);
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
    return body === null ? openSource(new ArrayBuffer(0), noun) : streamSource(body);
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

/** A piece of a source. */
export function bytesOf(chunk: unknown, noun: string): Uint8Array<ArrayBuffer> {
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) {
    const { buffer, byteOffset, byteLength } = chunk as ArrayBufferView<ArrayBuffer>;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  throw invalid(`a piece of the ${noun} must be bytes, got ${shown(chunk)}`);
}

function readPath(path: string, what: string): string {
  if (!isNode()) throw new NearfieldError('Unsupported', `${what} can be a path only where there are files`);
  const text = readText(path, what);
  if (text === '' || text.includes('\0')) throw invalid(`${what}: path ${shown(text)} names no file`, text);
  return text;
}

// Under its name only once it is whole and durable; what stood there before stays until then. What is no file (a pipe, a
// terminal, /dev/null) is written to as it is.
async function openFileSink(path: string, noun: string): Promise<Sink> {
  const [files, paths] = await Promise.all([
    builtin<typeof import('node:fs/promises')>('node:fs/promises'),
    builtin<typeof import('node:path')>('node:path'),
  ]);
  const attempt = <Value>(work: Promise<Value>): Promise<Value> =>
    work.catch((cause: unknown) => {
      throw fileError('write', noun, path, cause);
    });
  const there = await files.stat(path).catch(() => undefined);
  if (there?.isDirectory()) {
    throw fileError('write', noun, path, Object.assign(new Error('it is a folder'), { code: 'EISDIR' }));
  }
  // A device or a pipe is written to, and not replaced by a file of its name.
  const direct = there !== undefined && !there.isFile();
  // A link goes on pointing to its file; one that points nowhere is replaced.
  const target = there === undefined || direct ? path : await attempt(files.realpath(path));
  const draft = direct ? path : `${target}.${process.pid}-${crypto.randomUUID().slice(0, 8)}.tmp`;
  const handle = await attempt(files.open(draft, direct ? 'w' : 'wx'));
  const write = async (chunk: Uint8Array<ArrayBuffer>) => {
    let done = 0;
    while (done < chunk.length) done += (await attempt(handle.write(chunk, done))).bytesWritten;
  };
  if (direct) return { write, close: () => attempt(handle.close()), abort: () => handle.close() };
  return {
    write,
    patch: async (position, bytes) => {
      let done = 0;
      while (done < bytes.length) {
        done += (await attempt(handle.write(bytes, done, bytes.length - done, position + done))).bytesWritten;
      }
    },
    close: async () => {
      await attempt(handle.sync());
      await attempt(handle.close());
      await attempt(files.rename(draft, target));
      await attempt(syncFolder(files, paths.dirname(target)));
    },
    abort: async () => {
      await handle.close().catch(() => {});
      await files.unlink(draft);
    },
  };
}

/** Whether it says the same when it is opened again: bytes, blobs and files do, pipes do not. */
export async function readsTwice(source: unknown): Promise<boolean> {
  if (typeof source === 'string') {
    if (!isNode()) return true;
    const files = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
    // Opening says what is wrong with a path.
    return files.stat(source).then(
      (there) => there.isFile(),
      () => true,
    );
  }
  return (
    source instanceof ArrayBuffer ||
    ArrayBuffer.isView(source) ||
    (typeof Blob !== 'undefined' && source instanceof Blob)
  );
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

async function openFileSource(path: string, noun: string): Promise<Source> {
  const files = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const attempt = <Value>(work: Promise<Value>): Promise<Value> =>
    work.catch((cause: unknown) => {
      throw fileError('read', noun, path, cause);
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

function fileError(action: string, noun: string, path: string, cause: unknown): NearfieldError {
  const system = isObject(cause) ? cause['code'] : undefined;
  let code: Code = 'StorageFailed';
  if (system === 'ENOENT' || system === 'ENOTDIR') code = 'NotFound';
  if (system === 'EISDIR' || system === 'ENOTEMPTY' || system === 'EEXIST') code = 'InvalidArgument';
  if (system === 'ENOSPC' || system === 'EDQUOT' || system === 'EFBIG') code = 'QuotaExceeded';
  if (system === 'EROFS' || (action === 'write' && (system === 'EACCES' || system === 'EPERM'))) code = 'ReadOnly';
  return new NearfieldError(code, `cannot ${action} the ${noun} ${path}: ${reasonOf(cause)}`, {
    value: path,
    details: { system },
    cause,
  });
}
