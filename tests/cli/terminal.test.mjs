// Under a pseudo-terminal: colours, highlighted words, a progress line; and none of them where they are not wanted.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';

import { folderWith, nearfield, program, repository, start } from './support.mjs';

const hasScript = spawnSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0;
const skip = hasScript ? false : 'script (util-linux) is not here';

// Runs the program with a terminal of `columns` as all three streams.
function onTerminal(words, { cwd, env, columns = 72 }) {
  const quoted = [process.execPath, program, ...words].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  return start('script', ['-qec', `stty cols ${columns}; exec ${quoted}`, '/dev/null'], { cwd, env }).done;
}

test('a terminal gets colours, progress and lines that fit', { skip }, async (t) => {
  const cwd = folderWith(t, repository);
  const indexed = await onTerminal(['index', '.'], { cwd });
  assert.equal(indexed.code, 0, indexed.stdout);
  assert.match(indexed.stdout, /\r\x1b\[Kindexing \d+ of 6 files/);
  assert.match(indexed.stdout, /✓.*indexed 6 files/);

  const found = await onTerminal(['search', 'how are uploads retried'], { cwd });
  assert.equal(found.code, 0);
  assert.match(found.stdout, /\x1b\[1;33mretr\w*\x1b\[22;39m/i);
  const plain = found.stdout.replace(/\x1b\[[0-9;]*m/g, '');
  assert.match(plain, /^1\. .+ · \w+/);
  const texts = plain
    .split(/\r?\n/)
    .filter((line) => line.startsWith('   ') && !/:\d+(-\d+)?  [0-9a-f]{16}$/.test(line));
  assert.ok(texts.length > 0);
  for (const line of texts) assert.ok(line.length <= 72, line);
});

test('colours are left out when asked', { skip }, async (t) => {
  const cwd = folderWith(t, repository);
  await nearfield(['index', '.'], { cwd });
  const cases = [
    [{ NO_COLOR: '1' }, []],
    [{ TERM: 'dumb' }, []],
    [{}, ['--color', 'never']],
    [{}, ['--json']],
  ];
  for (const [env, words] of cases) {
    const { code, stdout } = await onTerminal(['search', 'uploader', ...words], { cwd, env });
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /\x1b/);
  }
});

test('a pipe gets colours when asked', async (t) => {
  const cwd = folderWith(t, repository);
  await nearfield(['index', '.'], { cwd });
  assert.match((await nearfield(['search', 'uploader'], { cwd, env: { FORCE_COLOR: '1' } })).stdout, /\x1b\[1;33m/);
  assert.match((await nearfield(['search', 'uploader', '--color=always'], { cwd })).stdout, /\x1b\[1;33m/);
  assert.doesNotMatch((await nearfield(['search', 'uploader', '--color=always', '--json'], { cwd })).stdout, /\x1b/);
});
