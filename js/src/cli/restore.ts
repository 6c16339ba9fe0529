// nearfield restore: a database from a backup.

import { access, rmdir } from 'node:fs/promises';

import { NearfieldError } from '../errors.js';
import type { Flags } from './arguments.js';
import { readFileOperand } from './database.js';
import { watchInterrupt } from './interrupt.js';
import type { Output } from './output.js';
import { bytesText, counted, printable } from './terminal.js';

export async function runRestore(operands: string[], flags: Flags, output: Output): Promise<number> {
  const file = readFileOperand('restore', operands);
  if (file === '-' && process.stdin.isTTY === true) {
    throw new NearfieldError('ConfigError', 'a backup cannot be typed; give it a file or a pipe');
  }
  const exists = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  if (file !== '-' && !(await exists(file))) {
    throw new NearfieldError('NotFound', `there is no file ${file}`, { value: file });
  }
  const existed = await exists(flags.db);
  const interrupt = watchInterrupt(() => {
    if (!flags.json) output.note('stopping; the database stays as it was');
  });
  const { open } = await import('../open.js');
  const db = await open({ path: flags.db, storage: 'node' });
  try {
    const report = await db.restore(file === '-' ? process.stdin : file, { signal: interrupt.signal });
    if (flags.json) {
      output.object({ path: flags.db, file, ...report });
    } else {
      const text = `restored ${counted(report.points, 'point')} of ${counted(report.collections, 'collection')}, ${bytesText(report.bytes)}`;
      output.line(`${output.style.green('✓')} ${output.style.bold(text)} into ${printable(flags.db)}`);
    }
    await db.close();
    return 0;
  } catch (error) {
    await db.close().catch(() => {});
    // Not left behind by a backup that was no good. A folder that is not empty stays.
    if (!existed) await rmdir(flags.db).catch(() => {});
    if (interrupt.exitCode !== undefined && error instanceof NearfieldError && error.code === 'Aborted') {
      return interrupt.exitCode;
    }
    throw error;
  }
}
