// The benchmark's own arithmetic: a wrong ratio would look like a fast engine.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { speedAt } from '../bench/curve.mjs';
import { loadVectors } from '../bench/truth.mjs';
import { random } from './support.mjs';

test('speed at a recall lies between the settings around it', () => {
  const points = [
    { effort: 16, recall: 0.9, qps: 4000 },
    { effort: 32, recall: 0.96, qps: 2000 },
    { effort: 64, recall: 1, qps: 1000 },
  ];
  assert.equal(speedAt(points, 0.96).qps, 2000);
  // Half of the misses' logarithm: sqrt(.1 * .04) of them left, and sqrt(4000 * 2000) queries a second.
  const middle = speedAt(points, 1 - Math.sqrt(0.1 * 0.04));
  assert.ok(Math.abs(middle.qps - Math.sqrt(4000 * 2000)) < 1e-6);
  const last = speedAt(points, 0.99).qps;
  assert.ok(last > 1000 && last < 2000);
  // Below the first point nothing is known but that it is at least as fast.
  assert.equal(speedAt(points, 0.5).qps, 4000);
  assert.equal(speedAt(points.slice(0, 2), 0.99), null);
});

test('recall counts ids whose score is not below the k-th best, once each', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nearfield-bench-'));
  try {
    const dim = 3;
    const next = random(7);
    // Multiples of 1/8 below 2: f16 holds them, and products are exact, so ties are ties.
    const rows = Array.from({ length: 40 }, () =>
      Array.from({ length: dim }, () => (Math.floor(next() * 32) - 16) / 8),
    );
    const queries = Array.from({ length: 5 }, () =>
      Array.from({ length: dim }, () => (Math.floor(next() * 32) - 16) / 8),
    );
    // sign, exponent, fraction of v = m / 8.
    const half = (v) => {
      if (v === 0) return 0;
      const exponent = Math.floor(Math.log2(Math.abs(v)));
      const fraction = (Math.abs(v) / 2 ** exponent - 1) * 1024;
      return (v < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
    };
    const k = 4;
    const score = (query, row) => query.reduce((sum, value, j) => sum + value * row[j], 0);
    const scores = queries.map((query) => rows.map((row) => score(query, row)).sort((a, b) => b - a));
    const write = (name, array) => writeFileSync(path.join(folder, name), array);
    write('meta.json', JSON.stringify({ dim }));
    write('base.f16', Uint16Array.from(rows.flat(), half));
    write('queries.f32', Float32Array.from(queries.flat()));
    write('gt_scores.f32', Float32Array.from(scores.flatMap((sorted) => sorted.slice(0, 10))));
    for (const count of [40, 25]) {
      const data = loadVectors(folder, { rows: count }, k);
      assert.deepEqual([...data.base], rows.slice(0, count).flat());
      const byScore = queries.map((query) => {
        const ids = Array.from({ length: count }, (_, id) => id);
        return ids.sort((a, b) => score(query, rows[b]) - score(query, rows[a]));
      });
      assert.equal(data.recall(byScore.flatMap((ids) => ids.slice(0, k))), 1);
      assert.equal(data.recall(byScore.flatMap((ids) => [ids[0], ids[0], ids[1], ids.at(-1)])), 0.5);
      assert.equal(data.recall([byScore[0][0], -1, -1, -1]), 0.25);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('bad options are refused by name', () => {
  const run = (...args) =>
    spawnSync('node', [new URL('../bench/ann.mjs', import.meta.url).pathname, ...args], { encoding: 'utf8' });
  for (const [args, message] of [
    [['--speed'], "'--speed'"],
    [['--rows', '1e3'], "--rows must be a whole number from 1 on, got '1e3'"],
    [['--rounds', '0'], '--rounds'],
    [['--only', 'faiss'], "--only 'faiss' is no engine"],
    [['--json', '/nowhere/x.json'], '--json'],
    [['extra'], "'extra'"],
  ]) {
    const { status, stderr } = run(...args);
    assert.equal(status, 2, stderr);
    assert.ok(stderr.includes(message), stderr);
  }
  const help = run('--help');
  assert.equal(help.status, 0);
  assert.ok(help.stdout.includes('--rounds N') && help.stdout.includes('hnswlib-node'), help.stdout);
});
