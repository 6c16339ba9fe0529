// Bytes from wherever the caller has them: a file, a server, or memory. The same on every host.
import { shown } from './check.js';
import { NearfieldError, invalid, reasonOf, type Code } from './errors.js';
import { builtin } from './host.js';

/** A file: its address, an answer of fetch, or its bytes. */
export type FileSource = URL | string | Response | PromiseLike<Response> | BufferSource;

export interface NamedBytes {
  bytes: Uint8Array<ArrayBuffer>;
  /** For messages: the address, where there is one. */
  name: string;
}

/**
 * `what` names the source in messages, `remedy` says what to do when nothing is found there. Bytes in memory are not
 * copied. Throws InvalidArgument, NotFound, StorageFailed.
 */
export async function readBytes(given: unknown, what: string, remedy = ''): Promise<NamedBytes> {
  // What is awaited may be of any type: it comes from the caller.
  const source = await attempt('StorageFailed', what, async () => given);
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source), name: what };
  if (ArrayBuffer.isView(source)) {
    const { buffer, byteOffset, byteLength } = source as ArrayBufferView<ArrayBuffer>;
    return { bytes: new Uint8Array(buffer, byteOffset, byteLength), name: what };
  }
  if (typeof source === 'string' || source instanceof URL) return readAddress(addressOf(source, what), remedy);
  // Last, because the first look at Response makes Node load all of fetch.
  if (typeof Response !== 'undefined' && source instanceof Response) {
    return readResponse(source, source.url || what, remedy);
  }
  throw invalid(`${what} must be a URL, a Response or bytes, got ${shown(source)}`);
}

async function readAddress(url: URL, remedy: string): Promise<NamedBytes> {
  const name = url.href.length > 500 ? `${url.href.slice(0, 500)}…` : url.href;
  if (url.protocol !== 'file:') {
    return readResponse(await attempt('StorageFailed', name, () => fetch(url)), name, remedy);
  }
  return attempt('NotFound', name, async () => {
    const { readFile } = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
    return { bytes: (await readFile(url)) as Uint8Array<ArrayBuffer>, name };
  });
}

function addressOf(address: string | URL, what: string): URL {
  try {
    return new URL(address, typeof document === 'undefined' ? undefined : document.baseURI);
  } catch (cause) {
    throw new NearfieldError('InvalidArgument', `${what}: ${shown(address)} is not an absolute URL`, {
      value: address,
      cause,
    });
  }
}

async function readResponse(response: Response, name: string, remedy: string): Promise<NamedBytes> {
  const { ok, status } = response;
  if (!ok)
    throw new NearfieldError('NotFound', `${name} was answered with status ${status}${remedy}`, { value: status });
  const buffer = await attempt('StorageFailed', name, () => response.arrayBuffer());
  return { bytes: new Uint8Array(buffer), name };
}

async function attempt<Value>(code: Code, name: string, read: () => Promise<Value>): Promise<Value> {
  try {
    return await read();
  } catch (cause) {
    throw new NearfieldError(code, `cannot read ${name}: ${reasonOf(cause)}`, { value: name, cause });
  }
}
