#!/usr/bin/env node
// Runs every check and test, keeps each runner's own output, and ends with one line over all of them.
//
//   npm test                       set up, build, check, test
//   scripts/test.mjs [NAME...]     only the steps whose name starts with one of NAME (see --list); set up first
//   scripts/test.mjs --list        the names of the steps
//
// The exit code is 0 when nothing failed. A build that fails counts as one failure and ends the run.

import { spawn } from 'node:child_process';
import { readdirSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const project = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
process.chdir(project);

const totals = { passed: 0, failed: 0, skipped: 0 };

/** Runs a command, passing its output through; answers its exit code and what it printed. */
function run(command, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let text = '';
    for (const [stream, out] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      stream.setEncoding('utf8');
      stream.on('data', (chunk) => {
        text = (text + chunk).slice(-100_000);
        out.write(chunk);
      });
    }
    child.on('error', (error) => resolve({ code: 127, text: String(error) }));
    child.on('close', (code, signal) => resolve({ code: code ?? `signal ${signal}`, text }));
  });
}

function count(passed, failed, skipped = 0) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
}

/** A check has no tests of its own: it is one. */
async function check(command, ...args) {
  const { code } = await run(command, args);
  count(code === 0 ? 1 : 0, code === 0 ? 0 : 1);
}

async function build(command, ...args) {
  const { code } = await run(command, args);
  if (code === 0) return;
  count(0, 1);
  finish();
}

/** Catch2 closes with "All tests passed (A assertions in T test cases)" or "test cases: T | P passed | F failed". */
async function catch2(command, ...args) {
  const { code, text } = await run(command, [...args, '--colour-mode', 'none']);
  const number = (pattern) => Number(text.match(pattern)?.[1] ?? 0);
  const skipped = number(/^test cases:.*?(\d+) skipped/m);
  const failed = number(/^test cases:.*?(\d+) failed/m);
  const passed = number(/^All tests passed \(.* in (\d+) test case/m) || number(/^test cases:.*?(\d+) passed/m);
  const broken = failed === 0 && (code !== 0 || passed + skipped === 0);
  count(passed, failed + (broken ? 1 : 0), skipped);
}

/** Node's runner closes with "# pass N", "# fail N", "# skipped N". */
async function nodeTests(folder, options = []) {
  const files = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.test.mjs'))
        .sort()
        .map((name) => path.join(folder, name))
    : [];
  const { code, text } = await run('node', ['--test', '--test-reporter=tap', ...options, ...files]);
  const number = (name) => Number(text.match(new RegExp(`^# ${name} (\\d+)`, 'm'))?.[1] ?? 0);
  const [passed, failed, cancelled] = [number('pass'), number('fail'), number('cancelled')];
  const broken = failed + cancelled === 0 && (code !== 0 || passed === 0);
  count(passed, failed + cancelled + (broken ? 1 : 0), number('skipped'));
}

/** Every fuzz target for so many seconds, two at a time; each counts as a test. They need clang's runtime. */
async function fuzzTests(seconds) {
  const { text } = await run('scripts/toolchain', ['sh', '-c', 'echo "$NEARFIELD_CXX"']);
  if (!text.includes('clang')) {
    console.log(`skipped: the fuzz targets need clang, and the native compiler is ${text.trim()}`);
    return count(0, 0, 1);
  }
  await build('scripts/build', 'fuzz');
  const targets = readdirSync('tests/fuzz')
    .filter((name) => name.endsWith('_fuzz.cpp'))
    .map((name) => path.basename(name, '.cpp'));
  const work = async () => {
    for (let target = targets.shift(); target !== undefined; target = targets.shift()) {
      await check('scripts/fuzz', String(seconds), target);
    }
  };
  await Promise.all([work(), work()]);
}

const steps = [
  ['build native', () => build('scripts/build', 'native')],
  [
    'native',
    async () => {
      const folder = 'build/native/tests';
      for (const name of readdirSync(folder)
        .filter((entry) => /^tests_\w+$/.test(entry))
        .sort()) {
        console.log(`--- ${name}`);
        await catch2('scripts/toolchain', path.join(folder, name));
      }
    },
  ],
  ['build wasm', () => build('scripts/build', 'wasm')],
  ['wasm', () => catch2('node', 'build/wasm/tests/tests_wasm.cjs')],
  ['build js', () => build('scripts/build-js.mjs')],
  ['build demo', () => build('node', 'scripts/start.mjs', '--build-only')],
  ['demo types', () => check('node_modules/.bin/tsc', '--project', 'demo')],
  ['format', () => check('scripts/format', '--check')],
  ['generated', () => check('node', 'scripts/generate.mjs', '--check')],
  ['unicode', () => check('node', 'scripts/generate-unicode.mjs', '--check')],
  ['layers', () => check('node', 'scripts/check-layers.mjs')],
  ['js', () => nodeTests('tests/js')],
  ['cli', () => nodeTests('tests/cli')],
  ['package', () => nodeTests('tests/package')],
  ['browser', () => nodeTests('tests/browser')],
  ['torture', () => nodeTests('tests/torture')],
  ['fuzz', () => fuzzTests(30)],
];

function finish() {
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
  console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
  process.exit(totals.failed > 0 || totals.passed === 0 ? 1 : 0);
}

const wanted = process.argv.slice(2);
if (wanted.includes('--list')) {
  for (const [name] of steps) console.log(name);
  process.exit(0);
}
const unknown = wanted.filter((name) => !steps.some(([step]) => step.startsWith(name)));
if (unknown.length > 0) {
  console.error(`scripts/test.mjs: no step is called ${unknown.join(', ')}; --list names them.`);
  process.exit(2);
}
const started = Date.now();
for (const [name, action] of steps) {
  if (wanted.length > 0 && !wanted.some((prefix) => name.startsWith(prefix))) continue;
  console.log(`=== ${name} (${Math.round((Date.now() - started) / 1000)} s)`);
  await action();
}
finish();
