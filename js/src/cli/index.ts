// nearfield index: makes the database mirror the spec files below folders.

import { NearfieldError } from '../errors.js';
import type { IndexReport } from '../specs.js';
import type { Flags } from './arguments.js';
import { watchInterrupt } from './interrupt.js';
import type { Output } from './output.js';
import { ProgressLine, progressText } from './progress.js';
import { bytesText, counted, durationText, grouped, printable } from './terminal.js';

export async function runIndex(folders: string[], flags: Flags, output: Output): Promise<number> {
  if (folders.length === 0) {
    throw new NearfieldError('ConfigError', 'index needs a folder, such as: nearfield index .');
  }
  const progress = process.stderr.isTTY && !flags.json ? new ProgressLine(process.stderr, progressText) : undefined;
  const interrupt = watchInterrupt(() => {
    progress?.clear();
    if (!flags.json)
      output.note('stopping after this step; what is indexed so far is kept (Ctrl-C again: stop at once)');
  });
  const [{ checkFolders }, { openSpecs }] = await Promise.all([import('../folder.js'), import('../specs.js')]);
  // Before the database is opened, so that a misspelt folder does not leave an empty one behind.
  await checkFolders(folders);

  let report: IndexReport;
  const specs = await openSpecs({ path: flags.db, storage: 'node' });
  try {
    report = await specs.index(folders, { signal: interrupt.signal, onProgress: (at) => progress?.update(at) });
  } catch (error) {
    if (interrupt.exitCode !== undefined && error instanceof NearfieldError && error.code === 'Aborted') {
      return interrupt.exitCode;
    }
    throw error;
  } finally {
    progress?.clear();
    await specs.close();
  }

  if (flags.json) output.object(report);
  else printReport(report, flags.db, output);
  if (report.filesIndexed + report.filesUnchanged > 0) return 0;
  if (!flags.json) output.note(`no markdown files (*.md, *.markdown) in ${folders.map(printable).join(', ')}`);
  return 1;
}

function printReport(report: IndexReport, db: string, output: Output): void {
  const { style } = output;
  const speed = (report.blocksWritten / report.milliseconds) * 1000;
  const rate = report.blocksWritten >= 1000 ? `, ${grouped(speed)} blocks/s` : '';
  const size = report.filesUnchanged === 0 ? ` (${bytesText(report.bytes)})` : '';
  const what =
    report.filesIndexed > 0
      ? `indexed ${counted(report.filesIndexed, 'file')}${size}, ${counted(report.blocksWritten, 'block')}`
      : 'nothing new to index';
  output.line(`${style.green('✓')} ${style.bold(what)} in ${durationText(report.milliseconds)}${rate}`);
  const rest: string[] = [];
  if (report.filesUnchanged > 0) rest.push(`${counted(report.filesUnchanged, 'file')} unchanged`);
  if (report.filesRemoved > 0) rest.push(`${counted(report.filesRemoved, 'file')} removed`);
  if (report.blocksRemoved > 0) rest.push(`${counted(report.blocksRemoved, 'old block')} dropped`);
  if (rest.length > 0) output.line(`  ${rest.join(' · ')}`);
  output.line(`  ${style.dim(`database ${printable(db)}`)}`);
}
