// Stores on servers from a page: what CORS lets through, and what a page is told where it does not.
import assert from 'node:assert/strict';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { test } from 'node:test';

import { FakeChroma } from '../support/fakes/chroma.mjs';
import { used } from '../support/fakes/fake.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { startChroma } from '../support/servers.mjs';
import { providers } from '../support/wired.mjs';
import { launch } from './support.mjs';

const project = join(import.meta.dirname, '../..');
const types = { js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm' };
const key = 'canary-7f3a91';

const page = `<!doctype html><script type="importmap">${JSON.stringify({
  imports: { nearfield: '/dist/index.js', 'smol-toml': '/node_modules/smol-toml/dist/index.js' },
})}</script>`;

async function listen(t, handler) {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** A site with the package and one page. */
const site = (t) =>
  listen(t, (request, response) => {
    const path = normalize(request.url);
    const file = join(project, path);
    if (path === '/') {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end(page);
    } else if (/^\/(dist|node_modules\/smol-toml)\//.test(path) && existsSync(file) && statSync(file).isFile()) {
      response.writeHead(200, { 'content-type': types[file.split('.').at(-1)] ?? 'text/plain' });
      createReadStream(file).pipe(response);
    } else {
      response.writeHead(404);
      response.end();
    }
  });

/** In the page: the same calls on the store of this configuration and on the embedded engine. */
async function both(config, memory) {
  const { connect } = await import('nearfield');
  const points = Array.from({ length: 30 }, (_, i) => ({
    id: `page ${i}`,
    vector: [Math.sin(i), Math.cos(i * 1.7), 0.3 + i / 30],
    payload: { n: i, even: i % 2 === 0 },
    text: `text ${i} é`,
  }));
  const answers = [];
  for (const each of [config, memory]) {
    const store = await connect({ config: each });
    const out = { created: (await store.ensure()).created };
    out.written = (await store.upsert(points)).ok.length;
    const query = { vector: [0.4, 0.5, 0.6], k: 7, exact: true };
    const hits = [
      ...(await store.search(query)),
      ...(await store.search({ ...query, filter: { even: true, n: { $gt: 4 } } })),
    ];
    out.ids = hits.map(({ id }) => id);
    out.scores = hits.map(({ score }) => score);
    out.first = { payload: hits[0].payload, text: hits[0].text };
    out.vector = [...(await store.get(['page 3'], { include: ['vector'] }))[0].vector];
    out.deleted = await store.delete(['page 3', 'page 4']);
    out.count = await store.count();
    out.ready = (await store.health()).ready;
    out.dropped = await store.drop();
    await store.close();
    answers.push(out);
  }
  return answers;
}

/** In the page: what ensure() and health() say. */
async function refused(config) {
  const { connect } = await import('nearfield');
  try {
    const store = await connect({ config });
    const health = await store.health();
    try {
      await store.ensure();
    } catch ({ code, message }) {
      return { code, message, health };
    }
    return { code: '' };
  } catch ({ code, message }) {
    return { code, message };
  }
}

const configOf = (provider, url, more = '') => `
[backend]
provider = "${provider}"
url = "${url}"
collection = "Pages"
vector_size = 3
max_retries = 0
${more}`;
const memory = '[backend]\nprovider = "memory"\ncollection = "Pages"\nvector_size = 3';

/** A page of the site, and what went wrong in it but for requests that are meant to fail. */
async function visit(t, address) {
  const browser = await launch(t);
  const tab = await browser.newPage();
  const uncaught = [];
  tab.on('pageerror', (error) => uncaught.push(error.message));
  t.after(() => assert.deepEqual(uncaught, []));
  await tab.goto(`${address}/`);
  return tab;
}

function same([store, embedded]) {
  const { scores, vector, ...rest } = store;
  assert.deepEqual({ ...rest, scores: [], vector: [] }, { ...embedded, scores: [], vector: [] });
  assert.deepEqual([store.written, store.deleted, store.count, store.ready, store.dropped], [30, 2, 28, true, true]);
  for (const [i, score] of scores.entries()) assert.ok(Math.abs(score - embedded.scores[i]) < 1e-4, `${i}: ${score}`);
  for (const [i, part] of vector.entries()) assert.ok(Math.abs(part - embedded.vector[i]) < 1e-5, `${i}: ${part}`);
}

/** The provider's name, a server that lets the page in, and what its operator sets for that. */
const fakes = {
  qdrant: { make: () => new FakeQdrant({ apiKey: key }), setting: 'service.enable_cors' },
  chroma: { make: (origin) => new FakeChroma({ token: key, cors: [origin] }), setting: 'cors_allow_origins' },
  weaviate: { make: () => new FakeWeaviate({ apiKey: key }), setting: 'CORS_ALLOW_ORIGIN' },
};

/** The same server behind answers without any header of CORS. */
const withoutCors = (t, fake) =>
  listen(t, async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url: path, headers } = request;
    const answer = fake.answer({ method, path, headers, body: Buffer.concat(chunks) });
    const plain = Object.entries(answer.headers).filter(([name]) => !name.startsWith('access-control-'));
    response.writeHead(answer.status, Object.fromEntries(plain));
    response.end(answer.body);
  });

test('a page uses servers that let it in, and is told what to set on those that do not', async (t) => {
  const address = await site(t);
  const tab = await visit(t, address);
  for (const provider of providers) {
    await t.test(provider, async (t) => {
      const { make, setting } = fakes[provider];
      const fake = used(t, make(address));
      await fake.listen();
      const secret = `api_key = "${key}"`;
      same(await tab.evaluate(both, configOf(provider, fake.url, secret), memory));

      const shut = await withoutCors(t, make(address));
      const { code, message, health } = await tab.evaluate(refused, configOf(provider, shut, secret));
      assert.equal(code, 'NetworkFailed');
      assert.equal(health.ready, false);
      for (const told of [message, health.message]) {
        assert.ok(
          told.includes('CORS') && told.includes(setting) && told.includes(shut) && told.includes(address),
          told,
        );
        assert.ok(!told.includes(key), told);
      }

      const own = await tab.evaluate(refused, configOf(provider, fake.url, 'enable_cors = false'));
      assert.equal(own.code, 'HostNotAllowed');
      assert.ok(own.message.includes(address) && own.message.includes('enable_cors'), own.message);
    });
  }
});

test('a page uses a real Chroma that lets it in, and is told of cors_allow_origins by one that does not', async (t) => {
  if (!providers.includes('chroma')) return t.skip('connect() opens no store of Chroma yet');
  const address = await site(t);
  const open = await startChroma(t, { cors: [address] });
  if (open.skip !== undefined) return t.skip(open.skip);
  const shut = await startChroma(t, { fresh: true });
  if (shut.skip !== undefined) return t.skip(shut.skip);
  const tab = await visit(t, address);
  same(await tab.evaluate(both, configOf('chroma', open.url), memory));
  const { code, message } = await tab.evaluate(refused, configOf('chroma', shut.url));
  assert.equal(code, 'NetworkFailed');
  for (const part of ['CORS', 'cors_allow_origins', shut.url, address]) assert.ok(message.includes(part), message);
});
