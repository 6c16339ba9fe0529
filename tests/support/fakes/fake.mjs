// What the fakes of the servers share: reading requests, writing answers, the real port, the log, the violations.
//
// A fake answers in two ways that are the same code:
//   fake.answer({ method, path, headers, body })  -> { status, headers, body }, at once; body in and out is text
//   await fake.listen()                           -> { url }, a real server on the loopback; await fake.close()
// and as fetch for whoever takes one: fake.fetch(url, init).
//
// A request that the API description does not allow, that the fake does not know, or that an adapter has no business
// sending is answered as the server would, and stands in fake.violations; check() throws them all. used(t, fake) checks and
// closes at the end of a test.

import http from 'node:http';
import { gunzipSync } from 'node:zlib';

import { JsonError, isPlain, parse, print } from './lossless.mjs';

/** Ends a request with this answer, from however deep. */
export class Reply extends Error {
  constructor(status, body, headers = {}) {
    super(`answer ${status}`);
    Object.assign(this, { status, body, headers });
  }
}

export const json = (value) => ({ text: print(value), type: 'application/json' });

// What fetch and node:http send by themselves.
const ownHeaders = new Set(
  `accept accept-encoding accept-language access-control-request-headers access-control-request-method cache-control
   connection content-length content-type expect host keep-alive origin pragma priority referer sec-ch-ua sec-ch-ua-mobile
   sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-gpc te transfer-encoding user-agent`.split(
    /\s+/,
  ),
);

export class Fake {
  /**
   * description: an ApiDescription or null (no validation). now(): milliseconds since 1970, for rate limits and times.
   * allowedHeaders: header names an adapter may send besides those of fetch itself.
   */
  constructor({ name, description = null, now = Date.now, allowedHeaders = [] }) {
    this.name = name;
    this.description = description;
    this.now = now;
    this.allowedHeaders = new Set(allowedHeaders);
    this.violations = [];
    this.requests = []; // { method, path, status }, in order of arrival
  }

  /** One server's routes: answers { status, headers?, body? }, or throws Reply. `request` has url, query, json, text. */
  // eslint-disable-next-line no-unused-vars
  route(request) {
    throw new Error('a fake has routes');
  }
  /** The text of an error for a body that is not JSON. */
  // eslint-disable-next-line no-unused-vars
  malformed(error, request) {
    throw new Error('a fake knows its errors');
  }

  violate(what, request) {
    this.violations.push(`${this.name}: ${request.method} ${request.path}: ${what}`);
  }

  check() {
    if (this.violations.length === 0) return;
    const shown = this.violations.slice(0, 20);
    throw new Error(`requests that should not have been sent (${this.violations.length}):\n${shown.join('\n')}`);
  }

  answer({ method, path, headers = {}, body = '' }) {
    const lower = {};
    for (const [name, value] of Object.entries(headers)) lower[name.toLowerCase()] = value;
    const url = new URL(path, 'http://fake');
    const text = typeof body === 'string' ? body : Buffer.from(body ?? '').toString('utf8');
    const request = {
      method,
      path,
      url,
      query: url.searchParams,
      headers: lower,
      text,
      bytes: Buffer.byteLength(text),
    };
    request.parts = url.pathname.split('/').slice(1).map(decode);
    // Parsed on demand, and once: a server looks at the key, the size and the route first.
    let tree;
    request.tree = () => {
      if (tree !== undefined) return tree;
      try {
        tree = { value: parse(text), plain: isPlain(text) };
      } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        tree = { error };
      }
      return tree;
    };
    Object.defineProperty(request, 'json', {
      get: () => (request.tree().error ? this.malformed(request.tree().error, request) : request.tree().value),
    });
    if (method !== 'OPTIONS') this.judge(request);
    let reply;
    try {
      reply = this.route(request);
    } catch (error) {
      if (!(error instanceof Reply)) throw error;
      reply = error;
    }
    const answer = { status: reply.status, headers: { ...reply.headers }, body: '' };
    if (reply.reset) answer.reset = true;
    if (reply.body?.text !== undefined) {
      answer.body = reply.body.text;
      answer.headers['content-type'] ??= reply.body.type;
    } else if (typeof reply.body === 'string') {
      answer.body = reply.body;
    }
    if (method === 'HEAD') answer.body = '';
    this.requests.push({ method, path, status: answer.status });
    return answer;
  }

  /** What every request must be, whatever the server says to it. */
  judge(request) {
    for (const name of Object.keys(request.headers)) {
      if (!ownHeaders.has(name) && !this.allowedHeaders.has(name)) this.violate(`header ${name}`, request);
    }
    if (request.text !== '' && !/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
      this.violate(`a body of type ${request.headers['content-type'] ?? '(none)'}`, request);
    }
    if (this.description !== null) for (const what of this.description.judge(request)) this.violate(what, request);
  }

  async listen(port = 0) {
    this.server = http.createServer((incoming, outgoing) => serve(this, incoming, outgoing));
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', resolve);
    });
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async close() {
    if (this.server === undefined) return;
    const { server } = this;
    this.server = undefined;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  /** As the platform's fetch, without a network. A broken connection is fetch's TypeError. */
  fetch = async (input, init = {}) => {
    const url = new URL(input);
    const answer = this.answer({
      method: init.method ?? 'GET',
      path: url.pathname + url.search,
      headers: Object.fromEntries(new Headers(init.headers)),
      body: init.body === undefined || init.body === null ? '' : Buffer.from(init.body).toString('utf8'),
    });
    if (answer.reset) throw new TypeError('fetch failed');
    const empty = answer.status === 204 || answer.status === 304;
    return new Response(empty ? null : answer.body, { status: answer.status, headers: answer.headers });
  };
}

const decode = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

export async function readBody(incoming) {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  return incoming.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
}

async function serve(fake, incoming, outgoing) {
  let answer;
  try {
    const body = await readBody(incoming);
    const { method, url: path, headers } = incoming;
    answer = fake.answer({ method, path, headers, body });
  } catch (error) {
    fake.violations.push(`${fake.name}: the fake failed: ${error.stack}`);
    answer = { status: 500, headers: {}, body: String(error) };
  }
  if (answer.reset) return incoming.socket.destroy();
  outgoing.writeHead(answer.status, answer.headers);
  outgoing.end(answer.body);
}

/** Checks and closes the fake when the test ends. */
export function used(t, fake) {
  t.after(async () => {
    await fake.close();
    fake.check();
  });
  return fake;
}
