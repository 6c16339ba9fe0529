// nearfield conformance: the checks of a store on the command line.

import assert from 'node:assert/strict';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { folderWith, jsonLines, nearfield } from './support.mjs';

const clean = {
  NEARFIELD_ENV: '',
  CW_VECTOR_BACKEND_PROVIDER: '',
  CW_VECTOR_BACKEND_URL: '',
  CW_VECTOR_BACKEND_COLLECTION: '',
};
const run = (words, cwd) => nearfield(['conformance', ...words], { cwd, env: clean });

const dist = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
const stores = fileURLToPath(new URL('../support/custom-stores.mjs', import.meta.url));
const files = {
  'good.mjs': `import { registerBackend } from ${JSON.stringify(dist)};
import { MapVectorStore } from ${JSON.stringify(stores)};
registerBackend('mystore', MapVectorStore);
registerBackend('wrong', class extends MapVectorStore {
  get(id) {
    return id === 'p7' ? null : super.get(id);
  }
});
`,
  'never.mjs': `import { registerBackend } from ${JSON.stringify(dist)};
import { MapVectorStore } from ${JSON.stringify(stores)};
registerBackend('never', class extends MapVectorStore {
  get() {
    return new Promise(() => {});
  }
});
`,
  'never.toml': '[backend]\nprovider = "never"\nvector_size = 3\n',
  'broken.mjs': 'this is no JavaScript',
  'memory.toml': '[backend]\nprovider = "memory"\n',
  '.specmem.toml': '[vectordb]\nbackend = "memory"\n',
};

test('a store that conforms: each check is a line, and the exit code 0', async (t) => {
  const cwd = folderWith(t, files);
  const { code, stdout, stderr } = await run(['--config', 'memory.toml', '--only', 'scroll'], cwd);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^✓ filters mean the same to search\(\), count\(\) and scroll\(\) \(\d+ ms\)\n/);
  assert.match(stdout, /✓ embedded: 3 passed, 0 failed, 0 skipped of 3 checks\n$/);
  const found = await run(['--only', 'hybrid'], cwd);
  assert.equal(found.code, 0, found.stderr);
  assert.match(
    found.stdout,
    /^- full-text and hybrid search .*\n {4}skipped: \[vectordb\] has no key for hybrid search\n/,
  );
});

test('a backend of a module, and one that does not conform', async (t) => {
  const cwd = folderWith(t, files);
  const good = await run(['--backend', 'mystore', '--import', 'good.mjs', '--only', 'get()', '--json'], cwd);
  assert.equal(good.code, 0, good.stderr + good.stdout);
  const [check, sums, ...more] = jsonLines(good.stdout);
  assert.deepEqual(more, []);
  assert.equal(check.state, 'passed');
  assert.deepEqual(sums, { backend: 'mystore', ok: true, passed: 1, failed: 0, skipped: 0 });
  const wrong = await run(['--backend', 'wrong', '--import', './good.mjs', '--only', 'get()'], cwd);
  assert.equal(wrong.code, 1, wrong.stderr);
  assert.match(
    wrong.stdout,
    /^✗ get\(\) answers in the order.*\n {4}get\(\): expected \["p7","p29","p0","p15"\], found \["p29","p0","p15"\]\n✗ wrong: 0 passed, 1 failed/,
  );
});

test('bad usage is 2, a store that cannot be reached is 3', async (t) => {
  const cwd = folderWith(t, files);
  for (const words of [
    ['memory'],
    ['--backend', ''],
    ['--backend', 'mystore'],
    ['--backend', 'memory', '--only', 'no check has this'],
    ['--backend', 'memory', '--seed', '-1'],
    ['--backend', 'memory', '--db', 'x'],
    ['--import', 'missing.mjs', '--backend', 'memory'],
    ['--import', 'broken.mjs', '--backend', 'memory'],
    ['--config', 'missing.toml'],
  ]) {
    const { code, stderr, stdout } = await run(words, cwd);
    assert.equal(code, 2, `${words.join(' ')}: ${stderr}${stdout}`);
    assert.match(stderr, /^nearfield: /);
  }
  const unreachable = folderWith(t, {
    'server.toml': '[backend]\nprovider = "qdrant"\nurl = "http://127.0.0.1:9"\nmax_retries = 0\n',
  });
  const { code, stderr } = await run(['--config', 'server.toml'], unreachable);
  assert.equal(code, 3, stderr);
});

test('a backend that never answers fails its check, and ends no command in silence', async (t) => {
  const cwd = folderWith(t, files);
  const words = ['--backend', 'never', '--import', 'never.mjs', '--only', 'get()', '--patience', '1'];
  const checked = await run(words, cwd);
  assert.equal(checked.code, 1, checked.stderr);
  assert.match(checked.stdout, /✗ get\(\) answers in the order.*\n {4}it did not end within 1 s\n/);
  const hanging = `import { registerBackend } from ${JSON.stringify(dist)};
registerBackend('never', () => ({ upsert: async () => {}, count: () => new Promise(() => {}) }));
`;
  const other = folderWith(t, { ...files, 'hanging.mjs': hanging });
  const migrate = ['migrate', '--from', 'never.toml', '--to', 'memory.toml', '--import', 'hanging.mjs'];
  const moved = await nearfield(migrate, { cwd: other, env: clean });
  assert.equal(moved.code, 3, moved.stderr);
  assert.match(moved.stderr, /will never answer/);
});

test('stores of a module are moved, exported and explained', async (t) => {
  const module = `import { registerBackend } from ${JSON.stringify(dist)};
const point = { id: 'a', vector: [1, 0, 0], payload: { n: 1 } };
registerBackend('mystore', () => ({
  upsert: async () => {},
  search: async () => [{ ...point, score: 1 }],
  get: async (ids) => ids.map(() => point),
  count: async () => 1,
  async *scroll() {
    yield [point];
  },
}));
`;
  const cwd = folderWith(t, {
    'mystore.mjs': module,
    'mystore.toml': '[backend]\nprovider = "mystore"\nvector_size = 3\n',
    'local.toml': '[backend]\nprovider = "embedded"\npath = "db"\nvector_size = 3\n',
  });
  const backend = ['--import', 'mystore.mjs'];
  for (const words of [
    ['config', 'check', '--config', 'mystore.toml'],
    ['export', 'points.jsonl', '--config', 'mystore.toml'],
    ['migrate', '--from', 'mystore.toml', '--to', 'local.toml'],
  ]) {
    const without = await nearfield(words, { cwd, env: clean });
    assert.equal(without.code, 2, `${words}: ${without.stderr}`);
    const { code, stderr } = await nearfield([...words, ...backend], { cwd, env: clean });
    assert.equal(code, 0, `${words}: ${stderr}`);
  }
  const back = await nearfield(['export', '-', '--config', 'local.toml'], { cwd, env: clean });
  assert.match(back.stdout, /"id":"a"/);
});
