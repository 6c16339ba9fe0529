// Emscripten's glue, nearfield.mjs, as built from wasm/. Private to the package.

/** One database inside one WebAssembly instance. wasm/engine.h says what each verb takes. */
export interface EngineHandle {
  _input(bytes: number): number;
  _outcome(): number;
  _takeEffects(length: number): void;
  _answer(length: number): void;
  _open(length: number): void;
  _close(length: number): void;
  _checkpoint(length: number): void;
  _createCollection(length: number): void;
  _dropCollection(length: number): void;
  _upsert(length: number): void;
  _remove(length: number): void;
  _clear(length: number): void;
  _probe(length: number): void;
  _optimize(length: number): void;
  _cancelOptimize(length: number): void;
  _backup(length: number): void;
  _restore(length: number): void;
  _doctor(length: number): void;
  _refresh(length: number): void;
  _promote(length: number): void;
  _info(length: number): void;
  _describe(length: number): void;
  _search(length: number): void;
  _get(length: number): void;
  _count(length: number): void;
  _scroll(length: number): void;
  _loadEmbedder(length: number): void;
  _embed(length: number): void;
  _openSpecs(length: number): void;
  _indexFiles(length: number): void;
  _removeMissing(length: number): void;
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
