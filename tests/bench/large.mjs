// Does a collection of a million vectors fit into WebAssembly's memory, and what does it cost to make, ask and reopen?
//
//   node tests/bench/large.mjs [--rows 1000000] [--index ivf_rabitq|hnsw|...] [--code rq8|...] [--questions 25]
//                              [--batch 500] [--folder <kept>]
//
// Rows of 384 dimensions, made as they are handed over: where ../shared/data/vectors-dev is there, two of its rows in
// seeded shares and a little noise, so that they lie like embeddings of text; points around seeded centres otherwise.
// Vectors stay in storage (vectorStorage 'onDemand'), in a folder, of which --folder keeps the database for another
// look (and a run that finds one there only opens it). Recall is probe()'s, of as many questions that are made like the
// rows, and of as many of its own, halfway between random rows. The database is opened again in a process of its own.
//
// The engine's memory never shrinks, so its size is its peak.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { open } from '../../dist/index.js';
import { dataFolder, median, printTable, seededRandom } from './support.mjs';
import { loadVectors } from './truth.mjs';

const seed = 20260101;
const dim = 384;
const most = 1_200_000_000;
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    index: { type: 'string', default: 'ivf_rabitq' },
    code: { type: 'string' },
    questions: { type: 'string', default: '25' },
    batch: { type: 'string', default: '500' },
    folder: { type: 'string' },
    worker: { type: 'string' },
  },
});
const rows = Number(options.rows);
const questions = Number(options.questions);
const index = options.code === undefined ? options.index : { kind: options.index, code: options.code };

/** A function that makes the next row. */
function rowMaker(from) {
  const random = seededRandom(from);
  const folder = dataFolder('vectors-dev');
  const known = folder === null ? centres(random) : loadVectors(folder, { queries: 0 }, 10).base;
  const count = known.length / dim;
  const noise = folder === null ? 0.05 : 0.02;
  const some = () => Math.floor(random() * count) * dim;
  return () => {
    const [a, b] = [some(), some()];
    const share = folder === null ? 0 : random() * 0.4;
    const vector = new Float32Array(dim);
    for (let j = 0; j < dim; j++) {
      vector[j] = known[a + j] * (1 - share) + known[b + j] * share + noise * (random() - 0.5);
    }
    return vector;
  };
}

function centres(random) {
  return Float32Array.from({ length: 2000 * dim }, () => (random() + random() + random() - 1.5) / 10);
}

const folderSize = (folder) =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);

const say = (text) => console.error(`${(performance.now() / 1000).toFixed(0)} s: ${text}`);

/** The most that the process ever took, where the system tells. */
function peakRss() {
  if (!existsSync('/proc/self/status')) return undefined;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
}

async function timed(work) {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

const workers = {
  async build(folder) {
    const db = await open({ path: folder, storage: 'node' });
    const points = await db.collection('points', { dimension: dim, index, vectorStorage: 'onDemand' });
    const next = rowMaker(seed);
    const made = {};
    let upsert = 0;
    for (let first = 0; first < rows; first += Number(options.batch)) {
      const count = Math.min(Number(options.batch), rows - first);
      const batch = Array.from({ length: count }, (_, i) => ({ id: `point-${first + i}`, vector: next() }));
      upsert += await timed(() => points.upsert(batch, { durability: 'relaxed' }));
      if ((first + count) % 100_000 < count) {
        const { index, memory } = await points.info();
        say(`${first + count} rows, ${index.unindexed} of them not indexed, ${memory.wasmBytes} bytes`);
      }
    }
    made.upsert = upsert;
    made.unindexed = (await points.info()).index.unindexed;
    made.afterUpsert = (await points.info()).memory;
    let said = performance.now();
    const onProgress = ({ done, total }) => {
      if (performance.now() - said < 30_000) return;
      said = performance.now();
      say(`optimize: ${done} of ${total}`);
    };
    made.optimize = await timed(() => points.optimize({ onProgress }));
    made.afterOptimize = (await points.info()).memory;
    made.rss = process.memoryUsage().rss;
    made.peakRss = peakRss();
    made.index = (await points.info()).index;
    say(`indexed; ${made.afterOptimize.wasmBytes} bytes`);
    made.close = await timed(async () => {
      await db.flush();
      made.afterFlush = (await points.info()).memory;
      await db.close();
    });
    return made;
  },

  async ask(folder) {
    let db;
    const opened = {};
    opened.open = await timed(async () => (db = await open({ path: folder, storage: 'node' })));
    const points = await db.collection('points');
    opened.rebuilt = (await db.info()).recovery.rebuilt;
    opened.memory = (await points.info()).memory;
    opened.count = await points.count();
    opened.index = (await points.info()).index;
    opened.rss = process.memoryUsage().rss;
    opened.peakRss = peakRss();
    say(`open after ${opened.open.toFixed(1)} s; ${opened.memory.wasmBytes} bytes`);
    const next = rowMaker(seed + 1);
    const times = [];
    for (let i = 0; i < 20 + 200; i++) {
      const vector = next();
      const seconds = await timed(() => points.search({ vector, k: 10, include: [] }));
      if (i >= 20) times.push(seconds);
    }
    opened.search = median(times);
    say(`searches: ${(opened.search * 1000).toFixed(1)} ms; probing`);
    if (questions > 0) {
      const queries = Array.from({ length: questions }, () => next());
      opened.probe = await timed(async () => {
        opened.recall = (await points.probe({ queries })).recall;
        opened.recallBetween = (await points.probe({ sample: questions })).recall;
      });
    }
    opened.afterSearch = (await points.info()).memory;
    await db.close();
    return opened;
  },
};

function measure() {
  const scratch = options.folder ?? mkdtempSync(path.join(os.tmpdir(), 'nearfield-bench-'));
  const folder = path.join(scratch, 'large');
  const run = (worker) => {
    const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--worker', worker, '--folder', folder];
    const out = execFileSync('node', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    return JSON.parse(out.trim().split('\n').at(-1));
  };
  const table = [];
  const figures = { rows, dim, index, seed, node: process.version };
  const mb = (bytes) => (bytes / 1e6).toFixed(0);
  try {
    if (!existsSync(folder)) {
      const made = (figures.build = run('build'));
      const making = made.upsert + made.optimize;
      const peak = made.afterFlush.wasmBytes;
      table.push(['upsert, s', made.upsert.toFixed(0), '']);
      table.push(['  rows a second', (rows / made.upsert).toFixed(0), '']);
      table.push(['  rows left to index', made.unindexed, '']);
      table.push(['optimize(), s', made.optimize.toFixed(0), '']);
      table.push(['  rows a second, upsert and optimize()', (rows / making).toFixed(0), '']);
      table.push(['save and close, s', made.close.toFixed(1), '']);
      table.push(['engine memory: after upsert, MB', mb(made.afterUpsert.wasmBytes), '']);
      table.push(['  after optimize(), MB', mb(made.afterOptimize.wasmBytes), '']);
      table.push(['  after saving, the peak, MB', mb(peak), `<= ${mb(most)}`]);
      table.push(['    bytes a row', (peak / rows).toFixed(0), '']);
      table.push(['  of which index, MB', mb(made.afterOptimize.indexBytes), '']);
      table.push(['  of which ids, MB', mb(made.afterOptimize.payloadBytes), '']);
      table.push(['process, MB (its peak)', `${mb(made.rss)} (${mb(made.peakRss)})`, '']);
      figures.databaseBytes = folderSize(folder);
      table.push(['files, MB', mb(figures.databaseBytes), '']);
    }
    const asked = (figures.ask = run('ask'));
    table.push(['open, s', asked.open.toFixed(2), '']);
    table.push(['  engine memory, MB', mb(asked.memory.wasmBytes), `<= ${mb(most)}`]);
    table.push(['    bytes a row', (asked.memory.wasmBytes / asked.count).toFixed(0), '']);
    table.push(['  process, MB (its peak)', `${mb(asked.rss)} (${mb(asked.peakRss)})`, '']);
    table.push(['searches a second, vectors on demand', (1 / asked.search).toFixed(0), '']);
    if (questions > 0) {
      table.push([`recall@10 of ${questions} questions like rows`, asked.recall.toFixed(3), '']);
      table.push([`  of ${questions} halfway between rows`, asked.recallBetween.toFixed(3), '']);
      table.push(['  probe(), s a question', (asked.probe / questions / 2).toFixed(2), '']);
    }
    table.push(['engine memory after all that, MB', mb(asked.afterSearch.wasmBytes), `<= ${mb(most)}`]);
  } finally {
    if (options.folder === undefined) rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`${rows} rows x ${dim} on demand, ${JSON.stringify(index)}, seed ${seed}, Node ${process.version}`);
  console.log(JSON.stringify(figures.ask.index));
  printTable(['figure', 'measured', 'bar'], table);
  console.log(JSON.stringify(figures));
}

if (options.worker === undefined) measure();
else console.log(JSON.stringify(await workers[options.worker](options.folder)));
