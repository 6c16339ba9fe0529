#!/usr/bin/env node
// Writes the TypeScript side of the lists that live once, in .def files, and the table of configuration keys.
//
//   scripts/generate.mjs            writes js/src/generated/*.ts and core/config/KEYS.md
//   scripts/generate.mjs --check    writes nothing; fails where a file differs from what would be written
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const lists = [
  {
    file: 'codes.ts',
    source: 'core/base/status.def',
    macro: 'NEARFIELD_CODE',
    render: (
      rows,
    ) => `/** What went wrong, and whose fault it is. The position, from 1, is the number the engine uses. */
export const codes = [
${rows.map(([name, , meaning]) => entry(name, text(meaning))).join('\n')}
] as const;
export type Code = (typeof codes)[number];

/** The same call may succeed later with nothing changed by the caller. */
export const retryableCodes: ReadonlySet<Code> = new Set<Code>([
${rows
  .filter(([, retryable]) => retryable === 'true')
  .map(([name]) => `  '${name}',`)
  .join('\n')}
]);
`,
  },
  {
    file: 'metrics.ts',
    source: 'core/metric/metrics.def',
    macro: 'NEARFIELD_METRIC',
    render: (rows) =>
      union('metrics', 'Metric', 'How close two vectors are. Greater scores are closer on all.', spellings(rows)),
  },
  {
    file: 'kinds.ts',
    source: 'core/index/kinds.def',
    macro: 'NEARFIELD_INDEX_KIND',
    render: (rows) => union('indexKinds', 'IndexKind', 'The kinds of index.', spellings(rows)),
  },
  {
    file: 'code-kinds.ts',
    source: 'core/quant/codes.def',
    macro: 'NEARFIELD_CODE',
    render: (rows) =>
      union('codeKinds', 'CodeKind', 'How an index holds vectors while it compares them.', spellings(rows)),
  },
  {
    file: 'operators.ts',
    source: 'core/filter/operators.def',
    macro: 'NEARFIELD_FILTER_OPERATOR',
    render: (rows) =>
      union(
        'filterOperators',
        'FilterOperator',
        'The operators of a filter.',
        rows.map(([, spelling, , meaning]) => entry(text(spelling), text(meaning))),
      ),
  },
  {
    file: 'verbs.ts',
    source: 'wasm/verbs.def',
    macro: 'NEARFIELD_VERB',
    render: (rows) => `/** The numbers of the verbs; wasm/engine.h says what each takes. */
export const verbs = {
${rows.map(([name], number) => `  _${name}: ${number},`).join('\n')}
} as const;
/** What an engine can be asked. */
export type Verb = keyof typeof verbs;
`,
  },
];

// What is written whole by others than TypeScript's compiler.
const documents = [
  {
    path: 'core/config/KEYS.md',
    source: 'core/config/keys.def',
    macro: 'NEARFIELD_KEY',
    render: (rows) => `<!-- Made by scripts/generate.mjs from core/config/keys.def. -->

# Configuration keys

What becomes of each key on the embedded engine, Qdrant, Chroma and Weaviate: **yes**, implemented; _reported_, a warning and
nothing else; **no**, an error; **later**, an error (\`Unsupported\`) unless the key is \`false\`. How files are found and merged
stands in [README.md](README.md).

| key | value | default | meaning | embedded | Qdrant | Chroma | Weaviate |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.map(keyRow).join('\n')}
`,
  },
];

function keyRow([path, type, low, high, unit, fallback, , e, q, c, w, meaning]) {
  const cells = [e, q, c, w].map((cell) => {
    const [, word, rest] = text(cell).match(/^(yes|note|no|later)(?:: (.*))?$/);
    if (word === 'note') return `_reported_: ${rest}`;
    const [why, instead] = (rest ?? '').split(' | ');
    return `**${word}**${why ? `: ${why}` : ''}${instead ? `; ${instead}` : ''}`;
  });
  const kind = type.toLowerCase();
  const value = {
    number: `number, ${text(unit)}, ${low} to ${high}`,
    whole: `whole number, ${text(unit)}, ${low} to ${high}`,
    flag: 'true or false',
    choice: text(unit).replaceAll('|', ', '),
    hosts: 'list of hosts',
  }[kind];
  const shown = [
    `\`${text(path)}\``,
    value ?? kind,
    text(fallback) && `\`${text(fallback)}\``,
    text(meaning),
    ...cells,
  ];
  return `| ${shown.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

// "a string" -> a string.
function text(literal) {
  return JSON.parse(literal);
}

// One element of an array, with its meaning above it.
function entry(name, meaning) {
  return `  /** ${meaning} */\n  '${name}',`;
}

function spellings(rows) {
  return rows.map(([, , spelling]) => `  '${text(spelling)}',`);
}

function union(constant, type, meaning, entries) {
  return `/** ${meaning} */
export const ${constant} = [
${entries.join('\n')}
] as const;
export type ${type} = (typeof ${constant})[number];
`;
}

// The arguments of each use of `macro`, as written.
function readList(source, macro) {
  const rows = [];
  const lines = readFileSync(`${root}/${source}`, 'utf8').split('\n');
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith(macro)) continue;
    const inside = line.match(/^\w+\((.*)\)\s*$/)?.[1];
    if (inside === undefined) throw new Error(`${source}:${index + 1}: one entry must stand on one line`);
    rows.push([...inside.matchAll(/"(?:[^"\\]|\\.)*"|[^,\s][^,]*/g)].map(([argument]) => argument.trim()));
  }
  if (rows.length === 0) throw new Error(`${source} holds no ${macro}`);
  return rows;
}

const check = process.argv[2] === '--check';
if (process.argv.length > (check ? 3 : 2)) {
  console.error('usage: scripts/generate.mjs [--check]');
  process.exit(2);
}
let drifted = false;
mkdirSync(`${root}/js/src/generated`, { recursive: true });
for (const { file, path: place = `js/src/generated/${file}`, source, macro, render } of [...lists, ...documents]) {
  const made = render(readList(source, macro));
  const wanted = file === undefined ? made : `// Made by scripts/generate.mjs from ${source}.\n\n${made}`;
  const path = `${root}/${place}`;
  if (!check) {
    writeFileSync(path, wanted);
    continue;
  }
  let found = '';
  try {
    found = readFileSync(path, 'utf8');
  } catch {
    // A missing file differs like any other.
  }
  if (found !== wanted) {
    console.error(`${place} differs from ${source}; run scripts/generate.mjs.`);
    drifted = true;
  }
}
process.exit(drifted ? 1 : 0);
