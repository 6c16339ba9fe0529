// The report adds up what was tried, once each, and README.md shows it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { addRun, nextCase, readReport, totalOf, writeReport } from './report.mjs';

const run = (attack, seed, from, to, more = {}) => ({
  attack,
  commit: 'c1',
  seed,
  from,
  to,
  tried: to - from,
  violations: 0,
  seconds: 2,
  date: '2026-01-02',
  ...more,
});

test('runs that follow each other become one row, and are added up', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nearfield-report-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'report.json');
  const report = readReport(file);
  addRun(report, run('a', 1, 0, 10));
  addRun(report, run('a', 1, 10, 15, { date: '2026-01-03', tried: 4 }));
  addRun(report, run('a', 2, 0, 5));
  addRun(report, run('a', 1, 0, 5, { commit: 'c2', violations: 1, violation: 'bad' }));
  addRun(report, run('b', 1, 0, 5));
  assert.equal(report.rows.length, 4);
  assert.equal(nextCase(report, { attack: 'a', commit: 'c1', seed: 1 }), 15);
  assert.equal(nextCase(report, { attack: 'a', commit: 'c3', seed: 1 }), 0);
  const total = { cases: 25, tried: 24, violations: 1, seconds: 8, commits: 2, last: '2026-01-03' };
  assert.deepEqual(totalOf(report, 'a'), total);
  writeReport(report, file);
  assert.deepEqual(totalOf(readReport(file), 'a'), total);
  // What comes after a violation is a row of its own.
  addRun(report, run('a', 1, 5, 6, { commit: 'c2' }));
  assert.equal(report.rows.length, 5);
});

test('no case is counted twice', () => {
  const report = readReport('/nowhere');
  addRun(report, run('a', 1, 0, 10));
  for (const [from, to] of [
    [0, 10],
    [9, 12],
    [3, 4],
  ]) {
    assert.throws(() => addRun(report, run('a', 1, from, to)), /already/);
  }
  assert.equal(totalOf(report, 'a').tried, 10);
});

test('a report of another format is refused', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nearfield-report-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'report.json'), '{"format":2,"rows":[]}');
  assert.throws(() => readReport(join(folder, 'report.json')), /format 2/);
});

test('README.md shows the figures of the report', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/torture-table.mjs', '--check'], {
    cwd: join(import.meta.dirname, '../..'),
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});

test('torture refuses what it does not know', () => {
  for (const args of [['--attack', 'nothing'], ['--count', '3'], ['--attack', 'crash', '--seed', '-1'], ['--what']]) {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/torture.mjs', ...args], {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
    });
    assert.equal(status, 2, stderr);
    assert.match(stderr, /^torture: /);
  }
});
