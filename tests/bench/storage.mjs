// What opening and saving a large database costs: time to open it in Node and in Chromium, bytes written for one row,
// bytes written over a long mixed run against bytes accepted, memory while it is saved, how long a search waits while it
// is compacted.
//
//   node tests/bench/storage.mjs [--rows 100000] [--runs 5] [--only open,row,save,compact,mixed,browser] [--folder <kept>]
//
// The database has 384 dimensions, cosine, an hnsw index, full-text search, and texts and payloads of real passages
// where ../shared/data/vectors-dev is there (its rows again, with seeded noise, beyond the first 50,000), seeded random
// ones otherwise. Building its graph takes minutes, so it is built once, in a folder that --folder keeps for the next
// run; measurements work on copies. Each measurement is a process of its own.
//
// Bytes written are counted where Node writes to files: everything the volume hands to FileHandle.write. Memory is the
// engine's own (it never shrinks, so its size is its peak) and the process' (VmHWM of /proc, reset before the save).

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { dataFolder, median, printTable, project, readJsonLines, seededRandom } from './support.mjs';

const seed = 20260101;
const dim = 384;
const mib = 2 ** 20;
const segment = 8 * mib;
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: 'open,row,save,compact,mixed,browser' },
    folder: { type: 'string' },
    worker: { type: 'string' },
  },
});
const rows = Number(options.rows);

/** A function that makes the point of a number; `version` tells overwrites apart. */
function pointMaker() {
  const folder = dataFolder('vectors-dev');
  const random = seededRandom(seed);
  if (folder === null) {
    return (i, version = 0) => ({
      id: `point-${i}`,
      vector: Float32Array.from({ length: dim }, () => random() - 0.5),
      text: Array.from({ length: 30 }, () => Math.floor(random() ** 3 * 1e6).toString(36)).join(' '),
      payload: { number: i, version, tag: `t${Math.floor(random() * 200)}` },
    });
  }
  const halves = readFileSync(path.join(folder, 'base.f16'));
  const passages = gunzipSync(readFileSync(path.join(folder, 'passages.jsonl.gz')))
    .toString()
    .trim()
    .split('\n');
  const attributes = readJsonLines(path.join(folder, 'attrs.jsonl'));
  const known = attributes.length;
  return (i, version = 0) => {
    const of = (i + version * 7919) % known;
    const vector = new Float32Array(dim);
    const noise = i >= known || version > 0 ? 0.02 : 0;
    for (let j = 0; j < dim; j++) {
      vector[j] = half(halves.readUInt16LE((of * dim + j) * 2)) + noise * (random() - 0.5);
    }
    return { id: `point-${i}`, vector, text: JSON.parse(passages[of]).text, payload: attributes[of] };
  };
}

function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits >> 15 ? -size : size;
}

/** Bytes of what the caller handed over. */
function sizeOf({ id, vector, text, payload }) {
  return (
    Buffer.byteLength(id) + vector.byteLength + Buffer.byteLength(text) + Buffer.byteLength(JSON.stringify(payload))
  );
}

const folderSize = (folder) =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);

/** Counts what goes into files from now on. */
async function countWrites() {
  const probe = await fs.open(os.devNull, 'w');
  const prototype = Object.getPrototypeOf(probe);
  await probe.close();
  const count = { bytes: 0 };
  for (const method of ['write', 'writeFile', 'appendFile', 'writev']) {
    const original = prototype[method];
    prototype[method] = async function (...args) {
      const answer = await original.apply(this, args);
      count.bytes += answer?.bytesWritten ?? 0;
      if (method !== 'write') throw new Error(`${method} is not counted`);
      return answer;
    };
  }
  return count;
}

/** Every WebAssembly memory made from now on; each keeps its size after its database was closed. */
function watchMemories() {
  const memories = [];
  const original = WebAssembly.instantiate;
  WebAssembly.instantiate = async (...args) => {
    const made = await original(...args);
    const { exports } = made.instance ?? made;
    memories.push(...Object.values(exports).filter((each) => each instanceof WebAssembly.Memory));
    return made;
  };
  return memories;
}

const schema = { dimension: dim, metric: 'cosine', index: 'hnsw', text: {} };

const workers = {
  async build(folder) {
    const { open } = await import('../../dist/index.js');
    const db = await open({ path: folder, storage: 'node' });
    const points = await db.collection('points', schema);
    const make = pointMaker();
    for (let i = 0; i < rows; i += 5000) {
      await points.upsert(Array.from({ length: Math.min(5000, rows - i) }, (_, j) => make(i + j)));
      if (i % 20_000 === 0) console.error(`  ${i} rows`);
    }
    await db.close();
    return {};
  },

  async open(folder) {
    const { open, load } = await import('../../dist/index.js');
    await load();
    const before = process.cpuUsage();
    const started = performance.now();
    const db = await open({ path: folder, storage: 'node' });
    const openMs = performance.now() - started;
    const { user, system } = process.cpuUsage(before);
    const points = await db.collection('points');
    const { memory, recovery } = await db.info();
    const figures = {
      openMs,
      cpuMs: (user + system) / 1000,
      count: await points.count(),
      wasmBytes: memory.wasmBytes,
      rebuilt: recovery.rebuilt.length,
    };
    await db.close();
    return figures;
  },

  async row(folder) {
    const count = await countWrites();
    const { open } = await import('../../dist/index.js');
    const make = pointMaker();
    const db = await open({ path: folder, storage: 'node' });
    const points = await db.collection('points');
    const before = count.bytes;
    await points.upsert([make(rows)]);
    const upsert = count.bytes - before;
    await db.flush();
    const flush = count.bytes - before;
    await points.upsert([make(5, 1)]);
    const second = count.bytes;
    await db.close();
    return { upsert, flush, close: count.bytes - second, user: sizeOf(make(rows)) };
  },

  // 600 rows more than the saved index covers: closing saves all of it.
  async save(folder) {
    const memories = watchMemories();
    const { open } = await import('../../dist/index.js');
    const make = pointMaker();
    const db = await open({ path: folder, storage: 'node' });
    const points = await db.collection('points');
    for (let i = 0; i < 600; i += 100) await points.upsert(Array.from({ length: 100 }, (_, j) => make(rows + i + j)));
    const info = await points.info();
    const data = info.memory.vectorBytes + info.memory.payloadBytes + info.memory.indexBytes;
    const before = memories[0].buffer.byteLength;
    globalThis.gc?.();
    const rssBefore = process.memoryUsage().rss;
    if (existsSync('/proc/self/clear_refs')) await fs.writeFile('/proc/self/clear_refs', '5');
    await db.close();
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
    const rssPeak = peak === null ? undefined : Number(peak[1]) * 1024;
    return { data, before, after: memories[0].buffer.byteLength, rssBefore, rssPeak };
  },

  // Six of ten rows are deleted, so that it compacts itself, and its graph is built anew; searches go on.
  async compact(folder) {
    const { open } = await import('../../dist/index.js');
    const db = await open({ path: folder, storage: 'node' });
    const points = await db.collection('points');
    const random = seededRandom(seed + 2);
    const search = async () => {
      const vector = Float32Array.from({ length: dim }, () => random() - 0.5);
      // From when it could have been answered: the wait for other work of this thread counts.
      const asked = performance.now();
      await new Promise((resolve) => setImmediate(resolve));
      await points.search({ vector, k: 10, include: [] });
      return performance.now() - asked;
    };
    const quiet = [];
    for (let i = 0; i < 300; i++) quiet.push(await search());
    const doomed = Array.from({ length: rows }, (_, i) => `point-${i}`).filter((_, i) => i % 10 < 6);
    const started = performance.now();
    await points.delete(doomed, { durability: 'relaxed' });
    const deleteMs = performance.now() - started;
    const busy = [];
    while ((await points.info()).tombstones > 0) {
      busy.push(await search());
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const compactMs = performance.now() - started - deleteMs;
    await db.close();
    const at = (times, share) => times.slice().sort((a, b) => a - b)[Math.floor((times.length - 1) * share)];
    const shares = (times) => ({ median: at(times, 0.5), p99: at(times, 0.99), max: at(times, 1) });
    return { deleteMs, compactMs, searches: busy.length, quiet: shares(quiet), busy: shares(busy) };
  },

  async mixed(folder) {
    const count = await countWrites();
    const { open } = await import('../../dist/index.js');
    const make = pointMaker();
    const random = seededRandom(seed + 1);
    const below = (limit) => Math.floor(random() * limit);
    let db = await open({ path: folder, storage: 'node' });
    let points = await db.collection('points', schema);
    let user = 0;
    let next = 0;
    let version = 0;
    let operations = 0;
    let reopened = 0;
    for (let written = 0; written < rows / 2; operations++) {
      const kind = random();
      if (kind < 0.8 || next === 0) {
        const size = [1, 1, 1, 10, 10, 100, 1000][below(7)];
        version++;
        const ids = new Map();
        for (let i = 0; i < size; i++) {
          // Four of five are new, the others replace one.
          const old = next > 0 && random() < 0.2;
          ids.set(old ? below(next) : next++, old ? version : 0);
        }
        const batch = [...ids].map(([id, of]) => make(id, of));
        await points.upsert(batch, { durability: 'relaxed' });
        user += batch.reduce((sum, point) => sum + sizeOf(point), 0);
        written += batch.length;
      } else if (kind < 0.95) {
        const ids = [...new Set(Array.from({ length: [1, 10, 50][below(3)] }, () => `point-${below(next)}`))];
        await points.delete(ids, { durability: 'relaxed' });
        user += ids.reduce((sum, id) => sum + id.length, 0);
      } else if (kind < 0.98) {
        await db.flush();
      } else {
        await db.close();
        db = await open({ path: folder, storage: 'node' });
        points = await db.collection('points');
        reopened++;
      }
    }
    await db.close();
    return { user, written: count.bytes, operations, reopened, size: folderSize(folder) };
  },
};

/** Opens a copy of the folder's files in Chromium, in IndexedDB's layout, from a browser that was started for it. */
async function inBrowser(folder) {
  const { default: puppeteer } = await import('puppeteer-core');
  const noted = path.join(project, '.toolchain/chromium');
  const executablePath =
    process.env.NEARFIELD_CHROMIUM ?? (existsSync(noted) ? readFileSync(noted, 'utf8').trim() : '/usr/bin/chromium');
  if (!existsSync(executablePath)) return (console.log('skipped: no Chromium (set NEARFIELD_CHROMIUM)'), null);
  const types = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
  const server = createServer((request, response) => {
    const name = path.normalize(request.url.split('?')[0]);
    if (name === '/') return response.setHeader('content-type', 'text/html').end('<!doctype html><title>bench</title>');
    const file = name.startsWith('/files/') ? path.join(folder, name.slice(7)) : path.join(project, 'dist', name);
    if (!existsSync(file)) return response.writeHead(404).end();
    response.setHeader('content-type', types[path.extname(file)] ?? 'application/octet-stream');
    response.end(readFileSync(file));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = `http://127.0.0.1:${server.address().port}/`;
  const profile = mkdtempSync(path.join(os.tmpdir(), 'nearfield-bench-'));
  const withPage = async (work) => {
    const browser = await puppeteer.launch({
      executablePath,
      userDataDir: profile,
      protocolTimeout: 600_000,
      args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-dev-shm-usage'],
    });
    try {
      const page = await browser.newPage();
      await page.goto(address);
      return await work(page);
    } finally {
      await browser.close();
    }
  };
  try {
    await withPage((page) => page.evaluate(fillIndexedDb, readdirSync(folder)));
    const times = [];
    for (let run = 0; run < Number(options.runs); run++)
      times.push(await withPage((page) => page.evaluate(openInPage)));
    return times;
  } finally {
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/* global indexedDB -- the two below run in the page */
async function fillIndexedDb(names) {
  const request = indexedDB.open('/nearfield/bench', 21);
  request.onupgradeneeded = () =>
    request.result.createObjectStore('FILE_DATA').createIndex('timestamp', 'timestamp', { unique: false });
  await new Promise((resolve, reject) => Object.assign(request, { onsuccess: resolve, onerror: reject }));
  for (const name of names) {
    const contents = new Uint8Array(await (await fetch(`/files/${name}`)).arrayBuffer());
    const transaction = request.result.transaction('FILE_DATA', 'readwrite');
    const record = { timestamp: new Date(), mode: 33206, contents };
    transaction.objectStore('FILE_DATA').add(record, `/nearfield/bench/${name}`);
    await new Promise((resolve, reject) => Object.assign(transaction, { oncomplete: resolve, onabort: reject }));
  }
  request.result.close();
}

async function openInPage() {
  const { open, load } = await import('/index.js');
  await load();
  const started = performance.now();
  const db = await open({ path: 'bench', readOnly: true });
  const openMs = performance.now() - started;
  const count = await (await db.collection('points')).count();
  const rebuilt = (await db.info()).recovery.rebuilt.length;
  await db.close();
  return { openMs, count, rebuilt };
}

async function measure() {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'nearfield-bench-'));
  const self = fileURLToPath(import.meta.url);
  const run = (worker, folder) => {
    const args = ['--expose-gc', self, '--worker', worker, '--folder', folder, '--rows', String(rows)];
    return JSON.parse(
      execFileSync('node', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
        .split('\n')
        .at(-2),
    );
  };
  const copy = (name) => {
    cpSync(built, path.join(scratch, name), { recursive: true });
    return path.join(scratch, name);
  };
  const built = options.folder ?? path.join(scratch, 'built');
  const only = options.only.split(',');
  const table = [];
  const figures = { rows, dim, seed, node: process.version };
  try {
    if (!existsSync(built)) {
      console.error(`building ${rows} rows x ${dim}; the graph takes minutes`);
      run('build', built);
    }
    figures.databaseBytes = folderSize(built);
    if (only.includes('open')) {
      const folder = copy('open');
      const opened = Array.from({ length: Number(options.runs) }, () => run('open', folder));
      figures.open = { ms: median(opened.map(({ openMs }) => openMs)), runs: opened };
      table.push(['open in Node, ms', figures.open.ms.toFixed(0), rows === 100_000 ? '<= 1000' : '']);
      table.push(['  processor time, ms', median(opened.map(({ cpuMs }) => cpuMs)).toFixed(0), '']);
      table.push(['engine memory after opening, MiB', (opened[0].wasmBytes / mib).toFixed(0), '']);
    }
    if (only.includes('row')) {
      figures.row = run('row', copy('row'));
      table.push(['1 row of this many bytes', figures.row.user, '']);
      table.push(['  upsert, bytes written', figures.row.upsert, '<= 65536']);
      table.push(['  upsert and flush, bytes written', figures.row.flush, '<= 65536']);
      table.push(['  close after one more, bytes written', figures.row.close, '<= 65536']);
    }
    if (only.includes('save')) {
      const save = (figures.save = run('save', copy('save')));
      table.push(['save: data in memory, MiB', (save.data / mib).toFixed(1), '']);
      table.push([
        '  engine memory at its peak, MiB',
        (save.after / mib).toFixed(1),
        `<= ${((save.data + 2 * segment) / mib).toFixed(1)}`,
      ]);
      table.push(['  by which it grew, MiB', ((save.after - save.before) / mib).toFixed(1), '<= 16']);
      if (save.rssPeak !== undefined) {
        table.push(['  by which the process grew, MiB', ((save.rssPeak - save.rssBefore) / mib).toFixed(1), '']);
      }
    }
    if (only.includes('compact')) {
      const { quiet, busy, ...rest } = (figures.compact = run('compact', copy('compact')));
      table.push(['compaction: ms, searches meanwhile', `${rest.compactMs.toFixed(0)}, ${rest.searches}`, '']);
      const row = ({ median, p99, max }) => [median, p99, max].map((ms) => ms.toFixed(1)).join(', ');
      table.push(['  a search before it, ms: median, p99, longest', row(quiet), '']);
      table.push(['  a search meanwhile', row(busy), 'longest <= 50']);
    }
    if (only.includes('mixed')) {
      const mixed = (figures.mixed = run('mixed', path.join(scratch, 'mixed')));
      mixed.amplification = mixed.written / mixed.user;
      table.push([`mixed run: operations, reopenings`, `${mixed.operations}, ${mixed.reopened}`, '']);
      table.push(['  accepted, MiB', (mixed.user / mib).toFixed(1), '']);
      table.push(['  write amplification', mixed.amplification.toFixed(2), '<= 3']);
    }
    if (only.includes('browser')) {
      const times = await inBrowser(built);
      if (times !== null) {
        figures.browser = { ms: median(times.map(({ openMs }) => openMs)), runs: times };
        table.push([
          'open in Chromium (IndexedDB), ms',
          figures.browser.ms.toFixed(0),
          rows === 100_000 ? '<= 2000' : '',
        ]);
      }
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`${rows} rows x ${dim}, ${(figures.databaseBytes / mib).toFixed(0)} MiB of files, seed ${seed}`);
  console.log(`medians of ${options.runs} processes, Node ${process.version}`);
  printTable(['figure', 'measured', 'bar'], table);
  console.log(JSON.stringify(figures));
}

if (options.worker === undefined) await measure();
else console.log(JSON.stringify(await workers[options.worker](options.folder)));
