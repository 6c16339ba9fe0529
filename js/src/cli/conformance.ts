// nearfield conformance: what a backend does and does not of what stores must do.

import type { ConformanceResult } from '../conformance.js';
import type { ConnectOptions } from '../connect.js';
import { NearfieldError } from '../errors.js';
import type { Flags } from './arguments.js';
import type { Output } from './output.js';
import { counted, printable } from './terminal.js';

export async function runConformance(operands: string[], flags: Flags, output: Output): Promise<number> {
  if (operands.length > 0) {
    const message = `conformance takes no operands, got ${operands[0] || '""'}; the store is --backend or --config`;
    throw new NearfieldError('ConfigError', message, { value: operands[0] });
  }
  const { conformance, openerOf } = await import('../conformance.js');
  const open = openerOf(await readOptions(flags));
  const onCheck = (result: ConformanceResult) => {
    if (flags.json) output.object(result);
    else printCheck(result, output);
  };
  const { seed, only, patience } = flags;
  const report = await conformance({ open, seed, only, patience, onCheck });
  if (report.checks.length === 0) {
    throw new NearfieldError('NotFound', `no check has ${JSON.stringify(flags.only)} in its name`, {
      value: flags.only,
    });
  }
  const { checks: _, ...sums } = report;
  if (flags.json) {
    output.object(sums);
  } else {
    const said = [`${report.backend}: ${report.passed} passed`, `${report.failed} failed`, `${report.skipped} skipped`];
    const mark = report.ok ? output.style.green('✓') : output.style.red('✗');
    output.line(
      `${mark} ${output.style.bold(printable(said.join(', ')))} of ${counted(report.checks.length, 'check')}`,
    );
  }
  return report.ok ? 0 : 1;
}

// --backend is the last word, in the dialect that the files speak.
async function readOptions({ backend, config, env }: Flags): Promise<ConnectOptions> {
  const options: ConnectOptions = {};
  if (config !== undefined) options.configFile = config;
  if (env !== undefined) options.env = env;
  if (backend === undefined) return options;
  const { checkConfig } = await import('../config.js');
  const { dialect, keys } = await checkConfig(options);
  const vectordb = dialect === 'vectordb' && keys.length > 0;
  return { ...options, override: vectordb ? { vectordb: { backend } } : { backend: { provider: backend } } };
}

function printCheck({ name, state, message, milliseconds }: ConformanceResult, output: Output): void {
  const { style } = output;
  const mark = { passed: style.green('✓'), failed: style.red('✗'), skipped: style.cyan('-') }[state];
  output.line(`${mark} ${printable(name)} ${style.dim(`(${milliseconds} ms)`)}`);
  if (message !== '') output.line(`    ${state === 'skipped' ? 'skipped: ' : ''}${printable(message)}`);
}
