// The README's code is run as it stands, so it cannot rot.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const project = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const blocks = [...readFileSync(path.join(project, 'README.md'), 'utf8').matchAll(/^```js\n([\s\S]*?)^```/gm)].map(
  (match) => match[1],
);

/** Runs a block as a module inside the project (so that it resolves `nearfield`), in a folder of its own. */
function runBlock(code, t) {
  mkdirSync(path.join(project, 'build'), { recursive: true });
  const folder = mkdtempSync(path.join(project, 'build', 'readme-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(path.join(folder, '.kiro', 'specs', 'upload'), { recursive: true });
  writeFileSync(
    path.join(folder, '.kiro', 'specs', 'upload', 'requirements.md'),
    '# Requirements\n\n### Requirement 1: Uploads\n\n1. WHEN an upload fails THEN the client SHALL retry it three times\n',
  );
  writeFileSync(path.join(folder, 'example.mjs'), code);
  return spawnSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' });
}

test('the first example prints what its comment says', (t) => {
  const { stdout, stderr, status } = runBlock(blocks[0], t);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.equal(stdout.trim(), blocks[0].match(/console\.log\(.*\); \/\/ (.*)/)[1]);
});

test('the spec search example finds the criterion', (t) => {
  const { stdout, stderr, status } = runBlock(blocks[1], t);
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.match(stdout.split('\n')[0], /\.kiro\/specs\/upload\/requirements\.md:5 requirement WHEN an upload fails/);
});

test('the example of a store finds its point', (t) => {
  const { stdout, stderr, status } = runBlock(
    blocks.find((block) => block.includes('connect({')),
    t,
  );
  assert.equal(stderr, '');
  assert.equal(status, 0);
  assert.equal(stdout.trim(), "any string { ready: true, message: '' }");
});
