// One JavaScript engine in a process of its own, for `npm run bench`; the conversation is that of serve.h.
//
//   node tests/bench/engine.mjs FOLDER ROWS DIM NAME

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { engines, k } from './engines.mjs';

const [folder, rowsText, dimText, name] = process.argv.slice(2);
const rows = Number(rowsText);
const dim = Number(dimText);

// Some engines print what they do; standard output is ours.
console.log = console.info = console.debug = () => {};

function readFloats(file, count) {
  const bytes = readFileSync(path.join(folder, file));
  return new Float32Array(bytes.buffer, bytes.byteOffset, count ?? bytes.length / 4);
}

const queries = readFloats('queries.f32');
const { load, effortName } = engines.find((engine) => engine.name === name);
// What goes wrong is an answer too; the first error is every answer from then on.
let failure;
let engine;

async function build() {
  const vectors = readFloats('base.f32', rows * dim);
  globalThis.gc?.();
  const rss = process.memoryUsage().rss;
  engine = await load({ rows, dim, effortName });
  const started = performance.now();
  await engine.add(vectors);
  const seconds = (performance.now() - started) / 1000;
  globalThis.gc?.();
  return { seconds, memory: { ...(await engine.memory?.()), rssBytes: process.memoryUsage().rss - rss } };
}

async function search(effort, count, limit) {
  const answers = [];
  const asked = Array.from({ length: Math.min(count, queries.length / dim) }, (_, i) =>
    queries.subarray(i * dim, (i + 1) * dim),
  );
  const started = performance.now();
  let ended = started;
  while (answers.length < asked.length && ended - started < limit * 1000) {
    const answer = engine.search(asked[answers.length], effort);
    // No turn of the event loop for engines that answer at once.
    answers.push(answer instanceof Promise ? await answer : answer);
    ended = performance.now();
  }
  const ids = answers.flatMap((answer) => {
    const found = engine.ids(answer);
    return Array.from({ length: k }, (_, i) => found[i] ?? -1);
  });
  return { queries: answers.length, seconds: (ended - started) / 1000, ids };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [word, effort, count, limit] = line.split(' ');
  let answer;
  try {
    if (failure) throw failure;
    answer = word === 'build' ? await build() : await search(Number(effort), Number(count), Number(limit));
  } catch (error) {
    failure = error;
    answer = {
      error: String(error?.message ?? error)
        .split('\n')[0]
        .slice(0, 200),
    };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
