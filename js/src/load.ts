// Finding, compiling and instantiating nearfield.wasm and nearfield-doctor.wasm, on any host.
//
// A file is compiled once and instantiated once per open database. Where compiling starts is the caller's choice:
// load() ahead of time, or open() when it is needed.
import { readBytes, type FileSource } from './bytes.js';
import { readOptions, shown } from './check.js';
import { NearfieldError, reasonOf } from './errors.js';
import createModule, { type EngineModule } from './nearfield.mjs';

/** Where a file of WebAssembly comes from: an address, an answer of fetch, its bytes, or a module compiled elsewhere. */
export type WasmSource = FileSource | WebAssembly.Module;

export interface LoadOptions {
  /** nearfield.wasm. Default: the file beside this package's code. */
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
export async function load(options?: LoadOptions): Promise<void> {
  const { wasm = current } = readOptions(options, 'load', ['wasm']) as LoadOptions;
  await compiled(wasm);
  current = wasm;
}

/** What instances are made of. `wasm` overrides what load() was given. */
export function compiled(wasm?: WasmSource): Promise<WebAssembly.Module> {
  return compile(wasm ?? current ?? new URL('./nearfield.wasm', import.meta.url), engineRemedy);
}

/** The same of the doctor, which is a file of its own. */
export function compiledDoctor(wasm?: WasmSource): Promise<WebAssembly.Module> {
  return compile(wasm ?? new URL('./nearfield-doctor.wasm', import.meta.url), doctorRemedy);
}

/** A fresh instance. */
export function instantiate(module: WebAssembly.Module): Promise<EngineModule> {
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

function compile(wasm: WasmSource, remedy: string): Promise<WebAssembly.Module> {
  if (typeof wasm === 'string' || wasm instanceof URL) return remembered(byAddress, String(wasm), wasm, remedy);
  if (typeof wasm === 'object' && wasm !== null) return remembered(byObject, wasm, wasm, remedy);
  return compileSource(wasm, remedy);
}

interface Remembered<Key> {
  get(key: Key): Promise<WebAssembly.Module> | undefined;
  set(key: Key, value: Promise<WebAssembly.Module>): unknown;
  delete(key: Key): boolean;
}

function remembered<Key>(
  known: Remembered<Key>,
  key: Key,
  wasm: WasmSource,
  remedy: string,
): Promise<WebAssembly.Module> {
  const found = known.get(key);
  if (found !== undefined) return found;
  const started = compileSource(wasm, remedy);
  known.set(key, started);
  // A failure is not remembered: the next call tries again.
  started.catch(() => known.delete(key));
  return started;
}

async function compileSource(given: WasmSource, remedy: string): Promise<WebAssembly.Module> {
  if (given instanceof WebAssembly.Module) return given;
  const { bytes, name } = await readBytes(given, 'wasm', `; ${remedy}`);
  checkMagic(bytes, name, remedy);
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw refused(cause);
  }
}

const engineRemedy = 'serve nearfield.wasm of this package there, or say where it is with load({ wasm })';
const doctorRemedy = 'serve nearfield-doctor.wasm of this package there, or say where it is with doctor({ wasm })';

// A server that answers every path with its start page is the usual reason, and "expected magic word" does not say so.
function checkMagic(bytes: Uint8Array, name: string, remedy: string): void {
  if (bytes.length >= 8 && bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) return;
  const start = new TextDecoder().decode(bytes.subarray(0, 24)).trim();
  const seen = bytes.length === 0 ? 'it is empty' : `it begins with ${shown(start)}`;
  throw new NearfieldError('FormatError', `${name} is not a WebAssembly file: ${seen}; ${remedy}`, { value: start });
}

function refused(cause: unknown): NearfieldError {
  const reason = reasonOf(cause);
  const hint = /unsafe-eval|content security/i.test(reason)
    ? "the page's content security policy needs script-src 'wasm-unsafe-eval'"
    : 'this host must support WebAssembly SIMD and exception handling (Node 20, Chrome 95, Firefox 100, Safari 16.4)';
  return new NearfieldError('Unsupported', `the engine cannot start: ${reason}; ${hint}`, { cause });
}
