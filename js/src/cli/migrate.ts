// nearfield migrate: all points of one configured store into another.

import { NearfieldError, invalid } from '../errors.js';
import { rawAbout, type RawStore } from '../raw.js';
import type { Store } from '../store.js';
import type { MigrateReport } from '../transfer.js';
import type { Flags } from './arguments.js';
import type { Output } from './output.js';
import { counted, durationText, grouped, printable } from './terminal.js';
import { openStore, tellFailures, watched, withoutKeys } from './transfer.js';

export async function runMigrate(operands: string[], flags: Flags, output: Output): Promise<number> {
  if (operands.length > 0) {
    throw new NearfieldError('ConfigError', `migrate takes no operands, got ${operands[0]}; use --from and --to`, {
      value: operands[0],
    });
  }
  const { from: fromFile, to: toFile, batch, dryRun } = flags;
  if (fromFile === undefined || toFile === undefined) {
    throw new NearfieldError('ConfigError', 'migrate needs --from and --to, a configuration file each');
  }
  const { migrate } = await import('../transfer.js');
  const environment = withoutKeys(process.env);
  const from = await openStore(fromFile, flags, { environment });
  try {
    const to = await openStore(toFile, flags, { environment }).catch((error: unknown) => {
      const folder = folderOf(from);
      const ours = error instanceof NearfieldError && error.code === 'DatabaseLocked' && error.value === process.pid;
      throw ours ? invalid(`--from and --to are both in the database ${folder}`, folder) : error;
    });
    try {
      const journal = flags.journal ?? journalOf(to);
      const stopping = 'stopping after this batch; the same command goes on from there (Ctrl-C again: stop at once)';
      const run = await watched(flags, output, 'copying', stopping, (options) =>
        migrate(from, to, { ...options, batch, dryRun, journal }),
      );
      if ('exitCode' in run) return run.exitCode;
      if (flags.json) output.object(run.result);
      else printReport(run.result, output);
      const { failed, verified } = run.result;
      return failed.length === 0 && verified?.ok !== false ? 0 : 1;
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

// Beside the target's folder; for servers in this one.
function journalOf(to: Store): string {
  const folder = folderOf(to);
  return folder === undefined
    ? `nearfield-migration-${to.name.replace(/[^\w-]/g, '_')}.json`
    : `${folder}.migration.json`;
}

function folderOf(store: Store): string | undefined {
  return rawAbout in store ? (store as unknown as RawStore)[rawAbout].folder : undefined;
}

function printReport(report: MigrateReport, output: Output): void {
  const { style } = output;
  const { dryRun, resumed, points, before, creates, copied, failed, verified, differences } = report;
  output.line(`from ${printable(report.from)}`);
  output.line(`to   ${printable(report.to)}`);
  if (dryRun) {
    const there = creates ? 'its collection would be made' : `it has ${counted(before, 'point')}`;
    output.line(`${counted(points, 'point')} of ${report.dimension} dimensions, ${report.metric}; ${there}`);
    output.line(`${style.green('✓')} they fit; nothing was written`);
    return;
  }
  for (const { name, asked, found } of differences) {
    output.line(
      `${style.cyan('!')} ${printable(name)}: ${printable(asked)} is configured, ${printable(found)} is there`,
    );
  }
  const rate = `${durationText(report.milliseconds)}, ${grouped(report.pointsPerSecond)} points/s`;
  const mark = failed.length === 0 ? style.green('✓') : style.red('✗');
  const again = resumed ? ', gone on where an earlier run had ended' : '';
  output.line(`${mark} ${style.bold(`copied ${counted(copied, 'point')}`)} in ${rate}${again}`);
  tellFailures(failed, output);
  if (verified === undefined) return;
  const { ok, counts, sampled, searches } = verified;
  const asked = searches.skipped ?? `${searches.agreed} of ${searches.asked} exact searches agree`;
  output.line(
    `${ok ? style.green('✓') : style.red('✗')} compared: ${grouped(counts.from)} points and ${grouped(counts.to)}, ` +
      `${grouped(sampled - verified.differences.length)} of ${grouped(sampled)} looked at are equal; ${printable(asked)}`,
  );
  for (const { id, what } of verified.differences.slice(0, 10)) {
    output.line(`  ${printable(id)}: ${what === 'missing' ? 'is missing' : `its ${what} differs`}`);
  }
}
