#!/usr/bin/env node
// How fast is the main job? Indexing and searching a real corpus in Node, on one core.
//
//   npm run bench [-- --runs 5] [--folder FOLDER]
//
// Each run is a process of its own, so its memory is its own too: it indexes the folder into a new database on disk,
// then answers seeded queries. Queries alternate with the reference, a plain JavaScript loop that scores every vector
// in a Float32Array and sorts; times are medians, "ratio" is the reference's time over ours.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
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

/** One run: prints its figures as JSON. */
async function work(folder, blockLimit) {
  const { openSpecs } = await import('nearfield/specs');
  const { loadEmbedder } = await import('nearfield');
  const target = mkdtempSync(path.join(os.tmpdir(), 'nearfield-bench-'));
  try {
    let files = markdownFiles(folder);
    if (blockLimit !== undefined) {
      // The shortest run of files that holds the number of blocks asked for.
      const probe = await openSpecs({ storage: 'memory' });
      await probe.index(files);
      const counts = new Map();
      for await (const page of probe.all({ batch: 1000 })) {
        for (const block of page) counts.set(block.payload.source, (counts.get(block.payload.source) ?? 0) + 1);
      }
      await probe.close();
      let blocks = 0;
      files = files.filter((file) => blocks < blockLimit && ((blocks += counts.get(file.path) ?? 0), true));
    }
    const specs = await openSpecs({ path: target, storage: 'node' });
    const started = performance.now();
    const report = await specs.index(files);
    const indexMs = performance.now() - started;
    const figures = { blocks: report.blocksWritten, indexMs, indexRss: process.memoryUsage().rss };
    files = null;

    if (blockLimit === undefined) {
      const queries = readJsonLines(path.join(folder, 'relevance.jsonl'))
        .filter((row) => row.kind === 'task')
        .map((row) => row.title);
      const random = seededRandom(seed);
      const sample = Array.from({ length: 200 }, () => queries[Math.floor(random() * queries.length)]);
      const times = { top10: [], top100: [] };
      for (const text of sample.slice(0, 20)) await specs.search(text, { k: 10 });
      for (const text of sample) {
        for (const [name, k] of [
          ['top10', 10],
          ['top100', 100],
        ]) {
          const begin = performance.now();
          await specs.search(text, { k });
          times[name].push(performance.now() - begin);
        }
      }
      figures.top10 = median(times.top10);
      figures.top100 = median(times.top100);
      // Before the reference below takes memory for itself.
      globalThis.gc?.();
      figures.searchRss = process.memoryUsage().rss;

      const embedder = await loadEmbedder();
      const texts = [];
      for await (const page of specs.all({ batch: 1000 })) for (const block of page) texts.push(block.text);
      const rows = embedder.embed(texts);
      const dim = embedder.dimension;
      const ours = [];
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
        Array.from(scores, (score, row) => ({ score, row }))
          .sort((a, b) => b.score - a.score || a.row - b.row)
          .slice(0, 10);
        reference.push(performance.now() - begin);
        begin = performance.now();
        await specs.search(text, { k: 10, mode: 'dense' });
        ours.push(performance.now() - begin);
      }
      figures.dense = median(ours);
      figures.reference = median(reference);
    }
    await specs.close();
    console.log(JSON.stringify(figures));
  } finally {
    rmSync(target, { recursive: true });
  }
}

const folder =
  options.folder ??
  (options.worker
    ? null
    : dataFolder('specs') && path.join(dataFolder('specs'), 'docktermj__senzing-bootcamp-kiro-powers'));
if (options.worker) {
  await work(options.folder, options.blocks === undefined ? undefined : Number(options.blocks));
} else if (folder !== null) {
  const self = fileURLToPath(import.meta.url);
  const child = (...extra) =>
    JSON.parse(
      execFileSync('node', ['--expose-gc', self, '--worker', '--folder', folder, ...extra], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    );
  const bareRss = Number(execFileSync('node', ['-p', 'process.memoryUsage().rss'], { encoding: 'utf8' }));
  const whole = [];
  const tenThousand = [];
  for (let run = 0; run < Number(options.runs); ++run) {
    whole.push(child());
    tenThousand.push(child('--blocks', '10000'));
  }
  const of = (runs, figure) => median(runs.map((run) => run[figure]));
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
  console.log(
    `${path.basename(folder)}: ${whole[0].blocks} blocks, seed ${seed}, medians of ${options.runs} processes, Node ${process.version}`,
  );
  printTable(
    ['figure', 'measured', 'bar'],
    [
      ['indexing, blocks/s', Math.round(median(whole.map((run) => run.blocks / (run.indexMs / 1000)))), '>= 5000'],
      [`indexing ${tenThousand[0].blocks} blocks, s`, (of(tenThousand, 'indexMs') / 1000).toFixed(2), '<= 2'],
      ['query top 10, hybrid, ms', of(whole, 'top10').toFixed(2), '<= 3'],
      ['query top 100, hybrid, ms', of(whole, 'top100').toFixed(2), '<= 5'],
      ['query top 10, dense, ms', of(whole, 'dense').toFixed(2), ''],
      ['plain JavaScript loop, ms', of(whole, 'reference').toFixed(2), ''],
      ['ratio', (of(whole, 'reference') / of(whole, 'dense')).toFixed(1), ''],
      ["memory after indexing over Node's own, MiB", mib(of(whole, 'indexRss') - bareRss), '<= 150'],
      ["memory after searching over Node's own, MiB", mib(of(whole, 'searchRss') - bareRss), '<= 150'],
    ],
  );
}
