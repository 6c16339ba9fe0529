// Faults between an adapter and a fake server.
//
//   const faulty = new Faulty(fake, 'reset-after', { times: 2, when: ({ method }) => method === 'PUT' });
//
// strikes the first `times` requests that `when` takes; the others go through. Three forms, as with a fake:
//
//   faulty.answer(request)   at once, for simulators with a clock of their own: the fake's answer with `latencyMs`, and
//                            where there is no whole answer `broken`: 'reset' (nothing came), 'cut' (it broke off in the
//                            middle) or 'stall' (it never ends). `slices` are the pieces in which the body comes.
//   faulty.fetch(url, init)  as the platform's fetch; latency and stalls are real time, and end with init.signal
//   await faulty.listen()    a real server
//
// `faults` are the 24 of the bar, `moreFaults` what is worth a test besides. Each tells what it does to the request (`applied`: the
// server did it) and what a client should make of it (`cure`): 'none' (the answer is good), 'retry' (the next try may
// work: where the operation may be repeated), 'refuse' (a server that answers so is broken, and a retry no help).

import http from 'node:http';
import { gzipSync } from 'node:zlib';

import { readBody } from './fake.mjs';
import { Real, parse, print } from './lossless.mjs';

const mebibyte = 1024 * 1024;

// Every fault takes (answer, { fake, options }) where `applied`, or (null, ...) where not, and gives the new answer.
const table = [
  ['latency', true, 'none', (answer, { options }) => ({ ...answer, latencyMs: options.latencyMs ?? 400 })],
  ['reset-before', false, 'retry', () => ({ broken: 'reset' })],
  ['reset-after', true, 'retry', () => ({ broken: 'reset' })],
  ['slices', true, 'none', (answer) => ({ ...answer, slices: sliced(answer.body) })],
  ['stall', true, 'retry', (answer) => ({ ...answer, broken: 'stall' })],
  ['wrong-length', true, 'retry', (answer) => ({ ...answer, broken: 'cut', lengthOff: 10 })],
  ['lying-status', false, 'refuse', (_, { fake }) => asJson(200, lies[fake.name])],
  ['html', false, 'refuse', () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: loginPage })],
  ['wrong-types', true, 'refuse', edit(wrongTypes)],
  ['missing-fields', true, 'refuse', edit(missingFields)],
  ['extra-fields', true, 'none', edit(extraFields)],
  [
    'huge-body',
    true,
    'refuse',
    (answer, { options }) => ({
      ...answer,
      slices: [...spaces(options.bytes ?? 65 * mebibyte), Buffer.from(answer.body)],
    }),
  ],
  ['empty-body', true, 'refuse', (answer) => ({ ...answer, body: '' })],
  ['duplicate-ids', true, 'refuse', edit(duplicateIds)],
  ['nan-scores', true, 'refuse', edit(nanScores)],
  ['big-ids', true, 'refuse', edit(bigIds)],
  ['wrong-dimension', true, 'refuse', edit(wrongDimension)],
  ['proto-key', true, 'none', edit(protoKey)],
  ['deep', true, 'refuse', (answer) => ({ ...answer, body: `{"result":${'['.repeat(1e5)}${']'.repeat(1e5)}}` })],
  [
    'rate-limited',
    false,
    'retry',
    (_, { options }) => errorOf(429, { 'retry-after': String(options.retryAfter ?? 2) }),
  ],
  ['rate-limited-bare', false, 'retry', () => errorOf(429)],
  ['error-500', false, 'retry', () => errorOf(500)],
  ['unavailable-503', false, 'retry', () => errorOf(503)],
  [
    'redirect',
    false,
    'refuse',
    (_, { options }) => ({
      status: 307,
      headers: { location: options.location ?? 'https://elsewhere.invalid/' },
      body: '',
    }),
  ],
];

const more = [
  ['no-content', true, 'refuse', () => ({ status: 204, headers: {}, body: '' })],
  ['cut', true, 'retry', (answer) => ({ ...answer, broken: 'cut' })],
  ['silence', true, 'retry', () => ({ broken: 'stall' })],
  [
    'gzip-bomb',
    true,
    'refuse',
    (answer, { options }) => ({
      ...answer,
      body: ' '.repeat(options.bytes ?? 65 * mebibyte) + answer.body,
      gzip: true,
    }),
  ],
  ['not-json', true, 'refuse', (answer) => ({ ...answer, body: answer.body.slice(0, answer.body.length >> 1) })],
  [
    'cookies',
    true,
    'none',
    (answer) => ({ ...answer, headers: { ...answer.headers, 'set-cookie': 'session=1; Path=/' } }),
  ],
];

const named = ([name, applied, cure]) => ({ name, applied, cure });
export const faults = table.map(named);
export const moreFaults = more.map(named);

const loginPage =
  '<!doctype html><html><head><title>Sign in</title></head><body><form action="/login"></form></body></html>';

const lies = {
  qdrant: { status: { error: 'Service internal error: the disk is full' }, time: 0 },
  chroma: { error: 'InternalError', message: 'the disk is full' },
  weaviate: { error: [{ message: 'the disk is full' }] },
};

const asJson = (status, value, headers = {}) => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: print(value),
});

// What a proxy in front of the server says.
const errorOf = (status, headers = {}) => ({
  status,
  headers: { 'content-type': 'text/plain', ...headers },
  body: `${http.STATUS_CODES[status]}\n`,
});

function sliced(body) {
  const pieces = [];
  // Odd lengths, so that they cut through characters of several bytes.
  const bytes = Buffer.from(body);
  for (let at = 0, length = 1; at < bytes.length; at += length, length = (length % 7) + (at > 2000 ? 4096 : 1)) {
    pieces.push(bytes.subarray(at, at + length));
  }
  return pieces;
}

const blank = new Uint8Array(mebibyte).fill(0x20);

/** So many spaces in pieces, of which there is one copy only. */
function spaces(bytes) {
  const pieces = [];
  for (let left = bytes; left > 0; left -= blank.length) pieces.push(blank.subarray(0, left));
  return pieces;
}

/** A fault in the JSON of an answer; any other answer stays as it is. */
function edit(change) {
  return (answer) => {
    if (!/json/.test(answer.headers['content-type'] ?? '') || answer.body === '') return answer;
    return { ...answer, body: print(change(parse(answer.body))) };
  };
}

const isObject = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Real);

/** A copy in which `change(value, key)` may replace any value, from the leaves up. Own keys of all names survive. */
function mapped(value, change, key) {
  let copy = value;
  if (Array.isArray(value)) copy = value.map((inner) => mapped(inner, change, key));
  else if (isObject(value)) {
    copy = {};
    for (const [name, inner] of Object.entries(value)) own(copy, name, mapped(inner, change, name));
  }
  return change(copy, key);
}

const own = (object, name, value) =>
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });

function wrongTypes(body) {
  return mapped(body, (value) => {
    if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Real) return String(value.valueOf());
    if (typeof value === 'string') return 7;
    return typeof value === 'boolean' ? 'yes' : value;
  });
}

/** Without what matters: the first field of the answer and of every entry in its lists. */
function missingFields(body) {
  const less = (value) => (isObject(value) ? Object.fromEntries(Object.entries(value).slice(1)) : value);
  return less(mapped(body, (value) => (Array.isArray(value) ? value.map(less) : value)));
}

const ofUser = new Set(['payload', 'metadata', 'metadatas', 'properties', 'configuration_json', 'schema']);
const extra = { more: [1, { and: null }] };

function extraFields(body) {
  const walk = (value, key) => {
    if (ofUser.has(key)) return value;
    if (Array.isArray(value)) return value.map((inner) => walk(inner, key));
    if (!isObject(value)) return value;
    const entries = Object.entries(value).map(([name, inner]) => [name, walk(inner, name)]);
    // A map of vectors is the user's, too.
    return Object.fromEntries(/^vectors?$/.test(key) ? entries : [['unexpected', extra], ...entries]);
  };
  return walk(body);
}

const isHit = (value) => isObject(value) && ('id' in value || '_additional' in value);

function duplicateIds(body) {
  return mapped(body, (value, key) => {
    if (!Array.isArray(value) || value.length === 0) return value;
    if (value.every(isHit)) return [...value, value[0]];
    if (key === 'ids' && value.length > 1 && !Array.isArray(value[0])) return [...value.slice(0, -1), value[0]];
    return value;
  });
}

function nanScores(body) {
  let turn = 0;
  const broken = () => [null, 'NaN', '1'][turn++ % 3];
  return mapped(body, (value, key) => {
    if (['score', 'distance', 'distances'].includes(key) && !Array.isArray(value) && !isObject(value)) return broken();
    return value;
  });
}

/** Ids that a double would round to its neighbour. */
function bigIds(body) {
  let next = 9007199254740993n;
  return mapped(body, (value, key) => {
    if (!['id', 'ids'].includes(key) || Array.isArray(value) || isObject(value) || value === null) return value;
    return (next += 2n) - 2n;
  });
}

function wrongDimension(body) {
  const isVector = (value) =>
    Array.isArray(value) && value.length > 1 && value.every((one) => typeof one === 'number' || one instanceof Real);
  const inside = (value) => {
    if (isVector(value)) return value.slice(1);
    if (Array.isArray(value)) return value.map(inside);
    return isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, inside(inner)]))
      : value;
  };
  return mapped(body, (value, key) => (['vector', 'vectors', 'embeddings'].includes(key) ? inside(value) : value));
}

function protoKey(body) {
  return mapped(body, (value, key) => {
    const payload = ['payload', 'metadata', 'metadatas', 'properties'].includes(key) && isObject(value);
    return payload ? own({ ...value }, '__proto__', { polluted: true }) : value;
  });
}

export class Faulty {
  /** options: latencyMs, retryAfter (seconds), location (of a redirect), bytes (of a huge body). */
  constructor(fake, name, { times = 1, when = () => true, ...options } = {}) {
    const found = [...table, ...more].find(([known]) => known === name);
    if (found === undefined) throw new Error(`no fault is called ${name}`);
    [this.name, this.applied, this.cure, this.act] = found;
    Object.assign(this, { fake, times, when, options });
    this.struck = 0; // requests that it changed
    this.seen = 0; // all of them
  }

  answer(request) {
    this.seen++;
    if (this.struck >= this.times || !this.when(request)) return this.fake.answer(request);
    this.struck++;
    const answer = this.applied ? this.fake.answer(request) : null;
    if (answer?.reset) return answer;
    const changed = this.act(answer, this);
    return { status: 0, headers: {}, body: '', ...changed };
  }

  fetch = async (input, init = {}) => {
    const url = new URL(input);
    const answer = this.answer({
      method: init.method ?? 'GET',
      path: url.pathname + url.search,
      headers: Object.fromEntries(new Headers(init.headers)),
      body: init.body === undefined || init.body === null ? '' : Buffer.from(init.body).toString('utf8'),
    });
    init.signal?.throwIfAborted();
    if (answer.latencyMs) await waited(answer.latencyMs, init.signal);
    if (answer.reset || answer.broken === 'reset') throw new TypeError('fetch failed', { cause: reset() });
    if (answer.broken === 'stall' && answer.status === 0) return waited(undefined, init.signal);
    if (answer.status >= 300 && answer.status < 400) {
      if (init.redirect === 'error') throw new TypeError('fetch failed', { cause: new Error('unexpected redirect') });
      if (init.redirect !== 'manual')
        this.fake.violate('a redirect is followed', { method: init.method ?? 'GET', path: url.pathname });
    }
    if (answer.status === 204) return new Response(null, { status: 204, headers: answer.headers });
    return new Response(body(answer, init.signal), { status: answer.status, headers: answer.headers });
  };

  async listen(port = 0) {
    this.server = http.createServer((incoming, outgoing) => this.serve(incoming, outgoing));
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', resolve);
    });
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async serve(incoming, outgoing) {
    const sent = await readBody(incoming);
    const { method, url: path, headers } = incoming;
    const answer = this.answer({ method, path, headers, body: sent });
    if (answer.latencyMs) await waited(answer.latencyMs);
    if (answer.reset || answer.broken === 'reset') return incoming.socket.resetAndDestroy();
    if (answer.broken === 'stall' && answer.status === 0) return;
    let bytes = Buffer.from(answer.body);
    const head = { ...answer.headers };
    if (answer.gzip) {
      bytes = gzipSync(bytes);
      head['content-encoding'] = 'gzip';
    }
    if (answer.broken !== undefined) {
      // The length of the whole, or a wrong one; then less than that comes.
      head['content-length'] = bytes.length + (answer.lengthOff ?? 0);
      outgoing.writeHead(answer.status, head);
      outgoing.write(bytes.subarray(0, answer.lengthOff === undefined ? bytes.length >> 1 : bytes.length));
      if (answer.broken === 'cut') setImmediate(() => outgoing.destroy());
      return;
    }
    outgoing.writeHead(answer.status, head);
    for (const slice of answer.slices ?? []) {
      outgoing.write(slice);
      await new Promise(setImmediate);
    }
    outgoing.end(answer.slices === undefined ? bytes : undefined);
  }

  async close() {
    if (this.server === undefined) return;
    const { server } = this;
    this.server = undefined;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const reset = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });

/** Ends after so long (never, without), or with the signal. */
function waited(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** The body of a Response: whole, in slices, breaking off or never ending. */
function body(answer, signal) {
  if (answer.broken === undefined && answer.slices === undefined) return answer.body;
  const bytes = Buffer.from(answer.body);
  const pieces = answer.slices ?? [bytes.subarray(0, bytes.length >> 1)];
  let next = 0;
  return new ReadableStream({
    async pull(controller) {
      if (next < pieces.length) return controller.enqueue(pieces[next++]);
      if (answer.broken === 'cut') return controller.error(new TypeError('terminated'));
      if (answer.broken === 'stall') return waited(undefined, signal);
      controller.close();
    },
  });
}
