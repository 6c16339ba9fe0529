// A migration that is killed again and again ends as one that was left alone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect } from 'nearfield';
import { random, temporaryFolder } from './support.mjs';
import { awkwardPoints, embedded, everything, expected, fill } from './transfer-stores.mjs';

const program = fileURLToPath(new URL('transfer-run.mjs', import.meta.url));
const kills = 20;

/** Runs it; kills it `afterMs` after it said `batches` lines. Answers its report, or undefined. */
function run(words, batches, afterMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [said, errors, killing] = ['', '', false];
    const look = () => {
      if (killing || said.split('\n').length - 1 < batches) return;
      killing = true;
      setTimeout(() => child.kill('SIGKILL'), afterMs);
    };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
      look();
    });
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const report = /^report (.*)$/m.exec(said)?.[1];
      if (code === 0 && report !== undefined) return resolve(JSON.parse(report));
      if (signal === 'SIGKILL') return resolve(undefined);
      reject(new Error(`it ended with ${code}: ${errors}`));
    });
    look();
  });
}

test(`killed ${kills} times and gone on with: the same, point by point`, async (t) => {
  const folder = temporaryFolder(t);
  const points = awkwardPoints(6000);
  const words = ['from', 'to', 'journal.json'].map((name) => join(folder, name));
  const from = await connect({ config: embedded(words[0]), environment: {} });
  await fill(from, points);
  await from.close();

  const next = random(20);
  for (let killed = 0; killed < kills; killed++) {
    // A journal that was being written when it happened is a file of another name.
    if (killed === 3) writeFileSync(`${words[2]}.1.tmp`, '{"half');
    const report = await run(words, Math.floor(next() * 4), Math.floor(next() * 12));
    assert.equal(report, undefined, 'there were too few points for so many kills');
  }
  const report = await run(words, Infinity, 0);
  assert.equal(report.resumed, true);
  assert.deepEqual([report.copied, report.failed], [points.length, []]);
  assert.equal(report.verified.ok, true, JSON.stringify(report.verified));
  assert.equal(existsSync(words[2]), false);
  const to = await connect({ config: embedded(words[1]), environment: {} });
  assert.deepEqual(await everything(to), expected(points));
  await to.close();
});
