// What some tests need and most machines have not: installed once into a folder of its own under
// ${XDG_CACHE_HOME:-~/.cache}/nearfield, by a package manager, over the network the first time.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

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

/**
 * { folder }, in which the shell lines `steps` ("$1" is the folder, which is not there yet) have run to their end, or
 * { skip: why }. name: of the folder, with the version.
 */
export async function installed({ what, name, needs, steps }) {
  const folder = path.join(cache(), name);
  if (existsSync(path.join(folder, 'complete'))) return { folder };
  for (const needed of [...needs, 'flock', 'timeout']) {
    if (spawnSync(needed, ['--version']).status !== 0) return { skip: `no ${what}: there is no ${needed}` };
  }
  mkdirSync(cache(), { recursive: true });
  // One installation at a time on a machine; a second one waits and finds the work done. A folder without its marker was
  // left in the middle.
  const script = `[ ! -e "$1/complete" ] || exit 0
rm -rf "$1"
${steps}
touch "$1/complete"`;
  const { code, text } = await run('flock', [`${folder}.lock`, 'timeout', '900', 'sh', '-ec', script, 'sh', folder]);
  return code === 0 ? { folder } : { skip: `no ${what}: ${text.trim().split('\n').at(-1)}` };
}
