// The short form of the power loss; `npm run torture` runs it at length.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Violation } from './ledger.mjs';
import { loseThePower } from './power-loss.mjs';

test('what was acknowledged as strict survives a power loss', async () => {
  let states = 0;
  await loseThePower({ seed: 1, from: 0, count: 3, share: 0.04, done: (_, looked) => (states += looked) });
  assert.ok(states > 20, `${states}`);
});

test('a disk on which syncing does nothing is found out', async () => {
  await assert.rejects(loseThePower({ seed: 1, from: 0, count: 1, deaf: true }), Violation);
});
