/// <reference lib="esnext.disposable" preserve="true" />
// A database: how it is opened, and what can be done with it as a whole.
import { checkSignal, readBoolean, readChoice, readOptions, readText, readWhole, shown } from './check.js';
import {
  Collection,
  encodeSchema,
  readDurability,
  type CollectionSchema,
  type Durability,
  type Recovery,
} from './collection.js';
import type { BackupOptions, BackupReport, BackupSink, BackupSource } from './backup.js';
import { NearfieldError, invalid } from './errors.js';
import { isNode } from './host.js';
import { Message } from './message.js';
import { persistOrigin, storageEstimate, type StorageEstimate } from './persist.js';
import { Session, type Change, type Role, type SessionOptions } from './session.js';
import type { Volume } from './volumes/volume.js';
import type { Compiled, WasmSource } from './wasm.js';

export type StorageKind = 'auto' | 'memory' | 'node' | 'indexeddb' | 'opfs';

export interface OpenOptions {
  /**
   * Where the database is. node: a folder. indexeddb: a name, or an absolute path that names the IndexedDB database as
   * Emscripten's IDBFS would its mount point; names live below `/nearfield/`. opfs: the same, as folders of the origin
   * private file system. memory: only shown in messages.
   */
  path?: string | undefined;
  /**
   * Default 'auto': node where there are files, indexeddb in a browser. 'opfs' works in dedicated workers only, and is
   * the faster one for databases of hundreds of megabytes.
   */
  storage?: StorageKind | undefined;
  /** Takes no lock and refuses writes; what another one writes can be seen. Default false. */
  readOnly?: boolean | undefined;
  /**
   * Readers (readOnly, standby): by themselves pick up what the writer writes, soon after it is durable; default true.
   * Otherwise refresh() does.
   */
  follow?: boolean | undefined;
  /** Where another one writes, read beside it, and take over writing when that one is gone; default false. */
  standby?: boolean | undefined;
  /** Where another one writes, wait until that one is gone; default false: DatabaseLocked. */
  wait?: boolean | undefined;
  /** Ends the waiting. */
  signal?: AbortSignal | undefined;
  /** Default for writes; 'strict' if left out. */
  durability?: Durability | undefined;
  /**
   * The most memory, in bytes, for keeping what was read of payloads and vectors on demand (see CollectionSchema), 0 to
   * 1 GiB; default 16 MiB. 0 keeps nothing.
   */
  cacheBytes?: number | undefined;
  /**
   * The engine's file: nearfield.wasm, for openSpecs() nearfield-specs.wasm. Default: what load() of the same entry was
   * given last, or the file of this package.
   */
  wasm?: WasmSource | undefined;
}

/** A function that hears of changes made elsewhere, see Database.onChange(). */
export type ChangeListener = (change: Change) => void;

export interface DatabaseInfo extends StorageEstimate {
  path: string;
  storage: Exclude<StorageKind, 'auto'>;
  readOnly: boolean;
  /** 'writer': holds the lock; 'reader': sees what another one writes. */
  role: Role;
  generation: number;
  collections: string[];
  recovery: Recovery;
  /** cachedBytes: of the cache for payloads and vectors on demand; cacheBytes: the most it may hold. */
  memory: { wasmBytes: number; cachedBytes: number; cacheBytes: number };
  engine: string;
}

/** Opens what a Database stands on, in an engine of what `compiled` answers. */
export async function openSession(given: unknown, compiled: Compiled): Promise<Session> {
  const options = readOptions(given, 'open', [...openKeys]);
  const { durability, cacheBytes, wasm } = options;
  const sharing = readSharing(options);
  const how: SessionOptions = {
    ...sharing,
    durability: durability === undefined ? 'strict' : readDurability(durability),
    cacheBytes: cacheBytes === undefined ? undefined : readWhole(cacheBytes, 'cacheBytes', 0, mostCacheBytes),
  };
  const module = () => compiled(wasm as WasmSource | undefined);
  return Session.open(await openVolume(options.storage, options.path, sharing.readOnly), module, how);
}

/** Of the 4 GiB that WebAssembly can address, the rest is for what is not on demand. */
const mostCacheBytes = 2 ** 30;

/** The options of open(). */
export const openKeys = [
  'path',
  'storage',
  'readOnly',
  'follow',
  'standby',
  'wait',
  'signal',
  'durability',
  'cacheBytes',
  'wasm',
] as const;

/** How the database is shared with others; combinations that cannot be meant are refused. */
function readSharing(options: { [key in (typeof openKeys)[number]]?: unknown }) {
  const flag = (name: 'readOnly' | 'follow' | 'standby' | 'wait') =>
    options[name] === undefined ? undefined : readBoolean(options[name], name);
  const [readOnly = false, follow, standby = false, wait = false] = [
    flag('readOnly'),
    flag('follow'),
    flag('standby'),
    flag('wait'),
  ];
  const { signal } = options;
  checkSignal(signal);
  const refuse = (name: string, why: string) => new NearfieldError('ConfigError', `open: ${why}`, { value: name });
  if (readOnly && standby) throw refuse('standby', 'a database opened readOnly never writes; leave out one of the two');
  if (readOnly && wait) throw refuse('wait', 'readOnly takes no lock, so there is nothing to wait for');
  if (standby && wait) throw refuse('wait', 'a standby does not wait; use writable() after opening it');
  if (follow !== undefined && !readOnly && !standby)
    throw refuse('follow', 'only readOnly and standby follow a writer');
  if (signal !== undefined && !wait) throw refuse('signal', 'signal ends the waiting, so it needs wait: true');
  return { readOnly, follow, standby, wait, signal: signal as AbortSignal | undefined };
}

/** What Linux takes, and far more than other places do. */
const maxPathLength = 4096;

/** For doctor(), which works where opening fails. */
export async function openVolume(storage: unknown, path: unknown, readOnly: boolean): Promise<Volume> {
  const asked = readChoice(storage ?? 'auto', 'storage', ['auto', 'memory', 'node', 'indexeddb', 'opfs']);
  const kind = asked === 'auto' ? kindOfHost() : asked;
  if (path === undefined && kind !== 'memory') {
    throw invalid("open: path is missing; without one, only storage: 'memory' can be opened");
  }
  const place = path === undefined ? 'memory' : readText(path, 'path');
  if (place.length > maxPathLength) {
    const why = `path ${shown(place)} is ${place.length} characters long; at most ${maxPathLength} can be meant`;
    throw new NearfieldError('LimitExceeded', why, { value: place.length });
  }
  if (place === '' || place.includes('\0')) throw invalid(`path ${shown(place)} names no place`, place);
  switch (kind) {
    case 'memory':
      return new (await import('./volumes/memory.js')).MemoryVolume(place);
    case 'node':
      if (!isNode()) {
        throw new NearfieldError('Unsupported', "storage 'node' needs a host with files; use 'indexeddb' or 'memory'", {
          value: kind,
        });
      }
      return (await import('./volumes/node.js')).NodeVolume.open(place, readOnly);
    case 'indexeddb':
      return new (await import('./volumes/indexeddb.js')).IndexedDbVolume(mountPoint(place), readOnly);
    case 'opfs':
      return new (await import('./volumes/opfs.js')).OpfsVolume(mountPoint(place), readOnly);
  }
}

function kindOfHost(): Exclude<StorageKind, 'auto'> {
  if (isNode()) return 'node';
  if (typeof indexedDB !== 'undefined') return 'indexeddb';
  throw new NearfieldError('Unsupported', "this host has neither files nor IndexedDB; use storage: 'memory'");
}

// './.nearfield', as used in Node, works in a browser too.
function mountPoint(path: string): string {
  const absolute = path.startsWith('/') ? path : `/nearfield/${path.replace(/^(\.\/)+/, '')}`;
  const parts = absolute.slice(1).split('/');
  for (const part of parts) {
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(part) || /^\.+$/.test(part)) {
      throw invalid(
        `path ${shown(path)} is no name for a database in the browser: its parts are 1 to 64 letters, digits, '.', '_' and '-'`,
        path,
      );
    }
  }
  if (parts.length > 8) throw invalid(`path ${shown(path)} is more than 8 levels deep`, path);
  return absolute;
}

export class Database {
  readonly #session: Session;

  /** Private to the package; use open(). */
  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * The collection of that name. With a schema it is created where it does not exist; a different schema than the one
   * it was created with is an error. Without one it must exist.
   *
   * ```js
   * const notes = await db.collection('notes', { dimension: 384, text: {} });
   * ```
   *
   * Throws SchemaMismatch, NotFound, ConfigError, InvalidArgument, Unsupported, ReadOnly, Closed.
   */
  async collection<Payload extends object = Record<string, unknown>>(
    name: string,
    schema?: CollectionSchema,
  ): Promise<Collection<Payload>> {
    const named = `{"collection":${JSON.stringify(readText(name, 'name'))}`;
    type Answer = { schema: { dimension?: number } };
    const answer =
      schema === undefined
        ? this.#session.engine().call<Answer>('_describe', new Message(`${named}}`).finish())
        : await this.#session.run<Answer>(
            '_createCollection',
            new Message(`${named},"schema":${encodeSchema(schema)}}`),
          );
    return new Collection<Payload>(this.#session, name, answer.schema.dimension ?? 0);
  }

  /** The names of all collections. */
  async collections(): Promise<string[]> {
    return this.#session.info().collections;
  }

  /** Deletes a collection with its points. Answers whether it existed. */
  async dropCollection(name: string): Promise<boolean> {
    const options = JSON.stringify({ collection: readText(name, 'name') });
    const { existed } = await this.#session.run<{ existed: boolean }>('_dropCollection', new Message(options));
    if (existed) this.#session.collectionsChanged();
    return existed;
  }

  /** Writes a checkpoint, so that the next open() need not replay the log. Writes are durable without it. */
  async flush(): Promise<void> {
    await this.#session.run('_checkpoint');
  }

  /**
   * Writes the whole database, as it is when this is called, into one file that proves itself. Writes go on meanwhile.
   * The sink gets pieces of at most 1 MiB and is waited for; a path (Node) is written under a temporary name, synced and
   * then renamed, so that it never holds half a backup.
   *
   * ```js
   * await db.backup('./notes.backup');
   * ```
   *
   * Throws StorageCorrupt (a file is damaged; see doctor()), StorageFailed and QuotaExceeded (also for the sink), Conflict
   * (read only: the writer removed what was being read; call again), InvalidArgument, Unsupported, Aborted, Closed.
   */
  async backup(sink: BackupSink, options?: BackupOptions): Promise<BackupReport> {
    return (await import('./backup.js')).backup(this.#session, sink, options);
  }

  /**
   * Replaces all collections by those of a backup. All of it is read and checked first: whatever fails, also a crash,
   * leaves the database as it was. What is written while the backup is being read is replaced too.
   *
   * ```js
   * await db.restore('./notes.backup');
   * ```
   *
   * Throws FormatError (not a backup, damaged or cut), VersionError, NotFound (no such file), StorageFailed,
   * QuotaExceeded, ReadOnly, OutOfMemory, InvalidArgument, Unsupported, Aborted, Closed.
   */
  async restore(source: BackupSource, options?: BackupOptions): Promise<BackupReport> {
    return (await import('./backup.js')).restore(this.#session, source, options);
  }

  async info(): Promise<DatabaseInfo> {
    const { volume } = this.#session;
    const estimate = await storageEstimate(volume.kind);
    const { role } = this.#session;
    const { cachedBytes, cacheBytes, ...info } = this.#session.info();
    return {
      path: volume.path,
      storage: volume.kind,
      readOnly: role === 'reader',
      role,
      ...info,
      ...estimate,
      memory: { wasmBytes: this.#session.engine().memory.byteLength, cachedBytes, cacheBytes },
      engine: 'wasm-simd128',
    };
  }

  /**
   * Asks the browser not to clear this origin's storage by itself when the disk gets full. Answers whether the data
   * stays until somebody removes it: what the browser decides (some ask the user, best after a click); true for
   * folders, false in memory and where the browser cannot be asked.
   *
   * ```js
   * if (!(await db.persist())) showHint('Keep a backup: the browser may clear this data.');
   * ```
   *
   * Throws StorageFailed, Closed.
   */
  async persist(): Promise<boolean> {
    this.#session.requireOpen();
    return persistOrigin(this.#session.volume.kind);
  }

  /**
   * Readers: catches up with what the writer has written by now. Answers whether there was anything; false for a writer.
   * Needed with follow: false, or to be sure at a certain moment.
   *
   * Throws StorageFailed, StorageCorrupt, InstancePoisoned, Closed; what could be read before still can.
   */
  async refresh(): Promise<boolean> {
    return this.#session.refresh();
  }

  /**
   * Resolves when this database can be written to: at once for a writer, for a standby when it has taken over from the
   * one that wrote before, with everything that one was promised.
   *
   * ```js
   * const db = await open({ path: 'notes', standby: true });
   * await db.writable({ signal: AbortSignal.timeout(60_000) });
   * ```
   *
   * Throws ReadOnly where it was opened with readOnly, Aborted, StorageFailed, StorageCorrupt, Closed.
   */
  async writable(options?: { signal?: AbortSignal | undefined }): Promise<void> {
    const { signal } = readOptions(options, 'writable', ['signal']);
    checkSignal(signal);
    await this.#session.writable(signal as AbortSignal | undefined);
  }

  /**
   * Calls `listener` after something changed by no call of this database: a reader caught up with the writer, a standby
   * took over, recover() reopened. Answers a function that ends it.
   *
   * ```js
   * const stop = db.onChange(({ generation, role }) => render());
   * ```
   */
  onChange(listener: ChangeListener): () => void {
    if (typeof listener !== 'function') throw invalid(`onChange: give a function, got ${shown(listener)}`, listener);
    return this.#session.onChange(listener);
  }

  /**
   * After InstancePoisoned (the engine trapped, or ran out of memory in the middle of a write): starts a fresh engine
   * and reopens what is durable. The lock is kept meanwhile; collections taken from this database work again. Does
   * nothing where nothing is broken.
   *
   * Every acknowledged write is there again. A write that failed with InstancePoisoned or OutOfMemory may be there or
   * not; writing it again makes sure.
   *
   * Throws what open() throws; the database then stays as it is, and recover() can be tried again.
   */
  async recover(): Promise<void> {
    await this.#session.recover();
  }

  /**
   * Writes a checkpoint, gives the lock back and frees the memory; a standby stops waiting. Later calls throw Closed, a
   * second close waits.
   */
  async close(): Promise<void> {
    await this.#session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
