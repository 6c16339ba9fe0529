#!/usr/bin/env node
// Writes the TypeScript side of the lists that live once, in .def files.
//
//   scripts/generate.mjs            writes js/src/generated/*.ts
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
for (const { file, source, macro, render } of lists) {
  const wanted = `// Made by scripts/generate.mjs from ${source}.\n\n${render(readList(source, macro))}`;
  const path = `${root}/js/src/generated/${file}`;
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
    console.error(`js/src/generated/${file} differs from ${source}; run scripts/generate.mjs.`);
    drifted = true;
  }
}
process.exit(drifted ? 1 : 0);
