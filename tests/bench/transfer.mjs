// Moving points: how fast one embedded store is migrated into another, and what memory an export takes.
//
//   node tests/bench/transfer.mjs [--rows 100000] [--dimension 384] [--export-rows 1000000] [--only migrate,export,adapter]
//
// migrate: from a folder to a folder, journal and verification included; the source's index is complete before. The bar is
// for the rows that are copied a second, not for building the target's index, which goes on meanwhile.
// export: a store that makes its pages up, so that nothing but the export takes memory; the peak of live pages is counted
// and the process' memory is sampled after each page.
// adapter: the same through core/remote and a server that makes its pages up: the engine's memory never shrinks, so its
// size in the end is its peak.
//
// Each measurement is a process of its own.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connect } from '../../dist/index.js';
import { exportPoints, migrate } from '../../dist/transfer.js';
import { printTable, seededRandom } from './support.mjs';

const mib = 2 ** 20;
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    dimension: { type: 'string', default: '384' },
    'export-rows': { type: 'string', default: '1000000' },
    only: { type: 'string', default: 'migrate,export,adapter' },
    worker: { type: 'string' },
  },
});
const rows = Number(options.rows);
const dimension = Number(options.dimension);
const exportRows = Number(options['export-rows']);
const exportDimension = 32;
const batch = 1000;

const words = 'retry upload session gallery thumbnail journal photographer visitor criterion requirement'.split(' ');

function pointMaker(seed) {
  const random = seededRandom(seed);
  return (i) => ({
    id: `point-${String(i).padStart(8, '0')}`,
    vector: Float32Array.from({ length: dimension }, () => random() - 0.5),
    text: Array.from({ length: 12 }, () => words[Math.floor(random() * words.length)]).join(' '),
    payload: { number: i, tag: `t${i % 200}`, size: random(), nested: { list: [1, 2, i] } },
  });
}

const config = (folder, name) =>
  `[vectordb]\nbackend = "embedded"\npath = ${JSON.stringify(path.join(folder, name))}\ncollection = "points"\n`;

async function measureMigrate() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'nearfield-transfer-'));
  try {
    // The source is made in a process of its own, and its index with it.
    self('fill', [folder]);
    const from = await connect({ config: config(folder, 'from') });
    const to = await connect({ config: config(folder, 'to') });
    const before = process.cpuUsage();
    let cpu = 0;
    const onProgress = ({ phase }) => {
      if (phase !== 'copy') return;
      const { user, system } = process.cpuUsage(before);
      cpu = (user + system) / 1e6;
    };
    const report = await migrate(from, to, { batch, journal: path.join(folder, 'journal.json'), onProgress });
    const { pointsPerSecond, milliseconds, copied, verified } = report;
    await Promise.all([from.close(), to.close()]);
    return { pointsPerSecond, milliseconds, copied, cpu, ok: verified.ok };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fill(folder) {
  const store = await connect({ config: config(folder, 'from') });
  const point = pointMaker(20260101);
  for (let first = 0; first < rows; first += 2000) {
    await store.upsert(Array.from({ length: Math.min(2000, rows - first) }, (_, i) => point(first + i)));
  }
  while ((await store.info()).details.index.unindexed > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  await store.close();
  return {};
}

const nothingToRead = { info: undefined, get: undefined, ensure: undefined, upsert: undefined, search: undefined };

// A store by its public methods; what it hands out is counted until the sink has it.
function syntheticStore(seen) {
  const refuse = async () => {
    throw new Error('only read');
  };
  return {
    ...Object.fromEntries(Object.keys(nothingToRead).map((name) => [name, refuse])),
    backend: 'synthetic',
    name: 'points',
    info: async () => ({ dimension: exportDimension, metric: 'cosine' }),
    count: async () => exportRows,
    async *scroll({ batch: size }) {
      const random = seededRandom(1);
      for (let first = 0; first < exportRows; first += size) {
        seen.read++;
        seen.mostLive = Math.max(seen.mostLive, seen.read - seen.written);
        yield Array.from({ length: Math.min(size, exportRows - first) }, (_, i) => ({
          id: `point-${first + i}`,
          vector: Float32Array.from({ length: exportDimension }, () => random() - 0.5),
          payload: { number: first + i, tag: 'synthetic' },
        }));
      }
    },
  };
}

async function measureExport() {
  const seen = { read: 0, written: 0, mostLive: 0 };
  const memory = watchMemory();
  let bytes = 0;
  const started = performance.now();
  const sink = (chunk) => {
    bytes += chunk.length;
  };
  const onProgress = () => {
    seen.written++;
    memory.sample();
  };
  const { points } = await exportPoints(syntheticStore(seen), sink, { batch, onProgress });
  const seconds = (performance.now() - started) / 1000;
  return { points, bytes, seconds, mostLive: seen.mostLive, ...memory.done() };
}

// What Qdrant answers to a scroll, made up as it is asked for.
function syntheticServer() {
  const random = seededRandom(2);
  const uuid = (i) => `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`;
  const answer = (result) =>
    new Response(JSON.stringify({ result, status: 'ok', time: 0 }), {
      headers: { 'content-type': 'application/json' },
    });
  return async (url, { body } = {}) => {
    const { pathname } = new URL(url);
    if (pathname.endsWith('/points/count')) return answer({ count: exportRows });
    if (pathname.endsWith('/points/scroll')) {
      const { limit, offset } = JSON.parse(Buffer.from(body).toString());
      const first = offset ? Number.parseInt(offset.slice(24), 16) : 0;
      const count = Math.min(limit, exportRows - first);
      const points = Array.from({ length: count }, (_, i) => ({
        id: uuid(first + i),
        payload: { number: first + i, tag: 'synthetic' },
        vector: Array.from({ length: exportDimension }, () => Math.fround(random() - 0.5)),
      }));
      return answer({ points, next_page_offset: first + count < exportRows ? uuid(first + count) : null });
    }
    if (pathname === '/') return new Response('{"title":"qdrant","version":"1.18.3"}');
    return answer({
      status: 'green',
      points_count: exportRows,
      config: {
        params: { vectors: { size: exportDimension, distance: 'Cosine' } },
        hnsw_config: { m: 16, ef_construct: 100, full_scan_threshold: 10000 },
      },
      payload_schema: {},
    });
  };
}

async function measureAdapter() {
  const instances = [];
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...given) => {
    const made = await instantiate(...given);
    const exports = (made.instance ?? made).exports;
    instances.push(Object.values(exports).find((value) => value instanceof WebAssembly.Memory));
    return made;
  };
  const text = `[vectordb]\nbackend = "qdrant"\n[vectordb.qdrant]\nurl = "http://127.0.0.1:6333"\n[vectordb.qdrant.vector_params]\nsize = ${exportDimension}\n`;
  const store = await connect({ config: text, fetch: syntheticServer() });
  const memory = watchMemory();
  const engine = () => Math.max(0, ...instances.map((one) => one?.buffer.byteLength ?? 0));
  let bytes = 0;
  let early = 0;
  let pages = 0;
  const started = performance.now();
  const { points } = await exportPoints(store, (chunk) => void (bytes += chunk.length), {
    batch,
    onProgress: () => {
      if (++pages === 10) early = engine();
      memory.sample();
    },
  });
  const seconds = (performance.now() - started) / 1000;
  const engineBytes = engine();
  await store.close();
  return { points, bytes, seconds, early, engineBytes, ...memory.done() };
}

// Garbage counts too: the process is run with a small young generation and asked after each page.
function watchMemory() {
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let peak = before;
  let pages = 0;
  let live = 0;
  let liveBefore = 0;
  return {
    sample: () => {
      peak = Math.max(peak, process.memoryUsage().rss);
      // What is reachable is known after a collection only, which takes its time.
      if (++pages % 50 !== 0 || globalThis.gc === undefined) return;
      globalThis.gc();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      if (liveBefore === 0) liveBefore = heapUsed + arrayBuffers;
      live = Math.max(live, heapUsed + arrayBuffers);
    },
    done: () => ({ rss: peak - before, live: live - liveBefore }),
  };
}

function self(worker, words) {
  const flags = Object.entries(options).flatMap(([name, value]) => (name === 'worker' ? [] : [`--${name}`, value]));
  const argv = ['--expose-gc', fileURLToPath(import.meta.url), ...flags, '--worker', [worker, ...words].join(' ')];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8', maxBuffer: 16 * mib }));
}

const workers = { migrate: measureMigrate, fill, export: measureExport, adapter: measureAdapter };

if (options.worker !== undefined) {
  const [name, ...given] = options.worker.split(' ');
  process.stdout.write(JSON.stringify(await workers[name](...given)));
} else {
  const table = [];
  const row = (what, figure, bar, good) =>
    table.push([what, figure, bar, good === undefined ? '' : good ? 'met' : 'MISSED']);
  const number = (value) => Math.round(value).toLocaleString('en');
  const megabytes = (value) => `${(value / mib).toFixed(1)} MiB`;
  const wanted = options.only.split(',');
  if (wanted.includes('migrate')) {
    const { pointsPerSecond, copied, cpu, ok, milliseconds } = self('migrate', []);
    row(
      `migrate ${number(copied)} x ${dimension}, rows/s`,
      number(pointsPerSecond),
      '20,000',
      pointsPerSecond >= 20_000,
    );
    row('  a second of processor time', number(copied / cpu), '', undefined);
    row('  with verification, s', (milliseconds / 1000).toFixed(1), '', undefined);
    row('  verified', ok ? 'yes' : 'no', 'yes', ok);
  }
  if (wanted.includes('export')) {
    const { points, seconds, mostLive, rss, live } = self('export', []);
    row(`export ${number(points)} x ${exportDimension}, rows/s`, number(points / seconds), '', undefined);
    row('  pages alive at once', String(mostLive), '2', mostLive <= 2);
    row('  reachable memory grows by', megabytes(live), 'two batches', live <= 2 * batch * 2048);
    row('  process grows by', megabytes(rss), '', undefined);
  }
  if (wanted.includes('adapter')) {
    const { points, seconds, early, engineBytes, rss, live } = self('adapter', []);
    row(`export ${number(points)} x ${exportDimension} from a server, rows/s`, number(points / seconds), '', undefined);
    row('  engine after 10 pages', megabytes(early), '', undefined);
    row('  engine in the end', megabytes(engineBytes), 'no more', engineBytes <= early);
    row('  reachable memory grows by', megabytes(live), 'two batches', live <= 2 * batch * 2048);
    row('  process grows by', megabytes(rss), '', undefined);
  }
  printTable(['what', 'figure', 'bar', ''], table);
  if (table.some(([, , , verdict]) => verdict === 'MISSED')) process.exitCode = 1;
}
