// --import: a module of the caller's, which registers backends.

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { NearfieldError, reasonOf } from '../errors.js';

/** Runs it, once however often it is named. */
export async function loadModule(file: string): Promise<void> {
  try {
    await import(pathToFileURL(resolve(file)).href);
  } catch (cause) {
    if (cause instanceof NearfieldError) throw cause;
    const missing = (cause as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND';
    throw new NearfieldError(missing ? 'NotFound' : 'InvalidArgument', `--import ${file}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}
