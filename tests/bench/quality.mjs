#!/usr/bin/env node
// How good are the rankings? nDCG@10 over real spec corpora whose own back-references are the ground truth.
//
//   npm run bench:quality [-- FOLDER]      FOLDER: as ../shared/data/specs, one corpus a folder
//
// Every corpus is searched on its own: all its acceptance criteria (units.jsonl, "title. text") are the documents, the
// rows of relevance.jsonl the queries, in three kinds: whole tasks, their titles, user stories. Gain is 1 for each unit
// that a row names. The figure for several corpora is the mean over all their queries.

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { loadEmbedder, open } from '../../dist/index.js';
import { dataFolder, printTable, readJsonLines } from './support.mjs';

const modes = [
  ['text', { mode: 'text' }],
  ['dense', { mode: 'dense' }],
  ['convex .30', { fusion: { kind: 'convex', alpha: 0.3 } }],
  ['convex .35', { fusion: { kind: 'convex', alpha: 0.35 } }],
  ['convex .40', { fusion: { kind: 'convex', alpha: 0.4 } }],
  ['rrf 60', { fusion: { kind: 'rrf', k: 60 } }],
];
const kinds = ['task', 'title', 'story'];

function ndcgAt10(hits, relevant) {
  let gain = 0;
  hits.slice(0, 10).forEach((id, index) => {
    if (relevant.has(id)) gain += 1 / Math.log2(index + 2);
  });
  let ideal = 0;
  for (let index = 0; index < Math.min(10, relevant.size); ++index) ideal += 1 / Math.log2(index + 2);
  return gain / ideal;
}

/** { mode: { kind: [nDCG of each query] } } of one corpus. */
async function score(folder, embedder) {
  const units = readJsonLines(path.join(folder, 'units.jsonl'));
  const texts = units.map((unit) => (unit.title ? `${unit.title}. ${unit.text}` : unit.text));
  const db = await open({ storage: 'memory' });
  const collection = await db.collection('units', { dimension: embedder.dimension, metric: 'cosine', text: {} });
  const vectors = embedder.embed(texts);
  // Several units may share a name ("duplicate numbers"); the position makes the id unique.
  await collection.upsert(
    units.map((unit, i) => ({
      id: String(i).padStart(6, '0'),
      text: texts[i],
      vector: vectors.subarray(i * embedder.dimension, (i + 1) * embedder.dimension),
    })),
  );
  const byRequirement = new Map();
  units.forEach((unit, i) => {
    for (const key of [`${unit.path}#${unit.requirement}`, `${unit.path}#${unit.requirement}.${unit.criterion}`]) {
      if (!byRequirement.has(key)) byRequirement.set(key, []);
      byRequirement.get(key).push(String(i).padStart(6, '0'));
    }
  });
  const queries = [];
  for (const row of readJsonLines(path.join(folder, 'relevance.jsonl'))) {
    const relevant = new Set();
    for (const { path: file, requirement, criterion } of row.relevant) {
      const key = criterion === null ? `${file}#${requirement}` : `${file}#${requirement}.${criterion}`;
      for (const id of byRequirement.get(key) ?? []) relevant.add(id);
    }
    if (relevant.size === 0) continue;
    if (row.kind === 'task') {
      queries.push({ kind: 'task', text: row.query, relevant });
      queries.push({ kind: 'title', text: row.title, relevant });
    } else if (row.kind === 'story') {
      queries.push({ kind: 'story', text: row.query, relevant });
    }
  }
  const out = Object.fromEntries(modes.map(([mode]) => [mode, Object.fromEntries(kinds.map((kind) => [kind, []]))]));
  for (const { kind, text, relevant } of queries) {
    const vector = embedder.embed([text]);
    for (const [mode, options] of modes) {
      const query = mode === 'text' ? { text } : mode === 'dense' ? { vector } : { text, vector };
      const hits = await collection.search({ ...query, ...options, k: 10, include: [] });
      out[mode][kind].push(
        ndcgAt10(
          hits.map((hit) => hit.id),
          relevant,
        ),
      );
    }
  }
  await db.close();
  return out;
}

const folder = process.argv[2] ?? dataFolder('specs');
if (folder !== null) {
  const embedder = await loadEmbedder();
  const corpora = readdirSync(folder)
    .filter((name) => existsSync(path.join(folder, name, 'units.jsonl')))
    .sort();
  const rows = [];
  const all = {};
  const mean = (values) => (values.length === 0 ? '-' : (values.reduce((a, b) => a + b, 0) / values.length).toFixed(3));
  for (const corpus of corpora) {
    const scores = await score(path.join(folder, corpus), embedder);
    for (const [mode] of modes) {
      rows.push([corpus, mode, ...kinds.map((kind) => mean(scores[mode][kind])), scores[mode].task.length]);
      for (const kind of kinds) ((all[mode] ??= {})[kind] ??= []).push(...scores[mode][kind]);
    }
  }
  for (const [mode] of modes)
    rows.push(['all queries', mode, ...kinds.map((kind) => mean(all[mode][kind])), all[mode].task.length]);
  printTable(['nDCG@10', 'mode', ...kinds, 'tasks'], rows);
}
