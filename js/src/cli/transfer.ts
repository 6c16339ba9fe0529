// What migrate, export and import share: stores by configuration file, files that belong together, progress, Ctrl-C.

import { NearfieldError } from '../errors.js';
import type { ConnectOptions } from '../connect.js';
import type { Store } from '../store.js';
import type { Failure, TransferProgress } from '../transfer.js';
import type { FileFormat, Flags } from './arguments.js';
import { watchInterrupt } from './interrupt.js';
import type { Output } from './output.js';
import { ProgressLine, transferText } from './progress.js';
import { counted, printable } from './terminal.js';

/** The store that a configuration file describes; without one, the files of this folder do. */
export async function openStore(configFile: string | undefined, flags: Flags, more?: ConnectOptions): Promise<Store> {
  const { connect } = await import('../connect.js');
  return connect({ configFile, env: flags.env, ...more });
}

/** The environment without the variables that are keys: of two stores they would say the same. */
export function withoutKeys(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('CW_')));
}

/** Flags that do nothing for a format are refused. */
export function checkFlags(format: FileFormat, flags: Flags): void {
  const { config, env, batch, dryRun } = flags;
  const given = { '--config': config, '--env': env, '--batch': batch, '--dry-run': dryRun, '--import': flags.import };
  const [flag] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (format === 'blocks' && flag !== undefined) {
    throw new NearfieldError('ConfigError', `${flag} does nothing for blocks; their database is --db`, { value: flag });
  }
  if (format !== 'blocks' && flags.dbGiven) {
    const message = `--db is for blocks; where the points of ${format} are, a configuration says: --config`;
    throw new NearfieldError('ConfigError', message, { value: '--db' });
  }
}

/** The files of a format. `vectors`: beside the lines, of the same name. */
export function filesOf(
  file: string,
  given: FileFormat | undefined,
): { format: FileFormat; points: string; vectors: string } {
  const [, stem, ending] = /^(.*?)(\.(?:jsonl|npy|fvecs|json))?$/s.exec(file) as unknown as [string, string, string?];
  const byEnding = { '.npy': 'npy', '.fvecs': 'fvecs', '.json': 'blocks' }[ending ?? ''] as FileFormat | undefined;
  const format = given ?? byEnding ?? 'jsonl';
  if (format === 'jsonl' || format === 'blocks') return { format, points: file, vectors: '' };
  if (file === '-') {
    throw new NearfieldError('ConfigError', `${format} has two files, and a pipe is one; give it a file`, {
      value: file,
    });
  }
  return { format, points: `${stem}.jsonl`, vectors: `${stem}.${format}` };
}

/** Runs `work` with a progress line on a terminal, and with Ctrl-C. Answers undefined where that ended it. */
export async function watched<Result>(
  flags: Flags,
  output: Output,
  doing: string,
  stopping: string,
  work: (options: { signal: AbortSignal; onProgress: (at: TransferProgress) => void }) => Promise<Result>,
): Promise<{ result: Result } | { exitCode: number }> {
  const spell = (at: TransferProgress) => transferText(at, doing);
  const progress = process.stderr.isTTY && !flags.json ? new ProgressLine(process.stderr, spell) : undefined;
  const interrupt = watchInterrupt(() => {
    progress?.clear();
    if (!flags.json) output.note(stopping);
  });
  try {
    return { result: await work({ signal: interrupt.signal, onProgress: (at) => progress?.update(at) }) };
  } catch (error) {
    if (interrupt.exitCode !== undefined && error instanceof NearfieldError && error.code === 'Aborted') {
      return { exitCode: interrupt.exitCode };
    }
    throw error;
  } finally {
    progress?.clear();
  }
}

const shownFailures = 10;

export function tellFailures(failed: readonly Failure[], output: Output): void {
  if (failed.length === 0) return;
  for (const { id, code, message } of failed.slice(0, shownFailures)) {
    output.line(`${output.style.red('✗')} ${printable(id)}: ${printable(message)} (${code})`);
  }
  const more = failed.length - shownFailures;
  if (more > 0) output.line(`  and ${counted(more, 'point')} more; --json has all of them`);
}
