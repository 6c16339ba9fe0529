// Finding, compiling and instantiating the files of WebAssembly of this package, on any host.
//
// A file is compiled once and instantiated once per open database. Who needs one names it, in its own module
// (load.ts, specs.ts, doctor.ts): what an application does not import, its bundler need not ship.
import { readBytes, type FileSource } from './bytes.js';
import { readOptions, shown } from './check.js';
import { NearfieldError, reasonOf } from './errors.js';
import createModule, { type EngineModule } from './nearfield.mjs';

/** Where a file of WebAssembly comes from: an address, an answer of fetch, its bytes, or a module compiled elsewhere. */
export type WasmSource = FileSource | WebAssembly.Module;

export interface LoadOptions {
  /**
   * nearfield.wasm; for `nearfield/specs` nearfield-specs.wasm, which does all that nearfield.wasm does too. Default: the
   * file beside this package's code.
   */
  wasm?: WasmSource | undefined;
}

/** Answers what instances are made of. `wasm` overrides every other place. */
export type Compiled = (wasm?: WasmSource) => Promise<WebAssembly.Module>;

/** One file of an engine: where it is unless load() is told otherwise, and what is said where it is not. */
export function engineFile(own: () => URL, remedy: string) {
  let told: WasmSource | undefined;
  const compiled: Compiled = (wasm) => compile(wasm ?? told ?? own(), remedy);
  const load = async (options: LoadOptions | undefined): Promise<void> => {
    const { wasm = told } = readOptions(options, 'load', ['wasm']) as LoadOptions;
    await compiled(wasm);
    told = wasm;
  };
  return { compiled, load };
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

// Addresses that are spelled alike are one source; everything else is told apart by identity.
const byAddress = new Map<string, Promise<WebAssembly.Module>>();
const byObject = new WeakMap<object, Promise<WebAssembly.Module>>();

/** Compiles what it did not compile before. `remedy` says what to do where there is no such file. */
export function compile(wasm: WasmSource, remedy: string): Promise<WebAssembly.Module> {
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
