#!/usr/bin/env node
// How fast is vector search, beside everybody else's? Real embeddings, one thread, recall@10 against speed.
//
//   npm run bench [-- OPTION...]
//
//   --rows N      the first N rows of the data (default: all 50,000)
//   --queries N   the first N queries (default: all 1,000)
//   --rounds N    measured rounds (default 5)
//   --builds N    how often the engines whose building is compared are built, in turn (default 1)
//   --only NAME   this engine, or all whose names start with these words; may be repeated, or be a list with commas
//   --json FILE   writes everything that was measured
//   --help        this text, and the engines' names
//
// Every engine is a process of its own that builds its index once and then waits; a round asks each of them at every
// setting, one after the other, so that they share the machine's moods. Ratios are taken inside a round; the figure is the
// median over the rounds. Speed at a recall lies between two settings: see curve.mjs. Recall is measured once, before.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Conversation, build, complaint, nativeFolder, search, speed } from './conversation.mjs';
import { speedAt } from './curve.mjs';
import { engines, k } from './engines.mjs';
import { Results, medianPoints, questions, targets, verdict } from './questions.mjs';
import { dataFolder, median, printTable, project } from './support.mjs';
import { loadVectors } from './truth.mjs';

const bench = path.join(project, 'tests/bench');
// As the compiler that this machine has understands it; the second switch is only about a warning of clang 19.
const nativeFlags = '-march=native -DNDEBUG -Wno-invalid-feature-combination';
const recallLimit = 5;
// Nothing beyond this recall is asked for.
const enoughRecall = 0.995;

const options = readOptions();

function refuse(message) {
  console.error(`bench: ${message}`);
  process.exit(2);
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        rows: { type: 'string' },
        queries: { type: 'string' },
        rounds: { type: 'string', default: '5' },
        builds: { type: 'string', default: '1' },
        only: { type: 'string', multiple: true },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    refuse(`${error.message.split('. ')[0]}; --help lists the options`);
  }
  if (values.help) {
    const [, ...lines] = readFileSync(path.join(bench, 'ann.mjs'), 'utf8').split('\n\n')[0].split('\n');
    console.log(lines.map((line) => line.slice(3)).join('\n'));
    console.log(`\nengines: ${engines.map(({ name }) => name).join(', ')}`);
    process.exit(0);
  }
  const whole = (name) => {
    if (values[name] === undefined) return undefined;
    const number = Number(values[name]);
    if (!/^\d+$/.test(values[name]) || number < 1 || number > 1e9)
      refuse(`--${name} must be a whole number from 1 on, got '${values[name]}'`);
    return number;
  };
  const only = values.only?.flatMap((list) => list.split(',')).map((name) => name.trim());
  for (const name of only ?? [])
    if (!engines.some((engine) => isNamed(engine, name)))
      refuse(`--only '${name}' is no engine; there are: ${engines.map((engine) => engine.name).join(', ')}`);
  try {
    // Now, and not after an hour of measuring.
    if (values.json !== undefined) writeFileSync(values.json, '');
  } catch (error) {
    refuse(`--json: ${error.message}`);
  }
  return {
    rows: whole('rows'),
    queries: whole('queries'),
    rounds: whole('rounds'),
    builds: whole('builds'),
    chosen: engines.filter((engine) => !only || only.some((name) => isNamed(engine, name))),
    json: values.json,
  };
}

function isNamed(engine, name) {
  return engine.name === name || engine.name.startsWith(`${name} `);
}

/** npm's packages of the peers, once for each state of the lock file. Answers why there are none, if so. */
function installPeers() {
  const stamp = path.join(bench, 'node_modules/.nearfield-stamp');
  const files = ['package.json', 'package-lock.json'].map((name) => readFileSync(path.join(bench, name)));
  const state = createHash('sha256').update(Buffer.concat(files)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return undefined;
  console.error('bench: installing the peers into tests/bench/node_modules');
  const npm = spawnSync('npm', ['ci', '--prefix', bench, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: bench,
    encoding: 'utf8',
  });
  if (npm.status !== 0) return `npm ci --prefix tests/bench failed: ${complaint(npm.stderr ?? String(npm.error))}`;
  writeFileSync(stamp, state);
  return undefined;
}

/** The native programs. Answers why there are none, if so. */
function buildPrograms(programs) {
  console.error('bench: building the native programs in build/bench (minutes, the first time)');
  const build = spawnSync('scripts/build', ['plain', ...programs], {
    cwd: project,
    encoding: 'utf8',
    env: { ...process.env, NEARFIELD_BUILD: path.relative(project, nativeFolder), CXXFLAGS: nativeFlags },
  });
  if (build.status === 0) return undefined;
  mkdirSync(nativeFolder, { recursive: true });
  writeFileSync(path.join(nativeFolder, 'failed.log'), `${build.stdout}${build.stderr}`);
  return 'building it failed; see build/bench/failed.log';
}

/** Builds every engine, one at a time; those that fail carry a reason from then on. */
async function buildAll(states, folder, { rows, dim }) {
  for (let turn = 0; turn < options.builds; turn++) {
    for (const state of states) {
      if (state.reason !== undefined || (turn > 0 && !buildsAgain(state.engine))) continue;
      state.conversation?.close();
      state.conversation = new Conversation(state.engine, folder, rows, dim);
      try {
        const { seconds, memory } = await build(state.conversation);
        state.builds.push(rows / seconds);
        state.memory = memory;
        console.error(`bench: ${state.engine.name} built in ${seconds.toFixed(1)} s`);
      } catch (error) {
        fail(state, error);
      }
    }
  }
}

const buildsAgain = (engine) =>
  engine.name === 'hnswlib-node' || (engine.side === 'ours' && engine.index.kind !== 'flat');

function fail(state, error) {
  state.reason = error.message;
  console.error(`bench: ${state.engine.name} does not run: ${error.message}`);
}

/** Finds the recall at every setting, up to the first that is enough; warms the engines up by the way. */
async function measureRecall(states, data) {
  for (const state of states) {
    if (state.reason !== undefined) continue;
    try {
      for (const effort of state.engine.efforts) {
        const { queries, ids } = await search(state.conversation, effort, data.queries, recallLimit);
        const recall = data.recall(ids);
        state.points.push({ effort, recall, queries, rounds: [] });
        if (recall >= enoughRecall) break;
      }
    } catch (error) {
      fail(state, error);
    }
  }
}

async function measureSpeed(states, data) {
  const settings = Math.max(0, ...states.map(({ points }) => points.length));
  for (let round = 0; round < options.rounds; round++) {
    // Nobody is always the one after the greediest.
    const turn = states.map((_, i) => states[(i + round) % states.length]);
    for (let i = 0; i < settings; i++) {
      for (const state of turn) {
        const point = state.points[i];
        if (state.reason !== undefined || point === undefined) continue;
        try {
          point.rounds.push(await speed(state.conversation, point.effort, data.queries));
        } catch (error) {
          fail(state, error);
        }
      }
    }
    console.error(`bench: round ${round + 1} of ${options.rounds}`);
  }
}

/** Microseconds a call among ten rows, where the call itself is the work. */
async function measureOverhead(states, folder, { dim, queries }) {
  const tiny = states.filter(({ engine, reason }) => reason === undefined && !engine.program && engine.side !== 'wasm');
  const open = [];
  try {
    for (const state of tiny) {
      const conversation = new Conversation(state.engine, folder, k, dim);
      open.push({ state, conversation });
      await build(conversation);
      // Until the compiler of the host has seen enough.
      for (let i = 0; i < 5; i++) await speed(conversation, state.engine.efforts[0], queries);
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const { state, conversation } of open) {
        state.overhead.push(1e6 / (await speed(conversation, state.engine.efforts[0], queries)));
      }
    }
  } finally {
    for (const { conversation } of open) conversation.close();
  }
}

function machine() {
  const flags = existsSync('/proc/cpuinfo')
    ? (/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '')
    : '';
  const simd = ['avx2', 'avx512f', 'avx512_vnni', 'amx_int8'].filter((flag) => flags.includes(` ${flag}`));
  const { model } = os.cpus()[0] ?? { model: process.arch };
  return { cpu: model, cores: os.cpus().length, simd, node: process.version, v8: process.versions.v8 };
}

const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const shownSpeed = (state, target) => {
  const found = speedAt(medianPoints(state), target);
  return found === null ? '-' : found.qps.toFixed(found.qps < 100 ? 1 : 0);
};

function report(results, table, setup) {
  const { cpu, cores, simd, node } = setup.machine;
  console.log();
  console.log(`${setup.rows} rows x ${setup.dim}, ${setup.queries} queries, recall@${k}, ${setup.rounds} rounds`);
  console.log(
    `${cpu}, ${cores} cores (${simd.join(', ')}), Node ${node}; load while measuring ${setup.load.toFixed(1)}`,
  );
  console.log();
  printTable(
    ['engine', 'built, rows/s', 'bytes/row', 'best recall', 'its q/s', 'q/s at .95', 'q/s at .99', '10 rows, us'],
    results.ran.map((state) => {
      const { heapBytes, rssBytes } = state.memory;
      const top = medianPoints(state).reduce((a, b) => (b.recall > a.recall ? b : a));
      const sweeps = state.engine.efforts[0] !== null;
      return [
        state.engine.name,
        median(state.builds).toFixed(0),
        `${((heapBytes ?? rssBytes) / setup.rows).toFixed(0)} ${heapBytes === undefined ? 'RSS ' : 'heap'}`,
        top.recall.toFixed(4),
        top.qps.toFixed(top.qps < 100 ? 1 : 0),
        ...targets.map((target) => (sweeps ? shownSpeed(state, target) : '')),
        state.overhead.length > 0 ? median(state.overhead).toFixed(1) : '',
      ];
    }),
  );
  console.log('bytes/row: all WebAssembly memory (heap), or what the process grew by (RSS), over the rows');
  const failed = results.all.filter(({ reason }) => reason !== undefined);
  if (failed.length > 0) console.log('\ndid not run:');
  for (const { engine, reason } of failed) console.log(`  ${engine.name}: ${reason}`);
  console.log();
  printTable(
    ['question', 'measured', 'of rounds', 'must', 'aim', '', 'which of ours'],
    table.map((row) => [
      row.question,
      row.value === undefined ? '-' : digits(row.value),
      row.least === undefined ? '' : `${digits(row.least)}..${digits(row.most)}`,
      row.must === undefined ? '' : `${row.less ? '<=' : '>='} ${row.must}`,
      row.aim === undefined ? '' : `${row.less ? '<=' : '>='} ${row.aim}`,
      verdict(row),
      row.by ?? '',
    ]),
  );
  const reasons = [...new Set(table.flatMap(({ reason }) => reason ?? []))];
  if (reasons.length > 0) console.log('\nnot measured, because:');
  for (const reason of reasons) console.log(`  ${reason}`);
}

async function main(vectors) {
  const there = JSON.parse(readFileSync(path.join(vectors, 'meta.json'), 'utf8'));
  for (const [name, total] of Object.entries({ rows: there.base, queries: there.queries }))
    if (options[name] > total) refuse(`--${name} must be at most ${total}, got ${options[name]}`);
  const data = loadVectors(vectors, { rows: options.rows, queries: options.queries }, k);
  const states = options.chosen.map((engine) => ({ engine, builds: [], points: [], overhead: [] }));
  if (states.some(({ engine }) => engine.peer)) {
    const reason = installPeers();
    for (const state of states) if (state.engine.peer) state.reason = reason ?? missingPackage(state.engine);
  }
  const programs = [...new Set(options.chosen.flatMap(({ program }) => program ?? []))];
  if (programs.length > 0) {
    const reason = buildPrograms(programs);
    for (const state of states) if (state.engine.program) state.reason = reason;
  }
  // Below the project, because that is what the native programs see.
  mkdirSync(nativeFolder, { recursive: true });
  const folder = mkdtempSync(path.join(nativeFolder, 'data-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  try {
    writeFileSync(path.join(folder, 'base.f32'), data.base);
    writeFileSync(path.join(folder, 'queries.f32'), data.asked);
    await buildAll(states, folder, data);
    await measureRecall(states, data);
    await measureSpeed(states, data);
    const load = os.loadavg()[0];
    for (const { conversation } of states) conversation?.close();
    await measureOverhead(states, folder, data);
    const results = new Results(states);
    const table = questions(results, data.rows);
    const { rows, queries, dim } = data;
    const setup = { date: new Date().toISOString(), rows, queries, dim, rounds: options.rounds, k, load };
    Object.assign(setup, { machine: machine(), nativeFlags });
    report(results, table, setup);
    if (options.json !== undefined) {
      const measured = states.map(({ engine, reason, builds, memory, points, overhead }) => {
        const { name, side, effortName } = engine;
        return { name, side, version: versionOf(engine), effortName, reason, builds, memory, points, overhead };
      });
      const answers = table.map((row) => ({ ...row, verdict: verdict(row) }));
      writeFileSync(options.json, `${JSON.stringify({ setup, engines: measured, questions: answers }, null, 2)}\n`);
    }
  } finally {
    for (const { conversation } of states) conversation?.close();
  }
}

function packageOf({ peer, name }) {
  return path.join(peer ? path.join(bench, 'node_modules', name) : project, 'package.json');
}
function missingPackage(engine) {
  if (existsSync(packageOf(engine))) return undefined;
  return `it did not install; npm install --prefix tests/bench --foreground-scripts ${engine.name} says why`;
}
function versionOf(engine) {
  const file = packageOf(engine);
  return engine.side === 'native' && !engine.peer
    ? undefined
    : existsSync(file) && JSON.parse(readFileSync(file)).version;
}

const vectors = dataFolder('vectors-dev');
if (vectors !== null) await main(vectors);
