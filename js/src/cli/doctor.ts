// nearfield doctor: every byte of the database checked, and what can be repaired repaired.

import type { DoctorReport, FileState } from '../doctor.js';
import { NearfieldError } from '../errors.js';
import type { Flags } from './arguments.js';
import { checkFolder } from './database.js';
import type { Output } from './output.js';
import { bytesText, counted, grouped, printable } from './terminal.js';

export async function runDoctor(operands: string[], flags: Flags, output: Output): Promise<number> {
  if (operands.length > 0) {
    throw new NearfieldError('ConfigError', `doctor takes no operands, got ${operands[0]}`, { value: operands[0] });
  }
  await checkFolder(flags.db);
  const { doctor } = await import('../doctor.js');
  const report = await doctor({ path: flags.db, storage: 'node', repair: flags.repair });
  if (flags.json) output.object(report);
  else printReport(flags.db, report, output);
  const mended = report.repair !== undefined && report.repair.generation > 0 && report.repair.lost.length === 0;
  return report.healthy || mended ? 0 : 1;
}

const harmless: readonly FileState[] = ['sound', 'orphan', 'unfinished', 'foreign'];

function printReport(path: string, report: DoctorReport, output: Output): void {
  const { style } = output;
  for (const file of report.files) {
    const good = harmless.includes(file.state);
    const mark = good ? style.green('✓') : style.red('✗');
    const use = file.generations.length === 0 ? '' : `, generation ${file.generations.map(grouped).join(' and ')}`;
    output.line(
      `${mark} ${file.state.padEnd(10)} ${printable(file.name)} ${style.dim(`${bytesText(file.bytes)}${use}`)}`,
    );
    if (file.state !== 'sound') output.line(`  ${printable(file.meaning)}`);
  }
  output.line();
  for (const found of report.generations) {
    const held = found.collections.map(({ name, points }) => `${printable(name)} ${counted(points, 'point')}`);
    const what = found.sound && held.length > 0 ? `: ${held.join(', ')}` : '';
    output.line(`${style.dim('generation')} ${grouped(found.generation)} ${printable(found.meaning)}${what}`);
  }
  for (const problem of report.problems) output.line(`${style.red('!')} ${printable(problem)}`);
  if (report.healthy) output.line(`${style.green('✓')} ${style.bold(`${printable(path)} is sound`)}`);
  const { repair } = report;
  if (repair === undefined) {
    if (!report.healthy) output.note('nearfield doctor --repair publishes what can be rescued as a new generation');
    return;
  }
  output.line();
  output.line(style.bold(`repair: ${printable(repair.meaning)}`));
  for (const { name, points, rescued } of repair.collections) {
    const beyond = rescued > 0 ? `, ${grouped(rescued)} of them from damaged files` : '';
    output.line(`  ${printable(name)}: ${counted(points, 'point')}${beyond}`);
  }
  for (const lost of repair.lost) output.line(`  ${style.red('lost')} ${printable(lost)}`);
}
