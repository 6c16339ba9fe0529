// Database: opening the one that --db names, for reading.

import { stat } from 'node:fs/promises';

import { NearfieldError } from '../errors.js';
import type { Specs } from '../specs.js';

/** Opens without creating anything. Throws NotFound where there is no database. */
export async function openForReading(path: string): Promise<Specs> {
  const [{ openSpecs }, found] = await Promise.all([import('../specs.js'), stat(path).catch(() => undefined)]);
  if (found === undefined) throw missing(path);
  if (!found.isDirectory())
    throw new NearfieldError('InvalidArgument', `--db ${path} is not a folder`, { value: path });
  try {
    return await openSpecs({ path, storage: 'node', readOnly: true });
  } catch (error) {
    throw error instanceof NearfieldError && error.code === 'NotFound' ? missing(path) : error;
  }
}

function missing(path: string): NearfieldError {
  return new NearfieldError('NotFound', `no database at ${path}; run nearfield index <folder> first`, { value: path });
}
