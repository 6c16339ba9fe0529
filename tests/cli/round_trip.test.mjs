// index, search, get and stats on a small repository, as a user runs them, one process after another.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { folderWith, jsonLines, nearfield, repository, writeFiles } from './support.mjs';

async function json(words, cwd) {
  const { code, stdout, stderr } = await nearfield([...words, '--json'], { cwd });
  return { code, stderr, lines: jsonLines(stdout) };
}

test('what is indexed is found again, with its place and its status', async (t) => {
  const cwd = folderWith(t, repository);
  const indexed = await nearfield(['index', '.'], { cwd });
  assert.equal(indexed.code, 0, indexed.stderr);
  assert.match(indexed.stdout, /indexed 6 files .*blocks? in /);
  assert.equal(indexed.stderr, '');
  assert.ok(existsSync(join(cwd, '.nearfield')));

  const found = await nearfield(['search', 'how are uploads retried'], { cwd });
  assert.equal(found.code, 0, found.stderr);
  assert.equal(found.stderr, '');
  assert.doesNotMatch(found.stdout, /\x1b/);
  const [heading, place, text] = found.stdout.split('\n');
  assert.match(heading, /^1\. .+ · (requirement|task|design)( · \w+)?  \d\.\d{3}$/);
  const [, source, first] = /^ {3}(\.kiro\/specs\/uploads\/\w+\.md):(\d+)(?:-\d+)?  [0-9a-f]{16}$/.exec(place);
  assert.ok(text.startsWith('   '));
  // The line that the place names is the beginning of the block.
  const line = readFileSync(join(cwd, source), 'utf8').split('\n')[first - 1];
  assert.match(line, /retr|journal|upload/i);

  const open = await nearfield(['search', 'retry with backoff', '--filter', '{"status":"todo"}'], { cwd });
  assert.match(open.stdout, /· task · todo/);
  assert.doesNotMatch(open.stdout, /· requirement/);
});

test('a hit that is nothing but its title says it once', async (t) => {
  const cwd = folderWith(t, { '.kiro/specs/a/tasks.md': '# Tasks\n\n- [ ] 1. Polish the brass lantern\n' });
  assert.equal((await nearfield(['index', '.'], { cwd })).code, 0);
  for (const full of [[], ['--full']]) {
    const { stdout } = await nearfield(['search', 'brass lantern', '--color', 'always', ...full], { cwd });
    const plain = stdout.replace(/\x1b\[[\d;]*m/g, '');
    assert.equal(plain.match(/Polish the brass lantern/g).length, 1, plain);
    assert.match(stdout, /\x1b\[1;33mbrass/);
  }
});

test('one JSON object a line, of a stable shape', async (t) => {
  const cwd = folderWith(t, repository);
  const indexed = await json(['index', '.'], cwd);
  assert.equal(indexed.lines.length, 1);
  const report = indexed.lines[0];
  assert.deepEqual(Object.keys(report).sort(), [
    'blocksRemoved',
    'blocksWritten',
    'bytes',
    'filesIndexed',
    'filesRemoved',
    'filesUnchanged',
    'milliseconds',
  ]);
  assert.equal(report.filesIndexed, 6);

  const { lines: hits } = await json(['search', 'thumbnail of an image', '--k', '3'], cwd);
  assert.ok(hits.length >= 1 && hits.length <= 3);
  for (const hit of hits) {
    assert.equal(typeof hit.id, 'string');
    assert.equal(typeof hit.score, 'number');
    assert.equal(typeof hit.text, 'string');
    assert.deepEqual(Object.keys(hit.payload).sort(), [
      'feature',
      'lines',
      'links',
      'pinned',
      'source',
      'status',
      'tags',
      'title',
      'type',
    ]);
    for (const [begin, end] of hit.highlights) assert.ok(0 <= begin && begin < end && end <= hit.text.length);
  }
  assert.ok(hits.every((hit, i) => i === 0 || hits[i - 1].score >= hit.score));
  assert.ok(hits[0].highlights.some(([begin, end]) => /thumbnail/i.test(hits[0].text.slice(begin, end))));

  const got = await json(['get', hits[0].id, hits.at(-1).id], cwd);
  assert.equal(got.code, 0);
  assert.deepEqual(got.lines[0], { id: hits[0].id, text: hits[0].text, payload: hits[0].payload });

  const {
    lines: [stats],
  } = await json(['stats'], cwd);
  assert.equal(stats.documents, 6);
  assert.equal(stats.blocks, report.blocksWritten);
  const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
  assert.equal(sum(stats.types), stats.blocks);
  assert.equal(sum(stats.statuses), stats.blocks);
  assert.deepEqual(Object.keys(stats.features).sort(), ['search', 'uploads']);
  assert.ok(stats.bytes > 0 && stats.generation >= 1);
  assert.equal(typeof stats.index.kind, 'string');
  assert.ok(stats.memory.wasmBytes > 0);
});

test('indexing again touches only what changed', async (t) => {
  const cwd = folderWith(t, repository);
  const index = async () => (await json(['index', '.'], cwd)).lines[0];
  const blocks = async () => (await json(['stats'], cwd)).lines[0].blocks;
  const first = await index();

  const again = await index();
  assert.deepEqual([again.filesIndexed, again.filesUnchanged, again.filesRemoved, again.blocksWritten], [0, 6, 0, 0]);
  assert.equal(await blocks(), first.blocksWritten);

  writeFiles(cwd, { 'docs/operations.md': '# Operations\n\n## Rotating keys\n\nKeys are rotated by a wombat.\n' });
  const changed = await index();
  assert.deepEqual([changed.filesIndexed, changed.filesUnchanged, changed.filesRemoved], [1, 5, 0]);
  assert.match((await nearfield(['search', 'wombat'], { cwd })).stdout, /docs\/operations\.md/);
  assert.equal((await nearfield(['search', 'ninety', '--mode', 'text'], { cwd })).code, 1);

  renameSync(join(cwd, 'docs/operations.md'), join(cwd, 'docs/keys.md'));
  const renamed = await index();
  assert.deepEqual([renamed.filesIndexed, renamed.filesUnchanged, renamed.filesRemoved], [1, 5, 1]);
  const {
    lines: [hit],
  } = await json(['search', 'wombat', '--mode', 'text'], cwd);
  assert.equal(hit.payload.source, 'docs/keys.md');

  rmSync(join(cwd, '.kiro/specs/search'), { recursive: true });
  const removed = await index();
  assert.deepEqual([removed.filesIndexed, removed.filesUnchanged, removed.filesRemoved], [0, 5, 1]);
  assert.ok(removed.blocksRemoved > 0);
  assert.deepEqual((await json(['stats'], cwd)).lines[0].documents, 5);
  assert.equal(
    (await nearfield(['search', 'gallery typing', '--mode', 'text', '--filter', '{"feature":"search"}'], { cwd })).code,
    1,
  );

  // A second database of the same tree, made in one go, holds the same.
  const {
    lines: [fresh],
  } = await json(['index', '.', '--db', '.nearfield-fresh'], cwd);
  assert.equal(await blocks(), fresh.blocksWritten);
});

test('several folders are told apart by their names', async (t) => {
  const cwd = folderWith(t, {
    'one/a.md': '# A\n\nA walrus.\n',
    'two/a.md': '# A\n\nAn otter.\n',
    'x/one/b.md': '# B\n',
  });
  assert.equal((await nearfield(['index', 'one', 'two'], { cwd })).code, 0);
  const {
    lines: [hit],
  } = await json(['search', 'otter'], cwd);
  assert.equal(hit.payload.source, 'two/a.md');

  const clash = await nearfield(['index', 'one', 'x/one'], { cwd });
  assert.equal(clash.code, 2);
  assert.match(clash.stderr, /both called one/);
  assert.equal((await nearfield(['search', 'walrus'], { cwd })).code, 0);
});

test('only spec files are taken, and links do not lead out or around', async (t) => {
  const outside = folderWith(t, { 'escaped.md': '# zebra outside\n' });
  const cwd = folderWith(t, { ...repository, 'docs/UPPER.MARKDOWN': '# Quagga\n' });
  symlinkSync('..', join(cwd, 'docs/loop'));
  symlinkSync(outside, join(cwd, 'docs/out'));
  symlinkSync(join(outside, 'escaped.md'), join(cwd, 'docs/out.md'));
  symlinkSync('operations.md', join(cwd, 'docs/alias.md'));
  symlinkSync('nowhere.md', join(cwd, 'docs/dangling.md'));
  symlinkSync('self.md', join(cwd, 'docs/self.md'));
  const {
    lines: [report],
    stderr,
  } = await json(['index', '.'], cwd);
  assert.equal(stderr, '');
  assert.equal(report.filesIndexed, 7);
  assert.equal((await nearfield(['search', 'zebra', '--mode', 'text'], { cwd })).code, 1);
  assert.equal((await nearfield(['search', 'quagga', '--mode', 'text'], { cwd })).code, 0);
});

test('the flags of search do what they say', async (t) => {
  const cwd = folderWith(t, repository);
  await nearfield(['index', '.'], { cwd });
  const ten = (await json(['search', 'uploader'], cwd)).lines.map((hit) => hit.id);
  const two = (await json(['search', 'uploader', '-k', '2', '--offset', '1'], cwd)).lines.map((hit) => hit.id);
  assert.deepEqual(two, ten.slice(1, 3));
  const paged = await nearfield(['search', 'uploader', '-k', '1', '--offset', '1'], { cwd });
  assert.match(paged.stdout, /^2\. /);
  assert.equal((await nearfield(['search', 'uploader', '--offset', '9990'], { cwd })).code, 1);
  const beyond = await nearfield(['search', 'uploader', '--offset', '9991'], { cwd });
  assert.equal(beyond.code, 2);
  assert.match(beyond.stderr, /offset must be at most 10000 together with k, got 9991/);

  for (const mode of ['auto', 'hybrid', 'dense', 'text']) {
    assert.equal((await nearfield(['search', 'uploader', '--mode', mode], { cwd })).code, 0, mode);
  }
  // At the ends, a weighted search ranks as one side alone does.
  const ids = async (...words) => (await json(['search', 'thumbnail', '-k', '1', ...words], cwd)).lines[0].id;
  assert.equal(await ids('--alpha', '0'), await ids('--mode', 'text'));
  assert.equal(await ids('--alpha', '1'), await ids('--mode', 'dense'));

  const words = await nearfield(['search', 'signing', 'keys', '--mode', 'text', '--full'], { cwd });
  assert.match(words.stdout, /rotated every ninety days/);

  const explained = await nearfield(['search', 'uploader', '--explain'], { cwd });
  assert.match(explained.stdout, /words \d+\.\d+, rank 1/);
  assert.match(explained.stderr, /^nearfield: plan: /m);
  const { stderr, lines } = await json(['search', 'uploader', '--explain'], cwd);
  assert.equal(typeof JSON.parse(stderr).plan.strategy, 'string');
  assert.ok(lines[0].parts.text.rank >= 1);
});

test('get prints whole blocks and says which ids are not there', async (t) => {
  const cwd = folderWith(t, repository);
  await nearfield(['index', '.'], { cwd });
  const {
    lines: [hit],
  } = await json(['search', 'signing keys'], cwd);
  const { code, stdout, stderr } = await nearfield(['get', 'feedfacefeedface', hit.id], { cwd });
  assert.equal(code, 1);
  assert.match(stdout, /rotated every ninety days by the night job/);
  assert.equal(stderr, 'nearfield: no block has the id feedfacefeedface\n');
  const missing = await nearfield(['get', 'nope', '--json'], { cwd });
  assert.equal(missing.code, 1);
  assert.deepEqual(JSON.parse(missing.stderr).error.value, 'nope');
});

test('a folder inside .kiro, and the database elsewhere', async (t) => {
  const cwd = folderWith(t, repository);
  const db = join(folderWith(t), 'deep/er/store');
  const { code, stderr } = await nearfield(['index', join(cwd, '.kiro'), '--db', db], { cwd });
  assert.equal(code, 0, stderr);
  assert.ok(!existsSync(join(cwd, '.nearfield')));
  assert.equal((await nearfield(['search', 'thumbnails', '--db', db])).code, 0);
});

test('a database inside the folder is not indexed, whatever it is called', async (t) => {
  const cwd = folderWith(t, { 'a.md': '# Gnu\n', 'store/looks-like.md': '# but is in the database folder\n' });
  const {
    lines: [report],
  } = await json(['index', '.', '--db', 'store'], cwd);
  assert.equal(report.filesIndexed, 1);
});
