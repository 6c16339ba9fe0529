// A volume in the origin private file system of a browser, for dedicated workers.
//
// Files are written through synchronous access handles, the only ones that can be flushed. Such a handle is exclusive:
// the writer holds the one of LOCK, which no other tab can steal, and the one of its log; everything else is opened,
// written, flushed and closed. Reading goes through getFile(), which no handle is in the way of, so readers in other tabs
// see the log while it is written. What they see while an append is under way may end in half a record; its checksum
// tells.
//
// A new file is written under another name, flushed, and then moved: it is there whole or not at all.
//
// A tab that crashed or was reloaded may hold its handles for a while after it is gone; taking one is tried for some
// seconds.
import { NearfieldError } from '../errors.js';
import { browserError } from './browser-error.js';
import { Announcements, WriterLock } from './tabs.js';
import { attemptLock } from './waiting.js';
import {
  checkName,
  manifestOf,
  nameTaken,
  newestGeneration,
  noSuchDatabase,
  noSuchFile,
  otherGeneration,
  otherLength,
  type FileEntry,
  type LockOptions,
  type Volume,
} from './volume.js';

const lockName = 'LOCK';
const temporary = '.tmp';
const handlePausesMs = [20, 50, 100, 200, 400, 800, 1600];
/** A blob can no longer be read once its file was written to. */
const readAttempts = 20;

// What TypeScript knows only of in workers.
interface AccessHandle {
  read(bytes: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(length: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}
interface WorkerFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<AccessHandle>;
  move(name: string): Promise<void>;
}

export class OpfsVolume implements Volume {
  readonly kind = 'opfs';
  readonly path: string;
  readonly #readOnly: boolean;
  readonly #lock: WriterLock;
  readonly #announcements: Announcements;
  // Held as long as the lock is.
  #lockHandle: AccessHandle | undefined;
  #log: { name: string; handle: AccessHandle } | undefined;
  #closed = false;
  // Looking and then writing are two steps here, so what writes runs one after the other.
  #turn: Promise<unknown> = Promise.resolve();

  /** `path` is absolute, without a slash at its end; its parts are folders. Unsupported outside dedicated workers. */
  constructor(path: string, readOnly = false) {
    this.#readOnly = readOnly;
    const prototype = typeof FileSystemFileHandle === 'undefined' ? undefined : FileSystemFileHandle.prototype;
    if (prototype === undefined || !('createSyncAccessHandle' in prototype)) {
      throw new NearfieldError(
        'Unsupported',
        "storage 'opfs' works in dedicated workers of browsers that have it: open the database in a Worker, or use 'indexeddb'",
        { value: 'opfs' },
      );
    }
    this.path = path;
    this.#lock = new WriterLock(path);
    this.#announcements = new Announcements(path);
  }

  async list(): Promise<FileEntry[]> {
    if (this.#readOnly && (await this.#folder(false)) === undefined) throw noSuchDatabase(this.path);
    return (await this.#names()).map((name) => ({ name }));
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    checkName(name);
    if (this.#log?.name === name) {
      const { handle } = this.#log;
      const bytes = new Uint8Array(Math.max(0, Math.min(length, handle.getSize() - offset)));
      return bytes.subarray(0, handle.read(bytes, { at: offset }));
    }
    for (let attempt = 1; ; attempt++) {
      try {
        const folder = await this.#folder(false);
        const file = await (await folder?.getFileHandle(name))?.getFile();
        if (file === undefined) throw noSuchFile(this.path, name);
        return new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        const kind = nameOf(cause);
        if (kind === 'NotFoundError' && attempt === 1) {
          // Gone, or written to since getFile(): some browsers say it alike.
          if (!(await this.#names()).includes(name)) throw noSuchFile(this.path, name);
        }
        const changed = kind === 'NotReadableError' || kind === 'NotFoundError';
        if (!changed || attempt === readAttempts) throw this.#failed('read', cause);
      }
    }
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    checkName(name);
    await this.#inTurn(() => this.#publish(name, bytes, true));
  }

  async append(name: string, offset: number, generation: number, bytes: Uint8Array, relaxed: boolean): Promise<void> {
    checkName(name);
    await this.#inTurn(() => this.#append(name, offset, generation, bytes, relaxed));
    this.#announcements.post();
  }

  async #append(name: string, offset: number, generation: number, bytes: Uint8Array, relaxed: boolean): Promise<void> {
    await this.#checkGeneration(generation);
    const handle = await this.#openLog(name, offset);
    try {
      const size = handle.getSize();
      if (size !== offset) throw otherLength(this.path, name, size, offset);
      try {
        writeAll(handle, bytes, offset);
        if (!relaxed) handle.flush();
      } catch (cause) {
        // What was written of the record goes again, so that the next append finds the length it expects.
        handle.truncate(offset);
        throw cause;
      }
    } catch (cause) {
      this.#closeLog();
      throw this.#failed('append to', cause);
    }
  }

  async commit(
    generation: number,
    manifest: Uint8Array,
    obsolete: readonly string[],
    relaxed: boolean,
  ): Promise<number> {
    for (const name of obsolete) checkName(name);
    await this.#inTurn(async () => {
      await this.#checkGeneration(generation);
      await this.#publish(manifestOf(generation + 1), manifest, !relaxed);
    });
    // The commit stands. A file that cannot be removed now is only in the way of disk space.
    const folder = await this.#folder(false);
    for (const name of obsolete) {
      if (this.#log?.name === name) this.#closeLog();
      await folder?.removeEntry(name).catch(() => {});
    }
    this.#announcements.post();
    return generation + 1;
  }

  async lock(options: LockOptions = {}): Promise<void> {
    if (this.#lockHandle !== undefined) return;
    await this.#lock.take(options);
    try {
      // Whoever had the Web Lock is gone, but its handle may not be yet.
      await attemptLock(
        this.path,
        async () => {
          const file = await (await this.#folder(true)).getFileHandle(lockName, { create: true });
          this.#lockHandle = await this.#open(file as WorkerFileHandle);
        },
        options,
      );
      await this.#removeDrafts();
    } catch (cause) {
      await this.unlock();
      throw this.#failed('lock', cause);
    }
  }

  async unlock(): Promise<void> {
    this.#closeLog();
    this.#lockHandle?.close();
    this.#lockHandle = undefined;
    this.#lock.release();
  }

  watch(changed: () => void): () => void {
    return this.#announcements.watch(() => this.#state(), changed);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#announcements.close();
    this.#closeLog();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  // Differs after every commit and append.
  async #state(): Promise<string> {
    const names = (await this.#names()).sort();
    const log = names.filter((name) => name.startsWith('log-')).at(-1);
    if (log === undefined) return names.join();
    const file = await (await this.#folder(false))?.getFileHandle(log);
    return `${names.join()} ${(await file?.getFile())?.size}`;
  }

  async #folder<Create extends boolean>(
    create: Create,
  ): Promise<Create extends true ? FileSystemDirectoryHandle : FileSystemDirectoryHandle | undefined> {
    if (this.#closed) throw new NearfieldError('Closed', `${this.path} is closed`);
    try {
      let folder = await navigator.storage.getDirectory();
      for (const part of this.path.split('/')) {
        if (part !== '') folder = await folder.getDirectoryHandle(part, { create });
      }
      return folder;
    } catch (cause) {
      if (!create && nameOf(cause) === 'NotFoundError') return undefined as never;
      throw this.#failed('open', cause);
    }
  }

  async #everyName(): Promise<string[]> {
    const folder = (await this.#folder(false)) as unknown as AsyncIterable<[string, FileSystemHandle]> | undefined;
    const names: string[] = [];
    if (folder === undefined) return names;
    for await (const [name, handle] of folder) if (handle.kind === 'file') names.push(name);
    return names;
  }

  async #names(): Promise<string[]> {
    try {
      return (await this.#everyName()).filter((name) => name !== lockName && !name.endsWith(temporary));
    } catch (cause) {
      throw this.#failed('list', cause);
    }
  }

  async #checkGeneration(expected: number): Promise<void> {
    const found = newestGeneration(await this.#names());
    if (found !== expected) throw otherGeneration(this.path, found, expected);
  }

  // A complete file under `name`, or Conflict where the name is taken. Nobody else writes: the lock is held.
  async #publish(name: string, bytes: Uint8Array, flush: boolean): Promise<void> {
    try {
      const folder = await this.#folder(true);
      const draft = `${name}.${Math.random().toString(36).slice(2)}${temporary}`;
      const file = (await folder.getFileHandle(draft, { create: true })) as WorkerFileHandle;
      try {
        const handle = await this.#open(file);
        try {
          writeAll(handle, bytes, 0);
          if (flush) handle.flush();
        } finally {
          handle.close();
        }
        if ((await this.#names()).includes(name)) throw nameTaken(this.path, name);
        await file.move(name);
      } catch (cause) {
        await folder.removeEntry(draft).catch(() => {});
        throw cause;
      }
    } catch (cause) {
      throw this.#failed('write', cause);
    }
  }

  async #removeDrafts(): Promise<void> {
    const folder = await this.#folder(true);
    for (const name of await this.#everyName()) {
      if (name.endsWith(temporary)) await folder.removeEntry(name).catch(() => {});
    }
  }

  async #openLog(name: string, offset: number): Promise<AccessHandle> {
    if (this.#log?.name === name) return this.#log.handle;
    this.#closeLog();
    try {
      const folder = await this.#folder(true);
      const file = (await folder.getFileHandle(name, { create: offset === 0 })) as WorkerFileHandle;
      this.#log = { name, handle: await this.#open(file) };
      return this.#log.handle;
    } catch (cause) {
      if (nameOf(cause) === 'NotFoundError') throw otherLength(this.path, name, 0, offset);
      throw this.#failed('open', cause);
    }
  }

  #closeLog(): void {
    this.#log?.handle.close();
    this.#log = undefined;
  }

  // DatabaseLocked where another tab keeps the handle.
  async #open(file: WorkerFileHandle): Promise<AccessHandle> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await file.createSyncAccessHandle();
      } catch (cause) {
        const busy = ['NoModificationAllowedError', 'InvalidStateError'].includes(nameOf(cause));
        const pauseMs = handlePausesMs[attempt];
        if (!busy) throw cause;
        if (pauseMs === undefined) {
          throw new NearfieldError(
            'DatabaseLocked',
            `${file.name} in ${this.path} is held open by another tab, perhaps one that has just crashed; try again`,
            { value: this.path, cause },
          );
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  #failed(action: string, cause: unknown): NearfieldError {
    return browserError(this.path, action, cause);
  }
}

function writeAll(handle: AccessHandle, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    const written = handle.write(bytes.subarray(done), { at: position + done });
    if (written === 0) throw new DOMException('nothing was written', 'QuotaExceededError');
    done += written;
  }
}

function nameOf(cause: unknown): string {
  return cause instanceof Error || cause instanceof DOMException ? cause.name : '';
}
