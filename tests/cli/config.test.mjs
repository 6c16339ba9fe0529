// nearfield config: what it prints, what it hides, and how it ends.

import assert from 'node:assert/strict';
import test from 'node:test';

import { folderWith, jsonLines, nearfield } from './support.mjs';

const clean = {
  NEARFIELD_ENV: '',
  CW_VECTOR_BACKEND_PROVIDER: '',
  CW_VECTOR_BACKEND_URL: '',
  CW_VECTOR_BACKEND_API_KEY: '',
  CW_VECTOR_BACKEND_COLLECTION: '',
  CW_ENABLE_HYBRID_SEARCH: '',
};
const canary = 'CANARY-0123456789';
const files = {
  '.codeweaver.toml': `[backend]
provider = "qdrant"
url = "https://db.example.com"
api_key = "\${QDRANT_KEY}"
timeout = 12
prefer_grpc = true
`,
  '.codeweaver.dev.toml': '[backend]\nprovider = "docarray"\nbackend_type = "memory"\n',
  'bad.toml': '[backend]\ntimeout = "2s"\nenable_backups = true\ntimout = 3\n',
};

const run = (words, cwd, env = {}) =>
  nearfield(['config', ...words], { cwd, env: { ...clean, QDRANT_KEY: canary, ...env } });

test('show: the merged result, with sources, without secrets', async (t) => {
  const cwd = folderWith(t, files);
  const { code, stdout, stderr } = await run(['show'], cwd);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^# qdrant at https:\/\/db\.example\.com, collection codeweaver-embeddings\n/);
  assert.match(stdout, /\nbackend\.timeout = 12 {2}# \.codeweaver\.toml:5\n/);
  assert.match(stdout, /\nbackend\.api_key = "\*\*\*" {2}# \.codeweaver\.toml:4\n/);
  assert.match(stdout, /\nbackend\.max_retries = 3 {2}# default\n/);
  const env = await run(['show', '--env', 'dev'], cwd);
  assert.equal(env.code, 0, env.stderr);
  assert.match(env.stdout, /^# embedded \(docarray\) in memory/);
  assert.match(env.stdout, /backend\.provider = "docarray" {2}# \.codeweaver\.dev\.toml:2/);
});

test('show --json is one object', async (t) => {
  const { code, stdout } = await run(['show', '--json'], folderWith(t, files), {
    CW_VECTOR_BACKEND_COLLECTION: 'notes',
  });
  assert.equal(code, 0);
  const [report, ...more] = jsonLines(stdout);
  assert.deepEqual(more, []);
  assert.equal(report.ok, true);
  assert.equal(report.settings.collection, 'notes');
  assert.equal(report.keys.find(({ key }) => key === 'backend.collection').source, 'CW_VECTOR_BACKEND_COLLECTION');
  assert.equal(report.settings.apiKey, '***');
});

test('check says of each key what becomes of it', async (t) => {
  const cwd = folderWith(t, files);
  const good = await run(['check'], cwd);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /✓ backend\.timeout +implemented: over all attempts \(\.codeweaver\.toml:5\)/);
  assert.match(good.stdout, /! backend\.prefer_grpc +reported: REST over fetch is used/);
  assert.match(good.stdout, /✓ qdrant at https:\/\/db\.example\.com, collection codeweaver-embeddings, 1 warning\n$/);
  const bad = await run(['check', '--config', 'bad.toml'], cwd);
  assert.equal(bad.code, 2);
  assert.match(bad.stdout, /✗ backend\.timeout +rejected: must be seconds, a number from 0\.1 to 3600, got "2s"/);
  assert.match(bad.stdout, /✗ backend\.enable_backups +not yet supported: /);
  assert.match(
    bad.stdout,
    /✗ backend\.timout in bad\.toml:4 is no key that nearfield knows; did you mean `backend\.timeout`\?/,
  );
  assert.match(bad.stdout, /3 problems\n$/);
  const lenient = await run(['check', '--config', 'bad.toml', '--lenient', '--json'], cwd);
  assert.equal(lenient.code, 2);
  assert.equal(JSON.parse(lenient.stdout).problems.length, 2);
  const show = await run(['show', '--config', 'bad.toml'], cwd);
  assert.equal(show.code, 2);
  assert.match(show.stderr, /^nearfield: backend\.timeout in bad\.toml:2 must be seconds/m);
});

test('bad words and files exit with 2 and one sentence', async (t) => {
  const cwd = folderWith(t, files);
  for (const [words, message] of [
    [[], /config needs show or check$/],
    [['shwo'], /got shwo; did you mean show\?/],
    [['show', 'x'], /takes no operands, got x/],
    [['show', '--db', 'x'], /--db does nothing for config/],
    [['show', '--config', 'missing.toml'], /there is no configuration missing\.toml/],
    [['show', '--config', ''], /--config needs a file/],
    [['show', '--env', 'prod'], /env prod has no file, such as \.codeweaver\.prod\.toml/],
    [['show', '--env', '../x'], /env must be letters/],
    [['show', '--config', '.'], /is no file/],
  ]) {
    const { code, stdout, stderr } = await run(words, cwd);
    assert.equal(code, 2, words.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr.replace(/\n$/, ''), message);
    assert.match(stderr, /^nearfield: [^\n]+\n$/);
  }
  const other = await nearfield(['search', 'x', '--lenient'], { cwd });
  assert.match(other.stderr, /--lenient does nothing for search; it works with config/);
});

test('a secret is printed nowhere, and no escape reaches the terminal', async (t) => {
  const cwd = folderWith(t, {
    'a.toml': `[backend]\napi_key = "${canary}"\ncollection = "${canary}"\nzebra = "${canary}"\n"e\\u001b[31m\\u202ex" = 1\nurl = "https://u:${canary}@h"\n`,
    'b.toml': `[backend]\napi_key = "${canary}\n`,
    'c.json': `{"backend": {"api_key": "${canary}",}}`,
    'd.toml': `[backend]\napi_key = "\${QDRANT_KEY}"\ntext_field_name = "\${QDRANT_KEY}"\n`,
    'e.toml': '[backend]\ncollection = "a\\u001b[2Jb"\ntext_field_name = "\\u009b\\u202e"\n',
  });
  for (const file of ['a.toml', 'b.toml', 'c.json', 'd.toml', 'e.toml']) {
    for (const action of ['show', 'check']) {
      for (const more of [[], ['--json'], ['--lenient']]) {
        const words = [action, '--config', file, '--color', 'never', ...more];
        const { code, stdout, stderr } = await run(words, cwd, { CW_VECTOR_BACKEND_API_KEY: canary });
        assert.ok(code === 0 || code === 2, stderr);
        assert.ok(!(stdout + stderr).includes(canary), `${words}\n${stdout}${stderr}`);
        assert.doesNotMatch(stdout + stderr, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/, words.join(' '));
      }
    }
  }
});
