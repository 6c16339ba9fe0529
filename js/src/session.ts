// A session: one database, open. The volume, the engine that works on it and the pump between them, and how it goes on
// after the engine broke. What Database, Collection and the spec documents share; private to the package.
import type { Durability, Recovery } from './collection.js';
import { Engine, type Verb } from './engine.js';
import { NearfieldError } from './errors.js';
import { compiled, type WasmSource } from './load.js';
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
  readonly #readOnly: boolean;
  readonly #module: WebAssembly.Module;
  #engine: Engine;
  #pump: Pump;
  #epoch = 0;
  #recovering: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** Opens the database on `volume`, and closes the volume where that fails. */
  static async open(volume: Volume, readOnly: boolean, durability: Durability, wasm?: WasmSource): Promise<Session> {
    let engine: Engine | undefined;
    try {
      const module = await compiled(wasm);
      engine = await Engine.create(module);
      const pump = await start(engine, volume, readOnly);
      return new Session(volume, readOnly, durability, module, engine, pump);
    } catch (error) {
      engine?.dispose();
      await volume.unlock().catch(() => {});
      await volume.close().catch(() => {});
      throw error;
    }
  }

  private constructor(
    volume: Volume,
    readOnly: boolean,
    durability: Durability,
    module: WebAssembly.Module,
    engine: Engine,
    pump: Pump,
  ) {
    this.volume = volume;
    this.durability = durability;
    this.#readOnly = readOnly;
    this.#module = module;
    this.#engine = engine;
    this.#pump = pump;
  }

  /** Grows whenever what is known of a collection may no longer hold. */
  get epoch(): number {
    return this.#epoch;
  }

  /** A collection of a known name may be another one now. */
  collectionsChanged(): void {
    this.#epoch++;
  }

  requireOpen(): void {
    if (this.#closing !== undefined) throw new NearfieldError('Closed', `the database ${this.volume.path} is closed`);
  }

  /** For calls that answer at once. Another one after recover(). */
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

  /**
   * After a trap: a new instance takes over from what is durable, on the same volume, whose lock is kept meanwhile.
   * Where that fails the session stays as it is. Nothing where the engine is well.
   */
  async recover(): Promise<void> {
    this.requireOpen();
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = undefined;
    });
    await this.#recovering;
  }

  /** Operations that were started before are carried out first. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #recover(): Promise<void> {
    const broken = this.#engine;
    if (broken.broken === undefined) return;
    // What was on its way to the volume gets there before it is read.
    await this.#pump.settled();
    let engine: Engine | undefined;
    try {
      engine = await Engine.create(this.#module);
      this.#pump = await start(engine, this.volume, this.#readOnly);
    } catch (error) {
      engine?.dispose();
      broken.stillBroken(error);
      throw error;
    }
    this.#engine = engine;
    this.collectionsChanged();
  }

  // Whatever fails, the lock is given back and the memory is freed: what was acknowledged is in the log.
  async #close(): Promise<void> {
    try {
      await this.#recovering?.catch(() => {});
      if (this.#engine.broken === undefined) {
        const closed = new NearfieldError('Closed', `the database ${this.volume.path} was closed meanwhile`);
        await this.#pump.endStreams(closed);
        await this.#pump.run('_close');
      }
    } finally {
      this.#engine.dispose();
      await this.#pump.settled();
      try {
        await this.volume.unlock();
      } finally {
        await this.volume.close();
      }
    }
  }
}

// The lock is taken by the engine, and given back by the session when that is gone.
async function start(engine: Engine, volume: Volume, readOnly: boolean): Promise<Pump> {
  const pump = new Pump(engine, volume, true);
  await pump.run('_open', new Message(JSON.stringify({ readOnly })).finish());
  return pump;
}
