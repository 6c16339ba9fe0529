// Real servers for tests: those that the environment names, and a Chroma of our own.
//
//   realServer('qdrant')      the base URL in QDRANT_URL (WEAVIATE_URL, CHROMA_URL), or null
//   await startChroma(t, {})  { url }, or { skip: why }: CHROMA_URL where it is set, else a server started for this test
//
// Chroma comes from PyPI into a private virtual environment (300 MB; it needs Python 3 with venv). A server started here
// listens on the loopback, keeps its data in a temporary folder, and is gone when the test ends, also when the test's
// process dies first.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { installed } from './installed.mjs';

const version = '1.5.9';

/** The base URL of a real server that the environment names, without a slash at its end, or null. */
export function realServer(name) {
  return process.env[`${name.toUpperCase()}_URL`]?.replace(/\/+$/, '') || null;
}

/** { program } of an installed Chroma, or { skip }. */
export async function installChroma() {
  const { folder, skip } = await installed({
    what: 'real Chroma',
    name: `chroma-${version}`,
    needs: ['python3'],
    steps: `python3 -m venv "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check chromadb==${version}`,
  });
  return skip === undefined ? { program: path.join(folder, 'bin', 'chroma') } : { skip };
}

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
