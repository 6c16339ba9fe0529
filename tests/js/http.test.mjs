// One attempt of a request (js/src/http.ts) against real servers in this process, and the pump that asks for it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createSocketServer } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { NearfieldError } from 'nearfield';
import { Http } from '../../dist/http.js';
import { codes } from '../../dist/generated/codes.js';
import { Pump } from '../../dist/pump.js';

const canary = 'canary-7f3a9c51-never-shown';
const decoder = new TextDecoder();

// A server on a free port for one test; `seen` are its requests. Answers its origin.
async function listen(t, server) {
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${server.address().port}`;
}

async function serve(t, handler) {
  const seen = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks) });
      handler(request, response);
    });
    request.on('error', () => {});
  });
  return { origin: `http://${await listen(t, server)}`, seen };
}

// What is sent to whoever connects, byte for byte.
async function serveRaw(t, handler) {
  const server = createSocketServer((socket) => socket.once('data', () => handler(socket)));
  return `http://${await listen(t, server)}`;
}

// Where nobody listens.
async function closedOrigin() {
  const gone = createSocketServer();
  await new Promise((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port } = gone.address();
  await new Promise((resolve) => gone.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function request(origin, extra = {}) {
  const path = extra.path ?? '/';
  return {
    method: 'GET',
    origin,
    url: origin + path,
    headers: [['api-key', canary]],
    body: undefined,
    timeout: 20_000,
    limit: 1 << 20,
    ...extra,
  };
}

function never() {
  return new AbortController().signal;
}

const send = (origin, extra, http = new Http()) => http.send(request(origin, extra), never());

// Every way in which an error might be printed.
function allOf(error) {
  const parts = [];
  for (let at = error; at !== undefined && at !== null; at = at.cause) {
    parts.push(String(at), at.stack, at.message, JSON.stringify(at), inspect(at, { depth: 20, showHidden: true }));
  }
  return parts.join('\n');
}

async function failsWith(code, promise) {
  let error;
  await assert.rejects(promise, (thrown) => {
    error = thrown;
    return true;
  });
  assert.ok(error instanceof NearfieldError, inspect(error));
  assert.equal(error.code, code, error.message);
  assert.ok(!allOf(error).includes(canary), allOf(error));
  return error;
}

test('a request arrives as it was asked for, and its answer comes back', async (t) => {
  const { origin, seen } = await serve(t, (_, response) => {
    response.writeHead(422, {
      'content-type': 'application/json',
      'retry-after': '7',
      'set-cookie': ['a=b', 'c=d'],
      'x-other': 'not looked at',
    });
    response.end('{"a":18446744073709551615}');
  });
  const http = new Http();
  const body = new TextEncoder().encode('{"ä":1}');
  const answer = await send(
    origin,
    {
      method: 'PUT',
      path: '/a%20b?c=d',
      body,
      headers: [
        ['api-key', canary],
        ['content-type', 'application/json'],
      ],
    },
    http,
  );
  assert.equal(answer.status, 422);
  assert.deepEqual(answer.headers, [
    { name: 'content-type', value: 'application/json' },
    { name: 'retry-after', value: '7' },
  ]);
  assert.equal(decoder.decode(answer.bytes), '{"a":18446744073709551615}');
  await send(origin, {}, http);
  assert.equal(seen[0].method, 'PUT');
  assert.equal(seen[0].url, '/a%20b?c=d');
  assert.equal(seen[0].body.toString(), '{"ä":1}');
  assert.equal(seen[0].headers['api-key'], canary);
  assert.equal(seen[0].headers['content-type'], 'application/json');
  // No cookies, and nothing that says where it comes from.
  assert.equal(seen[1].headers.cookie, undefined);
  assert.equal(seen[1].headers.referer, undefined);
  assert.ok(!seen.some(({ url }) => url.includes(canary)));
});

test('answers without a body, in pieces, and after hints are answers', async (t) => {
  const { origin } = await serve(t, (request, response) => {
    if (request.url === '/204') {
      response.writeHead(204);
      response.end();
    } else if (request.url === '/pieces') {
      for (let i = 0; i < 100; i++) response.write('x'.repeat(1_000));
      response.end();
    } else {
      for (let i = 0; i < 50; i++) response.writeEarlyHints({ link: '</a>; rel=preload; as=style' });
      response.end('after');
    }
  });
  assert.deepEqual(await send(origin, { path: '/204' }), { status: 204, headers: [], bytes: new Uint8Array(0) });
  assert.equal((await send(origin, { path: '/pieces' })).bytes.length, 100_000);
  assert.equal(decoder.decode((await send(origin, { path: '/hints' })).bytes), 'after');
});

test('a connection that breaks is NetworkFailed, and says whether anything was sent', async (t) => {
  const origins = {
    'reset at once': await serveRaw(t, (socket) => socket.resetAndDestroy()),
    'closed without an answer': await serveRaw(t, (socket) => socket.end()),
    'reset in the middle': await serveRaw(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n1234', () =>
        setTimeout(() => socket.resetAndDestroy(), 20),
      );
    }),
    'closed too early': await serveRaw(t, (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n1234')),
    'an endless header': await serveRaw(t, (socket) =>
      socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`),
    ),
    'no HTTP': await serveRaw(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')),
    'bad chunks': await serveRaw(t, (socket) =>
      socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'),
    ),
    'bad gzip': await serveRaw(t, (socket) =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd'),
    ),
  };
  for (const [name, origin] of Object.entries(origins)) {
    await t.test(name, async () => {
      const error = await failsWith('NetworkFailed', send(origin));
      assert.equal(error.notSent, false);
    });
  }
  await t.test('nobody listens', async () => {
    const error = await failsWith('NetworkFailed', send(await closedOrigin()));
    assert.equal(error.notSent, true);
    assert.match(error.message, /ECONNREFUSED/);
  });
  await t.test('no such name', async () => {
    const error = await failsWith('NetworkFailed', send('http://nearfield-tests.invalid'));
    assert.equal(error.notSent, true);
  });
});

test('an answer with more than was announced, or more than is wanted, is not read on', async (t) => {
  const { origin } = await serve(t, (request, response) => {
    if (request.url === '/bomb') {
      // 200 MB in 200 KB.
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(gzipSync(Buffer.alloc(200 << 20)));
    } else if (request.url === '/exact') {
      response.end(Buffer.alloc(1 << 20));
    } else {
      const piece = Buffer.alloc(1 << 16);
      const more = () => {
        while (response.write(piece));
        response.once('drain', more);
      };
      more();
    }
  });
  await failsWith('LimitExceeded', send(origin, { path: '/bomb' }));
  await failsWith('LimitExceeded', send(origin, { path: '/endless' }));
  assert.equal((await send(origin, { path: '/exact' })).bytes.length, 1 << 20);
  await failsWith('LimitExceeded', send(origin, { path: '/exact', limit: (1 << 20) - 1 }));
  const long = await serveRaw(t, (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n123456789'));
  // The first four are the answer; what follows belongs to nothing.
  const outcome = await send(long).then(
    ({ bytes }) => decoder.decode(bytes),
    (error) => error.code,
  );
  assert.ok(outcome === '1234' || outcome === 'NetworkFailed', outcome);
});

test('a server that takes its time is a Timeout', async (t) => {
  const { origin } = await serve(t, (request, response) => {
    if (request.url === '/silent') return;
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 50);
    response.on('close', () => clearInterval(timer));
  });
  await failsWith('Timeout', send(origin, { path: '/silent', timeout: 100 }));
  await failsWith('Timeout', send(origin, { path: '/slow', timeout: 400 }));
  // Also where fetch does not look at its signal.
  const deaf = new Http({ fetch: () => new Promise(() => {}) });
  await failsWith('Timeout', send(origin, { timeout: 50 }, deaf));
});

test('an answer that stops in its middle is a Timeout, one that is slow is not', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  let body;
  const stream = new ReadableStream({ start: (controller) => void (body = controller) });
  const http = new Http({ fetch: async () => new Response(stream) });
  const answer = send('http://localhost', { timeout: 600_000 }, http);
  for (let i = 0; i < 4; i++) {
    await turn();
    body.enqueue(new Uint8Array(1));
    await turn();
    t.mock.timers.tick(14_999);
  }
  await turn();
  t.mock.timers.tick(1);
  await failsWith('Timeout', answer);

  const whole = send('http://localhost', { timeout: 600_000 }, new Http({ fetch: async () => new Response('whole') }));
  assert.equal(decoder.decode((await whole).bytes), 'whole');
  // Nothing of it is left to fire, nor does one that was never begun.
  const silent = send('http://localhost', { timeout: 600_000 }, new Http({ fetch: () => new Promise(() => {}) }));
  await turn();
  t.mock.timers.tick(599_999);
  assert.equal(await Promise.race([silent.catch(() => 'ended'), turn().then(() => 'waits')]), 'waits');
  t.mock.timers.tick(1);
  await failsWith('Timeout', silent);
});

test('a redirect is not followed, and the key goes nowhere else', async (t) => {
  const other = await serve(t, (_, response) => response.end('other'));
  for (const status of [301, 302, 303, 307, 308]) {
    const { origin } = await serve(t, (_, response) => {
      response.writeHead(status, { location: `${other.origin}/` });
      response.end();
    });
    await failsWith('RemoteProtocolError', send(origin, { method: 'POST', body: new Uint8Array([1]) }));
  }
  // Of a fetch that hands them on.
  const lenient = new Http({
    fetch: async () => new Response(null, { status: 302, headers: { location: other.origin } }),
  });
  await failsWith('RemoteProtocolError', send(other.origin, {}, lenient));
  assert.equal(other.seen.length, 0);
  // Of a fetch that followed one, whatever it was told.
  const { origin } = await serve(t, (_, response) => {
    response.writeHead(302, { location: `${other.origin}/` });
    response.end();
  });
  const following = new Http({ fetch: (url, init) => fetch(url, { ...init, headers: [], redirect: 'follow' }) });
  await failsWith('RemoteProtocolError', send(origin, {}, following));
});

test('aborting ends a request at once, whatever it waits for', async (t) => {
  let closed = 0;
  const { origin } = await serve(t, (request, response) => {
    response.on('close', () => (closed += 1));
    if (request.url === '/body') {
      response.writeHead(200);
      response.write('x');
    }
  });
  for (const path of ['/silent', '/body']) {
    const ending = new AbortController();
    const sent = new Http().send(request(origin, { path }), ending.signal);
    setTimeout(() => ending.abort(), 100);
    await failsWith('Aborted', sent);
  }
  // The connections are gone too.
  while (closed < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  let called = 0;
  const counting = new Http({ fetch: () => (called += 1) });
  await failsWith('Aborted', counting.send(request(origin), AbortSignal.abort()));
  assert.equal(called, 0);
  const ending = new AbortController();
  const deaf = new Http({ fetch: () => new Promise(() => {}) }).send(request(origin), ending.signal);
  ending.abort();
  await failsWith('Aborted', deaf);
});

test('what cannot be sent is refused before fetch sees it, without repeating it', async () => {
  let called = 0;
  const http = new Http({ fetch: () => (called += 1) });
  const origin = 'https://db.example.com';
  for (const header of [
    ['api-key', `${canary}\n`],
    ['api-key', `${canary}\r\nx: y`],
    ['api-key', `${canary}ä€`],
    ['api-key', `${canary}\0`],
    ['api key', canary],
    ['', canary],
    ['API-KEY:', canary],
  ]) {
    await failsWith('InvalidArgument', send(origin, { headers: [header] }, http));
  }
  assert.equal(called, 0);
});

test('a fetch of the caller is used, and its errors do not show what they carry', async () => {
  const calls = [];
  const http = new Http({
    fetch: async (url, init) => {
      calls.push({ url, init });
      return new Response('own');
    },
  });
  const origin = 'https://db.example.com';
  assert.equal(decoder.decode((await send(origin, { path: '/a' }, http)).bytes), 'own');
  assert.equal(calls[0].url, `${origin}/a`);
  const { redirect, credentials, cache, referrerPolicy } = calls[0].init;
  assert.deepEqual(
    { redirect, credentials, cache, referrerPolicy },
    { redirect: 'error', credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' },
  );
  const leaking = new Http({
    fetch: async (_, init) => {
      throw Object.assign(new Error('failed'), { config: init });
    },
  });
  await failsWith('NetworkFailed', send(origin, {}, leaking));
});

test('hostile addresses are refused by this platform too', async () => {
  const corpus = JSON.parse(readFileSync(new URL('../corpus/hosts.json', import.meta.url), 'utf8'));
  let called = 0;
  const http = new Http({ fetch: () => (called += 1) });
  const origins = ['https://db.example.com', 'http://db.example.com', 'http://127.0.0.1:6333', 'http://[::1]:6333'];
  for (const text of corpus.refused) {
    for (const origin of origins) {
      const sent = http.send({ ...request(origin), url: text }, never());
      await assert.rejects(sent, { code: 'HostNotAllowed' }, `${JSON.stringify(text)} as ${origin}`);
    }
  }
  assert.equal(called, 0);
  // What the core accepts, this platform reads as the same.
  for (const { text, origin, path } of [...corpus.accepted, ...corpus.parsed]) {
    const parsed = new URL(`${origin}${path}/x`);
    assert.equal(parsed.origin, origin, text);
    assert.equal(parsed.href, `${origin}${path}/x`, text);
    if (/:\/\//.test(text)) assert.equal(new URL(text).origin.replace(/\.(?=:|$)/, ''), origin, text);
    const before = called;
    await http.send({ ...request(origin), url: `${origin}${path}/x` }, never()).catch(() => {});
    assert.equal(called, before + 1, text);
  }
});

const pem = (name) => fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));

async function serveSecurely(t, options, handler) {
  const server = createSecureServer(
    { key: readFileSync(pem('server-key')), cert: readFileSync(pem('server')), ...options },
    handler,
  );
  server.on('tlsClientError', () => {});
  return `https://${await listen(t, server)}`;
}

test('certificates are checked, unless the options say otherwise', async (t) => {
  const origin = await serveSecurely(t, {}, (_, response) => response.end('secure'));
  const text = async (tls, at = origin) => {
    const http = new Http({ tls });
    try {
      return decoder.decode((await send(at, {}, http)).bytes);
    } finally {
      await http.close();
    }
  };
  const error = await failsWith('TlsFailed', text(undefined));
  assert.equal(error.notSent, true);
  await failsWith('TlsFailed', text({ verify: true }));
  assert.equal(await text({ verify: false }), 'secure');
  assert.equal(await text({ cert: pem('authority') }), 'secure');
  await failsWith('TlsFailed', text({ cert: pem('client') }));
  await failsWith('TlsFailed', text({ cert: pem('missing') }));
  await failsWith('Unsupported', text({ key: pem('client-key') }));
  // A server that speaks no TLS.
  const plain = await serveRaw(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await failsWith('TlsFailed', text(undefined, plain.replace('http:', 'https:')));
  const own = new Http({ fetch: async () => new Response('own'), tls: { verify: false } });
  await failsWith('Unsupported', send(origin, {}, own));
});

test('a server that asks for a certificate gets the configured one', async (t) => {
  const origin = await serveSecurely(
    t,
    { requestCert: true, rejectUnauthorized: true, ca: readFileSync(pem('authority')) },
    (request, response) => response.end(request.socket.getPeerCertificate().subject.CN),
  );
  const http = new Http({ tls: { cert: pem('client'), key: pem('client-key'), verify: false } });
  assert.equal(decoder.decode((await send(origin, {}, http)).bytes), 'nearfield client');
  await http.close();
  const without = new Http({ tls: { verify: false } });
  const error = await send(origin, {}, without).catch((thrown) => thrown);
  assert.match(error.code, /^(TlsFailed|NetworkFailed)$/);
  await without.close();
});

// The engine's side of the line: effects that a test hands out, answers that it looks at.
class ScriptedEngine {
  broken = undefined;
  effects = [];
  finished = [];
  dropped = [];
  answers = [];
  cancelled = [];
  memory = { bytes: (_, length) => new Uint8Array(length).fill(7) };

  call(verb, message, tail) {
    const view = new DataView(message.buffer, message.byteOffset);
    const text = decoder.decode(message.subarray(4, 4 + view.getUint32(0, true)));
    if (verb === '_takeEffects') {
      const taken = { effects: this.effects, finished: this.finished, dropped: this.dropped };
      this.effects = [];
      this.finished = [];
      this.dropped = [];
      return taken;
    }
    if (verb === '_answer') {
      const answer = JSON.parse(text);
      this.answers.push({ ...answer, bytes: tail });
      this.onAnswer?.(answer);
      return {};
    }
    if (verb === '_cancel') {
      this.cancelled.push(JSON.parse(text).operation);
      this.onCancel?.();
      return {};
    }
    this.begin();
    return { operation: 1 };
  }
  poison(why, cause) {
    this.broken = new NearfieldError('InstancePoisoned', why, { cause });
  }
}

function httpEffect(id, origin, extra = {}) {
  const path = extra.path ?? '/';
  return {
    id,
    kind: 'http',
    method: 'POST',
    origin,
    url: origin + path,
    headers: [['api-key', canary]],
    timeout: 10_000,
    limit: 1 << 20,
    bytes: [0, 3],
    ...extra,
  };
}

test('the pump sends what the engine asks for, and answers with what came', async (t) => {
  const { origin, seen } = await serve(t, (_, response) => {
    response.writeHead(503, { 'retry-after': '3' });
    response.end('busy');
  });
  const engine = new ScriptedEngine();
  const closed = await closedOrigin();
  engine.begin = () => engine.effects.push(httpEffect(5, origin), httpEffect(6, closed));
  engine.onAnswer = () => {
    if (engine.answers.length === 2) engine.finished.push({ operation: 1, code: 0, result: 'done' });
  };
  const pump = new Pump(engine, {}, false, new Http());
  assert.equal(await pump.runCancelled('_search', new Uint8Array(4), undefined), 'done');
  assert.deepEqual([...seen[0].body], [7, 7, 7]);
  const good = engine.answers.find(({ id }) => id === 5);
  assert.equal(good.status, 503);
  assert.deepEqual(good.headers, [{ name: 'retry-after', value: '3' }]);
  assert.equal(decoder.decode(good.bytes), 'busy');
  assert.ok(Math.abs(good.now - Date.now()) < 60_000);
  const refused = engine.answers.find(({ id }) => id === 6);
  assert.equal(codes[refused.code - 1], 'NetworkFailed');
  assert.equal(refused.notSent, true);
  assert.ok(!JSON.stringify(engine.answers).includes(canary));
  // Without one that sends, nothing is sent.
  const bare = new Pump(engine, {}, false);
  engine.answers = [];
  engine.onAnswer = () => engine.finished.push({ operation: 1, code: 0, result: 'none' });
  engine.begin = () => engine.effects.push(httpEffect(7, origin));
  assert.equal(await bare.run('_search'), 'none');
  assert.equal(codes[engine.answers[0].code - 1], 'Internal');
});

test('a cancelled operation answers at once, and what it waited for is ended', async (t) => {
  let closed = 0;
  const { origin, seen } = await serve(t, (_, response) => response.on('close', () => (closed += 1)));
  const engine = new ScriptedEngine();
  engine.begin = () => engine.effects.push(httpEffect(1, origin), { id: 2, kind: 'sleep', milliseconds: 2 ** 31 - 1 });
  // As the engine does it: the operation is gone, and so are its effects.
  engine.onCancel = () => engine.dropped.push(1, 2);
  const pump = new Pump(engine, {}, false, new Http());
  const ending = new AbortController();
  const running = pump.runCancelled('_search', new Uint8Array(4), ending.signal);
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  ending.abort(new Error('enough'));
  const error = await failsWith('Aborted', running);
  assert.equal(error.cause.message, 'enough');
  assert.deepEqual(engine.cancelled, [1]);
  while (closed === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 20));
  // Nobody waits for these answers. The timer is gone too, or this file would not end.
  assert.deepEqual(engine.answers, []);
  await failsWith('Aborted', pump.runCancelled('_search', new Uint8Array(4), AbortSignal.abort()));
  assert.deepEqual(engine.cancelled, [1]);
});

test('requests and waits end with the engine, and with cancelRequests()', async (t) => {
  let closed = 0;
  const { origin, seen } = await serve(t, (_, response) => response.on('close', () => (closed += 1)));
  for (const way of ['cancelRequests', 'broken']) {
    const engine = new ScriptedEngine();
    engine.begin = () =>
      engine.effects.push(httpEffect(1, origin), { id: 2, kind: 'sleep', milliseconds: 2 ** 31 - 1 });
    engine.onCancel = () => engine.dropped.push(1, 2);
    const pump = new Pump(engine, {}, false, new Http());
    const running = pump.runCancelled('_search', new Uint8Array(4), undefined);
    running.catch(() => {});
    const before = closed;
    const count = seen.length;
    while (seen.length === count) await new Promise((resolve) => setTimeout(resolve, 5));
    if (way === 'broken') engine.onBroken(new NearfieldError('Closed', 'gone'));
    else pump.cancelRequests();
    await failsWith(way === 'broken' ? 'Closed' : 'Aborted', running);
    while (closed === before) await new Promise((resolve) => setTimeout(resolve, 5));
  }
});
