#!/usr/bin/env node
// Fails when a file reaches for something its folder may not use.
//
//   scripts/check-layers.mjs
//
// C++ includes between folders are held by CMake (a forbidden one does not compile). This looks at the rest: core and
// storage bring in no I/O, clocks or threads; only js/src/memory.ts touches the WebAssembly heap; js never imports demo;
// modules a browser loads import no Node module statically.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

process.chdir(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

const rules = [
  {
    files: /^(core|storage)\/.*\.(h|cpp)$/,
    forbidden:
      /#\s*include\s*<(fstream|iostream|sstream|thread|mutex|filesystem|chrono|ctime|time\.h|unistd\.h|regex|random|future|condition_variable|emscripten[^>]*)>/,
    why: 'core and storage do no I/O, keep no clock and know no host',
  },
  {
    files: /^wasm\/.*\.(h|cpp)$/,
    forbidden: /#\s*include\s*<(fstream|iostream|thread|filesystem|chrono)>/,
    why: 'effects are performed in JavaScript',
  },
  {
    files: /^js\/src\/(?!memory\.ts$).*\.ts$/,
    forbidden: /\bHEAP(U?8|U?16|U?32|F32|F64)\b/,
    why: 'only js/src/memory.ts touches the heap',
  },
  {
    files: /^js\/src\/.*\.ts$/,
    forbidden: /from\s+'(\.\.\/)+demo\//,
    why: 'js does not use demo',
  },
  {
    files: /^js\/src\/(?!cli\/|folder\.ts$|volumes\/node\.ts$).*\.ts$/,
    forbidden: /^import\s+(?!type\b).*from\s+'node:/m,
    why: 'modules a browser loads import Node only lazily',
  },
];

let failures = 0;
const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
});
for (const file of tracked.split('\0').filter(Boolean)) {
  for (const rule of rules) {
    if (!rule.files.test(file)) continue;
    const found = readFileSync(file, 'utf8').match(rule.forbidden);
    if (!found) continue;
    failures += 1;
    console.error(`${file}: ${found[0].trim()}: ${rule.why}`);
  }
}
if (failures > 0) process.exit(1);
console.log('layers: nothing reaches where it may not');
