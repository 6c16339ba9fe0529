// The package as its users meet it: what it exports, and that importing it does nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

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
    'asVectorBackend',
    'asVectorStore',
    'checkConfig',
    'connect',
    'doctor',
    'load',
    'loadEmbedder',
    'open',
    'registerBackend',
    'registerVectorBackend',
    'unregisterBackend',
  ]);
  assert.deepEqual(Object.keys(await import('nearfield/specs')).sort(), ['Specs', 'load', 'openSpecs']);
});

// What runs an engine, and which file that has to come from.
const uses = [
  [`import { open } from 'nearfield';`, `(await open({ storage: 'memory' })).close()`, 'nearfield.wasm'],
  [`import { loadEmbedder } from 'nearfield';`, `(await loadEmbedder()).close()`, 'nearfield.wasm'],
  [
    `import { openSpecs } from 'nearfield/specs';`,
    `openSpecs({ storage: 'memory' }).then((specs) => specs.index([{ path: 'a.md', text: '# A' }]))`,
    'nearfield-specs.wasm',
  ],
];

test('each entry reads one WebAssembly file, its own', () => {
  for (const [load, use, file] of uses) {
    const script = `
      ${load}
      const sizes = [];
      const { compile } = WebAssembly;
      WebAssembly.compile = (bytes) => (sizes.push(bytes.length), compile(bytes));
      await ${use};
      console.log(JSON.stringify(sizes));
    `;
    const sizes = JSON.parse(run(process.execPath, '--input-type=module', '--eval', script));
    assert.deepEqual(sizes, [statSync(`${root}/dist/${file}`).size], load);
  }
});

test('an application is bundled with the WebAssembly files of what it imports', () => {
  const doctor = [`import { doctor } from 'nearfield';`, `doctor({ path: 'x' })`, 'nearfield-doctor.wasm'];
  const config = [`import { checkConfig } from 'nearfield';`, `checkConfig({ config: '' })`, 'nearfield-connect.wasm'];
  for (const [load, use, file] of [...uses, doctor, config]) {
    const { outputFiles } = buildSync({
      absWorkingDir: root,
      stdin: { contents: `${load} await ${use};`, resolveDir: root },
      external: ['node:*'],
      bundle: true,
      splitting: true,
      format: 'esm',
      outdir: 'build',
      write: false,
    });
    const text = outputFiles.map((output) => output.text).join('');
    // As bundlers look for files.
    const named = [...text.matchAll(/new URL\("(?:\.\/)?([^"]+\.wasm)", import\.meta\.url\)/g)].map(([, name]) => name);
    assert.deepEqual(named, [file], load);
  }
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
