// What fails while a database is used: a scripted run of the real engine in which one operation of its storage may fail,
// and the checks that nothing is lost or made up by it. Knows no test runner and no Node.

const schema = { dimension: 8, text: {} };
const vector = (i) => Float32Array.from({ length: 8 }, (_, j) => Math.sin(i * 8 + j));

// Each step: what it does, and what the database holds after it, as { id: n }.
const script = [
  { run: (db) => db.collection('notes', schema), change: () => {} },
  ...[0, 1].map((i) => upsert(i * 2, 2)),
  { run: (db) => db.flush(), change: () => {} },
  upsert(1, 2),
  // Larger than a record of the log: goes into segments, and is published by a commit.
  upsert(100, 12, 'x'.repeat(120_000)),
  upsert(4, 1),
  {
    run: async (db) => (await db.collection('notes')).delete(['p0', 'p100']),
    change: (model) => {
      delete model.p0;
      delete model.p100;
    },
  },
  { reopen: true, change: () => {} },
  upsert(2, 2),
];

function upsert(from, count, filler = '') {
  const ids = Array.from({ length: count }, (_, i) => from + i);
  return {
    run: async (db) => {
      const points = ids.map((i) => ({
        id: `p${i}`,
        vector: vector(i),
        text: 'words',
        payload: { step: count, filler },
      }));
      await (await db.collection('notes')).upsert(points);
    },
    change: (model) => {
      for (const i of ids) model[`p${i}`] = count;
    },
  };
}

const typed = ['StorageFailed', 'QuotaExceeded', 'ReadOnly'];

/**
 * Runs the script on a new database, by `openDatabase(path)` answering `{ db, abandon }`, with whatever `arm` puts in
 * place; it answers a function that takes that away. One failure may happen. After it either the same call is made
 * again, or, with `afterFailure` 'reopen', the session is abandoned and the database opened anew. `mayArrive`: what was
 * reported as failed may then be found all the same, whole.
 *
 * Throws where an error is not typed, acknowledged writes are missing, something is there that was not written, or a
 * call after the failure does not succeed.
 */
export async function faultRun(path, openDatabase, arm, afterFailure, mayArrive = false) {
  const states = [{}];
  for (const { change } of script) {
    const state = { ...states.at(-1) };
    change(state);
    states.push(state);
  }
  const demand = (condition, what) => {
    if (!condition) throw new Error(what);
  };
  const contents = async (db) => {
    if (!(await db.collections()).includes('notes')) return canonical({});
    const notes = await db.collection('notes');
    const ids = states.flatMap((state) => Object.keys(state));
    const found = {};
    for (const point of await notes.get([...new Set(ids)])) {
      if (point !== null) found[point.id] = point.payload.step;
    }
    demand((await notes.count()) === Object.keys(found).length, 'there are points that nobody wrote');
    return canonical(found);
  };
  const restore = arm();
  let failures = 0;
  let current;
  const attempt = async (what, call) => {
    try {
      return await call();
    } catch (error) {
      demand(typed.includes(error?.code), `${what} failed with ${error?.code ?? error?.stack}: ${error.message}`);
      demand(++failures === 1, `${what} failed again: ${error.message}`);
      return undefined;
    }
  };
  const openAgain = async () => {
    current = await attempt('open', () => openDatabase(path));
    current ??= await attempt('open', () => openDatabase(path));
  };
  try {
    await openAgain();
    for (const [i, step] of script.entries()) {
      const before = failures;
      if (step.reopen) {
        await attempt('close', () => current.db.close());
        await openAgain();
        demand((await contents(current.db)) === canonical(states[i + 1]), `step ${i}: reopened to something else`);
        continue;
      }
      await attempt(`step ${i}`, () => step.run(current.db));
      if (failures > before) {
        if (afterFailure === 'reopen') {
          await current.abandon();
          await openAgain();
        }
        const found = await contents(current.db);
        const arrived = mayArrive && afterFailure === 'reopen' && found === canonical(states[i + 1]);
        demand(arrived || found === canonical(states[i]), `step ${i}: failed, and changed something`);
        await attempt(`step ${i}`, () => step.run(current.db));
        demand((await contents(current.db)) === canonical(states[i + 1]), `step ${i}: another state than acknowledged`);
      }
    }
    await attempt('abandon', () => current.abandon());
    await openAgain();
    demand((await contents(current.db)) === canonical(states.at(-1)), 'something else is found at the end');
    const { recovery } = await current.db.info();
    demand(recovery.generationsSkipped === 0, 'generations were skipped');
    await attempt('close', () => current.db.close());
  } finally {
    restore();
  }
}

const canonical = (state) => JSON.stringify(Object.entries(state).sort());
