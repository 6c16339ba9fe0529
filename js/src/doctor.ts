// The doctor: what is wrong with a database, and what can be saved. Works where open() refuses.
import { openVolume, type StorageKind } from './database.js';
import { readBoolean, readOptions } from './check.js';
import { Engine } from './engine.js';
import { NearfieldError } from './errors.js';
import { Message } from './message.js';
import { Pump } from './pump.js';
import { compile, type WasmSource } from './wasm.js';

export interface DoctorOptions {
  /** As in open(). */
  path?: string | undefined;
  /** As in open(), but not 'memory'. */
  storage?: StorageKind | undefined;
  /** Publishes what can be rescued as a new generation; default false: only looks, changes nothing and takes no lock. */
  repair?: boolean | undefined;
  /**
   * nearfield-doctor.wasm, a file of its own that nothing else needs. Default: the one beside this package's code, read
   * when a doctor is called for. The other files will not do.
   */
  wasm?: WasmSource | undefined;
}

/**
 * sound: every byte checks out. damaged: some do not. missing: a manifest names it. orphan: no manifest names it, left
 * over from a crash or a repair, harmless. unfinished: a log whose last write was cut by a crash and never acknowledged,
 * harmless. foreign: not a file of the database, never read. newer: written by a newer version.
 */
export type FileState = 'sound' | 'damaged' | 'missing' | 'orphan' | 'unfinished' | 'foreign' | 'newer';

export interface FileFinding {
  name: string;
  state: FileState;
  /** 0 where it is missing. */
  bytes: number;
  /** The generations that use it, ascending. */
  generations: number[];
  /** The bytes that do not check out. */
  damage: { offset: number; length: number }[];
  /** What that means, for people. */
  meaning: string;
}

export interface GenerationFinding {
  generation: number;
  /** Whether open() could use it. */
  sound: boolean;
  /** Records of its log that open() would replay. */
  logRecords: number;
  /** What open() would find; empty where it is not sound. */
  collections: { name: string; points: number }[];
  meaning: string;
}

export interface Repair {
  /** That was published; 0: there was nothing to repair, or nothing could be. */
  generation: number;
  /** `rescued` counts points from files that open() would not have used; `ids` are the first hundred of them. */
  collections: { name: string; points: number; rescued: number; ids: string[] }[];
  /** What could not be rescued, a sentence each. */
  lost: string[];
  meaning: string;
}

export interface DoctorReport {
  path: string;
  /** No file is damaged, missing or newer, and open() uses the newest generation. Before a repair, if there was one. */
  healthy: boolean;
  /** The newest generation, sound or not. */
  newest: number;
  /** The generation open() would use; 0: it fails. */
  opens: number;
  /** By name. */
  files: FileFinding[];
  /** Newest first. */
  generations: GenerationFinding[];
  /** What is wrong, for whoever opens it, a sentence each. */
  problems: string[];
  /** With `repair: true`. */
  repair?: Repair;
}

/**
 * Reads and checks every byte of a database, open or not, and says what is wrong with which file. With `repair: true`
 * what can be rescued is published as a new generation; no file is changed or removed, but the first commits after the
 * next open() remove those that are no longer needed.
 *
 * ```js
 * const { healthy, problems } = await doctor({ path: './.nearfield' });
 * ```
 *
 * Throws NotFound (no database), DatabaseLocked and VersionError (repair only), Conflict (it changes all the time; close
 * it where it is written), StorageFailed, QuotaExceeded, ReadOnly, InvalidArgument, ConfigError, and what load() throws.
 */
export async function doctor(options?: DoctorOptions): Promise<DoctorReport> {
  const given = readOptions(options, 'doctor', ['path', 'storage', 'repair', 'wasm']);
  const repair = given.repair === undefined ? false : readBoolean(given.repair, 'repair');
  if (given.storage === 'memory') {
    throw new NearfieldError('Unsupported', "doctor: storage 'memory' keeps nothing that could be examined");
  }
  const volume = await openVolume(given.storage, given.path, !repair);
  try {
    const engine = await Engine.create(await compiled(given.wasm as WasmSource | undefined));
    try {
      const message = new Message(JSON.stringify({ repair })).finish();
      const report = await new Pump(engine, volume).run<Omit<DoctorReport, 'path'>>('_doctor', message);
      return { path: volume.path, ...report };
    } finally {
      engine.dispose();
    }
  } finally {
    await volume.unlock().catch(() => {});
    await volume.close();
  }
}

function compiled(wasm?: WasmSource): Promise<WebAssembly.Module> {
  return compile(
    wasm ?? new URL('./nearfield-doctor.wasm', import.meta.url),
    'serve nearfield-doctor.wasm of this package there, or say where it is with doctor({ wasm })',
  );
}
