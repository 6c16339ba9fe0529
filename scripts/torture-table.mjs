#!/usr/bin/env node
// Writes the figures of torture-report.json into the table of README.md.
//
//   scripts/torture-table.mjs            rewrites the table
//   scripts/torture-table.mjs --check    writes nothing; fails where the table is not what would be written
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { attacks } from '../tests/torture/attacks.mjs';
import { readReport, totalOf } from '../tests/torture/report.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const [option, ...rest] = process.argv.slice(2);
if (![undefined, '--check'].includes(option) || rest.length > 0) {
  console.error('usage: scripts/torture-table.mjs [--check]');
  process.exit(2);
}

const report = readReport();
const number = (value) => value.toLocaleString('en-US');

function row(name, title, unit) {
  const { tried, violations, commits, last } = totalOf(report, name);
  if (tried === 0) return [title, 'not run yet', '', '', ''];
  return [title, `${number(tried)} ${unit}`, number(violations), number(commits), last];
}

const fuzzTargets = readdirSync('tests/fuzz')
  .filter((name) => name.endsWith('_fuzz.cpp'))
  .map((name) => name.replace(/_fuzz\.cpp$/, ''));
const rows = [
  ['attack', 'tried', 'violations', 'versions', 'last'],
  ['---', '--:', '--:', '--:', '---'],
  ...attacks.map(({ name, title, unit }) => row(name, title, unit)),
  ...fuzzTargets.map((target) => row(`fuzz-${target}_fuzz`, `Fuzzing: ${target}, with ASan and UBSan`, 'inputs')),
];

const file = 'README.md';
const text = readFileSync(file, 'utf8');
const table = rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const marked = /(<!-- torture: [^>]* -->\n)[^]*?(<!-- \/torture -->)/;
if (!marked.test(text)) {
  console.error(`torture-table: ${file} has no table; its markers are missing`);
  process.exit(1);
}
const wanted = await format(
  text.replace(marked, (_, begin, end) => `${begin}\n${table}\n\n${end}`),
  {
    ...(await resolveConfig(file)),
    filepath: file,
  },
);
if (option === '--check') {
  if (wanted === text) process.exit(0);
  console.error(
    'torture-table: the table in README.md is not that of torture-report.json; run scripts/torture-table.mjs',
  );
  process.exit(1);
}
writeFileSync(file, wanted);
