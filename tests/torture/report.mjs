// torture-report.json: what was tried so far, added up by attack, commit and seed.
//
// A row is a run of consecutive cases: { attack, commit, seed, from, to, tried, violations, seconds, first, last }; what
// follows it on the same attack, commit and seed is added to it. The commit is the last one that changed the product,
// so a change of words does not begin anew.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const project = join(import.meta.dirname, '../..');
export const reportFile = join(project, 'torture-report.json');
const product = ['core', 'storage', 'wasm', 'js/src', 'CMakeLists.txt'];

export function readReport(file = reportFile) {
  if (!existsSync(file)) return { format: 1, rows: [] };
  const report = JSON.parse(readFileSync(file, 'utf8'));
  if (report.format !== 1) throw new Error(`${file} has format ${report.format}, not 1`);
  return report;
}

export function writeReport(report, file = reportFile) {
  const rows = report.rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  const text = `{\n  "format": 1,\n  "rows": [${rows === '' ? '' : `\n${rows}\n  `}]\n}\n`;
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

/** The commit that the product is of; undefined where it has changes that are not committed. */
export function productCommit() {
  const git = (...args) => execFileSync('git', args, { cwd: project, encoding: 'utf8' }).trim();
  if (git('status', '--porcelain', '--', ...product) !== '') return undefined;
  return git('log', '-1', '--format=%h', '--abbrev=12', '--', ...product);
}

/** The first case of a seed that was not tried yet on this commit. */
export function nextCase(report, { attack, commit, seed }) {
  const tos = report.rows
    .filter((row) => row.attack === attack && row.commit === commit && row.seed === seed)
    .map(({ to }) => to);
  return Math.max(0, ...tos);
}

/** Adds a run to the report, `date` being the day as 2026-01-31. Cases that are in it already are refused. */
export function addRun(report, { attack, commit, seed, from, to, tried, violations, violation, seconds, date }) {
  const same = report.rows.filter((row) => row.attack === attack && row.commit === commit && row.seed === seed);
  if (same.some((row) => from < row.to && row.from < to)) {
    throw new Error(`cases ${from} to ${to} of ${attack} are in the report already`);
  }
  const before = same.find((row) => row.to === from && row.violations === 0);
  if (before === undefined) {
    report.rows.push({
      attack,
      commit,
      seed,
      from,
      to,
      tried,
      violations,
      ...(violation === undefined ? {} : { violation }),
      seconds,
      first: date,
      last: date,
    });
    return;
  }
  before.to = to;
  before.tried += tried;
  before.violations += violations;
  if (violation !== undefined) before.violation = violation;
  before.seconds += seconds;
  before.last = date;
}

/** Over all commits and seeds of an attack: { cases, tried, violations, seconds, commits, last }. */
export function totalOf(report, attack) {
  const rows = report.rows.filter((row) => row.attack === attack);
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  return {
    cases: rows.reduce((total, { from, to }) => total + to - from, 0),
    tried: sum('tried'),
    violations: sum('violations'),
    seconds: sum('seconds'),
    commits: new Set(rows.map(({ commit }) => commit)).size,
    last: rows
      .map(({ last }) => last)
      .sort()
      .at(-1),
  };
}
