// The pump: performs what the engine asks of the outside world, and settles the promises of finished operations.
//
// An operation starts with a call and goes on each time one of its effects is answered. Effects run side by side on the
// volume; each is answered exactly once, also when it fails.
import type { Engine, Verb } from './engine.js';
import { NearfieldError, codeNumber, errorFromEngine, reasonOf } from './errors.js';
import { Message } from './message.js';
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
);

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
  readonly #waiting = new Map<number, Waiter>();

  constructor(engine: Engine, volume: Volume) {
    this.#engine = engine;
    this.#volume = volume;
  }

  /** Starts an operation and waits for its end. */
  run<Result>(verb: Verb, message: Uint8Array = nothing): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const { operation } = this.#engine.call<{ operation: number }>(verb, message);
      this.#waiting.set(operation, { resolve: resolve as (result: unknown) => void, reject });
      this.#advance();
    });
  }

  #advance(): void {
    try {
      const { effects, finished } = this.#engine.call<{ effects: Effect[]; finished: Finished[] }>(
        '_takeEffects',
        nothing,
      );
      // Bytes are copied out of the engine before anything may call it again.
      const jobs = effects.map((effect) => ({ effect, bytes: this.#bytesOf(effect) }));
      for (const { operation, code, result, message = '', value } of finished) {
        const waiter = this.#waiting.get(operation);
        this.#waiting.delete(operation);
        if (code === 0) waiter?.resolve(result);
        else waiter?.reject(errorFromEngine(code, message, value));
      }
      for (const { effect, bytes } of jobs) void this.#perform(effect, bytes);
    } catch (error) {
      // Without the engine nothing that waits will ever end.
      for (const waiter of this.#waiting.values()) waiter.reject(error);
      this.#waiting.clear();
    }
  }

  #bytesOf(effect: Effect): Uint8Array {
    return 'bytes' in effect ? this.#engine.memory.bytes(...effect.bytes) : new Uint8Array(0);
  }

  async #perform(effect: Effect, bytes: Uint8Array): Promise<void> {
    let answer: EffectAnswer;
    try {
      answer = await this.#ask(effect, bytes);
    } catch (cause) {
      const error =
        cause instanceof NearfieldError ? cause : new NearfieldError('StorageFailed', reasonOf(cause), { cause });
      const value = typeof error.value === 'string' || typeof error.value === 'number' ? error.value : undefined;
      answer = { options: { code: codeNumber(error.code), message: error.message, value } };
    }
    if (this.#engine.broken !== undefined) return;
    const message = new Message(JSON.stringify({ id: effect.id, now: Date.now(), ...answer.options }));
    try {
      this.#engine.call('_answer', message.finish(), answer.bytes);
    } catch (error) {
      for (const waiter of this.#waiting.values()) waiter.reject(error);
      this.#waiting.clear();
      return;
    }
    this.#advance();
  }

  async #ask(effect: Effect, bytes: Uint8Array): Promise<EffectAnswer> {
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
        await volume.unlock();
        return { options: {} };
      case 'sleep':
        await new Promise((resolve) => setTimeout(resolve, effect.milliseconds));
        return { options: {} };
    }
  }
}
