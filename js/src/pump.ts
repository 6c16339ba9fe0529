// The pump: performs what the engine asks of the outside world, and settles the promises of finished operations.
//
// An operation starts with a call and goes on each time one of its effects is answered. Effects run side by side on the
// volume and the network; each is answered exactly once, also when it fails, but for those of an operation that was
// cancelled: they are ended and forgotten. When the engine breaks, everything that waits is rejected.
import type { Engine, Verb } from './engine.js';
import { NearfieldError, codeNumber, errorFromEngine, reasonOf } from './errors.js';
import type { Http, HttpAnswer, HttpError } from './http.js';
import { Message } from './message.js';
import { pause } from './signal.js';
import type { Volume } from './volumes/volume.js';

/** [offset, length] in the engine's memory, valid until the next call. */
type Place = readonly [number, number];

type Effect = { id: number } & (
  | { kind: 'list' }
  | { kind: 'read'; name: string; offset: number; length: number }
  | { kind: 'write'; name: string; bytes: Place }
  | { kind: 'append'; name: string; offset: number; generation: number; relaxed: boolean; bytes: Place }
  | { kind: 'commit'; generation: number; relaxed: boolean; bytes: Place; obsolete: string[] }
  | { kind: 'lock' }
  | { kind: 'unlock' }
  | { kind: 'sleep'; milliseconds: number }
  | { kind: 'send'; stream: number; total: number; bytes: Place }
  | { kind: 'receive'; stream: number; length: number }
  | {
      kind: 'http';
      method: string;
      origin: string;
      url: string;
      headers: [string, string][];
      timeout: number;
      limit: number;
      bytes: Place;
    }
);

/** Where the bytes of an operation go to, or come from. */
export interface ByteStream {
  /** Takes over `bytes`; `total` says about how many there will be in all, 0: unknown. */
  send?(bytes: Uint8Array, total: number): Promise<void>;
  /** The next 1 to `length` bytes; none at the end. */
  receive?(length: number): Promise<Uint8Array>;
  /** Makes what is under way, and all that follows, reject with `error`. */
  end(error: NearfieldError): void;
}

type Finished = { operation: number; code: number; result?: unknown; message?: string; value?: unknown };

interface EffectAnswer {
  options: Record<string, unknown>;
  bytes?: Uint8Array;
}

interface Waiter {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

const nothing = new Message('{}').finish();

export class Pump {
  readonly #engine: Engine;
  readonly #volume: Volume;
  readonly #keepLock: boolean;
  readonly #http: Http | undefined;
  // Of requests and sleeps: what ends them early.
  readonly #ends = new Map<number, AbortController>();
  // Operations of runCancelled().
  readonly #cancellable = new Set<number>();
  readonly #waiting = new Map<number, Waiter>();
  readonly #streams = new Map<number, { stream: ByteStream; done: Promise<unknown> }>();
  #lastStream = 0;
  readonly #changing = new Set<Promise<void>>();
  readonly #asked = new Set<Promise<unknown>>();

  /** `keepLock`: whoever made the pump gives the lock back, not the engine. `http`: for engines that ask servers. */
  constructor(engine: Engine, volume: Volume, keepLock = false, http?: Http) {
    this.#engine = engine;
    this.#volume = volume;
    this.#keepLock = keepLock;
    this.#http = http;
    engine.onBroken = (why) => this.#fail(why);
  }

  /** Starts an operation and waits for its end. */
  run<Result>(verb: Verb, message: Uint8Array = nothing): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const { operation } = this.#engine.call<{ operation: number }>(verb, message);
      this.#waiting.set(operation, { resolve: resolve as (result: unknown) => void, reject });
      this.#advance();
    });
  }

  /**
   * Like run(), for an operation on servers: its message has a member `now`, and it may be dropped at any time. When the
   * signal fires, the answer is Aborted at once, and requests and waits under way are ended. `read`: as in ask().
   */
  async runCancelled<Answer extends object, Result = Answer>(
    verb: Verb,
    message: Uint8Array,
    signal: AbortSignal | undefined,
    read?: (answer: Answer) => Result,
  ): Promise<Result> {
    if (signal?.aborted) throw aborted(signal.reason);
    const cancel = () => this.#cancel(operation, aborted(signal!.reason));
    let operation = 0;
    try {
      return await new Promise<Result>((resolve, reject) => {
        ({ operation } = this.#engine.call<{ operation: number }>(verb, message));
        const settle = (answer: unknown) => {
          try {
            resolve(read === undefined ? (answer as Result) : read(answer as Answer));
          } catch (error) {
            reject(error);
          }
        };
        this.#waiting.set(operation, { resolve: settle, reject });
        this.#cancellable.add(operation);
        signal?.addEventListener('abort', cancel);
        this.#advance();
      });
    } finally {
      this.#cancellable.delete(operation);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Ends every runCancelled() under way with Aborted. */
  cancelRequests(): void {
    for (const operation of [...this.#cancellable]) this.#cancel(operation, aborted());
  }

  #cancel(operation: number, error: NearfieldError): void {
    const waiter = this.#waiting.get(operation);
    if (!this.#waiting.delete(operation)) return;
    waiter!.reject(error);
    try {
      this.#engine.call('_cancel', new Message(JSON.stringify({ operation })).finish());
    } catch (cause) {
      this.#lost(cause);
      return;
    }
    this.#advance();
  }

  /**
   * For verbs that answer at once or start an operation, as what they need is in memory or in storage. `read` is called
   * with the answer while what it refers to in the engine's memory is still there. A promise only where it has to wait.
   */
  ask<Answer extends object, Result>(
    verb: Verb,
    message: Uint8Array,
    read: (answer: Answer) => Result,
  ): Result | Promise<Result> {
    const answer = this.#engine.call<Answer | { operation: number }>(verb, message);
    if (!('operation' in answer)) return read(answer);
    const result = new Promise<Result>((resolve, reject) => {
      const settle = (late: unknown) => {
        try {
          resolve(read(late as Answer));
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.set(answer.operation, { resolve: settle, reject });
      this.#advance();
    });
    const ended = result
      .catch(() => {})
      .then(() => {
        this.#asked.delete(ended);
      });
    this.#asked.add(ended);
    return result;
  }

  /** Resolves when every call of ask() so far has its answer. */
  async answered(): Promise<void> {
    await Promise.all(this.#asked);
  }

  /** Like run(), for an operation that sends to `stream` or receives from it. */
  async runStreamed<Result>(verb: Verb, stream: ByteStream): Promise<Result> {
    const number = ++this.#lastStream;
    const message = new Message(JSON.stringify({ stream: number })).finish();
    const started = { stream, done: Promise.resolve() as Promise<unknown> };
    this.#streams.set(number, started);
    try {
      const done = this.run<Result>(verb, message);
      started.done = done.catch(() => {});
      return await done;
    } finally {
      this.#streams.delete(number);
    }
  }

  /** Ends every operation that streams, and waits until it has ended. */
  async endStreams(error: NearfieldError): Promise<void> {
    const open = [...this.#streams.values()];
    for (const { stream } of open) stream.end(error);
    await Promise.all(open.map(({ done }) => done));
  }

  /** Resolves when no effect that changes the volume is under way, also after the engine broke. */
  async settled(): Promise<void> {
    await Promise.all(this.#changing);
  }

  #advance(): void {
    try {
      const {
        effects,
        finished,
        dropped = [],
      } = this.#engine.call<{ effects: Effect[]; finished: Finished[]; dropped?: number[] }>('_takeEffects', nothing);
      // Bytes are copied out of the engine before anything may call it again.
      const jobs = effects.map((effect) => ({ effect, bytes: this.#bytesOf(effect) }));
      for (const { operation, code, result, message = '', value } of finished) {
        const waiter = this.#waiting.get(operation);
        this.#waiting.delete(operation);
        if (code === 0) waiter?.resolve(result);
        else waiter?.reject(errorFromEngine(code, message, value));
      }
      for (const id of dropped) {
        const end = this.#ends.get(id);
        this.#ends.delete(id);
        end?.abort();
      }
      for (const { effect, bytes } of jobs) {
        const performed = this.#perform(effect, bytes);
        if (effect.kind !== 'write' && effect.kind !== 'append' && effect.kind !== 'commit') continue;
        this.#changing.add(performed);
        void performed.then(() => this.#changing.delete(performed));
      }
    } catch (error) {
      this.#lost(error);
    }
  }

  // An effect or its answer did not get through: what waits for it holds up everything behind it for good.
  #lost(error: unknown): void {
    this.#engine.poison(`the engine was cut off from its storage: ${reasonOf(error)}`, error);
    this.#fail(error);
  }

  #fail(error: unknown): void {
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
    for (const end of this.#ends.values()) end.abort();
    this.#ends.clear();
  }

  #bytesOf(effect: Effect): Uint8Array {
    return 'bytes' in effect ? this.#engine.memory.bytes(...effect.bytes) : new Uint8Array(0);
  }

  async #perform(effect: Effect, bytes: Uint8Array): Promise<void> {
    let answer: EffectAnswer;
    const end = effect.kind === 'http' || effect.kind === 'sleep' ? new AbortController() : undefined;
    if (end !== undefined) this.#ends.set(effect.id, end);
    try {
      answer = await this.#ask(effect, bytes, end?.signal);
    } catch (cause) {
      const error =
        cause instanceof NearfieldError ? cause : new NearfieldError('StorageFailed', reasonOf(cause), { cause });
      const value = typeof error.value === 'string' || typeof error.value === 'number' ? error.value : undefined;
      const { notSent } = error as Partial<HttpError>;
      answer = { options: { code: codeNumber(error.code), message: error.message, value, notSent } };
    }
    // A dropped one: nobody waits for the answer.
    if (end !== undefined && !this.#ends.delete(effect.id)) return;
    if (this.#engine.broken !== undefined) return;
    const message = new Message(JSON.stringify({ id: effect.id, now: Date.now(), ...answer.options }));
    try {
      this.#engine.call('_answer', message.finish(), answer.bytes);
    } catch (error) {
      this.#lost(error);
      return;
    }
    this.#advance();
  }

  async #ask(effect: Effect, bytes: Uint8Array, end: AbortSignal | undefined): Promise<EffectAnswer> {
    const volume = this.#volume;
    switch (effect.kind) {
      case 'list':
        return { options: { files: await volume.list() } };
      case 'read':
        return { options: {}, bytes: await volume.read(effect.name, effect.offset, effect.length) };
      case 'write':
        await volume.write(effect.name, bytes);
        return { options: {} };
      case 'append':
        await volume.append(effect.name, effect.offset, effect.generation, bytes, effect.relaxed);
        return { options: {} };
      case 'commit':
        return {
          options: { generation: await volume.commit(effect.generation, bytes, effect.obsolete, effect.relaxed) },
        };
      case 'lock':
        await volume.lock();
        return { options: {} };
      case 'unlock':
        if (!this.#keepLock) await volume.unlock();
        return { options: {} };
      case 'sleep':
        await pause(effect.milliseconds, end!);
        if (end!.aborted) throw aborted();
        return { options: {} };
      case 'send':
        await this.#streams.get(effect.stream)!.stream.send!(bytes, effect.total);
        return { options: {} };
      case 'receive':
        return { options: {}, bytes: await this.#streams.get(effect.stream)!.stream.receive!(effect.length) };
      case 'http': {
        const { method, origin, url, headers, timeout, limit } = effect;
        const body = bytes.length === 0 ? undefined : bytes;
        const request = { method, origin, url, headers, body, timeout, limit };
        if (this.#http === undefined) throw new NearfieldError('Internal', 'nothing was given that sends requests');
        const answer: HttpAnswer = await this.#http.send(request, end!);
        return { options: { status: answer.status, headers: answer.headers }, bytes: answer.bytes };
      }
    }
  }
}

function aborted(cause?: unknown): NearfieldError {
  return new NearfieldError('Aborted', 'the call was cancelled by its signal', { cause });
}
