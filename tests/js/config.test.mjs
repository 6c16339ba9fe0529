// Configurations as JavaScript gives them: texts, objects, files; and every block of the two published documents.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { NearfieldError, checkConfig } from 'nearfield';
import { requireConfig } from '../../dist/config.js';
import { linesOf } from '../../dist/toml.js';
import { rejectsWith } from './support.mjs';

const none = {};
const check = (config, more) => checkConfig({ config, environment: none, ...more });

function folderWith(t, files) {
  const folder = mkdtempSync(join(tmpdir(), 'nearfield-config-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

// ---- The published documents ----

const documents = fileURLToPath(new URL('../../../shared/reference/', import.meta.url));
const skip = existsSync(documents) ? false : `${documents} is not there`;

/** The TOML blocks of a document, unindented, in order. */
function blocksOf(name) {
  const found = readFileSync(join(documents, name), 'utf8').matchAll(/^([ ]*)```toml\n([^]*?)^\1```$/gm);
  return [...found].map(([, indent, text]) => text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
}

const embedded = (settings) => ({ backend: 'embedded', settings });
const qdrant = (settings) => ({ backend: 'qdrant', settings });
const local = 'http://localhost:6333';
/** What each block comes to; `later`: the keys it names that are not supported yet. */
const published = {
  'vector-backends.md': [
    embedded({
      name: 'lancedb',
      path: '.specmem/vectordb',
      collection: 'specs',
      index: 'ivf_pq',
      partitions: 256,
      subVectors: 96,
      vectorsOnDemand: true,
    }),
    embedded({ name: 'chroma', path: '.specmem/chroma', collection: 'specs', metric: 'cosine', memory: false }),
    embedded({ name: 'qdrant', path: '.specmem/qdrant', collection: 'specs' }),
    qdrant({ url: 'http://localhost:6333', collection: 'specs', apiKey: null }),
    qdrant({ url: 'https://your-cluster.qdrant.io', collection: 'specs', apiKey: '***' }),
  ],
  'backend-configuration.md': [
    qdrant({
      url: 'https://xyz-abc123.qdrant.io',
      collection: 'codeweaver-embeddings',
      timeoutSeconds: 30,
      apiKey: '***',
    }),
    qdrant({
      dimension: 1024,
      metric: 'cosine',
      maxRetries: 3,
      batchRows: 100,
      hybrid: true,
      sparseVector: 'sparse',
      textField: 'text',
    }),
    qdrant({ url: local, hybrid: true }),
    { broken: 6 },
    qdrant({ name: 'docarray', url: 'https://xyz.qdrant.io', collection: 'codeweaver', apiKey: '***' }),
    embedded({ name: 'docarray', memory: true }),
    embedded({ name: 'docarray', memory: true }),
    qdrant({ url: 'https://your-cluster.qdrant.io', hybrid: true }),
    embedded({ name: 'docarray', memory: true }),
    qdrant({ url: 'https://staging.qdrant.io', collection: 'codeweaver-staging' }),
    qdrant({ url: 'https://prod.qdrant.io', collection: 'codeweaver-production', hybrid: true }),
    qdrant({ maxConnections: 10, timeoutSeconds: 30 }),
    qdrant({ batchRows: 100, maxUploads: 5, m: 16, efConstruct: 200 }),
    qdrant({ payloadOnDemand: true, vectorsOnDemand: true }),
    qdrant({ ef: 128, searchBatch: 32, payloadIndex: true }),
    qdrant({ hybrid: true, hybridAlpha: 0.7, sparseDimension: 30000, sparseCompressed: true }),
    { later: ['health_check_interval', 'enable_monitoring', 'collect_metrics', 'metrics_interval'] },
    { later: ['enable_backups', 'backup_path', 'backup_retention_days'] },
    { later: ['maintenance_window', 'auto_optimize', 'optimization_interval'] },
    qdrant({
      url: 'https://localhost:6333',
      apiKey: '***',
      tlsCertificatePath: '/path/to/cert.pem',
      tlsKeyPath: '/path/to/key.pem',
      verifyTls: true,
    }),
    qdrant({ url: 'https://private.qdrant.internal', allowedHosts: ['your-app-domain.com'], crossOrigin: false }),
    { later: ['encrypt_payloads', 'encryption_key'] },
    qdrant({ timeoutSeconds: 60, maxRetries: 5, retryDelaySeconds: 2 }),
    qdrant({ dimension: 1536 }),
  ],
};

for (const [name, wanted] of Object.entries(published)) {
  test(`every TOML block of ${name} loads and says what it says`, { skip }, async () => {
    const blocks = blocksOf(name);
    assert.equal(blocks.length, wanted.length);
    for (const [i, text] of blocks.entries()) {
      const report = await check(text, { environment: { QDRANT_API_KEY: 'sesame-open' } });
      const { backend, settings = {}, later, broken } = wanted[i];
      const about = `block ${i + 1}:\n${text}\n${inspect(report.problems)}`;
      if (broken !== undefined) {
        // "Qdrant Cloud Regions" gives url five times in one table: choices, which TOML does not have.
        assert.deepEqual(
          report.problems.map(({ code, source, line }) => ({ code, source, line })),
          [{ code: 'InvalidConfig', source: 'config', line: 5 }],
          about,
        );
        assert.match(report.problems[0].message, /twice in one table/);
        // With any one of them it loads.
        const lines = text.split('\n');
        const urls = lines.filter((line) => line.startsWith('url'));
        assert.equal(urls.length, 5);
        for (const url of urls) {
          const one = await check(lines.filter((line) => !line.startsWith('url') || line === url).join('\n'));
          assert.deepEqual(one.problems, []);
          assert.ok(url.includes(one.settings.url));
        }
        continue;
      }
      if (later !== undefined) {
        assert.deepEqual(
          report.problems.map(({ code, key }) => [code, key]).sort(),
          later.map((key) => ['Unsupported', `backend.${key}`]).sort(),
          about,
        );
        continue;
      }
      assert.deepEqual(report.problems, [], about);
      assert.equal(report.backend, backend, about);
      for (const [key, value] of Object.entries(settings))
        assert.deepEqual(report.settings[key], value, `${key} of ${about}`);
      // Nothing that stands there was passed over.
      const given = Object.keys(linesOf(text));
      for (const key of given)
        assert.ok(
          report.keys.some((each) => each.key === key),
          `${key} of ${about}`,
        );
    }
  });
}

test('keys that the blocks only prefer are warnings', { skip }, async () => {
  const blocks = blocksOf('backend-configuration.md');
  const { warnings } = await check(blocks[1]);
  assert.deepEqual(
    warnings.map(({ key }) => key),
    ['backend.prefer_grpc'],
  );
  assert.match(warnings[0].message, /backend\.prefer_grpc in config:15 does nothing here: REST over fetch/);
  const network = await check(blocks[20]);
  assert.match(network.warnings[0].message, /does not have private\.qdrant\.internal/);
});

// ---- Texts and objects ----

test('TOML, JSON and objects say the same', async () => {
  const object = { backend: { provider: 'qdrant', url: 'https://a', ef: 77, allowed_hosts: ['a'] } };
  const toml = '[backend]\nprovider = "qdrant"\nurl = "https://a"\nef = 77\nallowed_hosts = ["a"]\n';
  const wanted = (await check(object)).settings;
  assert.equal(wanted.ef, 77);
  for (const text of [
    toml,
    `\ufeff${toml}`,
    toml.replaceAll('\n', '\r\n'),
    JSON.stringify(object),
    `\ufeff ${JSON.stringify(object)}`,
  ]) {
    assert.deepEqual((await check(text)).settings, wanted);
  }
  const report = await check(toml);
  assert.deepEqual(
    report.keys.map(({ key, value, source, line, state }) => [key, value, source, line, state]),
    [
      ['backend.provider', 'qdrant', 'config', 2, 'implemented'],
      ['backend.url', 'https://a', 'config', 3, 'implemented'],
      ['backend.ef', 77, 'config', 4, 'implemented'],
      ['backend.allowed_hosts', ['a'], 'config', 5, 'implemented'],
    ],
  );
});

test('layers, override and the environment', async () => {
  const { settings, keys } = await checkConfig({
    config: ['[backend]\ntimeout = 1\nef = 5\nmax_retries = 9', { backend: { timeout: 2 } }],
    override: { backend: { max_retries: 1 } },
    environment: {
      CW_VECTOR_BACKEND_URL: 'https://of-environment',
      CW_VECTOR_BACKEND_API_KEY: 'sesame-open',
      OTHER: undefined,
    },
  });
  assert.equal(settings.timeoutSeconds, 2);
  assert.equal(settings.ef, 5);
  assert.equal(settings.maxRetries, 1);
  assert.equal(settings.url, 'https://of-environment');
  assert.equal(settings.apiKey, '***');
  assert.deepEqual(
    keys.map(({ key, source }) => [key, source]),
    [
      ['backend.url', 'CW_VECTOR_BACKEND_URL'],
      ['backend.api_key', 'CW_VECTOR_BACKEND_API_KEY'],
      ['backend.ef', 'config[0]'],
      ['backend.timeout', 'config[1]'],
      ['backend.max_retries', 'override'],
    ],
  );
});

test('what JSON cannot hold is shown as TOML writes it', async () => {
  const cases = [
    ['timeout = nan', /got nan$/],
    ['timeout = inf', /got inf$/],
    ['timeout = -inf', /got -inf$/],
    ['max_retries = 9223372036854775807', /got 9223372036854775807$/],
    ['timeout = 1979-05-27', /got a date$/],
    ['retry_delay = "2s"', /^backend\.retry_delay in config:2 must be seconds, a number from 0 to 60, got "2s"$/],
    ['ef_construct = 5', /did you mean `backend\.index_config\.ef_construct`\?$/],
    ['timeout = []', /got a list$/],
    ['timeout.a = 5', /got a table$/],
  ];
  for (const [line, message] of cases) {
    const { ok, problems } = await check(`[backend]\n${line}\n`);
    assert.equal(ok, false, line);
    assert.match(problems[0].message, message);
    assert.equal(problems[0].code, 'InvalidConfig');
  }
});

test('a text that is no TOML is a problem with its line', async () => {
  for (const [text, line] of [
    ['[backend]\nurl = \n', 2],
    ['[backend]\nef = 1\nef = 2\n', 3],
    ['[backend]\n[backend]\n', 2],
    ['[backend\n', 1],
    ['= 5', 1],
    ['a = "', 1],
    ['a = "\ud800"', undefined],
    [`a = ${'['.repeat(100_000)}`, 1],
    [`${'a.'.repeat(100_000)}a = 1`, undefined],
    [`[${'a.'.repeat(100)}a]\nb = 1`, undefined],
    ['[backend]\nef = 99999999999999999999999999', undefined],
  ]) {
    const { ok, problems } = await check(text);
    assert.equal(ok, false, text.slice(0, 50));
    if (line !== undefined) assert.equal(problems[0].line, line, problems[0].message);
    assert.ok(problems[0].message.length < 300);
  }
});

test('nothing is polluted, and names that could are refused', async () => {
  const texts = [
    '[__proto__]\npolluted = 1',
    '[backend.__proto__]\npolluted = 1',
    '[backend]\n"__proto__" = { polluted = 1 }',
    '[backend]\nconstructor.prototype.polluted = 1',
    '{"__proto__": {"polluted": 1}}',
    '{"backend": {"__proto__": {"polluted": 1}}}',
  ];
  for (const config of [...texts, JSON.parse(texts[4])]) {
    for (const strict of [true, false]) {
      const report = await check(config, { strict });
      assert.ok(
        report.problems.some(({ message }) => /never allowed/.test(message)),
        inspect(report.problems),
      );
    }
    assert.equal({}.polluted, undefined);
  }
});

test('lines are found where keys are written plainly', () => {
  const text = `# comment
a = 1
[ backend ] # x
  url = "x" # = 5
text = """
not = 1
"""
after.b = 2
[backend.index_config]
m = 16
[[list]]
m = 1
"quoted" = 1
one = '''x'''
two = 2
`;
  assert.deepEqual(
    { ...linesOf(text) },
    {
      a: 2,
      'backend.url': 4,
      'backend.text': 5,
      'backend.after.b': 8,
      'backend.index_config.m': 10,
      'list.m': 12,
      'list.one': 14,
      'list.two': 15,
    },
  );
});

test('bad options', async () => {
  await rejectsWith('ConfigError', checkConfig({ confg: '' }));
  await rejectsWith('InvalidArgument', check(5));
  await rejectsWith('InvalidArgument', check([5]));
  await rejectsWith('InvalidArgument', check('', { strict: 'yes' }));
  await rejectsWith('InvalidArgument', check('', { environment: 5 }));
  await rejectsWith('InvalidArgument', check('', { environment: { A: 5 } }));
  await rejectsWith('ConfigError', check('', { env: 'dev' }));
  await rejectsWith('InvalidConfig', check({ backend: { timeout: NaN } }));
  await rejectsWith('InvalidConfig', check({ backend: { api_key: () => 'x' } }));
  await rejectsWith('InvalidConfig', check({ backend: new Map() }));
  const round = {};
  round.backend = round;
  await rejectsWith('InvalidConfig', check(round));
  await rejectsWith('LimitExceeded', check('#'.repeat((1 << 20) + 1)));
  await rejectsWith('LimitExceeded', check(Array(17).fill({})));
  // And after all that it works.
  assert.equal((await check('')).ok, true);
});

test('problems are thrown as one error, with all of them in its details', async () => {
  const config = '[backend]\ntimeout = -1\nmax_retries = 1.5\nzebra = 1';
  const error = await rejectsWith('InvalidConfig', requireConfig({ config, environment: none }));
  assert.match(error.message, /^backend\.timeout in config:2 must be seconds.*\(and 2 more problems\)$/);
  assert.equal(error.value, 'backend.timeout');
  assert.equal(error.details.problems.length, 3);
  const later = await rejectsWith(
    'Unsupported',
    requireConfig({ config: '[backend]\nenable_backups = true', environment: none }),
  );
  assert.equal(later.value, 'backend.enable_backups');
  assert.equal((await requireConfig({ config: '[backend]\nef = 5', environment: none })).ok, true);
});

test('a secret is in no report and no error', async () => {
  const canary = 'CANARY-0123456789';
  const files = [
    `[backend]\napi_key = "${canary}"`,
    `[backend]\napi_key = "${canary}"\nurl = `,
    `[backend]\napi_key = "${canary}`,
    `[backend]\napi_key = ${canary}`,
    `[backend]\napi_key = "${canary}" "${canary}"`,
    `[backend]\napi_key = "${canary}"\napi_key = "${canary}"`,
    `[backend]\napikey = "${canary}"\nurl = "https://${canary}@h"`,
    `[backend]\napi_key = ["${canary}"]`,
    '[backend]\napi_key = "${KEY}"\ncollection = "${KEY}"\nsparse_vector_name = "${KEY}"',
    `{"backend": {"api_key": "${canary}",}}`,
    `{"backend": {"api_key": ${canary}}}`,
    `{"backend": {"api_key": "${canary}\n"}}`,
    { backend: { api_key: canary, url: `https://h/?${canary}`, provider: canary } },
  ];
  for (const config of files) {
    const options = { config, environment: { KEY: canary, CW_VECTOR_BACKEND_COLLECTION: canary } };
    const seen = [inspect(await checkConfig(options), { depth: 10 })];
    await requireConfig(options).catch((error) => {
      assert.ok(error instanceof NearfieldError);
      for (let each = error; each; each = each.cause) seen.push(String(each), inspect(each, { depth: 10 }), each.stack);
    });
    assert.ok(!seen.join('\n').includes(canary), seen.join('\n'));
  }
});

// ---- Files ----

test('files are merged in order', async (t) => {
  const folder = folderWith(t, {
    '.codeweaver.toml': '[backend]\ntimeout = 1\nef = 1\nmax_retries = 1\nbatch_size = 1\nurl = "https://a"',
    '.codeweaver.dev.toml': '[backend]\nef = 2\nmax_retries = 2\nbatch_size = 2',
    '.codeweaver.local.json': '{\n"backend": {"max_retries": 3, "batch_size": 3}}',
    '.codeweaver.dev.local.toml': '[backend]\nbatch_size = 4',
    '.codeweaver.prod.toml': '[backend]\nzebra = 4',
  });
  const report = await checkConfig({ folder, env: 'dev', environment: none });
  assert.deepEqual(report.problems, []);
  const { timeoutSeconds, ef, maxRetries, batchRows } = report.settings;
  assert.deepEqual([timeoutSeconds, ef, maxRetries, batchRows], [1, 2, 3, 4]);
  const source = (key) => report.keys.find((each) => each.key === key).source;
  assert.equal(source('backend.timeout'), '.codeweaver.toml');
  assert.equal(source('backend.ef'), '.codeweaver.dev.toml');
  assert.equal(source('backend.max_retries'), '.codeweaver.local.json');
  const usual = await checkConfig({ folder, environment: { NEARFIELD_ENV: 'dev' } });
  assert.deepEqual(usual.settings, report.settings);
  const plain = await checkConfig({ folder, environment: { NEARFIELD_ENV: 'nothing-of-that-name' } });
  assert.equal(plain.settings.ef, 1);
  const prod = await checkConfig({ folder, env: 'prod', environment: none });
  assert.match(prod.problems[0].message, /zebra in \.codeweaver\.prod\.toml:2/);
});

test('one file by name, and the same beside it', async (t) => {
  const folder = folderWith(t, {
    'a/my.toml': '[backend]\nef = 1',
    'a/my.dev.toml': '[backend]\nef = 2',
    '.codeweaver.toml': '[backend]\nef = 3',
    json: '{"backend": {"ef": 4}}',
  });
  const ef = async (configFile, env) => (await checkConfig({ folder, configFile, env, environment: none })).settings.ef;
  assert.equal(await ef('a/my.toml'), 1);
  assert.equal(await ef('a/my.toml', 'dev'), 2);
  assert.equal(await ef('a/my.dev.toml'), 2);
  assert.equal(await ef('json'), 4);
  assert.equal(await ef(undefined), 3);
});

test('files that cannot be', async (t) => {
  const folder = folderWith(t, {
    '.codeweaver.toml': '',
    'bytes.toml': Buffer.from([0x61, 0xff]),
    'large.toml': '#'.repeat(10 << 20),
    'folder/x': '',
  });
  const of = (more) => checkConfig({ folder, environment: none, ...more });
  await rejectsWith('NotFound', of({ configFile: 'missing.toml' }));
  await rejectsWith('NotFound', of({ env: 'prod' }));
  for (const env of ['', '../x', 'a/b', 'local', 'a.b', '\0', 'x'.repeat(65)])
    await rejectsWith('InvalidArgument', of({ env }));
  await rejectsWith('InvalidArgument', of({ environment: { NEARFIELD_ENV: '../../etc' } }));
  await rejectsWith('InvalidConfig', of({ configFile: 'folder' }));
  await rejectsWith('InvalidConfig', of({ configFile: 'bytes.toml' }));
  await rejectsWith('LimitExceeded', of({ configFile: 'large.toml' }));
  await rejectsWith('InvalidArgument', of({ configFile: 'a\0b' }));
  writeFileSync(join(folder, '.codeweaver.json'), '{}');
  await rejectsWith('InvalidConfig', of({}));
  const both = folderWith(t, { '.codeweaver.toml': '[backend]\nef = 1', '.specmem.toml': '[vectordb]\npath = "x"' });
  const { problems } = await checkConfig({ folder: both, environment: none });
  assert.match(problems[0].message, /stands beside \[vectordb\] of \.specmem\.toml/);
});
