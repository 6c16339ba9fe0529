// What `npm run bench` is asked, and the answers that the measured engines give.
//
// A measured engine is { engine, reason?, builds, memory, points, overhead }: rows a second of each build; bytes; of each
// setting { effort, recall, rounds: [queries a second] }; microseconds a call. `reason`: why it did not run.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { speedAt } from './curve.mjs';
import { median, project } from './support.mjs';

/** The recalls at which speeds are compared. */
export const targets = [0.95, 0.99];
// From here on an answer counts as exact. The truth are inner products of rows whose lengths are 1 up to the rounding of
// f16; an engine that divides by the lengths ranks a few of the last places otherwise.
const exactRecall = 0.999;

const pointsOf = (state, round) =>
  state.points.map(({ effort, recall, rounds }) => ({ effort, recall, qps: rounds[round] }));
export const medianPoints = (state) =>
  state.points.map(({ effort, recall, rounds }) => ({ effort, recall, qps: median(rounds) }));
const bestRecall = (state) => Math.max(...state.points.map(({ recall }) => recall));

const spread = (values) => ({ value: median(values), least: Math.min(...values), most: Math.max(...values) });

/** What was measured, as the questions of the issue ask for it. */
export class Results {
  constructor(states) {
    this.all = states;
    this.ran = states.filter(({ reason }) => reason === undefined);
    this.ours = this.ran.filter(({ engine }) => engine.side === 'ours');
  }

  /** By name; a sentence where it did not run. */
  get(name) {
    return (
      this.ran.find(({ engine }) => engine.name === name) ?? {
        missing: `${name}: ${this.all.find(({ engine }) => engine.name === name)?.reason ?? 'not asked for'}`,
      }
    );
  }

  /** Our graph: the first in the list that runs. */
  get graph() {
    return this.ours.find(({ engine }) => engine.index.kind === 'hnsw') ?? { missing: 'no graph of ours ran' };
  }

  /** The median ratio of two engines' speeds at a recall. */
  ratio(ours, theirs, recall) {
    for (const state of [ours, theirs]) {
      if (state.missing !== undefined) return { reason: state.missing };
      if (speedAt(medianPoints(state), recall) === null)
        return { reason: `${state.engine.name} reaches ${bestRecall(state).toFixed(4)}` };
    }
    const speeds = (state) => state.points[0].rounds.map((_, round) => speedAt(pointsOf(state, round), recall).qps);
    const [a, b] = [speeds(ours), speeds(theirs)];
    return { ...spread(a.map((qps, round) => qps / b[round])), by: ours.engine.name };
  }

  /** The same against the fastest of ours at that recall. */
  best(theirs, recall) {
    const ratios = this.ours.map((ours) => this.ratio(ours, theirs, recall)).filter(({ value }) => value !== undefined);
    if (ratios.length === 0) return { reason: `none of ours reaches ${recall.toFixed(4)}` };
    return ratios.reduce((a, b) => (b.value > a.value ? b : a));
  }

  builds(ours, theirs, least = 0) {
    for (const state of [ours, theirs]) if (state.missing !== undefined) return { reason: state.missing };
    if (bestRecall(ours) < least) return { reason: `${ours.engine.name} reaches ${bestRecall(ours).toFixed(4)}` };
    const turns = Math.min(ours.builds.length, theirs.builds.length);
    const ratios = Array.from({ length: turns }, (_, turn) => ours.builds[turn] / theirs.builds[turn]);
    return { ...spread(ratios), by: ours.engine.name };
  }
}

/**
 * The questions, as { question, value, least, most, by: which of ours } or { question, reason }, and
 * { must, aim, less }: a median with the ends of its rounds, and the bars.
 */
export function questions(results, rows) {
  const { graph } = results;
  const table = [];
  const add = (question, measured, must, aim, less = false) => table.push({ question, ...measured, must, aim, less });
  for (const target of targets)
    add(`graph / hnswlib-node at ${target}`, results.ratio(graph, results.get('hnswlib-node'), target), 2.5, 4);
  for (const target of targets) {
    const native = results.ratio(graph, results.get('hnswlib C++ -O3'), target);
    add(`graph / hnswlib C++ -O3 -march=native at ${target}`, native, 1.2, 1.8);
  }
  for (const target of targets) {
    const native = results.ratio(graph, results.get('hnswlib C++ -Ofast'), target);
    add(`graph / hnswlib C++ -Ofast -march=native at ${target}`, native);
  }
  for (const target of targets) {
    const native = graph.missing ? graph : results.get(graph.engine.name.replace('nearfield', 'nearfield native'));
    add(`graph / the same as native code at ${target}`, results.ratio(graph, native, target), 0.5, 0.65);
  }
  for (const state of results.all.filter(({ engine }) => engine.side === 'wasm')) {
    const { name, efforts } = state.engine;
    if (state.reason !== undefined) add(`ours / ${name}`, { reason: state.reason }, 8, 15);
    else if (efforts[0] === null || bestRecall(state) < targets[0]) {
      const recall = Math.min(bestRecall(state), exactRecall);
      add(`ours / ${name} at its ${bestRecall(state).toFixed(3)}`, results.best(state, recall), 8, 15);
    } else {
      for (const target of targets) add(`ours / ${name} at ${target}`, results.best(state, target), 8, 15);
    }
  }
  const usearch = results.get('usearch');
  const its = usearch.missing ? 0 : bestRecall(usearch);
  add(`graph / usearch f32 at its ${its.toFixed(3)}`, results.ratio(graph, usearch, its), 2.5, 4);
  const flat = results.ratio(results.get('nearfield flat rabitq'), results.get('nearfield flat f32'), 0.99);
  add('flat of exact quality / flat f32, recall >= .99', flat, 5, 12);
  add('building: graph / hnswlib-node', results.builds(graph, results.get('hnswlib-node')), 1.2, 2.5);
  for (const kind of ['ivf_flat', 'ivf_pq', 'ivf_rabitq']) {
    const built = results.builds(results.get(`nearfield ${kind}`), graph, 0.95);
    add(`building: ${kind} that reaches .95 / our graph`, built, 5, 10);
  }
  for (const kind of ['ivf_pq', 'ivf_rabitq']) {
    const state = results.get(`nearfield ${kind}`);
    add(`${kind}: best recall`, state.missing ? { reason: state.missing } : { value: bestRecall(state) }, 0.95, 0.95);
    add(`${kind} / ivf_flat at .95`, results.ratio(state, results.get('nearfield ivf_flat'), 0.95), undefined, 2);
  }
  const codes = results.get('nearfield hnsw rq8 on demand');
  const { indexBytes, vectorBytes } = (codes.missing ? graph : codes).memory ?? {};
  const perRow = { value: (indexBytes + vectorBytes) / rows, by: (codes.missing ? graph : codes).engine?.name };
  add('memory: graph and vectors, bytes a row', graph.missing ? { reason: graph.missing } : perRow, 600, 480, true);
  const { overhead } = results.get('nearfield flat f32');
  const call = overhead
    ? { ...spread(overhead), by: 'nearfield flat f32' }
    : { reason: 'nearfield flat f32 did not run' };
  add('one search among 10 rows from JavaScript, us', call, 8, 4, true);
  const size = gzipSync(readFileSync(path.join(project, 'dist/nearfield.wasm')), { level: 9 }).length;
  add('nearfield.wasm, gzip, KB', { value: size / 1000 }, 260, 200, true);
  return table;
}

export function verdict({ value, must, aim, less }) {
  if (value === undefined || aim === undefined) return '';
  const reaches = (bar) => (less ? value <= bar : value >= bar);
  if (reaches(aim)) return 'aim';
  return must === undefined ? '' : reaches(must) ? 'met' : 'missed';
}
