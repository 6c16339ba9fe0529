#!/usr/bin/env node
// Puts the package together in dist/: compiled TypeScript, the engine, the embedder's files.
//
//   scripts/build-js.mjs                needs what `scripts/build wasm nearfield_wasm` makes
//   scripts/build-js.mjs --sizes        only prints the sizes of what is in dist/, see scripts/sizes.mjs
//   scripts/build-js.mjs --write-sizes  the same, and writes them to tests/package/sizes.json
//
// $NEARFIELD_BUILD replaces `build` as the folder the engine is taken from.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { measureSizes, sizesFile } from './sizes.mjs';

// `from`: the folder wasm/CMakeLists.txt links it into.
const modules = [
  { from: '', file: 'nearfield.wasm' },
  { from: 'specs/', file: 'nearfield-specs.wasm' },
  { from: 'connect/', file: 'nearfield-connect.wasm' },
  { from: 'doctor/', file: 'nearfield-doctor.wasm' },
];

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const [option, ...rest] = process.argv.slice(2);
if (![undefined, '--sizes', '--write-sizes'].includes(option) || rest.length > 0) {
  console.error('usage: scripts/build-js.mjs [--sizes | --write-sizes]');
  process.exit(2);
}

if (option === undefined) {
  const engine = `${process.env.NEARFIELD_BUILD ?? 'build'}/wasm/wasm`;
  for (const { from } of modules) {
    if (existsSync(`${engine}/${from}nearfield.wasm`)) continue;
    console.error(`build-js: ${engine}/${from}nearfield.wasm is missing; run scripts/build wasm nearfield_wasm first.`);
    process.exit(1);
  }
  // All modules take the same from JavaScript and give it the same, so one glue serves them, and is shipped once.
  const [glueText, ...otherGlues] = modules.map(({ from }) => readFileSync(`${engine}/${from}nearfield.mjs`, 'utf8'));
  if (otherGlues.some((text) => text !== glueText)) {
    const files = modules.map(({ from }) => `${engine}/${from}nearfield.mjs`);
    console.error(`build-js: ${files.join(', ')} differ; they must be one glue.`);
    process.exit(1);
  }
  mkdirSync('dist/model', { recursive: true });
  try {
    execFileSync('node_modules/.bin/tsc', ['--project', 'tsconfig.json'], { stdio: 'inherit' });
  } catch {
    // The compiler has said what is wrong.
    process.exit(1);
  }
  // npm makes commands executable when it installs them; npx in this folder does not install.
  chmodSync('dist/cli/main.js', 0o755);
  for (const { from, file } of modules) copyFileSync(`${engine}/${from}nearfield.wasm`, `dist/${file}`);
  // Emscripten leaves spaces and long names; pages without a bundler load half as much this way. It also leaves what would
  // look for nearfield.wasm beside the glue, if js/src/wasm.ts did not bring a module: bundlers would ship that file with
  // applications that need another one.
  const glue = transformSync(glueText, { minify: true, target: 'es2022', define: { 'import.meta.url': 'undefined' } });
  writeFileSync('dist/nearfield.mjs', glue.code);
  copyFileSync('js/src/nearfield.d.mts', 'dist/nearfield.d.mts');
  for (const file of ['vocab.txt', 'table.bin']) copyFileSync(`core/text/model/${file}`, `dist/model/${file}`);
}

const sizes = measureSizes();
for (const [name, { bytes, gzip }] of Object.entries(sizes)) {
  console.log(`${name.padEnd(22)}${String(bytes).padStart(9)} bytes${String(gzip).padStart(9)} gzip`);
}
if (option === '--write-sizes') writeFileSync(sizesFile, `${JSON.stringify(sizes, null, 2)}\n`);
