// What do payloads and vectors on demand save in memory, and what do they cost in time?
//
//   node tests/bench/on-demand.mjs [rows] [dimension]
//
// Builds the same collection twice in a Node folder, opens each in a fresh instance, and measures the memory of the
// engine after opening and after searches, and searches with a cold and a warm cache.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from '../../dist/index.js';
import { random, randomVector } from '../js/support.mjs';

const rows = Number(process.argv[2] ?? 100_000);
const dimension = Number(process.argv[3] ?? 384);
const folder = mkdtempSync(join(tmpdir(), 'nearfield-bench-'));
const words = Array.from({ length: 5000 }, (_, i) => `word${i}`);
const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

async function build(path, schema) {
  const next = random(1);
  const db = await open({ path });
  const collection = await db.collection('c', schema);
  for (let first = 0; first < rows; first += 1000) {
    const batch = Array.from({ length: Math.min(1000, rows - first) }, (_, i) => ({
      id: `p${first + i}`,
      vector: randomVector(next, dimension),
      text: Array.from({ length: 40 }, () => words[Math.floor(next() ** 2 * words.length)]).join(' '),
      payload: { i: first + i, tag: `t${i % 10}` },
    }));
    await collection.upsert(batch, { durability: 'relaxed' });
  }
  await db.close();
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function measure(name, path, options) {
  let db;
  const opening = await timed(async () => (db = await open({ path, readOnly: true, ...options })));
  const collection = await db.collection('c');
  const opened = (await db.info()).memory.wasmBytes;
  const next = random(2);
  const vector = randomVector(next, dimension);
  const kinds = {
    text: { text: 'word3 word77', k: 10 },
    dense: { vector, k: 10, exact: true },
    'dense, filtered': { vector, k: 10, exact: true, filter: { tag: 't3' } },
    hybrid: { vector, text: 'word3 word77', k: 10, exact: true },
  };
  console.log(`${name}: open ${opening.toFixed(0)} ms, ${megabytes(opened)}`);
  for (const [kind, query] of Object.entries(kinds)) {
    const cold = await timed(() => collection.search(query));
    let warm = Infinity;
    for (let i = 0; i < 3; i++) warm = Math.min(warm, await timed(() => collection.search(query)));
    console.log(`  ${kind}: first ${cold.toFixed(1)} ms, then ${warm.toFixed(1)} ms`);
  }
  const { memory } = await db.info();
  console.log(`  after: ${megabytes(memory.wasmBytes)}, ${megabytes(memory.cachedBytes)} cached`);
  await db.close();
}

try {
  const schema = { dimension, text: {}, index: 'flat' };
  const onDemand = { ...schema, vectorStorage: 'onDemand', payloadStorage: 'onDemand' };
  console.log(`${rows} rows of ${dimension}, seed 1, Node ${process.version}`);
  for (const [name, wanted] of Object.entries({ memory: schema, 'on demand': onDemand })) {
    const path = join(folder, name);
    await build(path, wanted);
    await measure(name, path, {});
    if (wanted === onDemand) await measure('on demand, 512 MiB cache', path, { cacheBytes: 512 << 20 });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
