// The fake Weaviate answers as the real one did.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { recording, replay, settleTies, without } from '../support/fakes/recordings.mjs';

// Where a cut goes through equal scores, either object is right.
const cut = ['hybrid-alpha-1'];

// What an adapter must not send, though the server may take it.
const improper = [
  'batch-bad-uuid',
  'batch-unknown-class',
  'batch-malformed',
  'batch-nan',
  'near-limit-0',
  'near-limit-huge',
  'near-unknown-property',
  'near-variable',
  'syntax-error',
  'where-contains-any-empty',
  'hybrid-alpha-2',
  'unknown-route',
];

const exchanges = recording('weaviate');

test('the fake Weaviate answers as recorded', { skip: exchanges === null }, (t) => {
  const open = new FakeWeaviate();
  const locked = new FakeWeaviate({ apiKey: 'test-key' });
  const { matched, left, failures } = replay(exchanges, {
    outOfScope: () => undefined,
    fakeFor: ({ name }) => (name.startsWith('auth-') ? locked : open),
    headers: ['access-control-allow-origin', 'access-control-allow-methods'],
    normalise(body, { name }) {
      const ignored = [
        'creationTimeUnix',
        'lastUpdateTimeUnix',
        'explainScore',
        ...(cut.includes(name) ? ['id', 'nf_id'] : []),
      ];
      return without(body, ignored, (value) => {
        // The names of shards are random.
        if (typeof value === 'string') return value.replace(/shard \w+/, 'shard');
        if (typeof value?.score === 'string') return { ...value, score: Number(value.score) };
        const hit = (one) => one?._additional !== undefined;
        if (!Array.isArray(value) || !value.every(hit)) return value;
        const scored = ({ _additional: { score, distance } }) => Number(score ?? distance);
        return settleTies(value, scored, (one) => one._additional.id);
      });
    },
  });
  assert.deepEqual(failures, []);
  assert.equal(matched.length + left.length, exchanges.length);
  assert.deepEqual(
    matched.filter(({ violations }) => violations.length > 0).map(({ name }) => name),
    improper,
  );
  t.diagnostic(`${matched.length} of ${exchanges.length} exchanges`);
});
