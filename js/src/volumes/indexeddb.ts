// A volume in IndexedDB, in the layout of Emscripten's IDBFS.
//
// The database is named like the mount point, has version 21 and one store FILE_DATA with an index on `timestamp`; keys
// are absolute paths, a file is { timestamp, mode, contents }. A page with stock IDBFS can mount what is kept here.
// What IDBFS does not do: each append and commit is one strict transaction that first compares the generation, no
// failed request is swallowed, and nothing counts as done before the transaction is complete.
//
// IndexedDB rewrites whole values, so a log is kept in pieces, `<log>.<offset as 16 hex digits>`, and joined on reading.
import { NearfieldError, reasonOf } from '../errors.js';
import {
  checkName,
  generationOf,
  manifestOf,
  nameTaken,
  noSuchFile,
  otherGeneration,
  otherLength,
  sealedName,
  type FileEntry,
  type LockOptions,
  type Volume,
} from './volume.js';
import { Announcements, WriterLock } from './tabs.js';

const version = 21;
const store = 'FILE_DATA';
const fileMode = 33206; // a regular file, rw-rw-rw-
const typeMask = 0o170000;
const fileType = 0o100000;
/** A database that another tab holds open in an older version blocks opening until that tab closes. */
const openTimeoutMs = 10_000;

const pieceName = /^(.+)\.([0-9a-f]{16})$/;

interface FileRecord {
  timestamp: Date;
  mode: number;
  contents?: Uint8Array;
}

export class IndexedDbVolume implements Volume {
  readonly kind = 'indexeddb';
  readonly path: string;
  #connection: Promise<IDBDatabase> | undefined;
  #opened = false;
  #closed = false;
  readonly #lock: WriterLock;
  readonly #announcements: Announcements;

  /** `path` is the mount point: absolute, without a slash at its end. */
  constructor(path: string) {
    this.path = path;
    this.#lock = new WriterLock(path);
    this.#announcements = new Announcements(path);
  }

  async list(): Promise<FileEntry[]> {
    const files = new Map<string, number | undefined>();
    const pieces = new Map<string, Map<number, number>>();
    const add = (name: string, record: FileRecord) => {
      if ((record.mode & typeMask) !== fileType) return;
      const length = record.contents?.length ?? 0;
      const piece = pieceName.exec(name);
      if (piece === null) {
        files.set(name, length);
      } else {
        const [, log, offset] = piece as unknown as [string, string, string];
        const known = pieces.get(log) ?? new Map<number, number>();
        pieces.set(log, known.set(Number.parseInt(offset, 16), length));
      }
    };
    await this.#transact('readonly', false, (records) => {
      const keys = records.getAllKeys();
      keys.onsuccess = () => {
        for (const key of keys.result) {
          const name = this.#nameOf(String(key));
          if (name === undefined) continue;
          // A value comes only whole: for the lengths of sealed files all of the database would be read.
          if (sealedName.test(name)) {
            files.set(name, undefined);
            continue;
          }
          const found = records.get(key) as IDBRequest<FileRecord | undefined>;
          found.onsuccess = () => {
            if (found.result !== undefined) add(name, found.result);
          };
        }
      };
    });
    for (const [log, known] of pieces) {
      // Up to the first gap; what lies behind one belongs to no log.
      let length = 0;
      for (let piece = known.get(0); piece; piece = known.get(length)) length += piece;
      files.set(log, length);
    }
    return [...files].map(([name, length]) => ({ name, length }));
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    checkName(name);
    const pieces: { offset: number; bytes: Uint8Array }[] = [];
    await this.#transact('readonly', false, (files) => {
      const whole = files.get(this.#key(name)) as IDBRequest<FileRecord | undefined>;
      whole.onsuccess = () => {
        if (whole.result?.contents !== undefined) {
          pieces.push({ offset: 0, bytes: whole.result.contents });
          return;
        }
        eachRecord(files.openCursor(this.#pieces(name)), (key, record) => {
          const digits = pieceName.exec(key)?.[2];
          if (digits === undefined || record.contents === undefined) return;
          pieces.push({ offset: Number.parseInt(digits, 16), bytes: record.contents });
        });
      };
    });
    if (pieces.length === 0) throw noSuchFile(this.path, name);
    const [first] = pieces;
    // The browser made this copy for us.
    if (offset === 0 && first?.offset === 0 && pieces.length === 1 && first.bytes.length <= length) return first.bytes;
    let size = 0;
    for (const piece of pieces) if (piece.offset === size) size += piece.bytes.length;
    const end = Math.min(offset + length, size);
    const out = new Uint8Array(Math.max(0, end - offset));
    for (const piece of pieces) {
      const from = Math.max(offset, piece.offset);
      const to = Math.min(end, piece.offset + piece.bytes.length);
      if (from < to) out.set(piece.bytes.subarray(from - piece.offset, to - piece.offset), from - offset);
    }
    return out;
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    checkName(name);
    await this.#transact('readwrite', false, (files, abort) => {
      this.#add(files, this.#key(name), bytes, nameTaken(this.path, name), abort);
    });
  }

  async append(name: string, offset: number, generation: number, bytes: Uint8Array, relaxed: boolean): Promise<void> {
    checkName(name);
    await this.#transact('readwrite', relaxed, (files, abort) => {
      this.#withGeneration(files, generation, abort, () => {
        const last = files.openCursor(this.#pieces(name), 'prev') as IDBRequest<IDBCursorWithValue | null>;
        last.onsuccess = () => {
          let length = 0;
          if (last.result !== null) {
            const digits = pieceName.exec(String(last.result.key))?.[2] ?? '0';
            length = Number.parseInt(digits, 16) + ((last.result.value as FileRecord).contents?.length ?? 0);
          }
          const conflict = otherLength(this.path, name, length, offset);
          const key = `${this.#key(name)}.${offset.toString(16).padStart(16, '0')}`;
          if (length !== offset) abort(conflict);
          else this.#add(files, key, bytes, conflict, abort);
        };
      });
    });
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
    await this.#transact('readwrite', relaxed, (files, abort) => {
      this.#withGeneration(files, generation, abort, () => {
        const conflict = otherGeneration(this.path, next, generation);
        this.#add(files, this.#key(manifestOf(next)), manifest, conflict, abort);
        for (const name of obsolete) {
          files.delete(this.#key(name));
          files.delete(this.#pieces(name));
        }
      });
    });
    this.#announcements.post();
    return next;
  }

  async lock(options: LockOptions = {}): Promise<void> {
    await this.#lock.take(options);
  }

  async unlock(): Promise<void> {
    this.#lock.release();
  }

  watch(changed: () => void): () => void {
    return this.#announcements.watch(() => this.#state(), changed);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#announcements.close();
    const connection = this.#connection;
    this.#connection = undefined;
    (await connection?.catch(() => undefined))?.close();
  }

  // Differs after every commit and append.
  async #state(): Promise<string> {
    const found: unknown[] = [];
    await this.#transact('readonly', false, (files) => {
      for (const kind of ['manifest', 'log']) {
        const range = IDBKeyRange.bound(this.#key(`${kind}-0`), this.#key(`${kind}-g`), false, true);
        const newest = files.openKeyCursor(range, 'prev');
        newest.onsuccess = () => found.push(newest.result?.key);
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

  #withGeneration(
    files: IDBObjectStore,
    expected: number,
    abort: (error: NearfieldError) => void,
    then: () => void,
  ): void {
    const range = IDBKeyRange.bound(this.#key('manifest-0'), this.#key('manifest-g'), false, true);
    const newest = files.openKeyCursor(range, 'prev');
    newest.onsuccess = () => {
      const cursor = newest.result;
      const found = cursor === null ? 0 : generationOf(this.#nameOf(String(cursor.key)) ?? '');
      if (found === undefined) cursor?.continue();
      else if (found !== expected) abort(otherGeneration(this.path, found, expected));
      else then();
    };
  }

  // Adds a file, or aborts with `taken` where the key is in use.
  #add(
    files: IDBObjectStore,
    key: string,
    bytes: Uint8Array,
    taken: NearfieldError,
    abort: (error: NearfieldError) => void,
  ): void {
    // The buffer of the contents is stored whole, so it must hold nothing else.
    const contents = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
    const record: FileRecord = { timestamp: new Date(), mode: fileMode, contents };
    try {
      const request = files.add(record, key);
      request.onerror = () => {
        // The event is not prevented: the transaction aborts, as it must.
        if (request.error?.name === 'ConstraintError') abort(taken);
      };
    } catch (cause) {
      // Values that cannot be copied fail at once, not in an event.
      abort(this.#failed('write', cause));
    }
  }

  // Runs `work` in one transaction and resolves when it is complete. A connection that the browser closed (storage
  // cleared, page frozen, another tab upgrading) is opened once more; whether the data is still there is then seen by
  // comparing generations.
  async #transact(
    mode: IDBTransactionMode,
    relaxed: boolean,
    work: (files: IDBObjectStore, abort: (error: NearfieldError) => void) => void,
  ): Promise<void> {
    const durability = relaxed ? 'relaxed' : 'strict';
    let transaction: IDBTransaction;
    try {
      transaction = (await this.#connect()).transaction(store, mode, { durability });
    } catch (cause) {
      if (cause instanceof NearfieldError) throw cause;
      this.#connection = undefined;
      try {
        transaction = (await this.#connect()).transaction(store, mode, { durability });
      } catch (again) {
        throw this.#failed('open', again);
      }
    }
    await new Promise<void>((resolve, reject) => {
      let reason: NearfieldError | undefined;
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(reason ?? this.#failed('write', transaction.error));
      const abort = (error: NearfieldError) => {
        reason ??= error;
        transaction.abort();
      };
      try {
        work(transaction.objectStore(store), abort);
      } catch (cause) {
        abort(this.#failed('write', cause));
      }
    });
  }

  #connect(): Promise<IDBDatabase> {
    if (this.#closed) throw new NearfieldError('Closed', `${this.path} is closed`);
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
      const timer = setTimeout(() => {
        late = true;
        reject(
          new NearfieldError('StorageFailed', `${this.path} is held open by another tab; close it and try again`, {
            value: this.path,
          }),
        );
      }, openTimeoutMs);
      request.onupgradeneeded = () => {
        if (this.#opened) {
          // It was here before. Making an empty one in its place would look like a database without data.
          vanished = true;
          request.transaction?.abort();
          return;
        }
        const database = request.result;
        if (database.objectStoreNames.contains(store)) return;
        database.createObjectStore(store).createIndex('timestamp', 'timestamp', { unique: false });
      };
      request.onerror = () => {
        clearTimeout(timer);
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
          return;
        }
        this.#opened = true;
        const forget = () => {
          this.#connection = undefined;
        };
        database.onclose = forget;
        database.onversionchange = () => {
          forget();
          database.close();
        };
        resolve(database);
      };
    });
  }

  #failed(action: string, cause: unknown): NearfieldError {
    if (cause instanceof NearfieldError) return cause;
    const name = cause instanceof Error || cause instanceof DOMException ? cause.name : '';
    if (name === 'QuotaExceededError') {
      return new NearfieldError('QuotaExceeded', `the browser's quota is full: ${this.path} was not changed`, {
        value: this.path,
        cause,
      });
    }
    if (name === 'VersionError') {
      return new NearfieldError('VersionError', `${this.path} was made by a newer version of its layout`, {
        value: this.path,
        cause,
      });
    }
    return new NearfieldError('StorageFailed', `cannot ${action} ${this.path}: ${reasonOf(cause)}`, {
      value: this.path,
      details: { system: name },
      cause,
    });
  }
}

function eachRecord(
  request: IDBRequest<IDBCursorWithValue | null>,
  visit: (key: string, record: FileRecord) => void,
): void {
  request.onsuccess = () => {
    const cursor = request.result;
    if (cursor === null) return;
    visit(String(cursor.key), cursor.value as FileRecord);
    cursor.continue();
  };
}
