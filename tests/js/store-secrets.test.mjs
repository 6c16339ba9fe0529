// A key is in one header of each request, and nowhere else: not in errors and their causes, what is printed, reports of a
// configuration, information, pages of points, addresses; also where servers and fetch itself repeat it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { checkConfig, connect } from 'nearfield';

import { FakeChroma } from '../support/fakes/chroma.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { providers } from '../support/wired.mjs';
import { temporaryFolder } from './support.mjs';

const canary = 'canary-7f3a9c51+never-shown';
const origin = 'https://server.example:8443';

const servers = {
  qdrant: { make: () => new FakeQdrant({ apiKey: canary }), header: ['api-key', canary] },
  chroma: { make: () => new FakeChroma({ token: canary }), header: ['x-chroma-token', canary] },
  weaviate: { make: () => new FakeWeaviate({ apiKey: canary }), header: ['authorization', `Bearer ${canary}`] },
};

const common = { url: origin, collection: 'Secrets', vector_size: 2, max_retries: 1, retry_delay: 0 };
const tables = (provider, more) => ({ backend: { provider, ...common, ...more } });

/** Where a key may come from, so that it works. */
const places = {
  'a table': (provider) => ({ config: tables(provider, { api_key: canary }) }),
  'a text': (provider) => ({
    config: `[backend]\nprovider = "${provider}"\napi_key = "${canary}"`,
    override: tables(provider, {}),
  }),
  'a variable that a text names': (provider) => ({
    config: tables(provider, { api_key: '${THE_KEY}' }),
    environment: { THE_KEY: canary },
  }),
  'a variable with a name of its own': (provider) => ({
    config: tables(provider, {}),
    environment: { CW_VECTOR_BACKEND_API_KEY: canary },
  }),
};

/** Where it may stand by mistake, or for another purpose. Not all of these are refused. */
const mistakes = [
  { url: `https://user:${encodeURIComponent(canary)}@server.example` },
  { url: `https://user:${canary}@server.example` },
  { url: `https://${canary}@server.example` },
  { url: `https://server.example/?api_key=${canary}` },
  { url: `https://server.example/#${canary}` },
  { url: `https://server.example\n/${canary}` },
  { use_private_network: true, private_endpoint: `https://user:${canary}@server.example` },
  { provider: 'embedded', path: `https://user:${canary}@server.example` },
  { api_key: `${canary}\n` },
  { api_key: `${canary} é` },
  { api_key: [canary] },
  { api_key: { canary } },
  { apikey: canary },
  { encryption_key: canary, encryption_enabled: true },
  { api_key: canary, url: 'http://server.example' },
  { api_key: canary, allowed_hosts: ['another.example'] },
  { api_key: canary, vector_size: 'two' },
];

/** Everything that can be read from a value: hidden members, causes, stacks, and what JSON makes of it. */
function allOf(value) {
  const seen = inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null });
  const json = JSON.stringify(value, (_, inner) => (inner instanceof Error ? { ...inner } : inner)) ?? '';
  return `${seen}\n${json}\n${value?.stack ?? ''}`;
}

const spellings = [canary, encodeURIComponent(canary), Buffer.from(canary).toString('base64')];

function hidden(value, where) {
  const all = allOf(value);
  for (const spelling of spellings) assert.ok(!all.includes(spelling), `${where}: ${all}`);
}

/** What `work` prints, also beside the console. */
async function printed(work) {
  const lines = [];
  const writes = [process.stdout, process.stderr].map((stream) => [stream, stream.write]);
  for (const [stream, write] of writes) {
    stream.write = (chunk, ...more) => {
      lines.push(String(chunk));
      return write.call(stream, chunk, ...more);
    };
  }
  try {
    await work();
  } finally {
    for (const [stream, write] of writes) stream.write = write;
  }
  return lines.join('');
}

/** How a call ends: with a result or an error, all the same here. */
const ending = async (work) => {
  try {
    return await work();
  } catch (error) {
    return error;
  }
};

/** Ways in which a server, or fetch, shows what was sent to it. */
const betrayals = {
  'a refusal': (init) => new Response(`not with ${JSON.stringify(init.headers)}`, { status: 401 }),
  'a limit': (init) => new Response(`{"error":"${init.headers.join()}"}`, { status: 429 }),
  'a failure': (init) => new Response(`{"status":{"error":"${init.headers.join(' ')}"}}`, { status: 500 }),
  'a page': (init) => new Response(`<html>${init.headers.join()}</html>`, { status: 200 }),
  'a good status': (init) => Response.json({ error: init.headers, message: init.headers.join() }),
  'a key that is cut': (init) => new Response(`${'x'.repeat(190)}${init.headers.join()}`, { status: 400 }),
  'an error of fetch': (init) => {
    const cause = Object.assign(new Error(`headers: ${init.headers.join()}`), { code: 'ECONNRESET', init });
    throw new TypeError(`fetch failed: ${init.headers.join()}`, { cause });
  },
};

const operations = [
  (store) => store.ensure(),
  (store) => store.upsert([{ id: 'a', vector: [1, 2], payload: { word: 'b' }, text: 'c' }]),
  (store) => store.search({ vector: [1, 2], k: 1 }),
  (store) => store.get(['a'], { include: ['payload', 'vector'] }),
  (store) => store.count({ filter: { word: 'b' } }),
  async (store) => {
    const all = [];
    for await (const page of store.scroll()) all.push(...page);
    return all;
  },
  (store) => store.info(),
  (store) => store.health(),
  (store) => store.createSnapshot(),
  (store) => store.delete({ filter: { word: 'b' } }),
  (store) => store.delete(['a']),
  (store) => store.drop(),
];

for (const name of providers) {
  test(`a key for ${name} is in one header and nowhere else`, async () => {
    const { make, header } = servers[name];
    const output = await printed(async () => {
      for (const [place, optionsOf] of Object.entries(places)) {
        const options = { environment: {}, ...optionsOf(name) };
        hidden(await checkConfig(options), place);
        const fake = make();
        let betray;
        let keyed = 0;
        const fetch = async (url, init) => {
          hidden(
            [url, init.method, String(init.body ?? ''), init.headers.filter((each) => each[0] !== header[0])],
            url,
          );
          if (init.headers.some((each) => each.join() === header.join())) keyed++;
          return betray === undefined ? fake.fetch(url, init) : betray(init);
        };
        const store = await connect({ ...options, fetch });
        hidden(store, 'the store');
        for (const [i, operation] of operations.entries())
          hidden(await ending(() => operation(store)), `operation ${i}`);
        assert.ok(keyed >= operations.length - 1, `the key was sent ${keyed} times`);
        for (const [how, betraying] of Object.entries(betrayals)) {
          betray = betraying;
          // One store each: after so many failures it would leave the server alone.
          const other = await connect({ ...options, fetch });
          for (const [i, operation] of operations.entries()) {
            const end = await ending(() => operation(other));
            hidden(end, `${place}, ${how}, operation ${i}`);
          }
          await other.close();
        }
        await store.close();
        hidden(await ending(() => store.count()), 'closed');
      }
      for (const mistake of mistakes) {
        const where = Object.keys(mistake).join();
        const options = { config: tables(name, mistake), environment: {} };
        hidden(await checkConfig(options), where);
        const urls = [];
        const fetch = async (url) => {
          urls.push(url);
          throw new TypeError('fetch failed');
        };
        const store = await ending(() => connect({ ...options, fetch }));
        hidden(store, where);
        hidden(await ending(() => store.health?.()), where);
        hidden(urls, where);
        await store.close?.();
      }
    });
    hidden(output, 'what is printed');
  });
}

test('nearfield config show and check print no secret', (t) => {
  const folder = temporaryFolder(t);
  const cli = join(import.meta.dirname, '../../dist/cli/main.js');
  const tablesOf = (more) => `[backend]\nprovider = "qdrant"\nurl = "${origin}"\n${more}\n`;
  const texts = [
    tablesOf(`api_key = "${canary}"\n[embedding]\napi_key = "${canary}"`),
    tablesOf('api_key = "${THE_KEY}"'),
    tablesOf(`encryption_key = "${canary}"\napikey = "${canary}"\nprivate_endpoint = "https://u:${canary}@h"`),
    `[vectordb]\nbackend = "weaviate"\n[vectordb.weaviate]\napi_key = "${canary}"\nurl = "https://${canary}@h"`,
    tablesOf(`api_key = "${canary}"\nurl = "${canary}`),
  ];
  for (const text of texts) {
    writeFileSync(join(folder, '.codeweaver.toml'), text);
    for (const flags of [['show'], ['check'], ['show', '--json'], ['check', '--json']]) {
      const { stdout, stderr } = spawnSync(process.execPath, [cli, 'config', ...flags], {
        cwd: folder,
        env: { ...process.env, THE_KEY: canary, CW_VECTOR_BACKEND_API_KEY: canary },
        encoding: 'utf8',
      });
      assert.ok(stdout.length + stderr.length > 0);
      hidden([stdout, stderr], `${flags} of ${text}`);
    }
  }
});
