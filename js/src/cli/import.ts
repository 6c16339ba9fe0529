// nearfield import: files into a configured store, or published JSON of blocks into a database of specs.

import { access } from 'node:fs/promises';

import { NearfieldError } from '../errors.js';
import { bytesOf, openSource } from '../sinks.js';
import type { Flags } from './arguments.js';
import { readFileOperand } from './database.js';
import type { Output } from './output.js';
import { counted, printable } from './terminal.js';
import { checkFlags, filesOf, openStore, tellFailures, watched } from './transfer.js';

/** All of it is in memory at once, as text and as blocks. */
const maxBlocksBytes = 256 << 20;

export async function runImport(operands: string[], flags: Flags, output: Output): Promise<number> {
  const file = readFileOperand('import', operands);
  if (file === '-' && process.stdin.isTTY === true) {
    throw new NearfieldError('ConfigError', 'an export cannot be typed; give it a file or a pipe');
  }
  const { format, points, vectors } = filesOf(file, flags.format);
  checkFlags(format, flags);
  if (file !== '-' && !(await exists(file))) {
    throw new NearfieldError('NotFound', `there is no file ${file}`, { value: file });
  }
  if (format === 'blocks') return importBlocks(file, flags, output);
  const from =
    vectors === ''
      ? file === '-'
        ? process.stdin
        : file
      : { vectors, points: (await exists(points)) ? points : undefined };
  const { importPoints } = await import('../transfer.js');
  const store = await openStore(flags.config, flags);
  try {
    const stopping = 'stopping after this batch; what is written stays';
    const run = await watched(flags, output, 'importing', stopping, (options) =>
      importPoints(store, from, { ...options, format, batch: flags.batch, dryRun: flags.dryRun }),
    );
    if ('exitCode' in run) return run.exitCode;
    const { written, failed } = run.result;
    if (flags.json) {
      output.object({ file, ...run.result });
    } else {
      const [mark, what] = flags.dryRun
        ? [output.style.green('✓'), `${counted(run.result.points, 'point')} would be imported`]
        : [
            failed.length === 0 ? output.style.green('✓') : output.style.red('✗'),
            `imported ${counted(written, 'point')}`,
          ];
      output.line(`${mark} ${output.style.bold(what)} from ${printable(file)}`);
      tellFailures(failed, output);
    }
    return failed.length === 0 ? 0 : 1;
  } finally {
    await store.close();
  }
}

async function importBlocks(file: string, flags: Flags, output: Output): Promise<number> {
  const text = await readText(file);
  const [{ openSpecs }, { readBlocks }] = await Promise.all([import('../specs.js'), import('../imported.js')]);
  // Before the database is opened, so that a bad file does not leave an empty one behind.
  readBlocks(text);
  const specs = await openSpecs({ path: flags.db, storage: 'node' });
  let blocks: number;
  try {
    blocks = await specs.importJson(text);
  } finally {
    await specs.close();
  }
  if (flags.json) output.object({ file, format: 'blocks', points: blocks });
  else {
    const what = `imported ${counted(blocks, 'block')}`;
    output.line(`${output.style.green('✓')} ${output.style.bold(what)} into ${printable(flags.db)}`);
  }
  return 0;
}

async function readText(file: string): Promise<string> {
  const source = await openSource(file === '-' ? process.stdin : file, 'import');
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const piece = await source.read();
      if (piece === undefined) break;
      pieces.push(bytesOf(piece, 'import'));
      length += pieces.at(-1)!.length;
      if (length > maxBlocksBytes) {
        const message = `${file} has more than ${maxBlocksBytes} bytes; published JSON of blocks is read whole`;
        throw new NearfieldError('LimitExceeded', message, { value: length });
      }
    }
  } finally {
    await source.close().catch(() => {});
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
  } catch {
    throw new NearfieldError('FormatError', `${file} is not UTF-8`, { value: file });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
