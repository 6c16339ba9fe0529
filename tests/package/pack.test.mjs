// The package as its users get it: packed, installed in an empty folder without a network, imported, run, type-checked.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));

test('the packed package', async (suite) => {
  const folder = mkdtempSync(join(tmpdir(), 'nearfield-pack-'));
  suite.after(() => rmSync(folder, { recursive: true, force: true }));
  const home = join(folder, 'app');
  mkdirSync(home);
  const write = (name, text) => writeFileSync(join(home, name), text);
  const run = (command, words, cwd = home) => execFileSync(command, words, { cwd, encoding: 'utf8', stdio: 'pipe' });
  const quiet = [
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-update-notifier',
    '--cache',
    join(folder, 'cache'),
  ];

  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder, ...quiet], project));
  write('package.json', '{ "private": true, "type": "module" }');
  // What it depends on comes from where it was installed for this project: a test asks no registry.
  const { dependencies } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
  const needed = Object.keys(dependencies).map((name) => {
    const [tarball] = JSON.parse(
      run('npm', ['pack', join(project, 'node_modules', name), '--json', '--pack-destination', folder, ...quiet]),
    );
    return join(folder, tarball.filename);
  });
  run('npm', ['install', join(folder, packed.filename), ...needed, '--offline', ...quiet]);

  await suite.test('holds what it must and nothing else', () => {
    const paths = packed.files.map(({ path }) => path);
    const allowed =
      /^(package\.json|LICENSE|NOTICE|README\.md|dist\/(nearfield\.(mjs|d\.mts|wasm)|nearfield-(specs|connect|doctor)\.wasm|model\/(vocab\.txt|table\.bin)|((cli|generated|transfer|volumes)\/)?[\w-]+\.(js|d\.ts)))$/;
    assert.deepEqual(
      paths.filter((path) => !allowed.test(path)),
      [],
    );
    for (const path of [
      'LICENSE',
      'NOTICE',
      'README.md',
      'dist/nearfield.wasm',
      'dist/nearfield-specs.wasm',
      'dist/nearfield-connect.wasm',
      'dist/nearfield-doctor.wasm',
      'dist/nearfield.mjs',
      'dist/nearfield.d.mts',
    ])
      assert.ok(paths.includes(path), path);
    const manifest = JSON.parse(readFileSync(join(home, 'node_modules/nearfield/package.json'), 'utf8'));
    assert.deepEqual(Object.keys(manifest.dependencies), ['smol-toml']);
    // What is compiled has a source: nothing is left of files that are gone.
    for (const path of paths.filter((name) => /^dist\/.*\.js$/.test(name))) {
      assert.ok(statSync(join(project, path.replace(/^dist\/(.*)\.js$/, 'js/src/$1.ts'))).isFile(), path);
    }
  });

  await suite.test('is imported, opened and searched', () => {
    write(
      'main.js',
      `import { doctor, loadEmbedder, open } from 'nearfield';
       import { openSpecs } from 'nearfield/specs';
       const embedder = await loadEmbedder();
       const db = await open({ path: './db' });
       const notes = await db.collection('notes', { dimension: embedder.dimension });
       await notes.upsert([{ id: 'a', vector: embedder.embed(['sign in']) }]);
       const [hit] = await notes.search({ vector: embedder.embed(['log in']) });
       await db.close();
       const specs = await openSpecs({ storage: 'memory' });
       await specs.index([{ path: 'a.md', text: '# A\\n\\nUploads are retried.\\n' }]);
       const [block] = await specs.search('retry');
       await specs.close();
       const { healthy } = await doctor({ path: './db' });
       const files = ['', '-specs', '-connect', '-doctor'].map((name) => import.meta.resolve('nearfield/nearfield' + name + '.wasm'));
       console.log(hit.id, block.payload.source, healthy, files.every((file) => file.endsWith('.wasm')));`,
    );
    assert.equal(run(process.execPath, ['main.js']), 'a a.md true true\n');
  });

  await suite.test('runs from the command line', () => {
    mkdirSync(join(home, 'docs'));
    write('docs/notes.md', '# Falcons\n\nThe kestrel hovers.\n');
    const command = join(home, 'node_modules/.bin/nearfield');
    assert.match(run(command, ['--version']), /\d+\.\d+\.\d+/);
    run(command, ['index', 'docs']);
    assert.match(run(command, ['search', 'kestrel']), /notes\.md:\d/);
    // In this folder npx does not install, so the build itself makes it executable.
    assert.ok(statSync(join(project, 'dist/cli/main.js')).mode & 0o100);
  });

  await suite.test('has types that resolve under --strict', () => {
    write(
      'consumer.mts',
      `import { loadEmbedder, open, NearfieldError, type Hits } from 'nearfield';
       import { openSpecs, type SpecHits } from 'nearfield/specs';
       const embedder = await loadEmbedder();
       const db = await open({ storage: 'memory' });
       const notes = await db.collection<{ year: number }>('notes', { dimension: embedder.dimension, metric: 'cosine' });
       const hits: Hits<{ year: number }> = await notes.search({ vector: embedder.embed(['text']), filter: { year: 2026 } });
       const year: number | undefined = hits[0]?.payload?.year;
       const specs = await openSpecs({ path: '.nearfield' });
       const found: SpecHits = await specs.search('question', { k: 3, mode: 'hybrid' });
       // @ts-expect-error there is no such metric
       await db.collection('other', { dimension: 3, metric: 'chebyshev' });
       export { year, found, NearfieldError };
`,
    );
    const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom', '--types', ''];
    for (const [kind, resolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ]) {
      const words = [...options, '--module', kind, '--moduleResolution', resolution, 'consumer.mts'];
      try {
        run(join(project, 'node_modules/.bin/tsc'), words);
      } catch (error) {
        assert.fail(`${resolution}: ${error.stdout}`);
      }
    }
  });
});
