// backup, restore and doctor on the command line: exit codes, pipes, and nothing left behind.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { folderWith, jsonLines, nearfield, program, repository } from './support.mjs';

async function indexedRepository(t) {
  const cwd = folderWith(t, repository);
  const { code, stderr } = await nearfield(['index', '.'], { cwd });
  assert.equal(code, 0, stderr);
  return cwd;
}

async function succeeds(words, cwd) {
  const result = await nearfield(words, { cwd });
  assert.equal(result.code, 0, `${words.join(' ')}: ${result.stderr}`);
  return result;
}

async function fails(words, cwd, code, message) {
  const result = await nearfield(words, { cwd });
  assert.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`);
  assert.equal(result.stdout, '');
  assert.match(result.stderr, message);
}

/** Runs a command with `input` on its standard input; answers its exit code and the bytes it printed. */
function piped(words, cwd, input) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    const stdout = [];
    let stderr = '';
    child.stdout.on('data', (chunk) => stdout.push(chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(stdout), stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

test('backup and restore through a file and through pipes', async (t) => {
  const cwd = await indexedRepository(t);
  const search = (await succeeds(['search', 'uploads', '--json'], cwd)).stdout;
  const { stdout } = await succeeds(['backup', 'specs.backup'], cwd);
  assert.match(stdout, /^✓ backed up \d+ points of 2 collections, .* to specs\.backup\n$/);
  const [report] = jsonLines((await succeeds(['backup', 'again.backup', '--json'], cwd)).stdout);
  assert.equal(report.collections, 2);
  assert.equal(report.bytes, readFileSync(join(cwd, 'specs.backup')).length);

  const out = await piped(['backup', '-'], cwd, '');
  assert.equal(out.code, 0, out.stderr);
  assert.deepEqual(out.stdout, readFileSync(join(cwd, 'specs.backup')));

  await succeeds(['restore', 'specs.backup', '--db', 'copy'], cwd);
  const copied = await succeeds(['search', 'uploads', '--json', '--db', 'copy'], cwd);
  assert.deepEqual(
    jsonLines(copied.stdout).map(({ id }) => id),
    jsonLines(search).map(({ id }) => id),
  );
  const through = await piped(['restore', '-', '--db', 'piped', '--json'], cwd, out.stdout);
  assert.equal(through.code, 0, through.stderr);
  assert.equal(jsonLines(String(through.stdout))[0].points, report.points);
  // Into a database that is there.
  await succeeds(['restore', 'specs.backup'], cwd);
  assert.match((await succeeds(['search', 'uploads'], cwd)).stdout, /uploads/);
});

test('a bad backup changes nothing and leaves nothing behind', async (t) => {
  const cwd = await indexedRepository(t);
  await succeeds(['backup', 'good.backup'], cwd);
  const good = readFileSync(join(cwd, 'good.backup'));
  writeFileSync(join(cwd, 'cut.backup'), good.subarray(0, good.length - 9));
  writeFileSync(join(cwd, 'empty.backup'), '');
  const before = readdirSync(join(cwd, '.nearfield')).sort();
  for (const file of ['cut.backup', 'empty.backup']) {
    await fails(['restore', file], cwd, 3, /^nearfield: the backup [^\n]+\n$/);
    await fails(['restore', file, '--db', 'new'], cwd, 3, /the backup/);
    assert.ok(!existsSync(join(cwd, 'new')));
  }
  assert.deepEqual(readdirSync(join(cwd, '.nearfield')).sort(), before);
  await fails(['restore', 'missing.backup'], cwd, 2, /no file missing\.backup/);
  await fails(['restore', 'missing.backup', '--db', 'new'], cwd, 2, /no file/);
  assert.ok(!existsSync(join(cwd, 'new')));
  assert.match((await succeeds(['search', 'uploads'], cwd)).stdout, /uploads/);
});

test('operands and flags that make no sense', async (t) => {
  const cwd = folderWith(t);
  await fails(['backup', 'a.backup'], cwd, 2, /no database at \.nearfield/);
  await fails(['doctor'], cwd, 2, /no database at \.nearfield/);
  await fails(['doctor', '--repair'], cwd, 2, /no database at \.nearfield/);
  assert.deepEqual(readdirSync(cwd), []);
  await fails(['backup'], cwd, 2, /backup needs a file/);
  await fails(['restore', 'a', 'b'], cwd, 2, /takes one file, got also b/);
  await fails(['doctor', 'x'], cwd, 2, /takes no operands/);
  await fails(['stats', '--repair'], cwd, 2, /--repair does nothing for stats; it works with doctor/);
  for (const command of ['backup', 'restore', 'doctor']) {
    assert.match((await succeeds([command, '--help'], cwd)).stdout, new RegExp(`^nearfield ${command}`));
  }
});

test('a backup nobody reads is no success', async (t) => {
  const cwd = await indexedRepository(t);
  const child = spawn(process.execPath, [program, 'backup', '-'], { cwd, stdio: ['ignore', 'pipe', 'ignore'] });
  child.stdout.destroy();
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 3);
});

test('the doctor says what is damaged, exits with 1, and repairs', async (t) => {
  const cwd = await indexedRepository(t);
  const sound = await succeeds(['doctor'], cwd);
  assert.match(sound.stdout, /✓ sound +manifest-/);
  assert.match(sound.stdout, /\.nearfield is sound/);
  assert.equal(JSON.parse((await succeeds(['doctor', '--json'], cwd)).stdout).healthy, true);

  const folder = join(cwd, '.nearfield');
  const manifest = readdirSync(folder)
    .filter((name) => name.startsWith('manifest-'))
    .sort()
    .at(-1);
  truncateSync(join(folder, manifest), 50);
  const damaged = await nearfield(['doctor'], { cwd });
  assert.equal(damaged.code, 1);
  assert.ok(damaged.stdout.includes(`✗ damaged    ${manifest}`), damaged.stdout);
  assert.match(damaged.stderr, /doctor --repair/);
  const repaired = await nearfield(['doctor', '--repair', '--json'], { cwd });
  const { repair, newest } = JSON.parse(repaired.stdout);
  assert.equal(repair.generation, newest + 1);
  assert.equal(repair.lost.length, 1);
  assert.equal(repaired.code, 1);
  assert.match((await succeeds(['search', 'uploads'], cwd)).stdout, /uploads/);
});

test('a repair that loses nothing exits with 0', async (t) => {
  const cwd = await indexedRepository(t);
  const folder = join(cwd, '.nearfield');
  const index = readdirSync(folder).find((name) => name.startsWith('index-'));
  truncateSync(join(folder, index), 100);
  assert.equal((await nearfield(['doctor'], { cwd })).code, 1);
  const repaired = await succeeds(['doctor', '--repair', '--json'], cwd);
  assert.deepEqual(JSON.parse(repaired.stdout).repair.lost, []);
  assert.match((await succeeds(['search', 'uploads'], cwd)).stdout, /uploads/);
});
