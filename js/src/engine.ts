// One WebAssembly instance with one database in it: calls, answers and the moment it breaks.
import { NearfieldError, errorFromEngine, reasonOf } from './errors.js';
import { verbs, type Verb } from './generated/verbs.js';
import { Memory } from './memory.js';
import type { EngineHandle } from './nearfield.mjs';
import { instantiate } from './wasm.js';

export type { Verb };

export class Engine {
  readonly memory: Memory;
  /** Called once, soon after the instance broke, also when it is disposed of. */
  onBroken: ((why: NearfieldError) => void) | undefined;
  // Undefined once no call may reach it any more.
  #handle: EngineHandle | undefined;
  readonly #outcome: number;
  #broken: NearfieldError | undefined;

  static async create(compiled: WebAssembly.Module): Promise<Engine> {
    const module = await instantiate(compiled);
    return new Engine(new module.Engine(), new Memory(module.wasmMemory));
  }

  private constructor(handle: EngineHandle, memory: Memory) {
    this.#handle = handle;
    this.memory = memory;
    this.#outcome = handle._outcome();
  }

  /** Set once the instance has trapped, or has run out of memory halfway; it does nothing any more. */
  get broken(): NearfieldError | undefined {
    return this.#broken;
  }

  /**
   * Sends a message (see message.ts) to a verb and parses its answer; one that is no JSON is answered as { place }, where
   * it begins. Throws what the verb fails with. `tail` is the end of the binary part where that is large: it is copied
   * into the engine from where it is.
   */
  call<Answer>(verb: Verb, message: Uint8Array, tail?: Uint8Array): Answer {
    if (this.#handle === undefined) throw this.#broken;
    let code: number;
    let place: number;
    let bytes: number;
    let text = '';
    let poisoned: boolean;
    try {
      const length = message.length + (tail?.length ?? 0);
      const input = this.#handle._input(length);
      if (input === 0) {
        throw new NearfieldError('OutOfMemory', `the engine has no memory for ${length} more bytes`, { value: length });
      }
      this.memory.write(input, message);
      if (tail !== undefined) this.memory.write(input + message.length, tail);
      this.#handle._call(verbs[verb], length);
      const outcome = this.memory.reader(this.#outcome);
      code = outcome.word();
      place = outcome.word();
      bytes = outcome.word();
      poisoned = outcome.word() !== 0;
      if (bytes > 0) text = this.memory.text(place, bytes);
    } catch (cause) {
      if (cause instanceof NearfieldError) throw cause;
      // A trap leaves the stack pointer and half-made changes behind: nothing in this instance can be trusted again.
      throw this.poison(`the engine stopped in ${verb.slice(1)}: ${reasonOf(cause)}`, cause);
    }
    if (poisoned) this.poison('the engine ran out of memory in the middle of an operation');
    if (bytes === 0) return { place } as Answer;
    const answer = parseJson<unknown>(text);
    if (code === 0) return answer as Answer;
    const { message: reason, value } = answer as { message: string; value?: unknown };
    throw errorFromEngine(code, reason, value);
  }

  /** Ends the instance: from now on every call throws the answered error. */
  poison(why: string, cause?: unknown): NearfieldError {
    return this.#end(
      new NearfieldError(
        'InstancePoisoned',
        `${why}; what is durable is safe: open it again, a database with recover()`,
        {
          cause,
        },
      ),
    );
  }

  /** Opening the database again in another instance failed. */
  stillBroken(reason: unknown): void {
    if (this.#broken?.code !== 'InstancePoisoned') return;
    const why = `the engine is broken and recover() failed: ${reasonOf(reason)}; it can be tried again`;
    this.#broken = new NearfieldError('InstancePoisoned', why, { cause: reason });
  }

  /** Frees the database's memory. No call may follow. */
  dispose(): void {
    if (this.#broken === undefined) this.#handle?.delete();
    this.#end(new NearfieldError('Closed', 'the database is closed'));
  }

  #end(why: NearfieldError): NearfieldError {
    if (this.#broken !== undefined) return this.#broken;
    this.#broken = why;
    this.#handle = undefined;
    // Later, so that whoever made this call first deals with its answer.
    queueMicrotask(() => {
      this.memory.release();
      this.onBroken?.(why);
    });
    return why;
  }
}

/**
 * JSON.parse(), but whole numbers beyond Number.MAX_SAFE_INTEGER are BigInts, where there are any of 64 bits. Payloads pass
 * through as the text they are stored as, so this is where a damaged one would show.
 */
export function parseJson<Value>(text: string): Value {
  try {
    return maybeUnsafe.test(text) ? (parseIntegers(text) as Value) : JSON.parse(text);
  } catch (cause) {
    throw new NearfieldError('Internal', 'the engine answered with something that is not JSON', { cause });
  }
}

/** Also matches digits in a text, which only costs time; not the digits of a fraction, which many numbers have. */
const maybeUnsafe = /(?:^|[^.\d])\d{16}/;
const textOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

// JSON.parse() rounds before anyone can look, so the digits reach it as a text, marked with what nobody can have written.
function parseIntegers(text: string): unknown {
  const mark = crypto.randomUUID();
  const marked = text.replace(textOrNumber, (token) => (isUnsafe(token) ? `"${mark}${token}"` : token));
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}

function isUnsafe(token: string): boolean {
  if (token.length < 16 || !/^-?[1-9]\d+$/.test(token) || Number.isSafeInteger(Number(token))) return false;
  const value = BigInt(token);
  return value >= -(2n ** 63n) && value < 2n ** 64n;
}
