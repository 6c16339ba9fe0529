// The short form of the attacks on pages; `npm run torture` runs them at length.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killBrowsers } from './browser-kill.mjs';
import { findBrowser } from './browsers.mjs';
import { Violation } from './ledger.mjs';

for (const [kind, count] of [
  ['chromium', 10],
  ['firefox', 5],
]) {
  const skip = findBrowser(kind) === undefined && `no ${kind} was found; scripts/setup --test installs it`;
  test(`pages killed in ${kind} lose nothing they acknowledged`, { skip }, async () => {
    const ways = [];
    await killBrowsers({ kind, seed: 1, from: 0, count, done: (_, how) => ways.push(how) });
    assert.equal(ways.length, count);
  });
}

const skip = findBrowser('chromium') === undefined && 'no chromium was found; scripts/setup --test installs it';
test('a page that acknowledges before it writes is found out', { skip }, async () => {
  await assert.rejects(killBrowsers({ kind: 'chromium', seed: 1, from: 0, count: 60, early: true }), Violation);
});
