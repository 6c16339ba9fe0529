// Shared by the JavaScript tests: seeded randomness, temporary folders, errors by code.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NearfieldError } from 'nearfield';

// Mulberry32: small, seeded, good enough for test data.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomVector(next, dimension) {
  return Float32Array.from({ length: dimension }, () => next() * 2 - 1);
}

// A new folder that is gone after the test.
export function temporaryFolder(test) {
  const folder = mkdtempSync(join(tmpdir(), 'nearfield-'));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// The error `promise` rejects with, after checking its class and code.
export async function rejectsWith(code, promise) {
  let error;
  await assert.rejects(promise, (thrown) => {
    error = thrown;
    return true;
  });
  assert.ok(error instanceof NearfieldError, `expected a NearfieldError, got ${error?.stack}`);
  assert.equal(error.code, code, error.message);
  return error;
}
