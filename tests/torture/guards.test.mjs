// The list of guards is fresh: each stands in its file, once, and GUARDS.md says which test notices that it is gone.
// `npm run torture:mutate` takes them away and writes that file.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { list, readTable, writeTable } from './guards.mjs';

const project = join(import.meta.dirname, '../..');

test('each guard stands in its file exactly once', () => {
  const stale = [];
  const names = new Set();
  for (const { file, name, find, put, by } of list) {
    const times = readFileSync(join(project, file), 'utf8').split(find).length - 1;
    if (times !== 1) stale.push(`${file}: ${name}: ${times} times: ${find}`);
    assert.notEqual(find, put, name);
    assert.ok(!by.includes('/') || existsSync(join(project, by)), by);
    assert.ok(!names.has(`${file}: ${name}`), name);
    names.add(`${file}: ${name}`);
  }
  assert.deepEqual(stale, [], 'change tests/torture/guards.mjs together with the code');
});

test('GUARDS.md names a test for each guard', () => {
  const text = readFileSync(join(import.meta.dirname, 'GUARDS.md'), 'utf8');
  const noticed = readTable(text);
  const unnoticed = list.map(({ file, name }) => `${file}: ${name}`).filter((guard) => !noticed.has(guard));
  assert.deepEqual(unnoticed, [], 'run npm run torture:mutate -- TEXT for these');
  assert.equal(text, writeTable(noticed), 'a guard is no longer in the list, or the text was changed by hand');
});
