// The conformance cases of volumes, in a browser's worker. Posts a line for each case, and { done } at the end.
import { conformanceCases } from '/tests/js/volume-conformance.mjs';
import { IndexedDbVolume } from '/dist/volumes/indexeddb.js';
import { OpfsVolume } from '/dist/volumes/opfs.js';

const shown = (value) => JSON.stringify(value);
const assert = {
  ok: (value, message = `${value} is not true`) => {
    if (!value) throw new Error(message);
  },
  equal: (found, expected, message = '') => {
    if (!Object.is(found, expected)) throw new Error(`${shown(found)} is not ${shown(expected)} ${message}`);
  },
  // Of plain data.
  deepEqual: (found, expected) => {
    if (shown(found) !== shown(expected)) throw new Error(`${shown(found)} is not ${shown(expected)}`);
  },
};

const kinds = { indexeddb: IndexedDbVolume, opfs: OpfsVolume };

self.onmessage = async ({ data: { kind, place } }) => {
  const results = [];
  for (const [i, [title, run]] of conformanceCases(assert).entries()) {
    try {
      await run(() => new kinds[kind](`${place}/${i}`));
      results.push({ title });
    } catch (error) {
      results.push({ title, error: String(error?.stack ?? error) });
    }
  }
  self.postMessage(results);
};
