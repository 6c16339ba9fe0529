#!/usr/bin/env node
// What the kernels of the vector codes cost, natively and as WebAssembly, side by side.
//
//   scripts/build plain bench_kernels && scripts/build wasm bench_kernels && node tests/bench/kernels.mjs [ROUNDS] [--json]
//
// Both programs take turns, ROUNDS times each (default 5); a figure is the median. The native program is the one of
// build/plain: the same sources, x86-64 without extensions or NEON, where registers are as wide as WebAssembly's.
// See kernels.cpp for what is measured.

import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const build = path.join(root, process.env.NEARFIELD_BUILD ?? 'build');
const rounds = Number(process.argv.slice(2).find((argument) => /^\d+$/.test(argument)) ?? 5);
const programs = {
  native: [path.join(root, 'scripts/toolchain'), path.join(build, 'plain/tests/bench_kernels'), 'cost'],
  wasm: [process.execPath, path.join(build, 'wasm/tests/bench_kernels.cjs'), 'cost'],
};

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

const measured = { native: {}, wasm: {} };
for (let round = 0; round < rounds; round += 1) {
  for (const [side, [program, ...args]] of Object.entries(programs)) {
    const figures = JSON.parse(execFileSync(program, args, { encoding: 'utf8' }));
    for (const [name, ns] of Object.entries(figures)) (measured[side][name] ??= []).push(ns);
  }
}
const rows = Object.keys(measured.native).map((name) => {
  const native = median(measured.native[name]);
  const wasm = median(measured.wasm[name]);
  return { name, native, wasm, ratio: native / wasm };
});

if (process.argv.includes('--json')) {
  const setup = { node: process.version, cpu: os.cpus()[0]?.model, rounds, dimension: 384 };
  console.log(JSON.stringify({ setup, rows }, null, 2));
} else {
  console.log(
    `Node ${process.version}, ${os.cpus()[0]?.model}, 384 dimensions, median of ${rounds}; ns a row or vector`,
  );
  console.log('kernel'.padEnd(20), 'native'.padStart(9), 'wasm'.padStart(9), 'wasm speed');
  for (const { name, native, wasm, ratio } of rows) {
    console.log(
      name.padEnd(20),
      native.toFixed(1).padStart(9),
      wasm.toFixed(1).padStart(9),
      ratio.toFixed(2).padStart(10),
    );
  }
}
