// The demo as a static site: buildDemo puts it together, serveDemo serves it on this machine.
//
// The site uses relative addresses only, so it works from any sub-path of any static host. It carries its own
// Content-Security-Policy; the local server repeats it as a header and adds what a <meta> cannot say.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, dirname, extname, join, posix, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const pageTypes = new Set(['.html', '.css', '.js']);

/** A mistake of the caller or a missing step; its message says what to do. */
class Refusal extends Error {}

/** Every file below `folder`, as paths relative to it with '/', in an order that is the same on every machine. */
async function filesBelow(folder) {
  const found = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile())
      found.push(
        relative(folder, join(entry.parentPath ?? entry.path, entry.name))
          .split(sep)
          .join('/'),
      );
  }
  return found.sort();
}

/** The rows of the table in demo/corpora/README.md. */
async function listCorpora(folder) {
  const rows = (await readFile(join(folder, 'README.md'), 'utf8')).matchAll(
    /^\| ([\w.-]+) \| (https:\S+) \| ([0-9a-f]{40}) \| (\S+) \|$/gm,
  );
  const corpora = [...rows].map(([, name, repository, commit, licence]) => ({ name, repository, commit, licence }));
  const named = new Set(corpora.map(({ name }) => name));
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory() && !named.delete(entry.name))
      throw new Refusal(`demo/corpora/${entry.name} has no row in demo/corpora/README.md`);
  }
  for (const name of named) throw new Refusal(`demo/corpora/README.md names ${name}, but there is no such folder`);
  return corpora;
}

/** Packs each corpus into one JSON file, copies its licence, and writes the list of them all. */
async function packCorpora(source, target) {
  const corpora = [];
  const versions = createHash('sha256');
  for (const corpus of await listCorpora(source)) {
    const files = [];
    const notices = [];
    await mkdir(join(target, corpus.name), { recursive: true });
    for (const path of await filesBelow(join(source, corpus.name))) {
      const from = join(source, corpus.name, path);
      if (/\.(md|markdown)$/i.test(path)) {
        files.push({ path: `${corpus.name}/${path}`, text: await readFile(from, 'utf8') });
      } else {
        // A host knows how to show LICENSE.txt; a bare LICENSE it offers as a download.
        const name = extname(path) ? path : `${path}.txt`;
        await cp(from, join(target, corpus.name, name));
        notices.push(`corpora/${corpus.name}/${name}`);
      }
    }
    if (!notices.some((path) => path.endsWith('/LICENSE.txt')))
      throw new Refusal(`demo/corpora/${corpus.name} has no LICENSE`);
    const packed = JSON.stringify({ files });
    versions.update(packed);
    await writeFile(join(target, `${corpus.name}.json`), packed);
    corpora.push({
      ...corpus,
      notices,
      files: files.length,
      bytes: Buffer.byteLength(packed),
      pack: `corpora/${corpus.name}.json`,
    });
  }
  // The page indexes again when this changes, and only then.
  const version = versions.digest('hex').slice(0, 16);
  await writeFile(join(target, 'index.json'), JSON.stringify({ version, corpora }, null, 1));
}

/** What the entry of the package can load, as paths relative to `folder`: the files that it names, that those name, ... */
async function filesLoadedBy(folder, entry) {
  const found = new Set([entry]);
  for (const path of found) {
    if (!/\.m?js$/.test(path)) continue;
    for (const [, name] of (await readFile(join(folder, path), 'utf8')).matchAll(/["'](\.\.?\/[\w./-]+)["']/g)) {
      const named = posix.join(posix.dirname(path), name);
      if (await isFile(join(folder, named))) found.add(named);
    }
  }
  return [...found];
}

const isFile = (path) =>
  stat(path).then(
    (status) => status.isFile(),
    () => false,
  );

/** The file a subpath of the package stands for in a browser, relative to the project. */
function exportedFile(manifest, subpath) {
  let target = manifest.exports?.[subpath];
  while (target && typeof target === 'object') target = target.browser ?? target.import ?? target.default;
  if (typeof target !== 'string') throw new Refusal(`package.json exports no "${subpath}"`);
  return target.replace(/^\.\//, '');
}

/**
 * Puts the site together in `output` (default dist/demo), replacing what was there. Needs the built package.
 * Answers the folder.
 */
export async function buildDemo({ output = join(project, 'dist/demo') } = {}) {
  const manifest = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'));
  const entry = exportedFile(manifest, './specs');
  if (!(await isFile(join(project, entry)))) {
    throw new Refusal(`${entry} is missing; build the package first (scripts/build wasm && scripts/build-js.mjs)`);
  }
  // Made beside its place and moved there whole: a page is never served half old, half new.
  const partial = `${output}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });

  const [packageFolder, entryFile] = [posix.dirname(entry), posix.basename(entry)];
  for (const path of await filesLoadedBy(join(project, packageFolder), entryFile)) {
    await cp(join(project, packageFolder, path), join(partial, 'nearfield', path));
  }
  for (const name of await readdir(join(project, 'demo'))) {
    if (pageTypes.has(extname(name))) await cp(join(project, 'demo', name), join(partial, name));
  }
  await packCorpora(join(project, 'demo/corpora'), join(partial, 'corpora'));

  const map = JSON.stringify({ imports: { 'nearfield/specs': `./nearfield/${entryFile}` } });
  const hash = `'sha256-${createHash('sha256').update(map).digest('base64')}'`;
  const page = await readFile(join(partial, 'index.html'), 'utf8');
  const finished = page
    .replace(/(?<=<script type="importmap">).*?(?=<\/script>)/s, () => map)
    .replace("'sha256-import-map'", () => hash);
  if (!finished.includes(map) || !finished.includes(hash))
    throw new Refusal('demo/index.html has no place for the import map and its hash');
  await writeFile(join(partial, 'index.html'), finished);

  await rm(output, { recursive: true, force: true });
  await rename(partial, output);
  return output;
}

/**
 * Serves `folder` on 127.0.0.1 below `base` ('/' or '/some/path/'). With `nextFree` a taken port is answered by trying
 * the 50 after it; port 0 lets the system choose. Answers { url, close }.
 */
export async function serveDemo({ folder, port = 8080, base = '/', nextFree = false }) {
  const { default: sirv } = await import('sirv');
  const page = await readFile(join(folder, 'index.html'), 'utf8');
  const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(page)?.[1];
  if (!policy) throw new Refusal(`${join(folder, 'index.html')} carries no Content-Security-Policy`);
  const headers = {
    'Content-Security-Policy': `${policy}; frame-ancestors 'none'`,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    // Asked for again each time, answered 304 when unchanged: a rebuilt demo shows up on reload.
    'Cache-Control': 'no-cache',
  };
  const files = sirv(folder, { dev: true, etag: true });
  const server = createServer((request, response) => {
    const notFound = () => {
      response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('Not found\n');
    };
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (!request.url?.startsWith(base)) return notFound();
    request.url = request.url.slice(base.length - 1);
    files(request, response, notFound);
  });
  for (let candidate = port; ; candidate++) {
    try {
      await new Promise((listening, failed) => {
        server.once('error', failed);
        server.listen(candidate, '127.0.0.1', () => {
          server.off('error', failed);
          listening(undefined);
        });
      });
      break;
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error;
      if (!nextFree || candidate >= Math.min(port + 50, 65535))
        throw new Refusal(`port ${candidate} is taken; choose another with --port`);
    }
  }
  return {
    url: `http://127.0.0.1:${server.address().port}${base}`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed(undefined));
        server.closeAllConnections();
      }),
  };
}

function parsePort(text) {
  const port = Number(text);
  if (!/^\d+$/.test(text ?? '') || port > 65535)
    throw new Refusal(`--port takes a number from 0 to 65535, got ${JSON.stringify(text)}`);
  return port;
}

async function main(parameters) {
  let port = process.env.PORT ? parsePort(process.env.PORT) : 8080;
  let buildOnly = false;
  for (let i = 0; i < parameters.length; i++) {
    if (parameters[i] === '--port') port = parsePort(parameters[++i]);
    else if (parameters[i]?.startsWith('--port=')) port = parsePort(parameters[i].slice('--port='.length));
    else if (parameters[i] === '--build-only') buildOnly = true;
    else {
      const usage = (await readFile(join(project, 'scripts/start.mjs'), 'utf8')).split('\n').slice(1, 6);
      const wanted = parameters[i] === '--help' || parameters[i] === '-h';
      (wanted ? process.stdout : process.stderr).write(
        `${wanted ? '' : `unknown option ${parameters[i]}\n`}${usage.map((line) => line.slice(2)).join('\n')}\n`,
      );
      process.exitCode = wanted ? 0 : 2;
      return;
    }
  }
  const folder = await buildDemo();
  if (buildOnly) {
    console.log(relative(process.cwd(), folder) || '.');
    return;
  }
  const server = await serveDemo({ folder, port, nextFree: true });
  console.log(`nearfield demo: ${server.url}   (Ctrl-C ends it)`);
  const stop = () => server.close().then(() => process.exit(0));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

if (process.argv[1] && basename(process.argv[1]) === 'start.mjs') {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error instanceof Refusal ? `start: ${error.message}` : error);
    process.exitCode = 1;
  });
}
