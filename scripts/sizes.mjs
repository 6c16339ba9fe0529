// What a page downloads, measured: an engine (nearfield.wasm, or nearfield-specs.wasm for `nearfield/specs`,
// nearfield-connect.wasm for configurations and servers), the doctor (by
// itself, when it is called for), and the JavaScript it can load from `nearfield/specs`.
//
// The JavaScript is bundled and minified as an application's bundler would, with Emscripten's glue and every chunk that is
// loaded later; each file is compressed by itself, as servers do. The volume and the folder walk of Node are left out:
// they are loaded behind a check for Node.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The checked-in figures; tests/package/sizes.test.mjs compares them with what is in dist/. */
export const sizesFile = `${root}/tests/package/sizes.json`;

/** Answers { name: { bytes, gzip } }. Needs dist/. */
export function measureSizes() {
  const { outputFiles } = buildSync({
    absWorkingDir: root,
    entryPoints: ['dist/specs.js'],
    external: ['./volumes/node.js', './folder.js'],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    outdir: 'dist',
    write: false,
  });
  return {
    'nearfield.wasm': sizeOf([readFileSync(`${root}/dist/nearfield.wasm`)]),
    'nearfield-specs.wasm': sizeOf([readFileSync(`${root}/dist/nearfield-specs.wasm`)]),
    'nearfield-connect.wasm': sizeOf([readFileSync(`${root}/dist/nearfield-connect.wasm`)]),
    'nearfield-doctor.wasm': sizeOf([readFileSync(`${root}/dist/nearfield-doctor.wasm`)]),
    javascript: sizeOf(outputFiles.map(({ contents }) => contents)),
  };
}

function sizeOf(files) {
  const sum = (sizes) => sizes.reduce((all, size) => all + size, 0);
  return {
    bytes: sum(files.map((file) => file.length)),
    gzip: sum(files.map((file) => gzipSync(file, { level: 9 }).length)),
  };
}
