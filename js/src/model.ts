// The embedder's files: where they come from, on any host.
import { readOptions, shown } from './check.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';

/** A file: its address, an answer of fetch, or its bytes. */
export type FileSource = URL | string | Response | BufferSource;

export interface EmbedderSource {
  /** One token a line. */
  vocabulary: FileSource;
  /** One row a token; core/text/model/README.md describes it. */
  table: FileSource;
}

export interface EmbedderFiles {
  vocabulary: Uint8Array;
  table: Uint8Array;
}

/** Default: the files of this package. Throws InvalidArgument, NotFound, StorageFailed. */
export async function readEmbedderFiles(given?: unknown): Promise<EmbedderFiles> {
  const source =
    given === undefined
      ? // Spelled out, so that bundlers see which files belong to this one.
        {
          vocabulary: new URL('./model/vocab.txt', import.meta.url),
          table: new URL('./model/table.bin', import.meta.url),
        }
      : readOptions(given, 'model', ['vocabulary', 'table']);
  const [vocabulary, table] = await Promise.all([
    readFile(source.vocabulary, 'model.vocabulary'),
    readFile(source.table, 'model.table'),
  ]);
  return { vocabulary, table };
}

async function readFile(source: unknown, what: string): Promise<Uint8Array> {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (typeof Response !== 'undefined' && source instanceof Response) return readResponse(source, source.url || what);
  if (typeof source !== 'string' && !(source instanceof URL)) {
    throw invalid(`${what} must be a URL, a Response or bytes, got ${shown(source)}`);
  }
  let url: URL;
  try {
    url = new URL(source, typeof document === 'undefined' ? undefined : document.baseURI);
  } catch (cause) {
    throw new NearfieldError('InvalidArgument', `${what}: ${shown(source)} is not an absolute URL`, {
      value: source,
      cause,
    });
  }
  if (url.protocol === 'file:') return readFromDisk(url);
  const response = await fetch(url).catch((cause: unknown) => {
    throw new NearfieldError('StorageFailed', `cannot fetch ${url.href}: ${reasonOf(cause)}`, {
      value: url.href,
      cause,
    });
  });
  return readResponse(response, url.href);
}

async function readResponse(response: Response, name: string): Promise<Uint8Array> {
  if (!response.ok) {
    throw new NearfieldError('NotFound', `${name} was answered with status ${response.status}`, {
      value: response.status,
    });
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function readFromDisk(url: URL): Promise<Uint8Array> {
  try {
    // A name in a variable: bundlers for browsers leave it alone, and browsers never come here.
    const name = 'node:fs/promises';
    const files = (await import(
      /* @vite-ignore */ /* webpackIgnore: true */ name
    )) as typeof import('node:fs/promises');
    return await files.readFile(url);
  } catch (cause) {
    throw new NearfieldError('NotFound', `cannot read ${url.href}: ${reasonOf(cause)}`, { value: url.href, cause });
  }
}
