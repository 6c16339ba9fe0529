// What the browser says about the storage of its origin: how much there is, and whether it is kept.
import { NearfieldError, reasonOf } from './errors.js';
import type { Volume } from './volumes/volume.js';

/** Known in browsers, for databases that are kept there. */
export interface StorageEstimate {
  /** The browser does not clear the origin's storage by itself; persist() asks for that. */
  persisted?: boolean;
  /** What the origin may store, in bytes; about, and shared by everything it stores. */
  quota?: number;
  /** What it stores now, in bytes; about. */
  usage?: number;
}

type Kind = Volume['kind'];

function managerOf(kind: Kind): Partial<StorageManager> | undefined {
  if (kind === 'memory' || kind === 'node') return undefined;
  // Not on pages that are not served securely.
  return typeof navigator === 'undefined' ? undefined : (navigator.storage as StorageManager | undefined);
}

/** Whether the data stays until somebody removes it, after asking the browser for that. */
export async function persistOrigin(kind: Kind): Promise<boolean> {
  // Nobody clears folders by himself.
  if (kind === 'node') return true;
  try {
    return (await managerOf(kind)?.persist?.()) ?? false;
  } catch (cause) {
    throw new NearfieldError('StorageFailed', `the browser cannot be asked to keep the data: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

/** What cannot be learnt is left out: hosts without an estimate are no reason to fail. */
export async function storageEstimate(kind: Kind): Promise<StorageEstimate> {
  const manager = managerOf(kind);
  const ask = async <Answer>(question: () => Promise<Answer> | undefined) => {
    try {
      return await question();
    } catch {
      return undefined;
    }
  };
  const [estimate, persisted] = await Promise.all([
    ask(() => manager?.estimate?.()),
    ask(() => manager?.persisted?.()),
  ]);
  const out: StorageEstimate = {};
  if (persisted !== undefined) out.persisted = persisted;
  if (estimate?.quota !== undefined) out.quota = estimate.quota;
  if (estimate?.usage !== undefined) out.usage = estimate.usage;
  return out;
}
