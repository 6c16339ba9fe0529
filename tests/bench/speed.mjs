#!/usr/bin/env node
// How fast is the main job? Indexing and searching a real corpus in Node, on one core.
//
//   npm run bench:specs [-- --runs 5] [--folder FOLDER]
//
// Each run is a process of its own, so its memory is its own too: it indexes the folder into a new database on disk,
// then answers seeded queries. Queries alternate with the reference, a plain JavaScript loop that scores every vector
// in a Float32Array and sorts; times are medians, "ratio" is the reference's time over ours.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { dataFolder, markdownFiles, median, printTable, readJsonLines, seededRandom } from './support.mjs';

const seed = 20260101;
const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    folder: { type: 'string' },
    worker: { type: 'boolean' },
    blocks: { type: 'string' },
  },
});

/** One run: prints its figures as JSON. `sample` are the queries; none: only indexing is measured. */
async function work(folder, blockLimit, sample) {
  const { openSpecs } = await import('../../dist/specs.js');
  const target = mkdtempSync(path.join(os.tmpdir(), 'nearfield-bench-'));
  try {
    const source = blockLimit === undefined ? folder : await filesWith(blockLimit, folder, openSpecs);
    const specs = await openSpecs({ path: target, storage: 'node' });
    const started = performance.now();
    const report = await specs.index(source);
    const indexMs = performance.now() - started;
    const figures = { blocks: report.blocksWritten, indexMs, indexRss: process.memoryUsage().rss };
    if (sample.length > 0) {
      Object.assign(figures, await timeQueries(specs, sample));
      // Before the reference below takes memory for itself.
      figures.searchRss = process.memoryUsage().rss;
      Object.assign(figures, await timeReference(specs, sample));
    }
    await specs.close();
    console.log(JSON.stringify(figures));
  } finally {
    rmSync(target, { recursive: true });
  }
}

/** The shortest run of files that holds the number of blocks asked for. */
async function filesWith(blockLimit, folder, openSpecs) {
  const files = markdownFiles(folder);
  const probe = await openSpecs({ storage: 'memory' });
  await probe.index(files);
  const counts = new Map();
  for await (const page of probe.all({ batch: 1000 })) {
    for (const { payload } of page) counts.set(payload.source, (counts.get(payload.source) ?? 0) + 1);
  }
  await probe.close();
  let blocks = 0;
  return files.filter((file) => {
    if (blocks >= blockLimit) return false;
    blocks += counts.get(file.path) ?? 0;
    return true;
  });
}

async function timeQueries(specs, sample) {
  const kinds = [
    ['top10', { k: 10 }],
    ['top100', { k: 100 }],
    ['filtered', { k: 10, filter: { type: 'requirement' } }],
  ];
  const medians = {};
  for (const [name, options] of kinds) {
    for (const text of sample.slice(0, 20)) await specs.search(text, options);
    const times = [];
    for (const text of sample) {
      const begin = performance.now();
      await specs.search(text, options);
      times.push(performance.now() - begin);
    }
    medians[name] = median(times);
  }
  return medians;
}

/** The dense leg beside a plain loop over as many vectors, in turn. */
async function timeReference(specs, sample) {
  const { loadEmbedder } = await import('../../dist/index.js');
  const embedder = await loadEmbedder();
  const texts = [];
  for await (const page of specs.all({ batch: 1000 })) for (const block of page) texts.push(block.text);
  const rows = embedder.embed(texts);
  const dim = embedder.dimension;
  const dense = [];
  const reference = [];
  for (const text of sample.slice(0, 60)) {
    const query = embedder.embed([text]);
    let begin = performance.now();
    const scores = new Float32Array(texts.length);
    for (let row = 0; row < texts.length; ++row) {
      let sum = 0;
      for (let j = 0; j < dim; ++j) sum += query[j] * rows[row * dim + j];
      scores[row] = sum;
    }
    const ranked = Array.from(scores, (score, row) => ({ score, row }));
    ranked.sort((a, b) => b.score - a.score || a.row - b.row).slice(0, 10);
    reference.push(performance.now() - begin);
    begin = performance.now();
    await specs.search(text, { k: 10, mode: 'dense' });
    dense.push(performance.now() - begin);
  }
  return { dense: median(dense), reference: median(reference) };
}

/** Task titles of the corpus, drawn with the seed. */
function drawQueries(folder) {
  const rows = readJsonLines(path.join(folder, 'relevance.jsonl'));
  const titles = rows.filter((row) => row.kind === 'task').map((row) => row.title);
  const random = seededRandom(seed);
  return Array.from({ length: 200 }, () => titles[Math.floor(random() * titles.length)]);
}

if (options.worker) {
  const sample = JSON.parse(readFileSync(0, 'utf8'));
  await work(options.folder, options.blocks === undefined ? undefined : Number(options.blocks), sample);
} else {
  const specs = dataFolder('specs');
  const folder = options.folder ?? (specs && path.join(specs, 'docktermj__senzing-bootcamp-kiro-powers'));
  if (folder) compare(folder);
}

function compare(folder) {
  const self = fileURLToPath(import.meta.url);
  // The worker gets its queries through standard input, so that reading the corpus' queries is not in its memory.
  const child = (sample, ...extra) =>
    JSON.parse(
      execFileSync('node', [self, '--worker', '--folder', folder, ...extra], {
        encoding: 'utf8',
        input: JSON.stringify(sample),
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
  const bareRss = Number(execFileSync('node', ['-p', 'process.memoryUsage().rss'], { encoding: 'utf8' }));
  const queries = drawQueries(folder);
  const whole = [];
  const tenThousand = [];
  for (let run = 0; run < Number(options.runs); ++run) {
    whole.push(child(queries));
    tenThousand.push(child([], '--blocks', '10000'));
  }
  const of = (runs, figure) => median(runs.map((run) => run[figure]));
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
  const { blocks } = whole[0];
  console.log(`${path.basename(folder)}: ${blocks} blocks, seed ${seed}`);
  console.log(`medians of ${options.runs} processes, Node ${process.version}`);
  printTable(
    ['figure', 'measured', 'bar'],
    [
      ['indexing, blocks/s', Math.round(blocks / (of(whole, 'indexMs') / 1000)), '>= 5000'],
      [`indexing ${tenThousand[0].blocks} blocks, s`, (of(tenThousand, 'indexMs') / 1000).toFixed(2), '<= 2'],
      ['query top 10, hybrid, ms', of(whole, 'top10').toFixed(2), '<= 3'],
      ['query top 100, hybrid, ms', of(whole, 'top100').toFixed(2), '<= 5'],
      ['query top 10, hybrid, filtered, ms', of(whole, 'filtered').toFixed(2), ''],
      ['query top 10, dense, ms', of(whole, 'dense').toFixed(2), ''],
      ['plain JavaScript loop, ms', of(whole, 'reference').toFixed(2), ''],
      ['ratio', (of(whole, 'reference') / of(whole, 'dense')).toFixed(1), ''],
      ["memory after indexing over Node's own, MiB", mib(of(whole, 'indexRss') - bareRss), '<= 150'],
      ["memory after searching over Node's own, MiB", mib(of(whole, 'searchRss') - bareRss), '<= 150'],
    ],
  );
}
