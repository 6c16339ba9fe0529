// Emscripten's glue, nearfield.mjs, as built from wasm/. Private to the package.

/** One database inside one WebAssembly instance. wasm/bindings.cpp says what each function takes. */
export interface EngineHandle {
  _input(bytes: number): number;
  _outcome(): number;
  _call(verb: number, length: number): void;
  delete(): void;
}

export interface EngineModule {
  Engine: new () => EngineHandle;
  wasmMemory: WebAssembly.Memory;
}

export interface EngineModuleOptions {
  instantiateWasm(
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): object;
}

export default function createModule(options: EngineModuleOptions): Promise<EngineModule>;
