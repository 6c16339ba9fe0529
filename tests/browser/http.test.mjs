// One attempt of a request from a page: what browsers add to js/src/http.ts, which tests/js/http.test.mjs tests in Node.
import assert from 'node:assert/strict';
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { launch } from './support.mjs';

async function listen(t, handler) {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

test('a page hears what a server says to it, and what may be wrong where it hears nothing', async (t) => {
  const dist = join(import.meta.dirname, '../../dist');
  const site = await listen(t, (request, response) => {
    const file = join(dist, request.url);
    if (request.url === '/' || !existsSync(file)) {
      response.writeHead(request.url === '/' ? 200 : 404, { 'content-type': 'text/html' });
      response.end('<!doctype html>');
      return;
    }
    response.writeHead(200, { 'content-type': 'text/javascript' });
    createReadStream(file).pipe(response);
  });
  const seen = [];
  const answer = (cors) => (request, response) => {
    if (cors) {
      response.setHeader('access-control-allow-origin', site);
      response.setHeader('access-control-allow-headers', 'content-type, api-key');
      response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader('set-cookie', 'a=b; path=/');
    }
    if (request.method === 'OPTIONS') {
      response.writeHead(cors ? 204 : 405);
      response.end();
      return;
    }
    seen.push({ url: request.url, headers: request.headers });
    if (request.url === '/redirect') response.writeHead(302, { location: '/a' });
    else response.writeHead(200, { 'content-type': 'application/json' });
    if (request.url === '/long') response.write('x'.repeat(5_000));
    response.end('{"ok":true}');
  };
  const open = await listen(t, answer(true));
  const shut = await listen(t, answer(false));

  const browser = await launch(t);
  const page = await browser.newPage();
  await page.goto(`${site}/`);
  const send = (origin, path, more = {}) =>
    page.evaluate(
      async (origin, path, more) => {
        const { Http } = await import('/http.js');
        const http = new Http(more.options);
        const request = {
          method: 'POST',
          origin,
          url: origin + path,
          headers: [
            ['content-type', 'application/json'],
            ['api-key', 'canary-key'],
          ],
          body: new TextEncoder().encode('{}'),
          timeout: 20_000,
          limit: 1_000,
        };
        const ending = new AbortController();
        if (more.abort) ending.abort();
        try {
          const { status, headers, bytes } = await http.send(request, ending.signal);
          return { status, headers, text: new TextDecoder().decode(bytes) };
        } catch (error) {
          return { code: error.code, message: error.message };
        }
      },
      origin,
      path,
      more,
    );

  assert.deepEqual(await send(open, '/a'), {
    status: 200,
    headers: [{ name: 'content-type', value: 'application/json' }],
    text: '{"ok":true}',
  });
  await send(open, '/b');
  // The cookie that came with the first answer was not kept.
  assert.equal(seen[1].headers.cookie, undefined);
  assert.equal(seen[1].headers.referer, undefined);
  assert.equal(seen[1].headers['api-key'], 'canary-key');

  // A server that does not know of pages, one that is not there, one that leads elsewhere: pages are not told which.
  const before = seen.length;
  for (const origin of [shut, 'http://127.0.0.1:9']) {
    const { code, message } = await send(origin, '/a');
    assert.equal(code, 'NetworkFailed');
    assert.ok(message.includes('network or CORS') && message.includes(origin) && message.includes(site), message);
    assert.ok(!message.includes('canary-key'), message);
  }
  assert.equal(seen.length, before);
  assert.equal((await send(open, '/redirect')).code, 'NetworkFailed');
  assert.equal((await send(open, '/long')).code, 'LimitExceeded');
  assert.equal((await send(open, '/a', { abort: true })).code, 'Aborted');
  const tls = await send(open, '/a', { options: { tls: { verify: false } } });
  assert.equal(tls.code, 'Unsupported');
});
