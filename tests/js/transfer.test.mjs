// Points from one store into another: all of them, as they are, also where something goes wrong on the way.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { migrate } from 'nearfield/transfer';
import { sameJson } from '../../dist/transfer/json.js';
import { rawAbout, rawScroll, rawUpsert } from '../../dist/raw.js';
import { Faulty } from '../support/fakes/faults.mjs';
import { FakeQdrant } from '../support/fakes/qdrant.mjs';
import { rejectsWith, temporaryFolder } from './support.mjs';
import { awkwardPoints, dimension, embedded, everything, expected, fill, qdrant, store } from './transfer-stores.mjs';

test('embedded to embedded: every point is what it was', async (t) => {
  const folder = temporaryFolder(t);
  const points = awkwardPoints(2500);
  const from = await store(t, embedded());
  await fill(from, points);
  for (const target of [embedded(), embedded(join(folder, 'copy'))]) {
    const to = await store(t, target);
    const steps = [];
    const report = await migrate(from, to, { batch: 300, onProgress: (step) => steps.push(step) });
    assert.equal(report.copied, points.length);
    assert.deepEqual([report.creates, report.resumed, report.failed], [true, false, []]);
    assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
    assert.equal(report.verified.sampled, 200);
    assert.deepEqual(report.verified.searches, { asked: 20, agreed: 20 });
    assert.deepEqual(await everything(to), expected(points));
    const copied = steps.filter(({ phase }) => phase === 'copy');
    assert.deepEqual([copied.at(-1).done, copied.at(-1).total], [points.length, points.length]);
    assert.equal(copied.at(-1).millisecondsLeft, 0);
    assert.equal(steps.at(-1).phase, 'verify');
    await to.close();
  }
});

test('points of the target stay, or are replaced', async (t) => {
  const [from, to] = [await store(t, embedded()), await store(t, embedded())];
  const [first, second, other] = awkwardPoints(30).slice(20);
  await fill(from, [first, second]);
  await fill(to, [{ ...second, text: 'another', payload: '{"old":1}' }, other]);
  const report = await migrate(from, to);
  assert.equal(report.before, 2);
  assert.equal(report.verified.ok, true);
  assert.match(report.verified.searches.skipped, /not hold the same points/);
  assert.deepEqual(await everything(to), expected([first, second, other]));
});

test('a dry run says what would happen, and writes nothing', async (t) => {
  const folder = temporaryFolder(t);
  const [from, to] = [await store(t, embedded()), await store(t, embedded())];
  await fill(from, awkwardPoints(100));
  const journal = join(folder, 'journal.json');
  const report = await migrate(from, to, { dryRun: true, journal });
  assert.deepEqual([report.dryRun, report.points, report.before, report.creates], [true, 100, 0, true]);
  assert.deepEqual([report.dimension, report.metric, report.copied], [dimension, 'cosine', 0]);
  await rejectsWith('NotFound', to.info());
  assert.equal(existsSync(journal), false);
});

test('what does not fit is refused before anything is written', async (t) => {
  const from = await store(t, embedded());
  await fill(from, awkwardPoints(20));
  const sized = (size, metric = 'cosine') =>
    `[backend]\nprovider = "memory"\ncollection = "points"\nvector_size = ${size}\ndistance_metric = "${metric}"\n`;
  const wide = await store(t, sized(1024));
  const error = await rejectsWith('DimensionMismatch', migrate(from, wide));
  assert.equal(error.message, `Vector dimension mismatch: expected 1024, got ${dimension}`);
  await rejectsWith('NotFound', wide.info());
  await rejectsWith('DimensionMismatch', migrate(from, wide, { dryRun: true }));
  await wide.ensure();
  await rejectsWith('DimensionMismatch', migrate(from, wide));

  const dot = await store(t, sized(dimension, 'dot'));
  const metric = await rejectsWith('SchemaMismatch', migrate(from, dot));
  assert.match(metric.message, /^Metric mismatch: expected dot, got cosine/);

  const named = (model) => `${embedded()}[embedding]\nmodel = "${model}"\n`;
  const [one, other] = [await store(t, named('model-a')), await store(t, named('model-b'))];
  await fill(one, awkwardPoints(20));
  const model = await rejectsWith('SchemaMismatch', migrate(one, other));
  assert.match(model.message, /^Embedding model mismatch: expected model-b, got model-a/);

  const nothing = await store(t, embedded());
  const missing = await rejectsWith('NotFound', migrate(nothing, from));
  assert.equal(missing.message, "Collection 'points' not found");
  await rejectsWith('InvalidArgument', migrate(from, from));
  await rejectsWith('InvalidArgument', migrate(from, {}));
  await rejectsWith('InvalidArgument', migrate(from, Object.assign(foreign(nothing), { searchBatch: undefined })));
  await rejectsWith('InvalidArgument', migrate(from, nothing, { batch: 0 }));
  await rejectsWith('InvalidArgument', migrate(from, nothing, { dryRun: 1 }));
  await rejectsWith('ConfigError', migrate(from, nothing, { jurnal: 'x' }));
  await rejectsWith('InvalidArgument', migrate(from, nothing, { journal: 5 }));
  await rejectsWith('NotFound', nothing.info());
});

// As the server keeps them: members in another order, directions in place of vectors.
function sameEverything(theirs, ours) {
  assert.deepEqual([...theirs.keys()], [...ours.keys()]);
  for (const [id, point] of ours) {
    const found = theirs.get(id);
    assert.equal(found.text, point.text, id);
    assert.ok(sameJson(found.payload, point.payload), `${found.payload} and ${point.payload}`);
    assert.equal(found.vector.length, point.vector.length, id);
  }
}

test('to Qdrant and back', async (t) => {
  const fake = new FakeQdrant();
  const points = awkwardPoints(700).filter(
    ({ vector }) => vector === undefined || vector.every((x) => Math.abs(x) < 1e30),
  );
  const from = await store(t, embedded());
  await fill(from, points);
  const server = await store(t, qdrant(), { fetch: fake.fetch });
  const there = await migrate(from, server, { batch: 250 });
  assert.equal(there.verified.ok, true, JSON.stringify(there.verified));
  assert.deepEqual(there.failed, []);
  sameEverything(await everything(server), expected(points));

  const back = await store(t, embedded());
  const report = await migrate(server, back, { batch: 111 });
  assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
  sameEverything(await everything(back), expected(points));
  fake.check();
});

const survived = [
  'latency',
  'reset-before',
  'reset-after',
  'slices',
  'wrong-length',
  'error-500',
  'unavailable-503',
  'extra-fields',
  'lying-status',
  'html',
];
for (const fault of survived) {
  test(`to Qdrant, whose answers to writes begin with ${fault}: the same result, or an error and no end`, async (t) => {
    const fake = new FakeQdrant();
    const points = awkwardPoints(400).filter(
      ({ vector }) => vector !== undefined && vector.every((x) => Math.abs(x) < 1e30),
    );
    const from = await store(t, embedded());
    await fill(from, points);
    const faulty = new Faulty(fake, fault, {
      times: 3,
      latencyMs: 5,
      when: ({ method, path }) => method === 'PUT' && path.includes('/points'),
    });
    const to = await store(t, qdrant(), { fetch: faulty.fetch });
    const journal = memoryJournal();
    // One that a retry is no help against ends the run or leaves failures; the next run ends the work.
    let report = await migrate(from, to, { batch: 100, journal }).catch((error) => error);
    for (let runs = 0; !report.verified?.ok && runs < 6; runs++) {
      report = await migrate(from, to, { batch: 100, journal }).catch((error) => error);
    }
    assert.equal(report.verified?.ok, true, report.stack ?? JSON.stringify(report));
    assert.equal(report.copied, points.length);
    assert.ok(faulty.struck > 0);
    sameEverything(await everything(to), expected(points));
    assert.equal(journal.text, undefined);
  });
}

function memoryJournal(text) {
  return {
    text,
    writes: 0,
    async read() {
      return this.text;
    },
    async write(next) {
      this.writes++;
      this.text = next;
    },
    async remove() {
      this.text = undefined;
    },
  };
}

// A store that somebody else wrote, around one of ours.
function foreign(inner, { failing = () => undefined } = {}) {
  return {
    backend: 'foreign',
    name: inner.name,
    ensure: (...given) => inner.ensure(...given),
    info: (...given) => inner.info(...given),
    count: (...given) => inner.count(...given),
    get: (...given) => inner.get(...given),
    scroll: (...given) => inner.scroll(...given),
    search: (...given) => inner.search(...given),
    searchBatch: (...given) => inner.searchBatch(...given),
    async upsert(points, options) {
      const failed = points.flatMap(({ id }) => {
        const why = failing(id);
        return why === undefined ? [] : [{ id, ...why }];
      });
      const bad = new Set(failed.map(({ id }) => id));
      const { ok } = await inner.upsert(
        points.filter(({ id }) => !bad.has(id)),
        options,
      );
      return { ok, failed, unknown: [] };
    },
  };
}

const plain = (count) =>
  awkwardPoints(count).map(({ payload, ...point }) => (payload?.includes('9223') ? point : { ...point, payload }));

test('stores of others are read and written by their public methods', async (t) => {
  const points = plain(900);
  const [inner, outer] = [await store(t, embedded()), await store(t, embedded())];
  await fill(inner, points);
  const report = await migrate(foreign(inner), foreign(outer), { batch: 100 });
  assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
  sameEverything(await everything(outer), expected(points));
});

test('a store of others gets integers of 64 bits, and numbers, as they are', async (t) => {
  const payload = (number) => ({ payload: `{"n":${number}}` });
  const points = [
    { id: 'exact', ...payload('9007199254740993') },
    { id: 'small', ...payload('9007199254740992') },
    { id: 'great', ...payload('[-9223372036854775808,18446744073709551615]') },
    { id: 'float', ...payload('1e+17') },
    { id: 'text', payload: '{"n":"9007199254740993"}' },
    { id: 'half', ...payload('0.12345678901234567') },
  ];
  const [inner, outer] = [await store(t, embedded()), await store(t, embedded())];
  await fill(inner, [{ id: 'with a vector', vector: new Float32Array(dimension).fill(1) }, ...points]);
  const report = await migrate(inner, foreign(outer));
  assert.deepEqual(report.failed, []);
  assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
  const [exact, great, float] = await outer.get(['exact', 'great', 'float']);
  assert.equal(exact.payload.n, 9007199254740993n);
  assert.deepEqual(great.payload.n, [-(2n ** 63n), 2n ** 64n - 1n]);
  assert.equal(float.payload.n, 1e17);
});

test('points that fail are told by id; passing failures are tried again, by the next run the others too', async (t) => {
  const points = plain(300);
  const [inner, outer] = [await store(t, embedded()), await store(t, embedded())];
  await fill(inner, points);
  let passing = 2;
  let refusing = true;
  const to = foreign(outer, {
    failing(id) {
      if (id === 'point-000100' && passing-- > 0)
        return { code: 'RemoteUnavailable', message: 'later', retryable: true };
      if (id === 'point-000200' && refusing) return { code: 'RemoteRejected', message: 'never', retryable: false };
      return undefined;
    },
  });
  const journal = memoryJournal();
  const report = await migrate(inner, to, { batch: 100, journal });
  assert.deepEqual(report.failed, [{ id: 'point-000200', code: 'RemoteRejected', message: 'never', retryable: false }]);
  assert.equal(report.copied, 299);
  assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
  assert.equal(report.verified.searches.asked, 0);
  refusing = false;
  const again = await migrate(inner, to, { batch: 100, journal });
  assert.deepEqual([again.resumed, again.copied, again.failed], [true, 300, []]);
  assert.equal(journal.text, undefined);
  sameEverything(await everything(outer), expected(points));

  const broken = foreign(await store(t, embedded()), {
    failing: () => ({ code: 'RemoteRejected', message: 'full', retryable: false }),
  });
  const many = await store(t, embedded());
  await fill(many, plain(1500));
  const error = await rejectsWith('RemoteRejected', migrate(many, broken));
  assert.match(error.message, /more than 1000 points could not be written; the first is .*: full/);
});

test('a copy that differs is told', async (t) => {
  const points = plain(150).slice(20);
  const [inner, outer] = [await store(t, embedded()), await store(t, embedded())];
  await fill(inner, points);
  const spoil = (change) => ({
    ...foreign(outer),
    upsert: (given, options) => outer.upsert(given.flatMap(change), options),
  });
  const report = async (change) => {
    await outer.clear().catch(() => {});
    const { verified, failed } = await migrate(inner, spoil(change), { batch: 50 });
    assert.deepEqual(failed, []);
    assert.equal(verified.ok, false);
    return verified;
  };
  const id = 'point-000100';
  const only = (change) => (point) => (point.id === id ? change(point) : [point]);
  const missing = await report(only(() => []));
  assert.deepEqual(missing.differences, [{ id, what: 'missing' }]);
  assert.deepEqual(missing.counts, { from: 130, to: 129 });
  const text = await report(only((point) => [{ ...point, text: 'other' }]));
  assert.deepEqual(text.differences, [{ id, what: 'text' }]);
  const payload = await report(only((point) => [{ ...point, payload: { ...point.payload, more: 1 } }]));
  assert.deepEqual(payload.differences, [{ id, what: 'payload' }]);
  const vector = await report(only((point) => [{ ...point, vector: point.vector.map((x) => -x) }]));
  assert.deepEqual(vector.differences, [{ id, what: 'vector' }]);
});

test('a run that was stopped goes on where it was', async (t) => {
  const folder = temporaryFolder(t);
  const journal = join(folder, 'journal.json');
  const points = awkwardPoints(1000);
  const [from, to] = [await store(t, embedded()), await store(t, embedded())];
  await fill(from, points);
  const stop = new AbortController();
  const onProgress = ({ done }) => done >= 400 && stop.abort();
  await rejectsWith('Aborted', migrate(from, to, { batch: 100, journal, signal: stop.signal, onProgress }));
  assert.equal(JSON.parse(readFileSync(journal, 'utf8')).copied, 400);
  const report = await migrate(from, to, { batch: 100, journal });
  assert.deepEqual([report.resumed, report.copied, report.before], [true, 1000, 0]);
  assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
  assert.equal(existsSync(journal), false);
  assert.deepEqual(await everything(to), expected(points));
});

test('a run that dies between its first batch and its journal is known to have been alone', async (t) => {
  const points = awkwardPoints(300);
  const [from, to] = [await store(t, embedded()), await store(t, embedded())];
  await fill(from, points);
  const journal = memoryJournal();
  const write = journal.write;
  journal.write = async function (text) {
    if (this.writes === 1) throw new Error('died');
    return write.call(this, text);
  };
  await assert.rejects(migrate(from, to, { batch: 100, journal }), /died/);
  assert.equal(await to.count(), 100);
  journal.write = write;
  const report = await migrate(from, to, { batch: 100, journal });
  assert.deepEqual([report.before, report.copied, report.verified.searches.asked], [0, 300, 20]);
  assert.deepEqual(await everything(to), expected(points));
});

test('a journal of something else is refused and stays; one whose target is empty again is begun again', async (t) => {
  const folder = temporaryFolder(t);
  const journal = join(folder, 'journal.json');
  const points = awkwardPoints(600);
  const [from, to, other] = [await store(t, embedded()), await store(t, embedded()), await store(t, embedded())];
  await fill(from, points);
  const states = [
    '',
    '{',
    '[]',
    '{"format":"nearfield-migration","version":2}',
    '{"format":"nearfield-migration","version":1}',
  ];
  for (const text of [...states, 'a'.repeat(100_000), '{"format":"x","__proto__":{"copied":1}}']) {
    writeFileSync(journal, text);
    await rejectsWith('FormatError', migrate(from, to, { journal }));
    assert.equal(readFileSync(journal, 'utf8'), text);
  }
  await rejectsWith('InvalidArgument', migrate(from, to, { journal: folder }));

  const stopped = async () => {
    const stop = new AbortController();
    const onProgress = ({ done }) => done >= 300 && stop.abort();
    await rejectsWith('Aborted', migrate(from, to, { batch: 100, journal, signal: stop.signal, onProgress }));
  };
  writeFileSync(journal, '');
  rmSync(journal);
  await stopped();
  const kept = readFileSync(journal, 'utf8');
  const error = await rejectsWith('InvalidArgument', migrate(from, other, { journal }));
  assert.match(error.message, /^the journal belongs to a migration from embedded, in memory/);
  assert.equal(readFileSync(journal, 'utf8'), kept);

  for (const empty of [() => to.clear(), () => to.drop()]) {
    await empty();
    const report = await migrate(from, to, { journal, batch: 100 });
    assert.deepEqual([report.resumed, report.copied], [false, 600]);
    assert.deepEqual(await everything(to), expected(points));
    await to.drop();
    await stopped();
  }
});

test('a point that never can be written does not keep the next run from what is new', async (t) => {
  const points = awkwardPoints(250);
  const [from, inner] = [await store(t, embedded()), await store(t, embedded())];
  await fill(from, points.slice(0, 200));
  const never = { code: 'LimitExceeded', message: 'too large', retryable: false };
  const to = foreign(inner, { failing: (id) => (id === 'point-000100' ? never : undefined) });
  const journal = memoryJournal();
  assert.equal((await migrate(from, to, { journal })).verified.ok, true);
  // Nothing is new: only what failed is tried again.
  assert.deepEqual((await migrate(from, to, { journal })).resumed, true);
  await fill(from, points);
  const more = await migrate(from, to, { journal });
  assert.deepEqual([more.resumed, more.copied, more.failed.length], [false, 249, 1]);
  assert.equal(more.verified.ok, true, JSON.stringify(more.verified));
  assert.equal(await inner.count(), 249);
  // As many as before, and one is another: the comparison says so, and the run after that begins anew.
  await from[rawUpsert](
    points.map((point) => ({ ...point, text: 'new' })),
    dimension,
  );
  assert.equal((await migrate(from, to, { journal })).verified.ok, false);
  assert.equal((await migrate(from, to, { journal })).verified.ok, true);
});

test('a journal that is refused leaves no collection behind', async (t) => {
  const folder = temporaryFolder(t);
  const from = await store(t, embedded());
  await fill(from, awkwardPoints(20));
  const lines = `[backend]\nprovider = "memory"\ncollection = "points"\nvector_size = ${dimension}\n`;
  for (const journal of [folder, join(folder, 'missing', 'journal.json'), memoryJournal('{}')]) {
    const to = await store(t, lines);
    await assert.rejects(migrate(from, to, { journal }));
    await rejectsWith('NotFound', to.info());
  }
});

test('at most two pages are alive: the one that is written, and the next', async (t) => {
  const inner = await store(t, embedded());
  await fill(inner, awkwardPoints(2950));
  const outer = await store(t, embedded());
  let [live, most, largest] = [0, 0, 0];
  const from = Object.create(inner, {
    info: { value: (options) => inner.info(options) },
    count: { value: (options) => inner.count(options) },
    get: { value: (...given) => inner.get(...given) },
    searchBatch: { value: (...given) => inner.searchBatch(...given) },
    [rawAbout]: { value: inner[rawAbout] },
    [rawScroll]: {
      value: async (...given) => {
        most = Math.max(most, ++live);
        const page = await inner[rawScroll](...given);
        largest = Math.max(largest, page.points.length);
        return page;
      },
    },
  });
  const to = {
    ...foreign(outer),
    [rawAbout]: outer[rawAbout],
    [rawScroll]: (...given) => outer[rawScroll](...given),
    [rawUpsert]: async (...given) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const report = await outer[rawUpsert](...given);
      live--;
      return report;
    },
  };
  await migrate(from, to, { batch: 100, sample: 0 });
  assert.deepEqual([most, largest, live], [2, 100, 0]);
  assert.deepEqual(await everything(outer), await everything(inner));
});
