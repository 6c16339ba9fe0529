// nearfield.wasm: the engine without the spec documents and the doctor, which are files of their own.
import { engineFile, type LoadOptions } from './wasm.js';

const file = /* @__PURE__ */ engineFile(
  () => new URL('./nearfield.wasm', import.meta.url),
  'serve nearfield.wasm of this package there, or say where it is with load({ wasm })',
);

/** What instances are made of; `wasm` overrides what load() was given. */
export const { compiled } = file;

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
  return file.load(options);
}
