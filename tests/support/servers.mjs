// Real servers for tests: those that the environment names, and a Chroma of our own.
//
//   realServer('qdrant')      the base URL in QDRANT_URL (WEAVIATE_URL, CHROMA_URL), or null
//   await startChroma(t, {})  { url }, or { skip: why }: CHROMA_URL where it is set, else a server started for this test
//
// Chroma comes from PyPI into a private virtual environment under ${XDG_CACHE_HOME:-~/.cache}/nearfield, once (300 MB; it
// needs Python 3 with venv, and the network the first time). A server started here listens on the loopback, keeps its data in a
// temporary folder, and is gone when the test ends, also when the test's process dies first.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const version = '1.5.9';

/** The base URL of a real server that the environment names, without a slash at its end, or null. */
export function realServer(name) {
  return process.env[`${name.toUpperCase()}_URL`]?.replace(/\/+$/, '') || null;
}

const cache = () => path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'nearfield');

/** Runs a program to its end; answers { code, text }: what it printed. */
function run(command, args) {
  return new Promise((resolve) => {
    let text = '';
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (text = (text + chunk).slice(-2000)));
    child.on('error', (error) => resolve({ code: 127, text: String(error) }));
    child.on('close', (code) => resolve({ code: code ?? 1, text }));
  });
}

/** { program } of an installed Chroma, or { skip }. */
export async function installChroma() {
  const folder = path.join(cache(), `chroma-${version}`);
  const program = path.join(folder, 'bin', 'chroma');
  if (existsSync(path.join(folder, 'complete'))) return { program };
  for (const needed of ['python3', 'flock', 'timeout']) {
    if (spawnSync(needed, ['--version']).status !== 0) return { skip: `no real Chroma: there is no ${needed}` };
  }
  mkdirSync(cache(), { recursive: true });
  // One installation at a time on a machine; a second one waits and finds the work done.
  const { code, text } = await run('flock', [
    `${folder}.lock`,
    'timeout',
    '900',
    'sh',
    '-ec',
    install,
    'sh',
    folder,
    version,
  ]);
  return code === 0 ? { program } : { skip: `no real Chroma: pip: ${text.trim().split('\n').at(-1)}` };
}

// A folder without its marker was left in the middle.
const install = `
  [ ! -e "$1/complete" ] || exit 0
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check "chromadb==$2"
  touch "$1/complete"`;

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function ready(url, child) {
  for (let tries = 0; tries < 600 && child.exitCode === null; tries++) {
    try {
      const answer = await fetch(`${url}/api/v2/heartbeat`, { signal: AbortSignal.timeout(5000) });
      await answer.text();
      if (answer.ok) return true;
    } catch {
      // Not listening yet.
    }
    await sleep(100);
  }
  return false;
}

/** Ends a child of ours: asked first, then made to. */
async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const forced = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(forced);
}

/**
 * A Chroma for this test: { url }, or { skip: why }. cors: the origins that may ask (['*']), none by default. With cors or
 * allowReset it is always one of our own, as CHROMA_URL may be set up otherwise. fresh: the same, for an empty one.
 */
export async function startChroma(t, { cors, allowReset = false, fresh = false } = {}) {
  const given = realServer('chroma');
  if (given !== null && cors === undefined && !allowReset && !fresh) return { url: given };
  const { program, skip } = await installChroma();
  if (skip !== undefined) return { skip };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'nearfield-chroma-'));
  let printed = '';
  // Another process may take the free port first.
  for (let tries = 0; tries < 3; tries++) {
    const port = await freePort();
    const settings = path.join(folder, 'config.yaml');
    writeFileSync(
      settings,
      [
        `port: ${port}`,
        'listen_address: "127.0.0.1"',
        `persist_path: ${JSON.stringify(path.join(folder, 'data'))}`,
        `allow_reset: ${allowReset}`,
        ...(cors === undefined ? [] : [`cors_allow_origins: ${JSON.stringify(cors)}`]),
        '',
      ].join('\n'),
    );
    const child = spawn(program, ['run', settings], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ANONYMIZED_TELEMETRY: 'False' },
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (printed = (printed + chunk).slice(-2000)));
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    t.after(async () => {
      await stop(child);
      process.off('exit', kill);
      rmSync(folder, { recursive: true, force: true });
    });
    const url = `http://127.0.0.1:${port}`;
    if (await ready(url, child)) return { url };
    await stop(child);
  }
  return { skip: `no real Chroma: it does not start: ${printed.trim()}` };
}
