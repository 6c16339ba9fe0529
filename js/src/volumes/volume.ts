// A volume: where a database's files are. What the engine asks of it is in core/base/effect.h.
//
// Files are flat: names are [a-z0-9._-]{1,100}. `manifest-` and sixteen hex digits is the manifest of that generation;
// the newest one on the volume is the database's generation, and append and commit compare it with what they expect.
// Every method fails with a NearfieldError whose message names the place, and then has changed nothing.
import { shown } from '../check.js';
import { NearfieldError } from '../errors.js';

export interface FileEntry {
  name: string;
  /** In bytes; left out where only reading the file would tell. */
  length?: number;
}

export interface LockOptions {
  /** Wait until the lock is free; default false. */
  wait?: boolean | undefined;
  /** Ends the waiting. */
  signal?: AbortSignal | undefined;
}

export interface Volume {
  readonly kind: 'memory' | 'node' | 'indexeddb' | 'opfs';
  /** The place, for messages and info(). */
  readonly path: string;
  /** Every file, logs that are kept in pieces as one. */
  list(): Promise<FileEntry[]>;
  /** Fewer bytes than asked for only where the file ends. NotFound for a missing file. */
  read(name: string, offset: number, length: number): Promise<Uint8Array>;
  /** A new file, durable when this resolves. Conflict where the name is taken. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Makes `bytes` the part of a log from `offset`. Conflict on another generation or another length. */
  append(name: string, offset: number, generation: number, bytes: Uint8Array, relaxed: boolean): Promise<void>;
  /** Publishes the manifest of generation + 1 and removes `obsolete`. Answers the new generation, or Conflict. */
  commit(generation: number, manifest: Uint8Array, obsolete: readonly string[], relaxed: boolean): Promise<number>;
  /**
   * Takes the writer's lock; nothing where this volume holds it already. DatabaseLocked where somebody else does; told
   * to wait, waits until that one is gone, or fails with Aborted.
   */
  lock(options?: LockOptions): Promise<void>;
  /** Gives the lock back; nothing where it is not held. */
  unlock(): Promise<void>;
  /**
   * Calls `changed` after somebody else may have appended or committed: perhaps too often, never too rarely, and once
   * soon after the call. Answers a function that ends it. Does not keep a process alive.
   */
  watch(changed: () => void): () => void;
  /** Lets go of handles, and ends what watch() began. The volume is not used afterwards. */
  close(): Promise<void>;
}

const manifestName = /^manifest-([0-9a-f]{16})$/;

export function manifestOf(generation: number): string {
  return `manifest-${generation.toString(16).padStart(16, '0')}`;
}

/** The generation a manifest's name stands for; undefined for other files. */
export function generationOf(name: string): number | undefined {
  const digits = manifestName.exec(name)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** The newest generation among the names; 0: none. */
export function newestGeneration(names: Iterable<string>): number {
  let newest = 0;
  for (const name of names) newest = Math.max(newest, generationOf(name) ?? 0);
  return newest;
}

/** Throws Internal for a name that could leave the volume. */
export function checkName(name: string): void {
  if (!/^[a-z0-9._-]{1,100}$/.test(name) || name === '.' || name === '..') {
    throw new NearfieldError('Internal', `${shown(name)} is not a file name of a volume`, { value: name });
  }
}

export function otherGeneration(path: string, found: number, expected: number): NearfieldError {
  return new NearfieldError(
    'Conflict',
    `${path} is at generation ${found}, not ${expected}: somebody else wrote to it since it was opened`,
    { value: found },
  );
}

export function otherLength(path: string, name: string, found: number, expected: number): NearfieldError {
  return new NearfieldError(
    'Conflict',
    `${name} in ${path} holds ${found} bytes, not ${expected}: somebody else wrote to it since it was opened`,
    { value: found },
  );
}

export function nameTaken(path: string, name: string): NearfieldError {
  return new NearfieldError('Conflict', `${name} exists already in ${path}`, { value: name });
}

export function noSuchFile(path: string, name: string): NearfieldError {
  return new NearfieldError('NotFound', `there is no file ${name} in ${path}`, { value: name });
}

export function noSuchDatabase(path: string, cause?: unknown): NearfieldError {
  return new NearfieldError('NotFound', `there is no database at ${path}`, { value: path, cause });
}
