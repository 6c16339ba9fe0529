// Words on the command line: what is understood, what is refused, and in which words.

import assert from 'node:assert/strict';
import test from 'node:test';

import { commands, nearest, parseArguments } from '../../dist/cli/arguments.js';
import { folderWith, nearfield } from './support.mjs';

test('flags stand anywhere and have defaults', () => {
  assert.deepEqual(parseArguments(['search', 'how are', 'uploads retried']), {
    command: 'search',
    operands: ['how are', 'uploads retried'],
    flags: {
      db: '.nearfield',
      json: false,
      color: 'auto',
      k: 10,
      offset: 0,
      full: false,
      explain: false,
      repair: false,
    },
  });
  const { flags, operands } = parseArguments([
    '--db=x',
    '-k',
    '3',
    'search',
    '--mode',
    'text',
    'a',
    '--json',
    '--filter',
    '{"type":"task"}',
    '--',
    '--full',
  ]);
  assert.deepEqual(operands, ['a', '--full']);
  assert.deepEqual(flags, {
    db: 'x',
    json: true,
    color: 'auto',
    k: 3,
    offset: 0,
    full: false,
    explain: false,
    repair: false,
    mode: 'text',
    filter: { type: 'task' },
  });
  assert.equal(parseArguments(['search', 'a', '--alpha', '.5']).flags.alpha, 0.5);
  assert.deepEqual(parseArguments(['get', '--help']), { command: 'help', topic: 'get' });
  assert.deepEqual(parseArguments(['help', 'get']), { command: 'help', topic: 'get' });
});

const refused = [
  [[], 'ConfigError', /no command/],
  [['serch', 'x'], 'ConfigError', /unknown command serch; did you mean search\?/],
  [['Stat'], 'ConfigError', /did you mean stats\?/],
  [
    ['frobnicate'],
    'ConfigError',
    /unknown command frobnicate; commands are index, search, get, stats, backup, restore, doctor, config, migrate, export, import/,
  ],
  [[''], 'ConfigError', /unknown command ""/],
  [['search', 'x', '--jsno'], 'ConfigError', /unknown flag --jsno; did you mean --json\?/],
  [['search', 'x', '--zebra'], 'ConfigError', /^unknown flag --zebra$/],
  [['search', 'x', '-q'], 'ConfigError', /^unknown flag -q$/],
  [['search', 'x', '--constructor'], 'ConfigError', /^unknown flag --constructor$/],
  [['search', 'x', '--json=yes'], 'ConfigError', /--json takes no value, got yes/],
  [['search', 'x', '--db'], 'ConfigError', /--db needs a path/],
  [['search', 'x', '--db', ''], 'InvalidArgument', /--db needs a path/],
  [['stats', '--k', '3'], 'ConfigError', /--k does nothing for stats; it works with search/],
  [['search', 'x', '--k', '0'], 'InvalidArgument', /--k must be a whole number from 1 to 10000, got 0/],
  [['search', 'x', '--k', '-1'], 'InvalidArgument', /got -1/],
  [['search', 'x', '--k', 'abc'], 'InvalidArgument', /got abc/],
  [['search', 'x', '--k', '1e9'], 'InvalidArgument', /got 1e9/],
  [['search', 'x', '--k', '10001'], 'InvalidArgument', /got 10001/],
  [['search', 'x', '--k', '2.5'], 'InvalidArgument', /got 2.5/],
  [['search', 'x', '--k='], 'InvalidArgument', /got ""/],
  [['search', 'x', '--offset', '-2'], 'InvalidArgument', /--offset must be a whole number from 0/],
  [['search', 'x', '--alpha', '1.5'], 'InvalidArgument', /--alpha must be a number from 0/],
  [['search', 'x', '--alpha', 'NaN'], 'InvalidArgument', /--alpha/],
  [['search', 'x', '--alpha', '.5', '--mode', 'text'], 'ConfigError', /does nothing with --mode text/],
  [['search', 'x', '--mode', 'hybird'], 'InvalidArgument', /did you mean hybrid\?/],
  [['search', 'x', '--color', 'blue'], 'InvalidArgument', /auto, always, never/],
  [['search', 'x', '--filter', '{bad'], 'FilterError', /--filter is not JSON/],
  [['search', 'x', '--filter', '[1]'], 'FilterError', /must be a JSON object/],
  [['migrate', '--db', 'x'], 'ConfigError', /--db does nothing for migrate/],
  [['migrate', '--batch', '0'], 'InvalidArgument', /--batch must be a whole number from 1 to 10000, got 0/],
  [['migrate', '--from', ''], 'InvalidArgument', /--from needs a file/],
  [['export', 'x', '--format', 'csv'], 'InvalidArgument', /--format must be one of jsonl, npy, fvecs, blocks/],
  [['export', 'x', '--dry-run'], 'ConfigError', /--dry-run does nothing for export; it works with migrate, import/],
  [['search', 'x', '--filter', 'null'], 'FilterError', /must be a JSON object/],
];
for (const [words, code, message] of refused) {
  test(`refused: ${words.join(' ') || '(nothing)'}`, () => {
    assert.throws(
      () => parseArguments(words),
      (error) => error.code === code && message.test(error.message),
    );
  });
}

test('the nearest word is near', () => {
  assert.equal(nearest('searhc', ['index', 'search']), 'search');
  assert.equal(nearest('zzz', ['index', 'search']), undefined);
  assert.equal(nearest('k', ['db', 'json']), undefined);
  assert.equal(nearest('x'.repeat(100_000), ['search']), undefined);
});

test('bad usage exits with 2 and says one sentence on stderr', async (t) => {
  const cwd = folderWith(t);
  for (const words of [
    [],
    ['serch', 'x'],
    ['search', 'x', '--k', '0'],
    ['search', ''],
    ['search'],
    ['index'],
    ['get'],
    ['stats', 'x'],
  ]) {
    const { code, stdout, stderr } = await nearfield(words, { cwd });
    assert.equal(code, 2, words.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^nearfield: [^\n]+\n$/);
  }
});

test('with --json an error is an object on stderr', async (t) => {
  const cwd = folderWith(t);
  const { code, stdout, stderr } = await nearfield(['search', 'x', '--k', 'abc', '--json'], { cwd });
  assert.equal(code, 2);
  assert.equal(stdout, '');
  const { error } = JSON.parse(stderr);
  assert.equal(error.code, 'InvalidArgument');
  assert.equal(error.value, 'abc');
  assert.match(error.message, /--k/);
});

test('arguments are printed with their control characters escaped', async (t) => {
  const { code, stderr } = await nearfield(['\x1b[31mred'], { cwd: folderWith(t) });
  assert.equal(code, 2);
  assert.match(stderr, /\\x1b\[31mred/);
  assert.doesNotMatch(stderr, /\x1b/);
});

test('--help and --version', async (t) => {
  const cwd = folderWith(t);
  const general = await nearfield(['--help'], { cwd });
  assert.equal(general.code, 0);
  assert.match(general.stdout, /Exit codes: 0 found or done/);
  for (const command of commands) {
    const { code, stdout, stderr } = await nearfield([command, '--help'], { cwd });
    assert.equal(code, 0);
    assert.equal(stderr, '');
    assert.ok(stdout.startsWith(`nearfield ${command}`));
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  }
  const version = await nearfield(['--version'], { cwd });
  assert.match(version.stdout, /^nearfield \d+\.\d+\.\d+\n$/);
});
