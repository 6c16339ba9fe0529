// migrate, export and import on the command line.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { folderWith, jsonLines, nearfield, repository, start, program } from './support.mjs';

const embedded = (path) => `[vectordb]\nbackend = "embedded"\npath = "${path}"\ncollection = "points"\n`;
const header = { format: 'nearfield-points', version: 1, dimension: 2, metric: 'cosine' };
const lines = (count) =>
  Array.from({ length: count }, (_, i) => `{"id":"p${i}","vector":[1,${i}],"payload":{"n":9007199254740993}}\n`).join(
    '',
  );
const points = (count) => `${JSON.stringify({ ...header, count })}\n${lines(count)}`;
const files = {
  'a.toml': embedded('a'),
  'b.toml': embedded('b'),
  'wide.toml': '[backend]\nprovider = "embedded"\npath = "wide"\ncollection = "points"\nvector_size = 1024\n',
  'points.jsonl': points(25),
};

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

test('import, migrate, export: the same lines come out', async (t) => {
  const cwd = folderWith(t, files);
  const dry = await succeeds(['import', 'points.jsonl', '--config', 'a.toml', '--dry-run'], cwd);
  assert.match(dry.stdout, /^✓ 25 points would be imported from points\.jsonl\n$/);
  const imported = await succeeds(['import', 'points.jsonl', '--config', 'a.toml'], cwd);
  assert.match(imported.stdout, /^✓ imported 25 points from points\.jsonl\n$/);

  const words = ['migrate', '--from', 'a.toml', '--to', 'b.toml'];
  const plan = await succeeds([...words, '--dry-run'], cwd);
  assert.match(
    plan.stdout,
    /25 points of 2 dimensions, cosine; its collection would be made\n✓ they fit; nothing was written\n$/,
  );
  const { stdout } = await succeeds([...words, '--batch', '7'], cwd);
  assert.match(
    stdout,
    /\n✓ copied 25 points in .* points\/s\n✓ compared: 25 points and 25, 25 of 25 looked at are equal; 20 of 20 exact/,
  );
  assert.deepEqual(
    readdirSync(cwd).filter((name) => name.includes('migration')),
    [],
  );
  const [again] = jsonLines((await succeeds([...words, '--json'], cwd)).stdout);
  assert.deepEqual([again.copied, again.before, again.resumed, again.verified.ok], [25, 25, false, true]);

  await succeeds(['export', 'out.jsonl', '--config', 'b.toml'], cwd);
  const sorted = (text) => text.trim().split('\n').slice(1).sort();
  const exported = readFileSync(join(cwd, 'out.jsonl'), 'utf8');
  assert.deepEqual(sorted(exported), sorted(files['points.jsonl']));
  const piped = await succeeds(['export', '-', '--config', 'b.toml'], cwd);
  assert.equal(piped.stdout, exported);
  assert.match(piped.stderr, /exported 25 points/);

  const [npy] = jsonLines((await succeeds(['export', 'rows.npy', '--config', 'b.toml', '--json'], cwd)).stdout);
  assert.deepEqual([npy.file, npy.vectors, npy.format], ['rows.jsonl', 25, 'npy']);
  writeFileSync(join(cwd, 'c.toml'), embedded('c'));
  await succeeds(['import', 'rows.npy', '--config', 'c.toml'], cwd);
  await succeeds(['export', 'back.jsonl', '--config', 'c.toml'], cwd);
  assert.equal(readFileSync(join(cwd, 'back.jsonl'), 'utf8'), exported);
});

test('what does not fit, is no file, or is the same twice', async (t) => {
  const cwd = folderWith(t, { ...files, 'bad.jsonl': points(3).replace('[1,2]', '[1,NaN]') });
  await fails(
    ['import', 'bad.jsonl', '--config', 'a.toml'],
    cwd,
    3,
    /^nearfield: points, line 4 \(from byte \d+\): this is not JSON/,
  );
  await succeeds(['import', 'points.jsonl', '--config', 'a.toml'], cwd);
  const mismatch = /^nearfield: Vector dimension mismatch: expected 1024, got 2\n$/;
  await fails(['migrate', '--from', 'a.toml', '--to', 'wide.toml'], cwd, 2, mismatch);
  await fails(['import', 'points.jsonl', '--config', 'wide.toml'], cwd, 2, mismatch);
  await fails(['migrate', '--from', 'a.toml', '--to', 'a.toml'], cwd, 2, /--from and --to are both in the database /);
  await fails(
    ['migrate', '--from', 'b.toml', '--to', 'a.toml'],
    cwd,
    2,
    /^nearfield: Collection 'points' not found\n$/,
  );
  await fails(['migrate', '--from', 'a.toml'], cwd, 2, /migrate needs --from and --to/);
  await fails(['migrate', 'a.toml', 'b.toml'], cwd, 2, /takes no operands, got a\.toml/);
  await fails(['migrate', '--from', 'x.toml', '--to', 'a.toml'], cwd, 2, /there is no configuration x\.toml/);
  await fails(['export'], cwd, 2, /export needs a file/);
  await fails(['export', '-', '--format', 'npy', '--config', 'a.toml'], cwd, 2, /has two files/);
  await fails(['export', 'x.jsonl', '--db', 'a'], cwd, 2, /--db is for blocks/);
  await fails(['export', 'x.json', '--config', 'a.toml'], cwd, 2, /--config does nothing for blocks/);
  await fails(['import', 'missing.jsonl', '--config', 'a.toml'], cwd, 2, /there is no file missing\.jsonl/);
  const journal = ['--journal', 'points.jsonl'];
  await fails(['migrate', '--from', 'a.toml', '--to', 'b.toml', ...journal], cwd, 3, /no journal of a migration/);
  assert.equal(readFileSync(join(cwd, 'points.jsonl'), 'utf8'), files['points.jsonl']);
});

test('variables that are keys do not make one store of two', async (t) => {
  const cwd = folderWith(t, files);
  await succeeds(['import', 'points.jsonl', '--config', 'a.toml'], cwd);
  const env = { CW_VECTOR_BACKEND_COLLECTION: 'elsewhere', CW_VECTOR_BACKEND_PROVIDER: 'memory' };
  const { code, stderr } = await nearfield(['migrate', '--from', 'a.toml', '--to', 'b.toml'], { cwd, env });
  assert.equal(code, 0, stderr);
  assert.match((await succeeds(['export', '-', '--config', 'b.toml'], cwd)).stderr, /exported 25 points/);
});

test('what stands beside an export and is no part of it stays', async (t) => {
  const cwd = folderWith(t, { ...files, 'notes.jsonl': 'mine', 'other.npy': 'mine' });
  await succeeds(['import', 'points.jsonl', '--config', 'a.toml'], cwd);
  await succeeds(['export', 'full.jsonl', '--config', 'a.toml'], cwd);
  const config = ['--config', 'a.toml'];
  for (const words of [['full.npy'], ['notes.npy'], ['notes.fvecs'], ['other.jsonl', '--format', 'npy']]) {
    await fails(['export', ...words, ...config], cwd, 3, /would be replaced, and is no part of an earlier export to/);
  }
  assert.deepEqual(
    readdirSync(cwd).filter((name) => /\.(npy|fvecs|jsonl)$/.test(name)),
    ['full.jsonl', 'notes.jsonl', 'other.npy', 'points.jsonl'],
  );
  for (const name of ['new.npy', 'new.npy']) await succeeds(['export', name, ...config], cwd);
  await succeeds(['export', 'new.jsonl', '--format', 'npy', ...config], cwd);
  await fails(['export', 'new.fvecs', ...config], cwd, 3, /^nearfield: new\.jsonl would be replaced/);
});

test('to and from a backend that a module registers', async (t) => {
  const nearfieldHere = new URL('../../dist/index.js', import.meta.url).href;
  const mine = (name) =>
    `[backend]\nprovider = "mine"\ncollection = "points"\nvector_size = 2\n[backend.mine]\nname = "${name}"\n`;
  const module = `
    import { existsSync, readFileSync, writeFileSync } from 'node:fs';
    import { registerBackend } from ${JSON.stringify(nearfieldHere)};
    registerBackend('mine', ({ custom }) => {
      const read = () => new Map(existsSync(custom.name) ? JSON.parse(readFileSync(custom.name, 'utf8')) : []);
      return {
        async upsert(points) {
          const all = read();
          for (const { id, vector } of points) all.set(id, { id, vector: [...vector] });
          writeFileSync(custom.name, JSON.stringify([...all]));
          return { ok: points.map(({ id }) => id), failed: [], unknown: [] };
        },
        get: async (ids) => ids.flatMap((id) => read().get(id) ?? []),
        count: async () => read().size,
        async *scroll() { yield [...read().values()]; },
      };
    });`;
  const cwd = folderWith(t, { ...files, 'mine.toml': mine('mine.json'), 'mine.mjs': module });
  const lines = points(25).replaceAll(/,"payload":{[^}]*}/g, '');
  writeFileSync(join(cwd, 'plain.jsonl'), lines);
  const load = ['--import', 'mine.mjs'];
  await succeeds(['import', 'plain.jsonl', '--config', 'a.toml'], cwd);
  const from = ['migrate', '--from', 'a.toml', '--to', 'mine.toml'];
  await fails(from, cwd, 2, /mine/);
  assert.match((await succeeds([...from, ...load], cwd)).stdout, /copied 25 points/);
  await succeeds(['migrate', '--from', 'mine.toml', '--to', 'b.toml', ...load], cwd);
  await succeeds(['import', 'plain.jsonl', '--config', 'mine.toml', ...load], cwd);
  await succeeds(['export', 'out.jsonl', '--config', 'mine.toml', ...load], cwd);
  assert.equal(readFileSync(join(cwd, 'out.jsonl'), 'utf8').split('\n').length, 27);
  await fails([...from, '--import', 'missing.mjs'], cwd, 2, /^nearfield: --import missing\.mjs: /);
});

test('to a server and back, without a word of its key', async (t) => {
  const canary = 'CANARY-0123456789';
  const fake = new FakeQdrant({ apiKey: canary });
  const { url } = await fake.listen();
  t.after(() => fake.close());
  const server = `[backend]\nprovider = "qdrant"\nurl = "${url}"\napi_key = "\${KEY}"\ncollection = "points"\nvector_size = 2\n`;
  const cwd = folderWith(t, { ...files, 'q.toml': server });
  await succeeds(['import', 'points.jsonl', '--config', 'a.toml'], cwd);
  const env = { KEY: canary };
  const there = await nearfield(['migrate', '--from', 'a.toml', '--to', 'q.toml'], { cwd, env });
  assert.equal(there.code, 0, there.stderr);
  const out = await nearfield(['export', 'q.jsonl', '--config', 'q.toml', '--json'], { cwd, env });
  assert.equal(out.code, 0, out.stderr);
  const back = await nearfield(['migrate', '--from', 'q.toml', '--to', 'b.toml', '--json'], { cwd, env });
  assert.equal(back.code, 0, back.stderr);
  assert.match(readFileSync(join(cwd, 'q.jsonl'), 'utf8'), /"n":9007199254740993/);
  await fake.close();
  const gone = await nearfield(['migrate', '--from', 'a.toml', '--to', 'q.toml'], { cwd, env });
  assert.equal(gone.code, 3);
  const said = [there, out, back, gone].map(({ stdout, stderr }) => stdout + stderr).join('');
  assert.ok(!said.includes(canary) && !readFileSync(join(cwd, 'q.jsonl'), 'utf8').includes(canary));
});

test('Ctrl-C stops a migration, and the same command goes on', async (t) => {
  const cwd = folderWith(t, { ...files, 'many.jsonl': points(4000) });
  await succeeds(['import', 'many.jsonl', '--config', 'a.toml'], cwd);
  const words = ['migrate', '--from', 'a.toml', '--to', 'b.toml', '--batch', '5'];
  const { child, done } = start(process.execPath, [program, ...words], { cwd });
  const journal = join(cwd, 'b.migration.json');
  while (!existsSync(journal)) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill('SIGINT');
  const stopped = await done;
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /stopping after this batch; the same command goes on from there/);
  const { copied } = JSON.parse(readFileSync(journal, 'utf8'));
  const [report] = jsonLines((await succeeds([...words, '--json'], cwd)).stdout);
  assert.deepEqual([report.resumed, report.copied, report.verified.ok], [true, 4000, true]);
  assert.ok(copied < 4000);
  assert.equal(existsSync(journal), false);
});

test('blocks of specs as published JSON, there and back', async (t) => {
  const cwd = folderWith(t, { ...repository, ...files });
  await succeeds(['index', '.kiro'], cwd);
  const { stdout } = await succeeds(['export', 'specs.json'], cwd);
  assert.match(stdout, /^✓ exported \d+ blocks, .* to specs\.json\n$/);
  const blocks = JSON.parse(readFileSync(join(cwd, 'specs.json'), 'utf8'));
  assert.ok(blocks.length > 5 && blocks.every(({ id, text }) => id !== '' && text !== ''));
  const imported = await succeeds(['import', 'specs.json', '--db', 'copy'], cwd);
  assert.match(imported.stdout, new RegExp(`^✓ imported ${blocks.length} blocks into copy\\n$`));
  // Members come in another order.
  const copy = await succeeds(['export', '-', '--format', 'blocks', '--db', 'copy'], cwd);
  assert.deepEqual(JSON.parse(copy.stdout), blocks);
  const question = ['search', 'retry uploads', '--json'];
  const [ours, theirs] = [await succeeds(question, cwd), await succeeds([...question, '--db', 'copy'], cwd)];
  assert.deepEqual(jsonLines(theirs.stdout), jsonLines(ours.stdout));
  writeFileSync(join(cwd, 'bad.json'), '[{"id":1}]');
  await fails(['import', 'bad.json', '--db', 'new'], cwd, 3, /block 0: id must be/);
  assert.equal(existsSync(join(cwd, 'new')), false);
});
