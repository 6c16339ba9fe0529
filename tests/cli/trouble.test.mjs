// Bad input and bad luck: the right exit code, one sentence, and a good call right after that succeeds.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { folderWith, jsonLines, nearfield, program, repository, start, writeFiles } from './support.mjs';

async function indexedRepository(t, files = repository) {
  const cwd = folderWith(t, files);
  const { code, stderr } = await nearfield(['index', '.'], { cwd });
  assert.equal(code, 0, stderr);
  return cwd;
}

async function fails(words, cwd, code, message) {
  const result = await nearfield(words, { cwd });
  assert.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`);
  assert.equal(result.stdout, '');
  assert.match(result.stderr, /^nearfield: [^\n]+\n$/);
  assert.match(result.stderr, message);
}

async function stillWorks(cwd) {
  const { code, stdout, stderr } = await nearfield(['search', 'uploader'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /uploads/);
}

test('without a database, reading says what to do and creates nothing', async (t) => {
  const cwd = folderWith(t, repository);
  for (const words of [['search', 'x'], ['stats'], ['get', 'x']]) {
    await fails(words, cwd, 2, /no database at \.nearfield; run nearfield index <folder> first/);
  }
  assert.ok(!existsSync(join(cwd, '.nearfield')));
  // An empty folder is no database either, and stays empty.
  const empty = folderWith(t);
  await fails(['stats', '--db', empty], cwd, 2, /no database at /);
  assert.deepEqual(readdirSync(empty), []);
});

test('folders that are missing, files, empty or named twice', async (t) => {
  const cwd = await indexedRepository(t);
  await fails(['index', 'missing'], cwd, 2, /folder missing is not there/);
  await fails(['index', 'docs/operations.md'], cwd, 2, /docs\/operations\.md is not a folder/);
  await fails(['index', ''], cwd, 2, /empty/);
  await fails(['index', '.', '.'], cwd, 2, /both called/);
  await stillWorks(cwd);

  await fails(['index', 'missing', '--db', 'new'], cwd, 2, /missing/);
  assert.ok(!existsSync(join(cwd, 'new')));
});

test('a folder without markdown exits with 1', async (t) => {
  const cwd = folderWith(t, { 'a.txt': 'words' });
  const { code, stderr } = await nearfield(['index', '.'], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /no markdown files/);
});

test('a database path that is a file', async (t) => {
  const cwd = await indexedRepository(t);
  await fails(['search', 'x', '--db', 'docs/operations.md'], cwd, 2, /is not a folder/);
  const index = await nearfield(['index', '.', '--db', 'docs/operations.md'], { cwd });
  assert.ok(index.code === 2 || index.code === 3, String(index.code));
  assert.match(index.stderr, /^nearfield: [^\n]+\n$/);
  await stillWorks(cwd);
});

test('questions and filters the engine refuses', async (t) => {
  const cwd = await indexedRepository(t);
  await fails(['search', '   '], cwd, 2, /needs a question/);
  await fails(['search', 'x', '--filter', '{"a":{"$foo":1}}'], cwd, 2, /\$foo/);
  const { code, stderr } = await nearfield(['search', 'x', '--json', '--filter', '{"a":{"$foo":1}}'], { cwd });
  assert.equal(code, 2);
  assert.equal(JSON.parse(stderr).error.code, 'FilterError');
  await fails(['search', 'x'.repeat(100_000) + ' xyzzy', '--mode', 'text'], cwd, 1, /nothing found/);
  await stillWorks(cwd);
});

test('a file above 64 MiB is refused by name before anything changes', async (t) => {
  const cwd = await indexedRepository(t);
  writeFiles(cwd, { 'docs/aardvark.md': '# Aardvark\n', 'docs/huge.md': '' });
  truncateSync(join(cwd, 'docs/huge.md'), 100 * 1024 * 1024);
  await fails(['index', '.'], cwd, 2, /docs\/huge\.md has 104857600 bytes/);
  assert.equal((await nearfield(['search', 'aardvark', '--mode', 'text'], { cwd })).code, 1);
  rmSync(join(cwd, 'docs/huge.md'));
  assert.equal((await nearfield(['index', '.'], { cwd })).code, 0);
  assert.equal((await nearfield(['search', 'aardvark', '--mode', 'text'], { cwd })).code, 0);
});

test(
  'a file that may not be read is named',
  { skip: process.getuid?.() === 0 && spawnSync('setpriv', ['--version']).error ? 'root reads everything' : false },
  async (t) => {
    const cwd = await indexedRepository(t);
    writeFiles(cwd, { 'docs/locked.md': '# Locked\n' });
    chmodSync(join(cwd, 'docs/locked.md'), 0);
    let result;
    if (process.getuid?.() === 0) {
      // Root may read everything; without that capability it is held to the file's mode like anybody.
      const command = [
        '--bounding-set=-dac_override,-dac_read_search',
        '--inh-caps=-all',
        process.execPath,
        program,
        'index',
        '.',
      ];
      result = await start('setpriv', command, { cwd }).done;
      if (/setpriv:/.test(result.stderr)) return t.skip(result.stderr.trim());
    } else {
      result = await nearfield(['index', '.'], { cwd });
    }
    assert.equal(result.code, 3);
    assert.match(result.stderr, /docs\/locked\.md cannot be read: permission denied/);
    await stillWorks(cwd);
  },
);

test('bytes that are not UTF-8 are indexed all the same', async (t) => {
  const cwd = folderWith(t, {
    'bad.md': Buffer.concat([
      Buffer.from('# Okapi '),
      Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
      Buffer.from(' end\n'),
    ]),
    'nul.md': 'tapir \0 \u0001 end\n',
    'empty.md': '',
    'crlf.md': '# Dugong\r\n\r\nline\r\n',
  });
  const { code, stdout, stderr } = await nearfield(['index', '.', '--json'], { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).filesIndexed, 4);
  const okapi = await nearfield(['search', 'okapi', '--json', '--mode', 'text'], { cwd });
  assert.match(jsonLines(okapi.stdout)[0].text, /Okapi \ufffd+ end/);
  for (const word of ['tapir', 'dugong'])
    assert.equal((await nearfield(['search', word, '--mode', 'text'], { cwd })).code, 0, word);
});

test('escapes in documents and file names never reach the output raw', async (t) => {
  const cwd = folderWith(t, {
    'evil\x1b[2J\x07.md': '# Title \x1b[31m\u202egnp \x9b5n\n\nThe pangolin \x1b]0;owned\x07 rests.\x1b[2J\r\n',
  });
  const indexed = await nearfield(['index', '.'], { cwd });
  assert.equal(indexed.code, 0, indexed.stderr);
  for (const words of [
    ['search', 'pangolin'],
    ['search', 'pangolin', '--full'],
    ['search', 'pangolin', '--json'],
    ['stats'],
  ]) {
    const { code, stdout } = await nearfield([...words, '--color', 'never'], { cwd });
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/, words.join(' '));
  }
  const { stdout } = await nearfield(['search', 'pangolin', '--json'], { cwd });
  const [{ id, text }] = jsonLines(stdout);
  assert.match(text, /\x1b/); // JSON keeps what the document says
  const { stdout: got } = await nearfield(['get', id], { cwd });
  assert.doesNotMatch(got, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  assert.match(got, /\\x1b/);
});

test('a reader that goes away is no error', async (t) => {
  const cwd = await indexedRepository(t);
  for (const words of ['search the -k 100 --full', 'stats', '--help']) {
    const { stderr } = await start('sh', ['-c', `"${process.execPath}" "${program}" ${words} | true`], { cwd }).done;
    assert.equal(stderr, '', words);
  }
  const closed = await start('sh', ['-c', `"${process.execPath}" "${program}" search uploader >&-`], { cwd }).done;
  assert.equal(closed.stderr, '');
  await stillWorks(cwd);
});

test(
  'a full disk behind the output is one sentence',
  { skip: existsSync('/dev/full') ? false : 'no /dev/full' },
  async (t) => {
    const cwd = await indexedRepository(t);
    const { code, stderr } = await start(
      'sh',
      ['-c', `"${process.execPath}" "${program}" search uploader >/dev/full`],
      { cwd },
    ).done;
    assert.equal(code, 3);
    assert.match(stderr, /^nearfield: output cannot be written: ENOSPC\n$/);
  },
);

// Enough text that indexing takes a second or more, in files that make many steps.
function manyFiles(count = 60) {
  const words =
    'the uploader shall retry keep journal part server photo gallery visitor render signing key rotate'.split(' ');
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  const files = {};
  for (let i = 0; i < count; ++i) {
    let text = `# Notes ${i} on uploads\n`;
    for (let section = 0; text.length < 250_000; ++section) {
      text += `\n## Section ${i}.${section}\n\n`;
      for (let word = 0; word < 60; ++word)
        text += words[Math.floor(random() * words.length)] + (word % 12 === 11 ? '.\n' : ' ');
    }
    files[`notes/${String(i).padStart(3, '0')}.md`] = text;
  }
  return files;
}

async function until(condition, what) {
  for (let waited = 0; waited < 20_000; waited += 10) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`waited in vain for ${what}`);
}

// The database holds rows: more than what an empty one is made of.
function hasRows(folder) {
  return existsSync(folder) && readdirSync(folder).some((name) => /^(segment|log)/.test(name));
}

test('Ctrl-C while indexing leaves a sound store, and the next run goes on from there', async (t) => {
  const cwd = folderWith(t, manyFiles());
  const { child, done } = start(process.execPath, [program, 'index', '.'], { cwd });
  await until(() => hasRows(join(cwd, '.nearfield')), 'the first step');
  child.kill('SIGINT');
  const { code, stdout, stderr } = await done;
  assert.equal(code, 130, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /stopping after this step/);

  const stats = await nearfield(['stats', '--json'], { cwd });
  assert.equal(stats.code, 0, stats.stderr);
  const { documents } = JSON.parse(stats.stdout);
  assert.ok(documents > 0 && documents < 60, String(documents));

  const rest = await nearfield(['index', '.', '--json'], { cwd });
  assert.equal(rest.code, 0, rest.stderr);
  const report = JSON.parse(rest.stdout);
  assert.equal(report.filesUnchanged, documents);
  assert.equal(report.filesIndexed, 60 - documents);
  assert.equal((await nearfield(['search', 'signing key'], { cwd })).code, 0);
});

test('Ctrl-C twice stops at once, and the store is still sound', async (t) => {
  const cwd = folderWith(t, manyFiles(20));
  const { child, done } = start(process.execPath, [program, 'index', '.'], { cwd });
  await until(() => hasRows(join(cwd, '.nearfield')), 'the first step');
  child.kill('SIGINT');
  child.kill('SIGINT');
  setTimeout(() => child.kill('SIGINT'), 20);
  assert.equal((await done).code, 130);
  const { code, stderr } = await nearfield(['index', '.'], { cwd });
  assert.equal(code, 0, stderr);
});

test('a second writer is refused while the first one writes, a reader is not', async (t) => {
  const cwd = folderWith(t, manyFiles());
  const { child, done } = start(process.execPath, [program, 'index', '.'], { cwd });
  await until(() => hasRows(join(cwd, '.nearfield')), 'the first step');
  const [second, reader] = await Promise.all([
    nearfield(['index', '.', '--json'], { cwd }),
    nearfield(['stats'], { cwd }),
  ]);
  assert.equal(second.code, 3);
  assert.equal(JSON.parse(second.stderr).error.code, 'DatabaseLocked');
  assert.equal(reader.code, 0, reader.stderr);
  child.kill('SIGINT');
  await done;
  assert.equal((await nearfield(['index', '.'], { cwd })).code, 0);
});
