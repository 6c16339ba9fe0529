// Arguments: the words of a command line to a checked invocation.
//
// Every flag is known to the commands it works with; anything else is refused in one sentence that suggests the nearest
// known word. Nothing here touches the disk.

import { parseArgs } from 'node:util';

import { NearfieldError } from '../errors.js';
import type { SearchMode } from '../specs.js';

export const commands = [
  'index',
  'search',
  'get',
  'stats',
  'backup',
  'restore',
  'doctor',
  'config',
  'migrate',
  'export',
  'import',
  'conformance',
] as const;
export type Command = (typeof commands)[number];

export interface Flags {
  db: string;
  json: boolean;
  color: 'auto' | 'always' | 'never';
  k: number;
  offset: number;
  filter?: Record<string, unknown>;
  mode?: SearchMode;
  alpha?: number;
  full: boolean;
  explain: boolean;
  repair: boolean;
  config?: string;
  env?: string;
  lenient?: boolean;
  from?: string;
  to?: string;
  batch?: number;
  journal?: string;
  dryRun?: boolean;
  format?: FileFormat;
  /** export, import: --db was given, which only blocks take. */
  dbGiven?: boolean;
  backend?: string;
  import?: string;
  /** Seconds. */
  patience?: number;
  only?: string;
  seed?: number;
}

/** blocks: the published JSON of spec blocks, without vectors. */
export const fileFormats = ['jsonl', 'npy', 'fvecs', 'blocks'] as const;
export type FileFormat = (typeof fileFormats)[number];

export type Invocation =
  | { command: 'help'; topic?: Command }
  | { command: 'version' }
  | { command: Command; operands: string[]; flags: Flags };

// `value` names the value a flag takes; a flag without one is a switch. `commands` is left out where all know it.
const flagTable: Record<string, { value?: string; short?: string; commands?: readonly Command[] }> = {
  db: {
    value: 'a path',
    commands: commands.filter((command) => !['config', 'migrate', 'conformance'].includes(command)),
  },
  json: {},
  color: { value: 'auto, always or never' },
  help: { short: 'h' },
  version: { short: 'V' },
  k: { value: 'a number', short: 'k', commands: ['search'] },
  offset: { value: 'a number', commands: ['search'] },
  filter: { value: 'a JSON object', commands: ['search'] },
  mode: { value: 'auto, hybrid, dense or text', commands: ['search'] },
  alpha: { value: 'a number', commands: ['search'] },
  full: { commands: ['search'] },
  explain: { commands: ['search'] },
  repair: { commands: ['doctor'] },
  config: { value: 'a file', commands: ['config', 'export', 'import', 'conformance'] },
  env: { value: 'a name', commands: ['config', 'migrate', 'export', 'import', 'conformance'] },
  lenient: { commands: ['config'] },
  from: { value: 'a configuration file', commands: ['migrate'] },
  to: { value: 'a configuration file', commands: ['migrate'] },
  journal: { value: 'a file', commands: ['migrate'] },
  'dry-run': { commands: ['migrate', 'import'] },
  batch: { value: 'a number', commands: ['migrate', 'export', 'import'] },
  format: { value: fileFormats.join(', '), commands: ['export', 'import'] },
  backend: { value: 'a name', commands: ['conformance'] },
  import: { value: 'a file', commands: ['config', 'migrate', 'export', 'import', 'conformance'] },
  only: { value: 'a text', commands: ['conformance'] },
  seed: { value: 'a number', commands: ['conformance'] },
  patience: { value: 'a number', commands: ['conformance'] },
};

const modes = ['auto', 'hybrid', 'dense', 'text'] as const;
const largestK = 10_000; // the engine's own bound
const largestBatch = 10_000; // of a page

/** Whether errors should be told as JSON; works on arguments that do not parse. */
export function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return words.slice(0, end < 0 ? words.length : end).includes('--json');
}

/** Throws ConfigError for words nobody knows and InvalidArgument for values out of range. */
export function parseArguments(words: readonly string[]): Invocation {
  const { given, operands } = split(words);
  const word = operands.shift();
  if (given.has('version')) return { command: 'version' };
  if (word === 'help') return { command: 'help', ...(operands.length > 0 && { topic: toCommand(operands[0]!) }) };
  if (word === undefined) {
    if (given.has('help')) return { command: 'help' };
    throw new NearfieldError('ConfigError', `no command; use ${commands.join(', ')} or --help`);
  }
  const command = toCommand(word);
  if (given.has('help')) return { command: 'help', topic: command };
  for (const name of given.keys()) {
    const only = flagTable[name]!.commands;
    if (only !== undefined && !only.includes(command)) {
      throw new NearfieldError(
        'ConfigError',
        `${spelled(name)} does nothing for ${command}; it works with ${only.join(', ')}`,
        { value: spelled(name) },
      );
    }
  }
  const flags = readFlags(given);
  if (given.has('db') && (command === 'export' || command === 'import')) flags.dbGiven = true;
  return { command, operands, flags };
}

// Splits words into flags, checked against the table, and the rest. The last of a repeated flag counts.
function split(words: readonly string[]): { given: Map<string, string>; operands: string[] } {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {};
  for (const [name, { value, short }] of Object.entries(flagTable)) {
    options[name] = { type: value === undefined ? 'boolean' : 'string', ...(short !== undefined && { short }) };
  }
  // Not strict: its messages speak of JavaScript, and it takes the value of `--k -1` for a flag.
  const { tokens } = parseArgs({ args: [...words], options, strict: false, tokens: true, allowPositionals: true });
  const given = new Map<string, string>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = Object.hasOwn(flagTable, token.name) ? flagTable[token.name] : undefined;
    if (flag === undefined) {
      const near = token.rawName.startsWith('--') ? nearest(token.name, Object.keys(flagTable)) : undefined;
      throw new NearfieldError(
        'ConfigError',
        `unknown flag ${token.rawName}${near === undefined ? '' : `; did you mean ${spelled(near)}?`}`,
        { value: token.rawName },
      );
    }
    if (flag.value === undefined && token.value !== undefined) {
      throw new NearfieldError('ConfigError', `${spelled(token.name)} takes no value, got ${token.value}`, {
        value: token.value,
      });
    }
    if (flag.value !== undefined && token.value === undefined) {
      throw new NearfieldError('ConfigError', `${spelled(token.name)} needs ${flag.value}`, {
        value: spelled(token.name),
      });
    }
    given.set(token.name, token.value ?? '');
  }
  return { given, operands };
}

function toCommand(word: string): Command {
  if ((commands as readonly string[]).includes(word)) return word as Command;
  const near = nearest(word, commands);
  throw new NearfieldError(
    'ConfigError',
    `unknown command ${word === '' ? '""' : word}; ${near === undefined ? `commands are ${commands.join(', ')}` : `did you mean ${near}?`}`,
    { value: word },
  );
}

function readFlags(given: Map<string, string>): Flags {
  const db = given.get('db') ?? '.nearfield';
  if (db === '') throw new NearfieldError('InvalidArgument', '--db needs a path, got an empty one', { value: db });
  const flags: Flags = {
    db,
    json: given.has('json'),
    color: oneOf('color', given.get('color') ?? 'auto', ['auto', 'always', 'never'] as const),
    k: wholeNumber('k', given.get('k') ?? '10', 1, largestK),
    offset: wholeNumber('offset', given.get('offset') ?? '0', 0, largestK),
    full: given.has('full'),
    explain: given.has('explain'),
    repair: given.has('repair'),
  };
  const filter = given.get('filter');
  if (filter !== undefined) flags.filter = jsonObject('filter', filter);
  const mode = given.get('mode');
  if (mode !== undefined) flags.mode = oneOf('mode', mode, modes);
  const alpha = given.get('alpha');
  if (alpha !== undefined) {
    flags.alpha = fraction('alpha', alpha);
    if (flags.mode === 'dense' || flags.mode === 'text') {
      throw new NearfieldError(
        'ConfigError',
        `--alpha weighs meaning against words and does nothing with --mode ${flags.mode}`,
        { value: alpha },
      );
    }
  }
  const config = given.get('config');
  if (config === '') throw new NearfieldError('InvalidArgument', '--config needs a file, got ""', { value: config });
  if (config !== undefined) flags.config = config;
  const env = given.get('env');
  if (env === '') throw new NearfieldError('InvalidArgument', '--env needs a name, got ""', { value: env });
  if (env !== undefined) flags.env = env;
  if (given.has('lenient')) flags.lenient = true;
  for (const name of ['from', 'to', 'journal'] as const) {
    const file = given.get(name);
    if (file === '')
      throw new NearfieldError('InvalidArgument', `${spelled(name)} needs a file, got ""`, { value: '' });
    if (file !== undefined) flags[name] = file;
  }
  const batch = given.get('batch');
  if (batch !== undefined) flags.batch = wholeNumber('batch', batch, 1, largestBatch);
  const format = given.get('format');
  if (format !== undefined) flags.format = oneOf('format', format, fileFormats);
  if (given.has('dry-run')) flags.dryRun = true;
  for (const [name, what] of [
    ['backend', 'a name'],
    ['import', 'a file'],
    ['only', 'a text'],
  ] as const) {
    const text = given.get(name);
    if (text === '') throw new NearfieldError('InvalidArgument', `--${name} needs ${what}, got ""`, { value: text });
    if (text !== undefined) flags[name] = text;
  }
  const seed = given.get('seed');
  if (seed !== undefined) flags.seed = wholeNumber('seed', seed, 0, 0xffff_ffff);
  const patience = given.get('patience');
  if (patience !== undefined) flags.patience = wholeNumber('patience', patience, 1, 86_400);
  return flags;
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw new NearfieldError(
    'InvalidArgument',
    `${spelled(name)} must be a whole number from ${least} to ${most}, got ${text || '""'}`,
    { value: text },
  );
}

function fraction(name: string, text: string): number {
  const number = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
  if (number >= 0 && number <= 1) return number;
  throw new NearfieldError(
    'InvalidArgument',
    `${spelled(name)} must be a number from 0 (words only) to 1 (meaning only), got ${text || '""'}`,
    { value: text },
  );
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  const near = nearest(text, choices);
  throw new NearfieldError(
    'InvalidArgument',
    `${spelled(name)} must be one of ${choices.join(', ')}, got ${text || '""'}${near === undefined ? '' : `; did you mean ${near}?`}`,
    { value: text },
  );
}

function jsonObject(name: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new NearfieldError('FilterError', `${spelled(name)} is not JSON: ${(error as Error).message}`, {
      value: text,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new NearfieldError(
      'FilterError',
      `${spelled(name)} must be a JSON object such as '{"type":"task"}', got ${text}`,
      { value: text },
    );
  }
  return value as Record<string, unknown>;
}

function spelled(name: string): string {
  return `--${name}`;
}

/** The choice that is at most a third of its letters away from `word`. */
export function nearest<T extends string>(word: string, choices: readonly T[]): T | undefined {
  let best: T | undefined;
  let bestDistance = Infinity;
  for (const choice of choices) {
    const distance = editDistance(word.toLowerCase().slice(0, 40), choice);
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(choice.length / 3) + 1)) {
      best = choice;
      bestDistance = distance;
    }
  }
  // A single letter is one edit away from everything short.
  return bestDistance < word.length ? best : undefined;
}

// Levenshtein, one row at a time.
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; ++i) {
    const next = [i];
    for (let j = 1; j <= b.length; ++j) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
