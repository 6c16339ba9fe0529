// Stores on servers that misbehave: 24 faults x 9 operations x 3 servers, and 4 operations more. The real engine, through
// the real pump, against the fakes, in virtual time.
//
// For each case, every request that the operation sends is struck: once, and where it is repeated each time, too. What must come of it follows
// from a few rules, those of reliability.md section 6: what a fault does (tests/support/fakes/faults.mjs), what may be
// repeated (classOf() and mostAttempts() here), and that what a caller is told is true.
//
//   attempts     as many as the rules say; what is not safe is never sent again once it may have been carried out
//   time         within the deadline, and as long as the waits of the rules
//   truth        a result is that of a run without faults, and the fake holds what that run leaves; an error is of a code
//                that fits, and the fake holds what was there before, after, or (a report of many points) what it says
//   secrets      the key is in one header only: not in errors, results, addresses or what is printed, also where the
//                server repeats it
//   origins      nothing goes to another one, and no redirect is followed
//   afterwards   the same store answers a good call

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import { NearfieldError, connect } from 'nearfield';

import { FakeChroma } from '../support/fakes/chroma.mjs';
import { Faulty, faults } from '../support/fakes/faults.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { FakeWeaviate } from '../support/fakes/weaviate.mjs';
import { VirtualTime } from '../support/virtual-time.mjs';
import { providers } from '../support/wired.mjs';

const key = 'canary-7f3a91';
const origin = 'https://server.example:8443';
const deadlineMs = 30_000;
const attempts = 4;
const baseDelayMs = 2_000;
const leastAttemptMs = 10_000;

const time = new VirtualTime();
const now = () => time.now;

/** make(): an empty one. state: the fake's members that hold what is stored. classOf(): of RetryClass. */
const servers = {
  qdrant: {
    make: () => new FakeQdrant({ apiKey: key, now }),
    state: ['collections'],
    keyHeader: ['api-key', key],
    classOf: ({ method, path, body }) => {
      if (method === 'GET') return 'read';
      if (method === 'PUT') return /^\/collections\/[^/]+$/.test(path) ? 'create' : 'idempotent';
      if (method === 'DELETE') return 'unsafe';
      if (/\/points\/delete\b/.test(path)) return 'points' in JSON.parse(body) ? 'idempotent' : 'unsafe';
      return 'read';
    },
  },
  chroma: {
    make: () => new FakeChroma({ token: key, now }),
    state: ['tenants', 'collections'],
    keyHeader: ['x-chroma-token', key],
    classOf: ({ method, path, body }) => {
      if (method === 'GET' || /\/(query|get|count|search)$/.test(path)) return 'read';
      if (method === 'DELETE') return 'unsafe';
      if (/\/delete$/.test(path)) return JSON.parse(body).ids ? 'idempotent' : 'unsafe';
      return /\/collections$/.test(path) ? 'create' : 'idempotent';
    },
  },
  weaviate: {
    make: () => new FakeWeaviate({ apiKey: key, now }),
    state: ['classes'],
    keyHeader: ['authorization', `Bearer ${key}`],
    classOf: ({ method, path, body }) => {
      if (['GET', 'HEAD'].includes(method) || /\/graphql(\/batch)?$/.test(path)) return 'read';
      if (method === 'DELETE' && /\/schema\//.test(path)) return 'unsafe';
      // One deletion by filter, whose filter may be a list of ids.
      if (method === 'DELETE' && /\/batch\//.test(path)) return /"path":\["id"\]/.test(body) ? 'idempotent' : 'unsafe';
      return /\/schema$/.test(path) ? 'create' : 'idempotent';
    },
  },
};

const point = (n, more = {}) => ({
  id: `p${n}`,
  vector: [n, 1, 0.5],
  payload: { n, word: 'é' },
  text: `t${n}`,
  ...more,
});
const everything = ['payload', 'text', 'vector'];
const pages = async (store, options) => {
  const all = [];
  for await (const page of store.scroll(options)) all.push(...page);
  return all;
};

/** from: 'nothing' or 'points', what is there before. writes: the state may change. */
const operations = {
  ensure: { from: 'nothing', writes: true, run: (store) => store.ensure() },
  // Two requests, side by side.
  upsert: {
    writes: true,
    run: (store) => store.upsert([point(3, { payload: { other: 1 } }), point(5), point(6), point(7)]),
  },
  search: {
    run: (store) => store.search({ vector: [1, 0, 0], k: 3, include: everything, filter: { n: { $gte: 2 } } }),
  },
  get: { run: (store) => store.get(['p2', 'nowhere', 'p4'], { include: everything }) },
  'delete by ids': { writes: true, run: (store) => store.delete(['p1', 'nowhere', 'p2']) },
  'delete by filter': { writes: true, run: (store) => store.delete({ filter: { n: { $gte: 3 } } }) },
  count: { run: (store) => store.count({ filter: { n: { $lt: 4 } } }) },
  scroll: { run: (store) => pages(store, { batch: 3, include: everything }) },
  drop: { writes: true, run: (store) => store.drop() },
};
const moreOperations = {
  searchBatch: { run: (store) => store.searchBatch([1, 2].map((n) => ({ vector: [1, n, 0], k: 2 }))) },
  clear: { writes: true, run: (store) => store.clear() },
  // Without what the server says about itself, and how requests went, which is another after every retry.
  info: { run: async (store) => ({ ...(await store.info()), details: undefined, http: undefined }) },
  health: {
    run: async (store) => {
      const { ready, message } = await store.health();
      if (!ready) throw new Unready(message);
      return { ready, message };
    },
  },
};

/** health() does not throw: what goes wrong is its message. */
class Unready extends Error {}

// The rules.

const transport = new Set(['reset-before', 'reset-after', 'stall', 'wrong-length']);
const codesOf = {
  'reset-before': ['NetworkFailed'],
  'reset-after': ['NetworkFailed'],
  stall: ['Timeout'],
  'wrong-length': ['NetworkFailed'],
  'rate-limited': ['RateLimited'],
  'rate-limited-bare': ['RateLimited'],
  'error-500': ['RemoteUnavailable'],
  'unavailable-503': ['RemoteUnavailable'],
  'huge-body': ['LimitExceeded'],
};

/** How often a request is sent that fails each time, where the deadline allows it. */
function mostAttempts(fault, kind) {
  if (fault.cure !== 'retry') return 1;
  if (fault.name.startsWith('rate-limited')) return attempts;
  if (kind === 'unsafe') return 1;
  return (fault.name === 'error-500' && { read: 2, create: 1 }[kind]) || attempts;
}

/** The status of these answers says it all. */
const unread = (request, answer) =>
  /^\/readyz|\.well-known/.test(request.path) || (answer !== undefined && (answer.status >= 400 || answer.body === ''));

/** A copy of what a fake holds. */
function cloned(value, seen = new Map()) {
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  if (ArrayBuffer.isView(value)) return value.slice();
  const copy = Object.create(Object.getPrototypeOf(value));
  const whole = Array.isArray(value)
    ? []
    : value instanceof Map
      ? new value.constructor()
      : value instanceof Set
        ? new Set()
        : copy;
  seen.set(value, whole);
  if (value instanceof Map)
    for (const [name, inner] of value) Map.prototype.set.call(whole, cloned(name, seen), cloned(inner, seen));
  if (value instanceof Set) for (const inner of value) whole.add(cloned(inner, seen));
  for (const name of Object.keys(value)) {
    const inner = cloned(value[name], seen);
    Object.defineProperty(whole, name, { value: inner, writable: true, enumerable: true, configurable: true });
  }
  return whole;
}

const configOf = (provider) => ({
  backend: {
    provider,
    url: origin,
    api_key: key,
    collection: 'Faults',
    vector_size: 3,
    batch_size: 2,
    timeout: deadlineMs / 1000,
    max_retries: attempts - 1,
    retry_delay: baseDelayMs / 1000,
  },
});

const open = (provider, fetch) => connect({ config: configOf(provider), environment: {}, fetch });

/** What a store holds, in the words of a store that no fault strikes; null where there is no collection. */
async function contents(store) {
  try {
    const all = await time.run(pages(store, { include: everything }));
    return text(all.sort((a, b) => (a.id < b.id ? -1 : 1)));
  } catch (error) {
    if (error.code !== 'NotFound') throw error;
    return null;
  }
}

/** One server's fakes, and what each operation does to them where nothing goes wrong. */
class Scene {
  constructor(name) {
    this.name = name;
    Object.assign(this, servers[name]);
  }

  async prepare() {
    this.templates = { nothing: this.make() };
    const fake = (this.templates.points = this.make());
    const store = await open(this.name, fake.fetch);
    await time.run(store.ensure());
    await time.run(store.upsert([1, 2, 3, 4].map((n) => point(n))));
    await store.close();
    this.reader = await open(this.name, (url, init) => this.current.fetch(url, init));
  }

  fresh(operation) {
    const fake = this.make();
    const template = this.templates[operation.from ?? 'points'];
    for (const member of this.state) fake[member] = cloned(template[member]);
    return fake;
  }

  async contents(fake, operation) {
    this.current = fake;
    // A collection that was made just now is another one, and not that which the reader knows.
    if (operation.from !== 'nothing') return contents(this.reader);
    const reader = await open(this.name, fake.fetch);
    const held = await contents(reader);
    await reader.close();
    return held;
  }
}

// Requests that differ by the id that a server gave a collection are the same ones.
const anyId = (path) => path.replace(/[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}/g, '*');
const nameOf = ({ method, path, body }) => `${method} ${anyId(path)} ${body}`;

/**
 * Runs the operation on a fresh fake, where `strike` ({ fault, request, times }) may be in between; answers how it ended.
 */
async function perform(scene, operation, strike) {
  const fake = scene.fresh(operation);
  const requests = [];
  let changed = 0; // answers that are not what the fake said
  let said; // by the fake, to the request under way
  let unreadAnswer = false;
  const witness = {
    name: fake.name,
    answer: (request) => (said = fake.answer(request)),
    violate: (...what) => fake.violate(...what),
  };
  const faulty =
    strike === undefined
      ? undefined
      : new Faulty(witness, strike.fault.name, {
          times: strike.times,
          when: (request) => nameOf(request) === strike.request,
        });
  if (faulty !== undefined) {
    const answer = faulty.answer.bind(faulty);
    faulty.answer = (request) => {
      const { struck } = faulty;
      said = undefined;
      const given = answer(request);
      if (faulty.struck === struck) return given;
      const { name } = strike.fault;
      if (given.body !== said?.body || given.status !== said.status || given.broken || name === 'huge-body') changed++;
      unreadAnswer = unread(request, said);
      // Servers and proxies may show what was sent to them.
      if (!strike.fault.applied && given.body)
        given.body = given.body.replace(/(the disk is full|<form |$)/, `$1 ${key} `);
      return given;
    };
  }
  const wrong = [];
  const fetch = async (url, init) => {
    const { pathname, search, origin: asked } = new URL(url);
    const request = { method: init.method, path: pathname + search, body: Buffer.from(init.body ?? '').toString() };
    requests.push({ ...request, at: time.now });
    if (asked !== origin) wrong.push(`a request to ${asked}`);
    if (init.redirect !== 'error' || init.credentials !== 'omit')
      wrong.push('a request that follows or tells too much');
    const keyed = init.headers.filter(([, value]) => value.includes(key)).map((header) => header.join(': '));
    if (keyed.length > 1 || (keyed.length === 1 && keyed[0] !== scene.keyHeader.join(': ')))
      wrong.push(`the key in ${keyed}`);
    if (url.includes(key) || request.body.includes(key)) wrong.push('the key in an address or a body');
    return (faulty ?? fake).fetch(url, init);
  };
  const store = await open(scene.name, fetch);
  const began = time.now;
  const out = { wrong };
  const printed = [];
  const { log, info, warn, error, debug } = console;
  for (const name of ['log', 'info', 'warn', 'error', 'debug'])
    console[name] = (...what) => printed.push(inspect(what));
  try {
    out.result = await time.run(operation.run(store));
  } catch (thrown) {
    out.error = thrown;
  }
  Object.assign(console, { log, info, warn, error, debug });
  out.requests = requests.slice();
  out.took = time.now - began;
  out.changed = changed > 0;
  out.unread = unreadAnswer;
  if (printed.length > 0) wrong.push(`printed: ${printed}`);
  if (time.pending > 0) wrong.push('a timer is left');
  out.held = await scene.contents(fake, operation);
  out.has = (id, n) =>
    out.held !== null &&
    JSON.parse(out.held).some((each) => each.id === id && (n === undefined || each.payload.n === n));

  // The fault is over.
  if (faulty !== undefined) faulty.times = 0;
  try {
    out.afterwards = await time.run(store.count());
  } catch (thrown) {
    out.afterwards = thrown.code ?? thrown;
  }
  await store.close();
  try {
    fake.check();
  } catch (thrown) {
    wrong.push(thrown.message);
  }
  if ({}.polluted !== undefined) wrong.push('a payload got into the prototype of all objects');
  const told = inspect([out.result, out.error, out.error?.stack], { depth: 20, showHidden: true });
  if (told.includes(key)) wrong.push(`the key in what the caller is told: ${told}`);
  return out;
}

/** Vectors as arrays, and without the key that a fault puts into payloads. */
const text = (value) =>
  JSON.stringify(value, (name, inner) => {
    if (name === '__proto__') return undefined;
    return ArrayBuffer.isView(inner) ? [...inner] : inner;
  });

/** What is wrong with how `run` ended: a list of sentences. */
function judge(scene, operation, { fault, request, times }, clean, before, run) {
  const wrong = [...run.wrong];
  const expect = (good, what) => good || wrong.push(what);
  const sent = run.requests.filter((each) => nameOf(each) === request);
  const kind = scene.classOf(sent[0]);
  const most = mostAttempts(fault, kind);
  const usual = clean.requests.filter((each) => nameOf(each) === request).length;
  const untouched = fault.cure === 'none' || !run.changed;
  const cured = fault.cure === 'retry' && times < most;

  // Attempts.
  if (untouched || cured) {
    expect(sent.length === usual + (cured ? times : 0), `${sent.length} times sent, usually ${usual}`);
  } else if (fault.name === 'stall' && most > 1) {
    expect(sent.length >= 2 && sent.length <= most, `${sent.length} attempts, where 2 to ${most} fit in`);
  } else if (run.error !== undefined || fault.cure === 'retry') {
    expect(sent.length === most, `${sent.length} attempts in place of ${most}`);
  }
  // Others are sent as often as without the fault; only reads may follow, and writes of fewer points at once.
  const route = ({ method, path }) => `${method} ${anyId(path)}`;
  const struckRoute = route(sent[0]);
  for (const each of new Set(run.requests.map(route))) {
    const [first, ...more] = run.requests.filter((one) => route(one) === each);
    const known = clean.requests.filter((one) => route(one) === each).length;
    if (each === struckRoute || scene.classOf(first) === 'read' || fault.name === 'huge-body') continue;
    expect(more.length < Math.max(known, 1), `${each} was sent ${more.length + 1} times, usually ${known}`);
  }

  // Time.
  const retries = sent.length - (untouched || cured ? usual : 1);
  const waits = { 'rate-limited': 2_000 };
  const longest = Array.from({ length: retries }, (_, i) => baseDelayMs * 2 ** i);
  let least = retries * (waits[fault.name] ?? 0);
  let longestMs = longest.reduce((sum, one) => sum + Math.max(one, waits[fault.name] ?? 0), 0);
  if (fault.name === 'latency') least = longestMs = 400 * Math.min(times, usual);
  if (fault.name === 'stall') {
    least = kind === 'unsafe' || !cured ? deadlineMs / 2 : leastAttemptMs;
    longestMs = cured ? longestMs + leastAttemptMs : deadlineMs;
  }
  expect(run.took >= least && run.took <= longestMs, `it took ${run.took} ms in place of ${least} to ${longestMs}`);
  expect(run.took <= deadlineMs, `it took ${run.took} ms`);

  // What the caller is told.
  const after = clean.held;
  const report = run.result?.unknown === undefined ? undefined : run.result;
  if (report !== undefined) {
    const { ok, failed, unknown } = report;
    const all = [...ok, ...failed.map(({ id }) => id), ...unknown].sort();
    expect(text(all) === text(['p3', 'p5', 'p6', 'p7']), `the report has ${all}`);
    const there = (id) => JSON.parse(run.held).find((each) => each.id === id);
    const meant = (id) => JSON.parse(after).find((each) => each.id === id);
    for (const id of ok) expect(text(there(id)) === text(meant(id)), `${id} is said to be written, and is not`);
    for (const { id, code } of failed) {
      expect(text(there(id)) !== text(meant(id)), `${id} is said not to be written, and is`);
      expect((codesOf[fault.name] ?? ['RemoteProtocolError']).includes(code), `${id} failed with ${code}`);
    }
    const wholly = failed.length + unknown.length === 0;
    if (untouched || cured) expect(wholly, `not all is ok: ${text(report)}`);
    else if (!mayBeRight(fault, run)) expect(!wholly, 'all is said to be written');
    if (wholly) expect(run.held === after, 'it holds something else');
  } else if (run.error === undefined) {
    expect(untouched || cured || mayBeRight(fault, run), `it answers ${text(run.result)}`);
    expect(run.held === after, `it answers ${text(run.result)}, and holds ${run.held}`);
    const same = text(run.result) === text(clean.result);
    // The collection was made by the attempt whose answer was lost, or is told so.
    const lost = operation === operations.ensure && cured;
    expect(
      same || lost || bigIdsOnly(fault, run.result),
      `it answers ${text(run.result)} in place of ${text(clean.result)}`,
    );
  } else {
    expect(!untouched && !cured, `it fails: ${run.error.message}`);
    if (!(run.error instanceof Unready)) {
      expect(run.error instanceof NearfieldError, `it throws ${run.error?.stack}`);
      const codes = codesOf[fault.name] ?? ['RemoteProtocolError'];
      expect(codes.includes(run.error.code), `it fails with ${run.error.code}: ${run.error.message}`);
    }
    const applied = fault.applied && run.requests.some((each) => nameOf(each) === request);
    const intact = run.held === before;
    expect(intact || run.held === after || scene.partly?.has(operation), `it fails, and holds ${run.held}`);
    if (operation === operations.upsert) expect(intact, 'it throws, and has written');
    if (!applied && usual === clean.requests.length) expect(intact, 'it changed something without being sent');
  }

  // Afterwards.
  const now = run.held === null ? 'NotFound' : JSON.parse(run.held).length;
  expect(run.afterwards === now, `a good call afterwards answers ${run.afterwards} in place of ${now}`);
  return wrong;
}

/** An answer that was changed, and may be taken all the same: nothing that was asked for was changed, or nobody reads it. */
const maybe = new Set(['wrong-types', 'missing-fields', 'duplicate-ids', 'nan-scores', 'big-ids', 'wrong-dimension']);
const mayBeRight = (fault, run) =>
  run.unread ||
  maybe.has(fault.name) ||
  (fault.name === 'huge-body' && run.error === undefined && run.requests.length > 1);

/** Ids of another kind, each as it was sent: not rounded. */
function bigIdsOnly(fault, result) {
  if (fault.name !== 'big-ids' || !Array.isArray(result)) return false;
  return result.flat().every(({ id }) => /^p\d$/.test(id) || (/^9007199254\d{6}$/.test(id) && BigInt(id) % 2n === 1n));
}

// The cases.

const summary = { run: 0, runs: 0, more: 0 };
before(() => time.install());
after(() => {
  time.uninstall();
  const { run, runs, more } = summary;
  console.log(`${run} of ${faults.length * 27} fault cases and ${more} more, ${runs} runs`);
});

for (const name of providers) {
  test(`${name}: 24 faults strike 13 operations`, async (t) => {
    const scene = new Scene(name);
    await scene.prepare();
    for (const [title, operation] of Object.entries({ ...operations, ...moreOperations })) {
      await t.test(title, async () => {
        const before = await scene.contents(scene.fresh(operation), operation);
        const clean = await perform(scene, operation);
        assert.deepEqual([clean.error, clean.wrong, clean.took], [undefined, [], 0]);
        assert.ok(clean.requests.length > 0);
        const failures = [];
        for (const fault of faults) {
          const bad = failures.length;
          for (const request of new Set(clean.requests.map(nameOf))) {
            for (const times of fault.cure === 'retry' ? [1, Infinity] : [1]) {
              const strike = { fault, request, times };
              const run = await perform(scene, operation, strike);
              summary.runs++;
              for (const what of judge(scene, operation, strike, clean, before, run)) {
                failures.push(
                  `${fault.name}, ${times === 1 ? 'once' : 'always'}, at ${request.slice(0, 120)}: ${what}`,
                );
              }
            }
          }
          if (failures.length === bad) title in operations ? summary.run++ : summary.more++;
        }
        assert.deepEqual(failures, []);
      });
    }
    await scene.reader.close();
  });
}
