// A session: one engine, the volume it works on, and the pump between them. What Database, Collection and the spec
// documents share; private to the package.
import type { Durability, Recovery } from './collection.js';
import { Engine, type Verb } from './engine.js';
import { NearfieldError } from './errors.js';
import type { WasmSource } from './load.js';
import { Message } from './message.js';
import { Pump, type ByteStream } from './pump.js';
import type { Volume } from './volumes/volume.js';

export interface EngineInfo {
  generation: number;
  collections: string[];
  recovery: Recovery;
}

const nothing = new Message('{}');

export class Session {
  readonly volume: Volume;
  readonly durability: Durability;
  readonly #engine: Engine;
  readonly #pump: Pump;
  #closing: Promise<void> | undefined;

  /** Opens the database on `volume`, and closes the volume where that fails. */
  static async open(volume: Volume, readOnly: boolean, durability: Durability, wasm?: WasmSource): Promise<Session> {
    let engine: Engine | undefined;
    try {
      engine = await Engine.create(wasm);
      const session = new Session(engine, volume, durability);
      await session.#pump.run('_open', new Message(JSON.stringify({ readOnly })).finish());
      return session;
    } catch (error) {
      engine?.dispose();
      await volume.unlock().catch(() => {});
      await volume.close().catch(() => {});
      throw error;
    }
  }

  private constructor(engine: Engine, volume: Volume, durability: Durability) {
    this.#engine = engine;
    this.volume = volume;
    this.durability = durability;
    this.#pump = new Pump(engine, volume);
  }

  requireOpen(): void {
    if (this.#closing !== undefined) throw new NearfieldError('Closed', `the database ${this.volume.path} is closed`);
  }

  /** For calls that answer at once. */
  engine(): Engine {
    this.requireOpen();
    return this.#engine;
  }

  /** For operations: resolves when the engine says so. */
  async run<Result>(verb: Verb, message: Message = nothing): Promise<Result> {
    this.requireOpen();
    return this.#pump.run<Result>(verb, message.finish());
  }

  /** For operations that stream; closing the session ends them with Closed. */
  async runStreamed<Result>(verb: Verb, stream: ByteStream): Promise<Result> {
    this.requireOpen();
    return this.#pump.runStreamed<Result>(verb, stream);
  }

  info(): EngineInfo {
    return this.engine().call<EngineInfo>('_info', nothing.finish());
  }

  /** Operations that were started before are carried out first. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // Whatever fails, the lock is given back and the memory is freed: what was acknowledged is in the log.
  async #close(): Promise<void> {
    try {
      if (this.#engine.broken === undefined) {
        const closed = new NearfieldError('Closed', `the database ${this.volume.path} was closed meanwhile`);
        await this.#pump.endStreams(closed);
        await this.#pump.run('_close');
      }
    } finally {
      this.#engine.dispose();
      try {
        await this.volume.unlock();
      } finally {
        await this.volume.close();
      }
    }
  }
}
