// Output: what commands print with, on a terminal and into a pipe.

import { NearfieldError } from '../errors.js';
import { jsonLine, makeStyle, printable, wantsColor } from './terminal.js';
import type { Style } from './terminal.js';

export class Output {
  readonly style: Style;
  readonly isTerminal: boolean;
  /** Columns of the terminal; Infinity in a pipe, where lines are not broken. */
  readonly width: number;

  constructor(
    readonly json: boolean,
    color: 'auto' | 'always' | 'never',
  ) {
    this.isTerminal = process.stdout.isTTY === true;
    this.width = this.isTerminal ? Math.max(20, process.stdout.columns || 80) : Infinity;
    this.style = makeStyle(!json && wantsColor(color, process.stdout, process.env));
  }

  /** Prints text made safe by the caller. */
  line(text = ''): void {
    process.stdout.write(text + '\n');
  }

  object(value: unknown): void {
    process.stdout.write(jsonLine(value) + '\n');
  }

  /** A remark for people, beside the output. */
  note(text: string): void {
    process.stderr.write(`nearfield: ${text}\n`);
  }
}

/** Says what went wrong, in one line, and returns the exit code that fits. */
export function tellError(error: unknown, json: boolean): number {
  const known = error instanceof NearfieldError ? error : internal(error);
  if (json) {
    const { code, message, value } = known;
    process.stderr.write(jsonLine({ error: { code, message, ...(value !== undefined && { value }) } }) + '\n');
  } else {
    process.stderr.write(`nearfield: ${printable(known.message)}\n`);
  }
  return exitCode(known.code);
}

function internal(error: unknown): NearfieldError {
  const text = error instanceof Error ? error.message : String(error);
  return new NearfieldError('Internal', `something that cannot happen did: ${text}; please report it`);
}

function exitCode(code: NearfieldError['code']): number {
  switch (code) {
    case 'InvalidArgument':
    case 'DimensionMismatch':
    case 'FilterError':
    case 'ConfigError':
    case 'InvalidConfig':
    case 'SchemaMismatch':
    case 'NotFound':
    case 'Unsupported':
    case 'LimitExceeded':
      return 2;
    case 'Aborted':
      return 130;
    default:
      return 3;
  }
}

/** A reader that goes away (`| head`) ends the program quietly; output that cannot be written otherwise is an error. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    process.stderr.write(`nearfield: output cannot be written: ${error.code ?? error.message}\n`);
    process.exit(3);
  });
  // With nobody to read errors either, the exit code is all that is left to say.
  process.stderr.on('error', () => {});
}
