// nearfield export: the points of a configured store as files, or the blocks of a database of specs as JSON.

import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';

import { NearfieldError } from '../errors.js';
import type { ExportReport } from '../transfer.js';
import { openSink } from '../sinks.js';
import type { Flags } from './arguments.js';
import { openForReading, readFileOperand } from './database.js';
import type { Output } from './output.js';
import { bytesText, counted, printable } from './terminal.js';
import { checkFlags, filesOf, openStore, watched } from './transfer.js';

export async function runExport(operands: string[], flags: Flags, output: Output): Promise<number> {
  const file = readFileOperand('export', operands);
  const { format, points, vectors } = filesOf(file, flags.format);
  checkFlags(format, flags);
  if (vectors !== '') await checkBeside(file, points, vectors, format);
  const stopping = 'stopping; no file is written';
  let report: Omit<ExportReport, 'format' | 'dimension' | 'metric'> & { format: string };
  // A reader that goes away must not look like success (see watchOutput).
  if (file === '-') process.exitCode = 3;
  if (format === 'blocks') {
    report = await exportBlocks(file, flags);
  } else {
    const { exportPoints } = await import('../transfer.js');
    const store = await openStore(flags.config, flags);
    try {
      const to = vectors !== '' ? { vectors, points } : file === '-' ? writeOut : file;
      const run = await watched(flags, output, 'exporting', stopping, (options) =>
        exportPoints(store, to, { ...options, format, batch: flags.batch }),
      );
      if ('exitCode' in run) return run.exitCode;
      report = run.result;
    } finally {
      await store.close();
    }
  }
  const noun = format === 'blocks' ? 'block' : 'point';
  const text = `exported ${counted(report.points, noun)}, ${bytesText(report.bytes)}`;
  const names = vectors === '' ? printable(file) : `${printable(vectors)} and ${printable(points)}`;
  // The standard output is the export itself.
  if (file === '-') output.note(text);
  else if (flags.json) output.object({ file: points, ...(vectors === '' ? {} : { vectors }), ...report });
  else output.line(`${output.style.green('✓')} ${output.style.bold(text)} to ${names}`);
  return 0;
}

// The file that nobody named is replaced only where it is of an export to the same two files: notes.npy may stand beside
// a notes.jsonl with all vectors in its lines.
async function checkBeside(file: string, points: string, vectors: string, format: string): Promise<void> {
  const beside = file === points ? vectors : points;
  if (!existsSync(beside) || (await firstLine(points)).includes(`"vectors":"${format}"`)) return;
  const message = `${beside} would be replaced, and is no part of an earlier export to ${format}; move it, or take another name`;
  throw new NearfieldError('Conflict', message, { value: beside });
}

// As far as a header goes.
async function firstLine(path: string): Promise<string> {
  const bytes = Buffer.alloc(4096);
  const handle = await open(path).catch(() => undefined);
  const { bytesRead } = (await handle?.read(bytes).finally(() => handle.close())) ?? { bytesRead: 0 };
  return bytes.toString('utf8', 0, bytesRead).split('\n', 1)[0] as string;
}

async function exportBlocks(file: string, flags: Flags) {
  const started = performance.now();
  const specs = await openForReading(flags.db);
  try {
    const { blocks } = await specs.info();
    const bytes = new TextEncoder().encode(await specs.exportJson());
    const sink = await openSink(file === '-' ? writeOut : file, 'export');
    try {
      await sink.write(bytes);
      await sink.close();
    } catch (error) {
      await sink.abort(error).catch(() => {});
      throw error;
    }
    const milliseconds = performance.now() - started;
    return { format: 'blocks', points: blocks, vectors: 0, bytes: bytes.length, milliseconds };
  } finally {
    await specs.close();
  }
}

function writeOut(chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error == null ? resolve() : reject(error)));
  });
}
