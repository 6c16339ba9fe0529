#!/usr/bin/env node
// Puts the package together in dist/: compiled TypeScript, the engine, the embedder's files.
//
//   scripts/build-js.mjs            needs nearfield.mjs and nearfield.wasm of `scripts/build wasm nearfield_wasm`
//   scripts/build-js.mjs --sizes    only prints the sizes of what is in dist/, minified and gzipped
//
// $NEARFIELD_BUILD replaces `build` as the folder the engine is taken from.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

const [option, ...rest] = process.argv.slice(2);
if ((option !== undefined && option !== '--sizes') || rest.length > 0) {
  console.error('usage: scripts/build-js.mjs [--sizes]');
  process.exit(2);
}

if (option === undefined) {
  const engine = `${process.env.NEARFIELD_BUILD ?? 'build'}/wasm/wasm`;
  if (!existsSync(`${engine}/nearfield.wasm`)) {
    console.error(`build-js: ${engine}/nearfield.wasm is missing; run scripts/build wasm nearfield_wasm first.`);
    process.exit(1);
  }
  mkdirSync('dist/model', { recursive: true });
  try {
    execFileSync('node_modules/.bin/tsc', ['--project', 'tsconfig.json'], { stdio: 'inherit' });
  } catch {
    // The compiler has said what is wrong.
    process.exit(1);
  }
  for (const file of ['nearfield.mjs', 'nearfield.wasm']) copyFileSync(`${engine}/${file}`, `dist/${file}`);
  copyFileSync('js/src/nearfield.d.mts', 'dist/nearfield.d.mts');
  for (const file of ['vocab.txt', 'table.bin']) copyFileSync(`core/text/model/${file}`, `dist/model/${file}`);
}

const gzipped = (bytes) => gzipSync(bytes, { level: 9 }).length;
// What a page pays for `import { open } from 'nearfield'`, all volumes and the glue included.
const { buildSync } = await import('esbuild');
const bundle = buildSync({
  entryPoints: ['dist/index.js'],
  bundle: true,
  minify: true,
  format: 'esm',
  write: false,
}).outputFiles[0].contents;
const wasm = readFileSync('dist/nearfield.wasm');
console.log(`javascript  ${bundle.length} bytes minified, ${gzipped(bundle)} gzip`);
console.log(`wasm        ${wasm.length} bytes, ${gzipped(wasm)} gzip`);
