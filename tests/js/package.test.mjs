// The package as its users meet it: what it exports, and that importing it does nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = (command, ...args) => execFileSync(command, args, { cwd: root, encoding: 'utf8' });
const manifest = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));

test('every export names a file that is there, types first', () => {
  for (const [name, target] of Object.entries(manifest.exports)) {
    const files = typeof target === 'string' ? [target] : Object.values(target);
    for (const file of files) assert.ok(existsSync(`${root}/${file}`), `${name}: ${file}`);
    if (typeof target !== 'string') {
      assert.equal(Object.keys(target)[0], 'types');
      assert.equal(Object.keys(target).at(-1), 'default');
    }
  }
});

test('the names it exports are the promised ones', async () => {
  assert.deepEqual(Object.keys(await import('nearfield')).sort(), [
    'NearfieldError',
    'doctor',
    'load',
    'loadEmbedder',
    'open',
  ]);
});

test('importing it touches no global and starts nothing', () => {
  const script = `
    const touched = [];
    for (const [owner, name] of [
      [globalThis, 'fetch'], [globalThis, 'setTimeout'], [globalThis, 'setInterval'],
      [WebAssembly, 'compile'], [WebAssembly, 'instantiate'], [WebAssembly, 'Memory'],
    ]) {
      const real = owner[name];
      owner[name] = function (...given) { touched.push(name); return real.apply(this, given); };
    }
    const before = JSON.stringify(Object.getOwnPropertyNames(globalThis));
    await import('nearfield');
    console.log(JSON.stringify({ touched, same: before === JSON.stringify(Object.getOwnPropertyNames(globalThis)) }));
  `;
  const answer = JSON.parse(run(process.execPath, '--input-type=module', '--eval', script));
  assert.deepEqual(answer, { touched: [], same: true });
});

test('generated files are what the lists say', () => {
  run(process.execPath, 'scripts/generate.mjs', '--check');
});

test('nothing in it evaluates text', () => {
  const glue = readFileSync(`${root}/dist/nearfield.mjs`, 'utf8');
  assert.doesNotMatch(glue, /\beval\(|new Function\b/);
  run(
    process.execPath,
    '--disallow-code-generation-from-strings',
    '--input-type=module',
    '--eval',
    "import { open } from 'nearfield'; await (await open({ storage: 'memory' })).close();",
  );
});
