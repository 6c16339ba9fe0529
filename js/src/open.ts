// open(): a database on the engine of nearfield.wasm.
import { Database, openSession, type OpenOptions } from './database.js';
import { compiled } from './load.js';

/**
 * Opens a database, or makes a new one where there is none.
 *
 * ```js
 * const db = await open({ path: './.nearfield' });
 * ```
 *
 * Throws DatabaseLocked while somebody else writes to it, Aborted, StorageCorrupt, VersionError, StorageFailed, NotFound
 * (read only), InvalidArgument and ConfigError for bad options, and what load() throws.
 */
export async function open(options?: OpenOptions): Promise<Database> {
  return new Database(await openSession(options, compiled));
}
