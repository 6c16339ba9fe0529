// How far a migration is, kept where it survives the process. Written after what it tells is durable: a run that goes on
// from it writes some points again, and leaves none out.
import { isObject, shown } from '../check.js';
import { NearfieldError, invalid, reasonOf } from '../errors.js';
import { builtin } from '../host.js';
import type { Failure } from './write.js';

/** Where a migration keeps how far it is. */
export interface MigrationJournal {
  /** What was written last; undefined: nothing. */
  read(): Promise<string | undefined>;
  /** Resolves when it is durable; whole, or what was there before stays. */
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

export interface MigrationState {
  from: string;
  to: string;
  /** Of the page that comes next. */
  cursor: string;
  /** All pages are written. */
  copiedAll: boolean;
  /** Points written so far. */
  copied: number;
  /** Points that the target had before. */
  before: number;
  /** The point that was written last. */
  last: string;
  failed: Failure[];
  /** Ids to compare in the end, chosen evenly among all that came. */
  sample: string[];
  /** Points that came, for the choice. */
  seen: number;
}

const format = 'nearfield-migration';
const version = 1;
const maxBytes = 64 << 20;

export function writeState(state: MigrationState): string {
  return `${JSON.stringify({ format, version, ...state })}\n`;
}

/** Throws FormatError for anything else than what writeState() made. */
export function readState(text: string): MigrationState {
  const bad = (why: string) =>
    new NearfieldError('FormatError', `this is no journal of a migration: ${why}; remove it, or name another file`);
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (cause) {
    throw bad(reasonOf(cause).slice(0, 200));
  }
  if (!isObject(given) || given['format'] !== format) throw bad('it does not say so');
  if (given['version'] !== version) throw bad(`version ${shown(given['version'])} is not known`);
  const { from, to, cursor, copiedAll, copied, before, last, failed, sample, seen } = given;
  const isText = (value: unknown): value is string => typeof value === 'string';
  const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  const isFailure = (value: unknown): value is Failure =>
    isObject(value) &&
    ['id', 'code', 'message'].every((name) => isText(value[name])) &&
    typeof value['retryable'] === 'boolean';
  if (!isText(from) || !isText(to) || !isText(cursor) || !isText(last)) throw bad('a text is missing');
  if (!isWhole(copied) || !isWhole(before) || !isWhole(seen)) throw bad('a number is missing');
  if (typeof copiedAll !== 'boolean') throw bad('copiedAll is missing');
  if (!Array.isArray(failed) || !failed.every(isFailure)) throw bad('failed is no list of failures');
  if (!Array.isArray(sample) || !sample.every(isText)) throw bad('sample is no list of ids');
  return { from, to, cursor, copiedAll, copied, before, last, failed, sample, seen };
}

/** A path (Node), or what the caller keeps it in. */
export async function openJournal(given: unknown): Promise<MigrationJournal | undefined> {
  if (given === undefined) return undefined;
  if (typeof given === 'string' && given !== '' && !given.includes('\0')) return fileJournal(given);
  if (isObject(given) && ['read', 'write', 'remove'].every((name) => typeof given[name] === 'function')) {
    return given as unknown as MigrationJournal;
  }
  throw invalid(`migrate: journal must be a path or { read, write, remove }, got ${shown(given)}`);
}

async function fileJournal(path: string): Promise<MigrationJournal> {
  const files = await builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const codeOf = (error: unknown) => (error as { code?: unknown }).code;
  const attempt = async <Value>(action: string, work: () => Promise<Value>): Promise<Value> => {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof NearfieldError) throw cause;
      const message = `cannot ${action} the journal ${path}: ${reasonOf(cause)}`;
      throw new NearfieldError('StorageFailed', message, { value: path, cause });
    }
  };
  return {
    read: () =>
      attempt('read', async () => {
        try {
          const found = await files.stat(path);
          if (!found.isFile() || found.size > maxBytes) throw invalid(`${path} is no journal of a migration`, path);
          return await files.readFile(path, 'utf8');
        } catch (error) {
          if (codeOf(error) === 'ENOENT') return undefined;
          throw error;
        }
      }),
    write: (text) =>
      attempt('write', async () => {
        const draft = `${path}.${process.pid}.tmp`;
        const handle = await files.open(draft, 'w');
        try {
          await handle.writeFile(text);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await files.rename(draft, path);
      }),
    remove: () => attempt('remove', () => files.rm(path, { force: true })),
  };
}
