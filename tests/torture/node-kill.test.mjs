// The short form of the attacks on a Node writer; `npm run torture` runs them at length.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Violation } from './ledger.mjs';
import { killNode, listPoints } from './node-kill.mjs';

test('a writer killed at any named point loses nothing it acknowledged', async () => {
  const points = await listPoints();
  assert.ok(points.length >= 24, points.join(' '));
  for (const point of ['log.write.half', 'log.sync.before', 'manifest.link.before', 'segment.sync.after']) {
    assert.ok(points.includes(point), point);
  }
  const killed = new Set();
  await killNode({ form: 'points', seed: 1, from: 0, count: points.length, done: (_, point) => killed.add(point) });
  assert.deepEqual([...killed].sort(), points);
});

test('a writer killed at a random moment loses nothing it acknowledged', async () => {
  let kills = 0;
  await killNode({ form: 'random', seed: 1, from: 0, count: 30, done: () => kills++ });
  assert.equal(kills, 30);
});

test('a writer that acknowledges before it writes is found out', async () => {
  for (const form of ['points', 'random']) {
    await assert.rejects(killNode({ form, seed: 1, from: 0, count: 100, early: true }), Violation);
  }
});
