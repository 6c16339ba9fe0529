// Finding, compiling and instantiating nearfield.wasm, on any host.
//
// A file is compiled once and instantiated once per open database. Where compiling starts is the caller's choice:
// load() ahead of time, or open() when it is needed.
import { shown } from './check.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';
import createModule, { type EngineModule } from './nearfield.mjs';

/** Where nearfield.wasm comes from: an address, an answer of fetch, its bytes, or a module compiled elsewhere. */
export type WasmSource = URL | string | Response | PromiseLike<Response> | BufferSource | WebAssembly.Module;

export interface LoadOptions {
  /** Default: the file beside this package's code. */
  wasm?: WasmSource | undefined;
}

// Addresses that are spelled alike are one source; everything else is told apart by identity.
const byAddress = new Map<string, Promise<WebAssembly.Module>>();
const byObject = new WeakMap<object, Promise<WebAssembly.Module>>();
let current: WasmSource | undefined;

/**
 * Fetches and compiles the engine, so that the first open() need not wait for it. Calling it again with the same
 * source costs nothing, also while the first call is still under way. A later open() uses the source loaded last.
 *
 * ```js
 * await load({ wasm: new URL('/assets/nearfield.wasm', location.href) });
 * ```
 *
 * Throws FormatError when the source is not WebAssembly, NotFound or StorageFailed when it cannot be had, Unsupported
 * where the host cannot run it.
 */
export async function load(options: LoadOptions = {}): Promise<void> {
  if (typeof options !== 'object' || options === null) throw invalid(`load: options must be an object`, options);
  for (const key of Object.keys(options)) {
    if (key !== 'wasm') {
      throw new NearfieldError('ConfigError', `load: unknown option ${shown(key)}; known is wasm`, { value: key });
    }
  }
  const wasm = options.wasm ?? current;
  await compile(wasm);
  current = wasm;
}

/** A fresh instance. `wasm` overrides what load() was given. */
export async function instantiate(wasm?: WasmSource): Promise<EngineModule> {
  const module = await compile(wasm ?? current);
  return new Promise((resolve, reject) => {
    createModule({
      instantiateWasm(imports, done) {
        WebAssembly.instantiate(module, imports).then(
          (instance) => done(instance, module),
          (cause: unknown) => reject(refused(cause)),
        );
        return {};
      },
    }).then(resolve, reject);
  });
}

function compile(given: WasmSource | undefined): Promise<WebAssembly.Module> {
  const wasm = given ?? new URL('./nearfield.wasm', import.meta.url);
  if (typeof wasm === 'string' || wasm instanceof URL) return remembered(byAddress, String(wasm), wasm);
  if (typeof wasm === 'object' && wasm !== null) return remembered(byObject, wasm, wasm);
  return compileSource(wasm);
}

interface Remembered<Key> {
  get(key: Key): Promise<WebAssembly.Module> | undefined;
  set(key: Key, value: Promise<WebAssembly.Module>): unknown;
  delete(key: Key): boolean;
}

function remembered<Key>(known: Remembered<Key>, key: Key, wasm: WasmSource): Promise<WebAssembly.Module> {
  const found = known.get(key);
  if (found !== undefined) return found;
  const started = compileSource(wasm);
  known.set(key, started);
  // A failure is not remembered: the next call tries again.
  started.catch(() => known.delete(key));
  return started;
}

async function compileSource(given: WasmSource): Promise<WebAssembly.Module> {
  // What is awaited may be of any type: it comes from the caller.
  const wasm: unknown = isPromise(given) ? await given : given;
  if (wasm instanceof WebAssembly.Module) return wasm;
  let bytes: BufferSource;
  let name: string;
  if (typeof wasm === 'string' || wasm instanceof URL) {
    const url = addressOf(wasm);
    name = url.href;
    bytes = url.protocol === 'file:' ? await readFile(url) : await readResponse(await get(url), name);
  } else if (typeof Response !== 'undefined' && wasm instanceof Response) {
    name = wasm.url || 'the response';
    bytes = await readResponse(wasm, name);
  } else if (wasm instanceof ArrayBuffer || ArrayBuffer.isView(wasm)) {
    name = 'the given buffer';
    bytes = wasm as BufferSource;
  } else {
    throw invalid(`wasm must be a URL, a Response, bytes or a WebAssembly.Module, got ${shown(wasm)}`);
  }
  checkMagic(bytes, name);
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw refused(cause);
  }
}

function isPromise(source: WasmSource): source is PromiseLike<Response> {
  return typeof (source as { then?: unknown } | null)?.then === 'function';
}

function addressOf(address: string | URL): URL {
  const base = typeof document === 'undefined' ? undefined : document.baseURI;
  try {
    return new URL(address, base);
  } catch (cause) {
    throw new NearfieldError('InvalidArgument', `wasm: ${shown(address)} is not an absolute URL`, {
      value: address,
      cause,
    });
  }
}

async function readFile(url: URL): Promise<BufferSource> {
  try {
    // A name in a variable: bundlers for browsers leave it alone, and browsers never come here.
    const files = 'node:fs/promises';
    const { readFile } = (await import(
      /* @vite-ignore */ /* webpackIgnore: true */ files
    )) as typeof import('node:fs/promises');
    return (await readFile(url)) as Uint8Array<ArrayBuffer>;
  } catch (cause) {
    throw new NearfieldError('NotFound', `cannot read ${url.href}: ${reasonOf(cause)}`, { value: url.href, cause });
  }
}

async function get(url: URL): Promise<Response> {
  try {
    return await fetch(url);
  } catch (cause) {
    throw new NearfieldError('StorageFailed', `cannot fetch ${url.href}: ${reasonOf(cause)}`, {
      value: url.href,
      cause,
    });
  }
}

async function readResponse(response: Response, name: string): Promise<BufferSource> {
  if (!response.ok) {
    throw new NearfieldError('NotFound', `${name} was answered with status ${response.status}; ${remedy}`, {
      value: response.status,
    });
  }
  return response.arrayBuffer();
}

const remedy = 'serve nearfield.wasm of this package there, or say where it is with load({ wasm })';

// A server that answers every path with its start page is the usual reason, and "expected magic word" does not say so.
function checkMagic(bytes: BufferSource, name: string): void {
  const view = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  if (view.length >= 8 && view[0] === 0 && view[1] === 0x61 && view[2] === 0x73 && view[3] === 0x6d) return;
  const start = new TextDecoder().decode(view.subarray(0, 24)).trim();
  const seen = view.length === 0 ? 'it is empty' : `it begins with ${shown(start)}`;
  throw new NearfieldError('FormatError', `${name} is not a WebAssembly file: ${seen}; ${remedy}`, { value: start });
}

function refused(cause: unknown): NearfieldError {
  const reason = reasonOf(cause);
  const hint = /unsafe-eval|content security/i.test(reason)
    ? "the page's content security policy needs script-src 'wasm-unsafe-eval'"
    : 'this host must support WebAssembly SIMD and exception handling (Node 20, Chrome 95, Firefox 100, Safari 16.4)';
  return new NearfieldError('Unsupported', `the engine cannot start: ${reason}; ${hint}`, { cause });
}
