// Errors of a browser's storage as ours.
import { NearfieldError, reasonOf } from '../errors.js';

/** What `action` on the volume at `path` failed with; errors of ours as they are. */
export function browserError(path: string, action: string, cause: unknown): NearfieldError {
  if (cause instanceof NearfieldError) return cause;
  const name = cause instanceof Error || cause instanceof DOMException ? cause.name : '';
  if (name === 'QuotaExceededError') {
    return new NearfieldError('QuotaExceeded', `the browser's quota is full: ${path} was not changed`, {
      value: path,
      cause,
    });
  }
  if (name === 'VersionError') {
    return new NearfieldError('VersionError', `${path} was made by a newer version of its layout`, {
      value: path,
      cause,
    });
  }
  return new NearfieldError('StorageFailed', `cannot ${action} ${path}: ${reasonOf(cause)}`, {
    value: path,
    details: { system: name },
    cause,
  });
}
