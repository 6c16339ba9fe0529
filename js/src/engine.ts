// One WebAssembly instance with one database in it: calls, answers and the moment it breaks.
import { NearfieldError, errorFromEngine, reasonOf } from './errors.js';
import { instantiate, type WasmSource } from './load.js';
import { Memory } from './memory.js';
import type { EngineHandle } from './nearfield.mjs';

export type Verb = Exclude<keyof EngineHandle, '_input' | '_outcome' | 'delete'>;

export class Engine {
  readonly memory: Memory;
  readonly #handle: EngineHandle;
  readonly #outcome: number;
  #broken: NearfieldError | undefined;

  static async create(wasm?: WasmSource): Promise<Engine> {
    const module = await instantiate(wasm);
    return new Engine(new module.Engine(), new Memory(module.wasmMemory));
  }

  private constructor(handle: EngineHandle, memory: Memory) {
    this.#handle = handle;
    this.memory = memory;
    this.#outcome = handle._outcome();
  }

  /** Set once the instance has trapped; it does nothing any more. */
  get broken(): NearfieldError | undefined {
    return this.#broken;
  }

  /**
   * Sends a message (see message.ts) to a verb and parses its answer. Throws what the verb fails with. `tail` is the end
   * of the binary part where that is large: it is copied into the engine from where it is.
   */
  call<Answer>(verb: Verb, message: Uint8Array, tail?: Uint8Array): Answer {
    if (this.#broken !== undefined) throw this.#broken;
    let code: number;
    let text: string;
    try {
      const length = message.length + (tail?.length ?? 0);
      const input = this.#handle._input(length);
      if (input === 0) {
        throw new NearfieldError('OutOfMemory', `the engine has no memory for ${length} more bytes`, { value: length });
      }
      this.memory.write(input, message);
      if (tail !== undefined) this.memory.write(input + message.length, tail);
      this.#handle[verb](length);
      code = this.memory.word(this.#outcome);
      text = this.memory.text(this.memory.word(this.#outcome + 4), this.memory.word(this.#outcome + 8));
    } catch (cause) {
      if (cause instanceof NearfieldError) throw cause;
      // A trap leaves the stack pointer and half-made changes behind: nothing in this instance can be trusted again.
      this.#broken = new NearfieldError(
        'InstancePoisoned',
        `the engine stopped in ${verb.slice(1)}: ${reasonOf(cause)}; what was committed is safe, open the database again`,
        { cause },
      );
      throw this.#broken;
    }
    const answer = parse(text);
    if (code === 0) return answer as Answer;
    const { message: reason, value } = answer as { message: string; value?: unknown };
    throw errorFromEngine(code, reason, value);
  }

  /** Frees the database's memory. No call may follow. */
  dispose(): void {
    if (this.#broken === undefined) this.#handle.delete();
    this.#broken ??= new NearfieldError('Closed', 'the database is closed');
  }
}

// Payloads pass through as the text they are stored as, so this is where a damaged one would show.
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NearfieldError('Internal', 'the engine answered with something that is not JSON', { cause });
  }
}
