// nearfield backup: the whole database into one file.

import { NearfieldError } from '../errors.js';
import type { Flags } from './arguments.js';
import { checkFolder, readFileOperand } from './database.js';
import { watchInterrupt } from './interrupt.js';
import type { Output } from './output.js';
import { bytesText, counted, printable } from './terminal.js';

export async function runBackup(operands: string[], flags: Flags, output: Output): Promise<number> {
  const file = readFileOperand('backup', operands);
  if (file === '-' && output.isTerminal) {
    throw new NearfieldError('ConfigError', 'a backup is no text for a terminal; give it a file or a pipe');
  }
  await checkFolder(flags.db);
  const interrupt = watchInterrupt(() => {
    if (!flags.json) output.note('stopping; no backup is written');
  });
  const { open } = await import('../open.js');
  // Takes no lock: others may write meanwhile.
  const db = await open({ path: flags.db, storage: 'node', readOnly: true });
  try {
    // A reader that goes away must not look like success (see watchOutput).
    if (file === '-') process.exitCode = 3;
    const report = await db.backup(file === '-' ? writeOut : file, { signal: interrupt.signal });
    const text = `backed up ${counted(report.points, 'point')} of ${counted(report.collections, 'collection')}, ${bytesText(report.bytes)}`;
    // The standard output is the backup itself.
    if (file === '-') output.note(text);
    else if (flags.json) output.object({ path: flags.db, file, ...report });
    else output.line(`${output.style.green('✓')} ${output.style.bold(text)} to ${printable(file)}`);
    return 0;
  } catch (error) {
    if (interrupt.exitCode !== undefined && error instanceof NearfieldError && error.code === 'Aborted') {
      return interrupt.exitCode;
    }
    throw error;
  } finally {
    await db.close();
  }
}

function writeOut(chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error == null ? resolve() : reject(error)));
  });
}
