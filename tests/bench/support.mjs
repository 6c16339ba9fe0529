// What the benchmarks share: where the data lies, medians, a table.

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

export const project = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

/** The data folder, or null with a message: it lies beside the project and a clone does not bring it. */
export function dataFolder(name) {
  const folder = path.join(process.env.NEARFIELD_DATA ?? path.join(project, '..', 'shared', 'data'), name);
  if (existsSync(folder)) return folder;
  console.log(`skipped: ${folder} is absent (set NEARFIELD_DATA to the folder that holds ${name})`);
  return null;
}

export function readJsonLines(file) {
  return readFileSync(file, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
}

/** Every markdown file below a folder, as { path, bytes }, in a fixed order. */
export function markdownFiles(folder) {
  const files = [];
  const walk = (relative) => {
    for (const name of readdirSync(path.join(folder, relative)).sort()) {
      const inner = path.join(relative, name);
      if (statSync(path.join(folder, inner)).isDirectory()) walk(inner);
      else if (name.endsWith('.md')) files.push({ path: inner, bytes: readFileSync(path.join(folder, inner)) });
    }
  };
  walk('');
  return files;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Numbers in 0..1 from a seed (mulberry32), the same everywhere. */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function printTable(header, rows) {
  const widths = header.map((cell, column) => Math.max(cell.length, ...rows.map((row) => String(row[column]).length)));
  const line = (cells) =>
    cells.map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('  ');
  console.log(line(header));
  console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  for (const row of rows) console.log(line(row));
}
