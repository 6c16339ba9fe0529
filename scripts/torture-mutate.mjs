#!/usr/bin/env node
// Takes away each guard of the storage (tests/torture/guards.mjs), one at a time, in a copy of the project, and writes
// into tests/torture/GUARDS.md which test notices.
//
//   npm run torture:mutate                   all of them
//   npm run torture:mutate -- TEXT...        those whose file or name contains one of TEXT
//   scripts/torture-mutate.mjs --list        the guards
//
// The suites of C++ run without sanitizers (build/plain), which is several times as fast: a test that fails there fails
// with them too. A guard whose absence only a sanitizer sees says `side: 'native'`.
//
// The copy is build/mutate/project; it is kept, so that the next run compiles less. A run of some guards leaves the lines
// of the others as they are. The exit code is 1 where a guard is missed by its suite.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { list, readTable, writeTable } from '../tests/torture/guards.mjs';

const project = fileURLToPath(new URL('..', import.meta.url));
process.chdir(project);

const texts = process.argv.slice(2);
const onlyList = texts[0] === '--list';
if (texts.some((text) => text.startsWith('-')) && !(onlyList && texts.length === 1)) {
  console.error('usage: scripts/torture-mutate.mjs [--list | TEXT...]');
  process.exit(2);
}
const chosen = list.filter(
  ({ file, name }) => onlyList || texts.length === 0 || texts.some((text) => `${file}: ${name}`.includes(text)),
);
if (chosen.length === 0) {
  console.error(`torture-mutate: no guard is called ${texts.join(', ')}`);
  process.exit(2);
}
if (onlyList) {
  for (const { file, name, by } of chosen) console.log(`${file}: ${name}  (${by})`);
  process.exit(0);
}

/** A test that runs longer hangs, which is noticed too. */
const patienceMs = 600_000;
const copy = join(project, 'build/mutate/project');

/** Writes a file only where it differs: what did not change is not compiled again. */
function put(path, bytes) {
  if (existsSync(path) && readFileSync(path).equals(bytes)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

function makeCopy() {
  mkdirSync(copy, { recursive: true });
  const files = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  // Sources only; what they import from node_modules, and the compiled engine, come from here.
  for (const name of files.stdout.split('\0')) {
    if (!/^(core|storage|wasm|js|tests|scripts|demo\/corpora)\/|^[^/]+$/.test(name) || !existsSync(name)) continue;
    if (name === 'node_modules' || name === 'tsconfig.json' || name === 'CMakeLists.txt') continue;
    put(join(copy, name), readFileSync(name));
    if (name.startsWith('scripts/')) spawnSync('chmod', ['+x', join(copy, name)]);
  }
  // What a guard looked at may have no other use.
  const strict = readFileSync('tsconfig.json', 'utf8');
  put(join(copy, 'tsconfig.json'), Buffer.from(strict.replace(/("noUnused\w+": )true/g, '$1false')));
  put(join(copy, 'CMakeLists.txt'), Buffer.from(readFileSync('CMakeLists.txt', 'utf8').replace(':-Werror>', ':-w>')));
  rmSync(join(copy, 'node_modules'), { force: true, recursive: true });
  symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'));
  cpSync('.toolchain', join(copy, '.toolchain'), { recursive: true });
  const engine = 'build/wasm/wasm';
  if (!existsSync(`${engine}/nearfield.wasm`)) {
    console.error('torture-mutate: build the engine first (npm run build)');
    process.exit(2);
  }
  for (const folder of ['.', 'specs', 'doctor']) {
    mkdirSync(join(copy, engine, folder), { recursive: true });
    for (const name of ['nearfield.mjs', 'nearfield.wasm']) {
      copyFileSync(join(engine, folder, name), join(copy, engine, folder, name));
    }
  }
}

function run(command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: copy,
    encoding: 'utf8',
    timeout: patienceMs,
    maxBuffer: 1e8,
  });
  return { ok: status === 0, hangs: error?.code === 'ETIMEDOUT', text: `${stdout}${stderr}` };
}

const isNative = ({ by }) => !by.includes('/');
const sideOf = ({ side }) => side ?? 'plain';

function build(guard) {
  return isNative(guard) ? run('scripts/build', sideOf(guard), guard.by) : run('node', 'scripts/build-js.mjs');
}

/** Runs a suite; answers the first test of it that fails. */
function firstFailure(guard) {
  const { by } = guard;
  const result = isNative(guard)
    ? run('scripts/toolchain', `build/${sideOf(guard)}/tests/${by}`, '--abort', '--colour-mode', 'none')
    : run('node', '--test', '--test-reporter=tap', by);
  if (result.hangs) return 'it hangs';
  if (result.ok) return undefined;
  const found = isNative(guard)
    ? (/^-{20,}\n((?:(?!-{20,})\S.*\n)+)/m.exec(result.text)?.[1].replace(/\n/g, ' ') ??
      /SUMMARY: .*/.exec(result.text)?.[0])
    : [...result.text.matchAll(/^ *not ok \d+ - (.*)$/gm)].map(([, name]) => name)[0];
  return found ?? `it fails: ${result.text.trim().split('\n').at(-1)}`;
}

makeCopy();
// What fails by itself notices nothing.
const suites = new Map(chosen.map((guard) => [`${guard.by} (${sideOf(guard)})`, guard]));
for (const guard of suites.values()) {
  const built = build(guard);
  const failure = built.ok ? firstFailure(guard) : built.text.slice(-2000);
  if (failure === undefined) continue;
  console.error(`torture-mutate: ${guard.by} fails with every guard in place: ${failure}`);
  process.exit(1);
}

const table = join(project, 'tests/torture/GUARDS.md');
const noticed = existsSync(table) ? readTable(readFileSync(table, 'utf8')) : new Map();
let missed = 0;
for (const guard of chosen) {
  const { file, name, find, put: replacement, by } = guard;
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  if (text.split(find).length !== 2) {
    console.error(`torture-mutate: ${file} does not hold exactly once: ${find}`);
    process.exit(1);
  }
  writeFileSync(
    path,
    text.replace(find, () => replacement),
  );
  const built = build(guard);
  const failure = built.ok ? firstFailure(guard) : undefined;
  writeFileSync(path, text);
  if (failure === undefined) {
    ++missed;
    noticed.delete(`${file}: ${name}`);
    const why = built.ok
      ? 'MISSED'
      : `NOT TRIED, it does not compile: ${/.*error:.*/.exec(built.text)?.[0] ?? built.text.slice(-300)}`;
    console.log(`${file}: ${name}: ${why}`);
  } else {
    noticed.set(`${file}: ${name}`, `${by}: ${failure.trim()}`);
    console.log(`${file}: ${name}: ${by}: ${failure.trim()}`);
  }
  writeFileSync(table, writeTable(noticed));
}
// The last guard is back in its place.
for (const guard of suites.values()) build(guard);
console.log(`${chosen.length - missed} of ${chosen.length} guards are noticed`);
process.exit(missed === 0 ? 0 : 1);
