// nearfield stats: what the database holds.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { NearfieldError } from '../errors.js';
import type { SpecsInfo } from '../specs.js';
import type { Flags } from './arguments.js';
import { openForReading } from './database.js';
import type { Output } from './output.js';
import { bytesText, columns, counted, grouped, printable } from './terminal.js';

export async function runStats(operands: string[], flags: Flags, output: Output): Promise<number> {
  if (operands.length > 0) {
    throw new NearfieldError('ConfigError', `stats takes no operands, got ${operands[0]}`, { value: operands[0] });
  }
  const specs = await openForReading(flags.db);
  const info = await specs.info().finally(() => specs.close());
  const bytes = await folderBytes(flags.db);
  if (flags.json) output.object({ path: flags.db, bytes, ...info });
  else printStats(flags.db, bytes, info, output);
  return 0;
}

function printStats(path: string, bytes: number, info: SpecsInfo, output: Output): void {
  const { style } = output;
  const { memory } = info;
  const row = (name: string, value: string) => output.line(`${style.dim(name.padEnd(11))}${value}`);
  row('database', `${printable(path)}, ${bytesText(bytes)}, generation ${grouped(info.generation)}`);
  row('documents', grouped(info.documents));
  row('blocks', grouped(info.blocks));
  row('index', `${info.index.kind}${info.index.reason === '' ? '' : style.dim(` (${printable(info.index.reason)})`)}`);
  row(
    'memory',
    `${bytesText(memory.wasmBytes)}: vectors ${bytesText(memory.vectorBytes)}, texts ${bytesText(memory.payloadBytes)}, index ${bytesText(memory.indexBytes)}`,
  );
  printCounts('types', info.types, output);
  printCounts('status', info.statuses, output);
  const features = Object.keys(info.features).length;
  if (features > 0) printCounts(counted(features, 'feature'), info.features, output);
}

const featuresShown = 20;

function printCounts(name: string, counts: Readonly<Record<string, number>>, output: Output): void {
  const entries = Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  if (entries.length === 0) return;
  const shown = entries.slice(0, featuresShown).map(([key, count]) => [printable(key), grouped(count)] as const);
  const keyWidth = Math.max(...shown.map(([key]) => columns(key)));
  const countWidth = Math.max(...shown.map(([, count]) => count.length));
  output.line();
  output.line(output.style.bold(name));
  for (const [key, count] of shown) {
    output.line(`  ${key}${' '.repeat(keyWidth - columns(key))}  ${count.padStart(countWidth)}`);
  }
  if (entries.length > shown.length)
    output.line(output.style.dim(`  and ${grouped(entries.length - shown.length)} more (--json lists all)`));
}

// A database is a flat folder. A file that a writer removes while we look counts nothing.
async function folderBytes(path: string): Promise<number> {
  const names = await readdir(path);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(path, name)).then(
        (found) => found.size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
