// Database: opening the one that --db names, for reading.

import { stat } from 'node:fs/promises';

import { NearfieldError } from '../errors.js';
import type { Specs } from '../specs.js';

/** Opens the specs without creating anything. Throws NotFound where there is no database. */
export async function openForReading(path: string): Promise<Specs> {
  const [{ openSpecs }] = await Promise.all([import('../specs.js'), checkFolder(path)]);
  try {
    return await openSpecs({ path, storage: 'node', readOnly: true, follow: false });
  } catch (error) {
    throw error instanceof NearfieldError && error.code === 'NotFound' ? missing(path) : error;
  }
}

/** Throws NotFound where there is nothing, InvalidArgument where there is no folder. */
export async function checkFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw missing(path);
  if (!found.isDirectory())
    throw new NearfieldError('InvalidArgument', `--db ${path} is not a folder`, { value: path });
}

/** The one operand of a command that needs a file. */
export function readFileOperand(command: string, operands: readonly string[]): string {
  const [file, ...rest] = operands;
  if (file === undefined || file === '') {
    throw new NearfieldError('ConfigError', `${command} needs a file, such as: nearfield ${command} notes.backup`);
  }
  if (rest.length > 0) {
    throw new NearfieldError('ConfigError', `${command} takes one file, got also ${rest[0]}`, { value: rest[0] });
  }
  return file;
}

function missing(path: string): NearfieldError {
  return new NearfieldError('NotFound', `no database at ${path}; run nearfield index <folder> first`, { value: path });
}
