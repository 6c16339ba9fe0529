/// <reference lib="esnext.disposable" preserve="true" />
// The embedder by itself: vectors for texts, without a database.
import { readOptions, readText, shown } from './check.js';
import { Engine } from './engine.js';
import { NearfieldError, invalid } from './errors.js';
import { compiled } from './load.js';
import { embedTexts, loadModel, type EmbedderSource } from './model.js';
import type { WasmSource } from './wasm.js';

export interface EmbedderOptions {
  /** The model's files; default: those beside this package's code, read once. */
  model?: EmbedderSource | undefined;
  /** The engine's file, see load(). */
  wasm?: WasmSource | undefined;
}

// A call embeds any number of texts, but carries them over in steps: the engine's memory grows with a step and never
// shrinks.
const stepTexts = 1024;
const stepCharacters = 1 << 20;

/**
 * Loads the embedding model into an engine of its own. Each text becomes a unit vector by a look-up per word piece; no
 * model runs, nothing leaves the host.
 *
 * ```js
 * const embedder = await loadEmbedder();
 * const [one, other] = [embedder.embed(['sign in']), embedder.embed(['log in'])];
 * ```
 *
 * Throws FormatError for files that are no model, InvalidArgument and ConfigError for bad options, NotFound and
 * StorageFailed when a file cannot be had, and what load() throws.
 */
export async function loadEmbedder(given?: EmbedderOptions): Promise<Embedder> {
  const { model, wasm } = readOptions(given, 'loadEmbedder', ['model', 'wasm']);
  const engine = await Engine.create(await compiled(wasm as WasmSource | undefined));
  try {
    const dimension = await loadModel(() => engine, model);
    return new Embedder(engine, dimension, model === undefined ? ownName : 'custom');
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

/** As core/text/model/meta.json has it. */
const ownName = 'nearfield-static-1';

export class Embedder {
  /** Components of each vector. */
  readonly dimension: number;
  /** Vectors of different models do not compare: 'nearfield-static-1', or 'custom' for a model of the caller's. */
  readonly name: string;
  readonly #engine: Engine;
  #closed = false;

  /** Private to the package; use loadEmbedder(). */
  constructor(engine: Engine, dimension: number, name: string) {
    this.#engine = engine;
    this.dimension = dimension;
    this.name = name;
  }

  /**
   * The vectors of `texts`, row after row; the caller's own. A text without a known word gives zeros, and of a long one
   * the first 512 word pieces count. Answers at once.
   *
   * ```js
   * const rows = embedder.embed(texts);
   * const second = rows.subarray(embedder.dimension, 2 * embedder.dimension);
   * ```
   *
   * Throws InvalidArgument, OutOfMemory, LimitExceeded, Closed.
   */
  embed(texts: readonly string[]): Float32Array {
    if (!Array.isArray(texts)) throw invalid(`texts must be an array of strings, got ${shown(texts)}`, texts);
    // A copy first: each element is read once, holes too.
    const checked = Array.from(texts, (text, i) => readText(text, `texts[${i}]`));
    if (this.#closed) throw new NearfieldError('Closed', 'the embedder is closed');
    const rows = this.#allocate(checked.length);
    let first = 0;
    while (first < checked.length) {
      let end = first;
      for (let characters = 0; end < checked.length && end - first < stepTexts && characters < stepCharacters; ++end) {
        characters += (checked[end] as string).length;
      }
      rows.set(embedTexts(this.#engine, checked.slice(first, end)), first * this.dimension);
      first = end;
    }
    return rows;
  }

  #allocate(count: number): Float32Array {
    try {
      return new Float32Array(count * this.dimension);
    } catch (cause) {
      throw new NearfieldError('OutOfMemory', `there is no memory for ${count} vectors`, { value: count, cause });
    }
  }

  /** Frees the model's memory. Later calls of embed() throw Closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#engine.dispose();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
