// nearfield config: what the configuration comes to (show), and what becomes of each key of it (check).

import type { ConfigKey, ConfigOptions, ConfigReport } from '../config.js';
import { NearfieldError } from '../errors.js';
import { nearest, type Flags } from './arguments.js';
import type { Output } from './output.js';
import { counted, printable } from './terminal.js';

const actions = ['show', 'check'] as const;

export async function runConfig(operands: string[], flags: Flags, output: Output): Promise<number> {
  const [action, ...rest] = operands;
  if (action !== 'show' && action !== 'check') {
    const near = nearest(action ?? '', actions);
    throw new NearfieldError(
      'ConfigError',
      `config needs show or check${action === undefined ? '' : `, got ${action || '""'}`}${near === undefined ? '' : `; did you mean ${near}?`}`,
      { value: action },
    );
  }
  if (rest.length > 0) {
    throw new NearfieldError('ConfigError', `config ${action} takes no operands, got ${rest[0]}`, { value: rest[0] });
  }
  const { checkConfig } = await import('../config.js');
  const options: ConfigOptions = { strict: flags.lenient ? false : undefined };
  if (flags.config !== undefined) options.configFile = flags.config;
  if (flags.env !== undefined) options.env = flags.env;
  const report = await checkConfig(options);
  if (flags.json) output.object(report);
  else if (action === 'show') printShow(report, output);
  else printCheck(report, output);
  return report.ok ? 0 : 2;
}

// `backend.url = "https://..."  # .codeweaver.toml:3`
function printShow(report: ConfigReport, output: Output): void {
  const { style } = output;
  output.line(`${style.dim('#')} ${place(report)}`);
  for (const key of report.keys) {
    output.line(`${printable(key.key)} = ${valueText(key.value)}  ${style.dim(`# ${origin(key)}`)}`);
  }
  for (const { key, value } of report.defaults) {
    output.line(`${printable(key)} = ${valueText(value)}  ${style.dim('# default')}`);
  }
  for (const { message } of report.problems) output.note(printable(message));
}

function printCheck(report: ConfigReport, output: Output): void {
  const { style } = output;
  const width = Math.max(0, ...report.keys.map(({ key }) => printable(key).length));
  for (const key of report.keys) {
    const mark = { implemented: style.green('✓'), reported: style.cyan('!') }[key.state as string] ?? style.red('✗');
    const state = key.state === 'unsupported' ? 'not yet supported' : key.state;
    output.line(
      `${mark} ${printable(key.key).padEnd(width)}  ${state}: ${printable(key.note)} ${style.dim(`(${origin(key)})`)}`,
    );
  }
  if (report.keys.length > 0) output.line();
  for (const { message } of report.warnings) output.line(`${style.cyan('!')} ${printable(message)}`);
  for (const { message } of report.problems) output.line(`${style.red('✗')} ${printable(message)}`);
  const said = [place(report)];
  if (report.warnings.length > 0) said.push(counted(report.warnings.length, 'warning'));
  if (report.problems.length > 0) said.push(counted(report.problems.length, 'problem'));
  output.line(`${report.ok ? style.green('✓') : style.red('✗')} ${style.bold(said.join(', '))}`);
}

// "qdrant at https://db.example.com, collection notes"
function place({ backend, settings }: ConfigReport): string {
  const { url, path, memory, collection, name } = settings as Record<string, string | boolean | undefined>;
  const where = memory === true ? ' in memory' : url || path ? ` at ${url || path}` : '';
  const called = name === backend ? '' : ` (${name})`;
  return printable(`${backend}${called}${where}, collection ${collection}`);
}

function origin({ source, line }: ConfigKey): string {
  return printable(line === undefined ? source : `${source}:${line}`);
}

function valueText(value: unknown): string {
  return printable(JSON.stringify(value));
}
