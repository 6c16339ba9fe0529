// A session: one database, open. The volume, the engine that works on it and the pump between them, the part this
// instance plays beside others (writer or reader), and how it goes on after the engine broke. What Database, Collection
// and the spec documents share; private to the package.
import type { Durability, Recovery } from './collection.js';
import { Engine, type Verb } from './engine.js';
import { NearfieldError } from './errors.js';
import { Message } from './message.js';
import { Pump, type ByteStream } from './pump.js';
import { pause, unlessAborted } from './signal.js';
import type { Volume } from './volumes/volume.js';

export interface EngineInfo {
  generation: number;
  collections: string[];
  recovery: Recovery;
  /** What is kept of payloads and vectors on demand, and the most that may be. */
  cachedBytes: number;
  cacheBytes: number;
}

/** 'writer': holds the lock; 'reader': sees what another one writes. */
export type Role = 'writer' | 'reader';

/** What a listener of onChange() is told. */
export interface Change {
  generation: number;
  role: Role;
}

/** See OpenOptions; checked there. */
export interface SessionOptions {
  readOnly?: boolean | undefined;
  follow?: boolean | undefined;
  standby?: boolean | undefined;
  wait?: boolean | undefined;
  signal?: AbortSignal | undefined;
  durability?: Durability | undefined;
  cacheBytes?: number | undefined;
}

const nothing = new Message('{}');

/** How often a call tries to catch up with a writer that removes files while they are read. */
const refreshTries = 8;
/** Between tries in the background; doubles each time. */
const [leastPauseMs, mostPauseMs] = [20, 2000];

export class Session {
  readonly volume: Volume;
  readonly durability: Durability;
  readonly #module: WebAssembly.Module;
  readonly #cacheBytes: number | undefined;
  readonly #standby: boolean;
  #role: Role;
  #engine: Engine;
  #pump: Pump;
  #epoch = 0;
  readonly #listeners = new Set<(change: Change) => void>();
  #stopWatching: (() => void) | undefined;
  // Refreshing and taking over, one at a time.
  #turn: Promise<unknown> = Promise.resolve();
  #nextRefresh: Promise<boolean> | undefined;
  #catchingUp = false;
  #takingOver: Promise<void> | undefined;
  #recovering: Promise<void> | undefined;
  readonly #end = new AbortController();
  #closing: Promise<void> | undefined;

  /** Opens the database on `volume` in an engine of what `compiled` answers; closes the volume where that fails. */
  static async open(
    volume: Volume,
    compiled: () => Promise<WebAssembly.Module>,
    options: SessionOptions = {},
  ): Promise<Session> {
    let engine: Engine | undefined;
    try {
      const module = await compiled();
      engine = await Engine.create(module);
      const role = await takeRole(volume, options);
      const pump = await start(engine, volume, role, options.cacheBytes);
      const session = new Session(volume, options, module, role, engine, pump);
      if (role === 'reader') session.#beReader(options.follow ?? true);
      return session;
    } catch (error) {
      engine?.dispose();
      await volume.unlock().catch(() => {});
      await volume.close().catch(() => {});
      throw error;
    }
  }

  private constructor(
    volume: Volume,
    options: SessionOptions,
    module: WebAssembly.Module,
    role: Role,
    engine: Engine,
    pump: Pump,
  ) {
    this.volume = volume;
    this.durability = options.durability ?? 'strict';
    this.#standby = options.standby ?? false;
    this.#module = module;
    this.#cacheBytes = options.cacheBytes;
    this.#role = role;
    this.#engine = engine;
    this.#pump = pump;
  }

  get role(): Role {
    return this.#role;
  }

  /** Grows whenever what is known of a collection may no longer hold: another one wrote, or the engine is a new one. */
  get epoch(): number {
    return this.#epoch;
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
    try {
      return await this.#pump.run<Result>(verb, message.finish());
    } catch (error) {
      throw this.#standby && isCode(error, 'ReadOnly') && this.#role === 'reader' ? this.#notYet() : error;
    }
  }

  /** For verbs that answer at once or start an operation, see Pump.ask(); throws what goes wrong at once. */
  ask<Answer extends object, Result>(
    verb: Verb,
    message: Message,
    read: (answer: Answer, engine: Engine) => Result,
  ): Result | Promise<Result> {
    this.requireOpen();
    const engine = this.#engine;
    return this.#pump.ask<Answer, Result>(verb, message.finish(), (answer) => read(answer, engine));
  }

  /** For operations that stream; closing the session ends them with Closed. */
  async runStreamed<Result>(verb: Verb, stream: ByteStream): Promise<Result> {
    this.requireOpen();
    return this.#pump.runStreamed<Result>(verb, stream);
  }

  info(): EngineInfo {
    return this.engine().call<EngineInfo>('_info', nothing.finish());
  }

  /** Answers a function that ends it. */
  onChange(listener: (change: Change) => void): () => void {
    this.requireOpen();
    // An entry of its own: the same function may listen twice.
    const entry = (change: Change) => listener(change);
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** A collection of a known name may be another one now. */
  collectionsChanged(): void {
    this.#epoch++;
  }

  #changed(): void {
    this.#epoch++;
    if (this.#listeners.size === 0) return;
    const { generation } = this.info();
    const change = { generation, role: this.#role };
    // Each by itself: what one of them throws is reported by the host and keeps nobody else from being told.
    for (const listener of this.#listeners) queueMicrotask(() => listener({ ...change }));
  }

  /**
   * Reads what the writer has committed and appended. Answers whether there was anything. Calls that come before one has
   * begun share it.
   */
  async refresh(): Promise<boolean> {
    this.requireOpen();
    this.#nextRefresh ??= this.#inTurn(() => {
      this.#nextRefresh = undefined;
      return this.#refresh();
    });
    return this.#nextRefresh;
  }

  /** Resolves when this session is the writer. */
  async writable(signal?: AbortSignal): Promise<void> {
    this.requireOpen();
    if (this.#role === 'writer') return;
    if (!this.#standby) {
      throw new NearfieldError(
        'ReadOnly',
        `${this.volume.path} was opened readOnly; open it with standby: true instead`,
      );
    }
    await unlessAborted(this.#takeOver(), signal);
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

  #beReader(follow: boolean): void {
    if (follow) {
      // Also called once soon, for what came between opening and now.
      this.#stopWatching = this.volume.watch(() => void this.#catchUp());
    }
    if (this.#standby) this.#takeOver().catch(() => {});
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #refresh(): Promise<boolean> {
    // A writer has nobody to catch up with.
    if (this.#role === 'writer' || this.#closing !== undefined) return false;
    for (let tries = 1; ; tries++) {
      try {
        const { changed } = await this.#pump.run<{ changed: boolean }>('_refresh');
        if (changed) this.#changed();
        return changed;
      } catch (error) {
        if (tries === refreshTries || !isRetryable(error) || this.#end.signal.aborted) throw error;
        await pause(leastPauseMs * tries, this.#end.signal);
      }
    }
  }

  // In the background, where nobody hears of errors: those that may pass are tried again, the others at the next event.
  async #catchUp(): Promise<void> {
    if (this.#catchingUp) {
      // The one that runs may have looked already.
      if (this.#closing === undefined) this.refresh().catch(() => {});
      return;
    }
    this.#catchingUp = true;
    for (let delay = leastPauseMs; this.#closing === undefined; delay = Math.min(2 * delay, mostPauseMs)) {
      try {
        await this.refresh();
        break;
      } catch (error) {
        if (!isRetryable(error)) break;
        await pause(delay, this.#end.signal);
      }
    }
    this.#catchingUp = false;
  }

  #takeOver(): Promise<void> {
    this.#takingOver ??= this.#waitForLock().catch((error: unknown) => {
      this.#takingOver = undefined;
      throw error;
    });
    return this.#takingOver;
  }

  async #waitForLock(): Promise<void> {
    const { signal } = this.#end;
    for (let delay = leastPauseMs; ; delay = Math.min(2 * delay, mostPauseMs)) {
      try {
        await this.volume.lock({ wait: true, signal });
        await this.#inTurn(() => this.#promote());
        return;
      } catch (error) {
        if (signal.aborted) throw this.#closed();
        // The lock is kept from try to try: what failed is reading, and a broken engine can still be recovered.
        if (!isRetryable(error) && !isCode(error, 'InstancePoisoned')) {
          await this.volume.unlock().catch(() => {});
          throw error;
        }
        await pause(delay, signal);
      }
    }
  }

  async #promote(): Promise<void> {
    if (this.#end.signal.aborted) throw this.#closed();
    await this.#pump.run('_promote');
    this.#role = 'writer';
    this.#stopWatching?.();
    this.#changed();
  }

  async #recover(): Promise<void> {
    const broken = this.#engine;
    if (broken.broken === undefined) return;
    // What was on its way to the volume gets there before it is read.
    await this.#pump.settled();
    await this.#inTurn(async () => {
      let engine: Engine | undefined;
      try {
        // Held since opening; a host that lost it gets it back or says who has it.
        if (this.#role === 'writer') await this.volume.lock();
        engine = await Engine.create(this.#module);
        this.#pump = await start(engine, this.volume, this.#role, this.#cacheBytes);
      } catch (error) {
        engine?.dispose();
        broken.stillBroken(error);
        throw error;
      }
      this.#engine = engine;
      this.#changed();
    });
  }

  // Whatever fails, the lock is given back and the memory is freed: what was acknowledged is in the log.
  async #close(): Promise<void> {
    this.#end.abort();
    this.#listeners.clear();
    try {
      this.#stopWatching?.();
      await this.#recovering?.catch(() => {});
      await this.#takingOver?.catch(() => {});
      await this.#turn;
      if (this.#engine.broken === undefined) {
        const closed = new NearfieldError('Closed', `the database ${this.volume.path} was closed meanwhile`);
        await this.#pump.endStreams(closed);
        await this.#pump.answered();
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

  #notYet(): NearfieldError {
    return new NearfieldError(
      'ReadOnly',
      `${this.volume.path} is a standby while another one writes to it; writable() resolves when it has taken over`,
    );
  }

  #closed(): NearfieldError {
    return new NearfieldError('Closed', `the database ${this.volume.path} was closed`);
  }
}

async function takeRole(volume: Volume, options: SessionOptions): Promise<Role> {
  const { readOnly, standby, wait, signal } = options;
  if (readOnly) return 'reader';
  try {
    await volume.lock({ wait, signal });
    return 'writer';
  } catch (error) {
    if (standby && isCode(error, 'DatabaseLocked')) return 'reader';
    throw error;
  }
}

// The session holds the lock, from before the engine reads to after it is gone.
async function start(engine: Engine, volume: Volume, role: Role, cacheBytes?: number): Promise<Pump> {
  const pump = new Pump(engine, volume, true);
  await pump.run('_open', new Message(JSON.stringify({ readOnly: role === 'reader', cacheBytes })).finish());
  return pump;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof NearfieldError && error.code === code;
}

function isRetryable(error: unknown): boolean {
  return error instanceof NearfieldError && error.retryable;
}
