// What a page downloads stays small, and nobody is surprised by it: the figures are checked in.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { measureSizes, sizesFile } from '../../scripts/sizes.mjs';

// Specs may add 25 KB to the engine. The doctor has no bar: who calls it waits for its disk. Of JavaScript everything there
// is: a page that does not back up, follow or recover loads about two thirds of it.
const bars = { 'nearfield.wasm': 260_000, 'nearfield-specs.wasm': 285_000, javascript: 36 * 1024 };
const measured = measureSizes();
const noted = JSON.parse(readFileSync(sizesFile, 'utf8'));

for (const [name, most] of Object.entries(bars)) {
  test(`${name}: at most ${most} bytes gzip`, () => {
    const { gzip } = measured[name];
    assert.ok(gzip <= most, `${name} has ${gzip} bytes gzip; ${gzip - most} too many`);
  });
}

test('the checked-in figures are those of this build', () => {
  assert.deepEqual(Object.keys(noted), Object.keys(measured));
  for (const [name, sizes] of Object.entries(measured)) {
    for (const [kind, size] of Object.entries(sizes)) {
      // Versions of the compilers differ a little from machine to machine.
      const drift = Math.abs(size - noted[name][kind]) / noted[name][kind];
      const message = `${name}, ${kind}: ${size}, noted ${noted[name][kind]}; scripts/build-js.mjs --write-sizes notes it`;
      assert.ok(drift <= 0.02, message);
    }
  }
});

test('the README says what a page downloads', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\|[^|]*\| `([\w-]+\.wasm)` +\| (\d+) KB +\|/gm)];
  const said = Object.fromEntries(rows.map(([, name, kilobytes]) => [name, Number(kilobytes)]));
  assert.deepEqual(
    Object.keys(said),
    Object.keys(noted).filter((name) => name.endsWith('.wasm')),
  );
  for (const [name, kilobytes] of Object.entries(said)) {
    const drift = Math.abs(kilobytes - noted[name].gzip / 1000);
    assert.ok(drift <= 3, `${name}: ${kilobytes} KB, noted ${noted[name].gzip} bytes`);
  }
});
