// A volume in IndexedDB, in the layout of Emscripten's IDBFS.
//
// The database is named like the mount point, has version 21 and one store FILE_DATA with an index on `timestamp`; keys
// are absolute paths, a file is { timestamp, mode, contents }. A page with stock IDBFS can mount what is kept here.
// What IDBFS does not do: each append and commit is one strict transaction that first compares the generation, no
// failed request is swallowed, and nothing counts as done before the transaction is complete.
//
// IndexedDB rewrites whole values, so a log is kept in pieces, `<log>.<offset as 16 hex digits>`, and joined on reading.
//
// The record LOCK names the last writer, by a token. Every transaction that writes reads it first: a writer whose Web
// Lock was stolen, or that never had one because the page has none, is refused from the moment another one has begun.
import { NearfieldError } from '../errors.js';
import { browserError } from './browser-error.js';
import {
  checkName,
  generationOf,
  manifestOf,
  nameTaken,
  noSuchDatabase,
  noSuchFile,
  otherGeneration,
  otherLength,
  type FileEntry,
  type LockOptions,
  type Volume,
} from './volume.js';
import { Announcements, WriterLock } from './tabs.js';

const version = 21;
const store = 'FILE_DATA';
const fileMode = 33206; // a regular file, rw-rw-rw-
/** A database that another tab holds open in an older version blocks opening until that tab closes. */
const openTimeoutMs = 10_000;

const pieceName = /^(.+)\.([0-9a-f]{16})$/;

const lockName = 'LOCK';
/** Records that were read in part stay, for the next part. */
const keptRecords = 2;

interface FileRecord {
  timestamp: Date;
  mode: number;
  contents?: Uint8Array;
}

// What a transaction is made of.
interface Steps {
  files: IDBObjectStore;
  /** Ends the transaction, which then has changed nothing, with that error. */
  abort: (error: unknown) => void;
  /** Goes on with the result of a request. */
  when: <Result>(request: IDBRequest<Result>, then: (result: Result) => void) => void;
}

export class IndexedDbVolume implements Volume {
  readonly kind = 'indexeddb';
  readonly path: string;
  readonly #readOnly: boolean;
  #connection: Promise<IDBDatabase> | undefined;
  // What #connection resolved to.
  #current: IDBDatabase | undefined;
  #opened = false;
  #token: string | undefined;
  // Name and contents of what was read in part, oldest first. Only of files that never change.
  readonly #kept = new Map<string, Uint8Array>();
  // Where the last append of ours ended, so that the next one need not load what that one wrote.
  #tail: { name: string; piece: number; length: number } | undefined;
  #closed = false;
  readonly #lock: WriterLock;
  readonly #announcements: Announcements;

  /** `path` is the mount point: absolute, without a slash at its end. `readOnly`: a missing database is not made. */
  constructor(path: string, readOnly = false) {
    this.path = path;
    this.#readOnly = readOnly;
    this.#lock = new WriterLock(path);
    this.#announcements = new Announcements(path);
  }

  async list(): Promise<FileEntry[]> {
    const names = new Set<string>();
    await this.#transact('readonly', false, ({ files, when }) => {
      // '0' comes right after '/'. Keys only: opening reads the contents of what it needs, and only then.
      const below = IDBKeyRange.bound(`${this.path}/`, `${this.path}0`, false, true);
      when(files.getAllKeys(below), (keys) => {
        for (const key of keys) {
          const name = this.#nameOf(String(key));
          const piece = name === undefined ? null : pieceName.exec(name);
          // A log begins with its first piece; what lies behind a gap belongs to no log.
          if (piece !== null && Number.parseInt(piece[2] as string, 16) === 0) names.add(piece[1] as string);
          else if (piece === null && name !== undefined && name !== lockName) names.add(name);
        }
      });
    });
    return [...names].map((name) => ({ name }));
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    checkName(name);
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept.slice(offset, offset + length);
    let contents: Uint8Array | undefined;
    let pieces: FileRecord[] = [];
    let keys: IDBValidKey[] = [];
    await this.#transact('readonly', false, ({ files, when }) => {
      when(files.get(this.#key(name)) as IDBRequest<FileRecord | undefined>, (record) => {
        contents = record?.contents;
        if (contents !== undefined) return;
        when(files.getAllKeys(this.#pieces(name)), (found) => {
          // From the piece that holds `offset`: whoever follows a log reads its end again and again.
          const later = found.findIndex((key) => pieceOffset(key) > offset);
          keys = found.slice(Math.max(0, (later < 0 ? found.length : later) - 1));
          const range = this.#pieces(name);
          const from = keys[0];
          if (from === undefined) return;
          const wanted = IDBKeyRange.bound(from, range.upper, false, true);
          when(files.getAll(wanted) as IDBRequest<FileRecord[]>, (records) => (pieces = records));
        });
      });
    });
    if (contents !== undefined) {
      // The browser made this copy for us.
      if (offset === 0 && length >= contents.length) return contents;
      this.#keep(name, contents);
      return contents.slice(offset, offset + length);
    }
    if (pieces.length === 0) throw noSuchFile(this.path, name);
    // Up to the first gap.
    const parts: Uint8Array[] = [];
    const begin = pieceOffset(keys[0]);
    let size = begin;
    for (const [i, piece] of pieces.entries()) {
      if (piece.contents === undefined || pieceOffset(keys[i]) !== size) break;
      parts.push(piece.contents);
      size += piece.contents.length;
    }
    const end = Math.min(offset + length, size);
    const out = new Uint8Array(Math.max(0, end - offset));
    let at = begin;
    for (const part of parts) {
      const from = Math.max(offset, at);
      const to = Math.min(end, at + part.length);
      if (from < to) out.set(part.subarray(from - at, to - at), from - offset);
      at += part.length;
    }
    return out;
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    checkName(name);
    await this.#transact('readwrite', false, (steps) => {
      this.#add(steps, this.#key(name), bytes, nameTaken(this.path, name));
    });
  }

  async append(name: string, offset: number, generation: number, bytes: Uint8Array, relaxed: boolean): Promise<void> {
    checkName(name);
    await this.#transact('readwrite', relaxed, (steps) => {
      this.#withGeneration(steps, generation, () => {
        this.#withLength(steps, name, (length) => {
          const conflict = otherLength(this.path, name, length, offset);
          const key = `${this.#key(name)}.${offset.toString(16).padStart(16, '0')}`;
          if (length !== offset) steps.abort(conflict);
          else this.#add(steps, key, bytes, conflict);
        });
      });
    });
    this.#tail = { name, piece: offset, length: offset + bytes.length };
    this.#announcements.post();
  }

  async commit(
    generation: number,
    manifest: Uint8Array,
    obsolete: readonly string[],
    relaxed: boolean,
  ): Promise<number> {
    for (const name of obsolete) checkName(name);
    const next = generation + 1;
    await this.#transact('readwrite', relaxed, (steps) => {
      this.#withGeneration(steps, generation, () => {
        const conflict = otherGeneration(this.path, next, generation);
        this.#add(steps, this.#key(manifestOf(next)), manifest, conflict);
        for (const name of obsolete) {
          steps.files.delete(this.#key(name));
          steps.files.delete(this.#pieces(name));
        }
      });
    });
    for (const name of obsolete) this.#kept.delete(name);
    this.#announcements.post();
    return next;
  }

  async lock(options: LockOptions = {}): Promise<void> {
    if (this.#token !== undefined) return;
    await this.#lock.take(options);
    const token = `${Date.now()} ${Math.random().toString(36).slice(2)}`;
    try {
      await this.#transact('readwrite', true, ({ files }) => {
        files.put(recordOf(new TextEncoder().encode(token)), this.#key(lockName));
      });
      this.#token = token;
    } catch (error) {
      this.#lock.release();
      throw error;
    }
  }

  async unlock(): Promise<void> {
    this.#token = undefined;
    this.#tail = undefined;
    this.#lock.release();
  }

  watch(changed: () => void): () => void {
    return this.#announcements.watch(() => this.#state(), changed);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#announcements.close();
    this.#kept.clear();
    const connection = this.#connection;
    this.#connection = undefined;
    (await connection?.catch(() => undefined))?.close();
  }

  // Differs after every commit and append.
  async #state(): Promise<string> {
    const found: unknown[] = [];
    await this.#transact('readonly', false, ({ files, when }) => {
      for (const kind of ['manifest', 'log']) {
        const range = IDBKeyRange.bound(this.#key(`${kind}-0`), this.#key(`${kind}-g`), false, true);
        when(files.openKeyCursor(range, 'prev'), (newest) => found.push(newest?.key));
      }
    });
    return found.join();
  }

  #key(name: string): string {
    return `${this.path}/${name}`;
  }

  // The name of a file of this volume; undefined for keys that something else put here.
  #nameOf(key: string): string | undefined {
    const name = key.startsWith(`${this.path}/`) ? key.slice(this.path.length + 1) : '';
    return name === '' || name.includes('/') ? undefined : name;
  }

  // ':' comes right after '9' and 'g' after 'f': every run of hex digits lies below.
  #pieces(name: string): IDBKeyRange {
    return IDBKeyRange.bound(`${this.#key(name)}.0`, `${this.#key(name)}.g`, false, true);
  }

  #keep(name: string, contents: Uint8Array): void {
    this.#kept.set(name, contents);
    const oldest = this.#kept.keys().next();
    if (this.#kept.size > keptRecords && !oldest.done) this.#kept.delete(oldest.value);
  }

  #withGeneration({ files, abort, when }: Steps, expected: number, then: () => void): void {
    const range = IDBKeyRange.bound(this.#key('manifest-0'), this.#key('manifest-g'), false, true);
    when(files.openKeyCursor(range, 'prev'), (cursor) => {
      const found = cursor === null ? 0 : generationOf(this.#nameOf(String(cursor.key)) ?? '');
      if (found === undefined) cursor?.continue();
      else if (found !== expected) abort(otherGeneration(this.path, found, expected));
      else then();
    });
  }

  // The length of a log, with the end of its last piece.
  #withLength({ files, when }: Steps, name: string, then: (length: number) => void): void {
    when(files.openKeyCursor(this.#pieces(name), 'prev'), (last) => {
      if (last === null) {
        then(0);
        return;
      }
      const piece = pieceOffset(last.key);
      if (this.#tail?.name === name && this.#tail.piece === piece) {
        then(this.#tail.length);
        return;
      }
      when(files.get(last.key) as IDBRequest<FileRecord | undefined>, (record) => {
        then(piece + (record?.contents?.length ?? 0));
      });
    });
  }

  // Adds a file, or aborts with `taken` where the key is in use.
  #add({ files, abort }: Steps, key: string, bytes: Uint8Array, taken: NearfieldError): void {
    const request = files.add(recordOf(bytes), key);
    request.onerror = () => {
      // The event is not prevented: the transaction aborts, as it must.
      if (request.error?.name === 'ConstraintError') abort(taken);
    };
  }

  // Runs `work` in one transaction and resolves when it is complete. A connection that the browser closed (storage
  // cleared, page frozen, another tab upgrading) is opened once more, where nothing can have been written yet; whether
  // the data is still there is then seen by comparing generations.
  async #transact(mode: IDBTransactionMode, relaxed: boolean, work: (steps: Steps) => void): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#connect();
      let begun = false;
      try {
        const transaction = connection.transaction(store, mode, { durability: relaxed ? 'relaxed' : 'strict' });
        begun = true;
        await this.#perform(transaction, mode, work);
        return;
      } catch (cause) {
        const again = attempt === 1 && !(cause instanceof NearfieldError) && (!begun || mode === 'readonly');
        if (!again) throw this.#failed(mode === 'readonly' ? 'read' : 'write', cause);
        this.#forget(connection);
        connection.close();
      }
    }
  }

  async #perform(transaction: IDBTransaction, mode: IDBTransactionMode, work: (steps: Steps) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let reason: unknown;
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(reason ?? transaction.error);
      const abort = (error: unknown) => {
        reason ??= error;
        try {
          transaction.abort();
        } catch {
          // It is being aborted already.
        }
      };
      const guarded = (action: () => void) => {
        try {
          action();
        } catch (cause) {
          // Closed connections and values that cannot be copied fail at once, not in an event.
          abort(cause);
        }
      };
      guarded(() => {
        const files = transaction.objectStore(store);
        const when: Steps['when'] = (request, then) => {
          request.onsuccess = () => guarded(() => then(request.result));
        };
        if (mode === 'readwrite' && this.#token !== undefined) {
          // Requests are served in order: this answer comes before any other's.
          when(files.get(this.#key(lockName)) as IDBRequest<FileRecord | undefined>, (record) => {
            if (this.#lock.lost || new TextDecoder().decode(record?.contents) !== this.#token) abort(this.#fenced());
          });
        }
        work({ files, abort, when });
      });
    });
  }

  #fenced(): NearfieldError {
    return new NearfieldError(
      'Conflict',
      `the lock of ${this.path} was taken by another tab while it was open; close it and open it again`,
      { value: this.path },
    );
  }

  #connect(): Promise<IDBDatabase> {
    if (this.#closed) throw this.#closedError();
    this.#connection ??= this.#open().catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  #open(): Promise<IDBDatabase> {
    if (typeof indexedDB === 'undefined') {
      throw new NearfieldError('Unsupported', "this host has no IndexedDB; use storage: 'memory'");
    }
    return new Promise((resolve, reject) => {
      let request: IDBOpenDBRequest;
      try {
        request = indexedDB.open(this.path, version);
      } catch (cause) {
        reject(this.#failed('open', cause));
        return;
      }
      let late = false;
      let vanished = false;
      let missing = false;
      const timer = setTimeout(() => {
        late = true;
        reject(
          new NearfieldError('StorageFailed', `${this.path} is held open by another tab; close it and try again`, {
            value: this.path,
          }),
        );
      }, openTimeoutMs);
      request.onupgradeneeded = ({ oldVersion }) => {
        if (this.#readOnly && oldVersion === 0 && !this.#opened) {
          missing = true;
          request.transaction?.abort();
          return;
        }
        if (this.#opened) {
          // It was here before. Making an empty one in its place would look like a database without data.
          vanished = true;
          request.transaction?.abort();
          return;
        }
        const database = request.result;
        if (database.objectStoreNames.contains(store)) return;
        try {
          database.createObjectStore(store).createIndex('timestamp', 'timestamp', { unique: false });
        } catch (cause) {
          reject(this.#failed('create', cause));
          request.transaction?.abort();
        }
      };
      request.onerror = () => {
        clearTimeout(timer);
        if (missing) {
          reject(noSuchDatabase(this.path));
          return;
        }
        reject(
          vanished
            ? new NearfieldError('StorageFailed', `${this.path} was deleted while it was open`, { value: this.path })
            : this.#failed('open', request.error),
        );
      };
      request.onsuccess = () => {
        clearTimeout(timer);
        const database = request.result;
        if (late || this.#closed) {
          database.close();
          reject(this.#closedError());
          return;
        }
        this.#opened = true;
        this.#current = database;
        database.onclose = () => this.#forget(database);
        database.onversionchange = () => {
          this.#forget(database);
          database.close();
        };
        resolve(database);
      };
    });
  }

  // A later call connects again.
  #forget(connection: IDBDatabase): void {
    if (this.#current !== connection) return;
    this.#current = undefined;
    this.#connection = undefined;
  }

  #closedError(): NearfieldError {
    return new NearfieldError('Closed', `${this.path} is closed`);
  }

  #failed(action: string, cause: unknown): NearfieldError {
    return browserError(this.path, action, cause);
  }
}

function recordOf(bytes: Uint8Array): FileRecord {
  // The buffer of the contents is stored whole, so it must hold nothing else.
  const contents = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
  return { timestamp: new Date(), mode: fileMode, contents };
}

// Where in its log a piece begins; NaN for keys of other things.
function pieceOffset(key: IDBValidKey | undefined): number {
  return Number.parseInt(pieceName.exec(String(key))?.[2] ?? '', 16);
}
