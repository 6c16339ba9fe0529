// All attacks of `npm run torture`, by name.
//
// `goal` is how many cases the long run is to reach, over all days; `unit` names what is counted as tried. `run` tries
// cases `from` up to `from + count`, ends early when `more()` is false, and answers { done, tried, violation?, replayFrom? }.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { killBrowsers } from './browser-kill.mjs';
import { findBrowser } from './browsers.mjs';
import { Violation } from './ledger.mjs';
import { killNode } from './node-kill.mjs';
import { loseThePower } from './power-loss.mjs';

const project = join(import.meta.dirname, '../..');

/** An attack in this process, which calls `done(number, what)` after each case; `what` undefined: nothing was tried. */
function here(attack, options) {
  return async ({ seed, from, count, more }) => {
    let done = 0;
    let tried = 0;
    try {
      await attack({
        ...options,
        seed,
        from,
        count,
        more,
        keep: true,
        // What was tried: how often, or at which point; nothing where that was not reached.
        done: (_, what) => {
          done++;
          if (what !== undefined) tried += typeof what === 'number' ? what : 1;
        },
      });
      return { done, tried };
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return { done: done + 1, tried: tried + 1, violation: error.message, replayFrom: error.from ?? from };
    }
  };
}

// Without sanitizers (scripts/build plain torture) it tries some ten times as much.
const program = ['build/plain/tests/torture', 'build/native/tests/torture'].find((path) =>
  existsSync(join(project, path)),
);

/** An attack of tests/torture/torture.cpp, a minute at a time. */
function native(name) {
  const run = async ({ seed, from, count, more }) => {
    let done = 0;
    let tried = 0;
    while (done < count && more()) {
      const args = [program, name, '--seed', seed, '--from', from + done, '--count', count - done];
      const child = spawn('scripts/toolchain', [...args, '--seconds', 60, '--json'].map(String), {
        cwd: project,
        stdio: ['ignore', 'pipe', 'pipe'],
        // Ctrl-C ends the run after this minute, not in the middle of it.
        detached: true,
      });
      let report;
      let trouble = '';
      child.stderr.setEncoding('utf8').on('data', (text) => (trouble = (trouble + text).slice(-20_000)));
      const closed = new Promise((resolve) => child.once('close', resolve));
      for await (const line of createInterface({ input: child.stdout })) {
        if (line.startsWith('{')) report = JSON.parse(line);
      }
      const code = await closed;
      if (report === undefined) {
        return {
          done: done + 1,
          tried,
          violation: `torture ${name} ended with ${code}: ${trouble}`,
          replayFrom: from + done,
        };
      }
      done += report.done;
      tried += report.details.states ?? report.done;
      if (report.violations > 0) {
        return { done: done + 1, tried, violation: report.details.violation ?? trouble, replayFrom: from + done };
      }
      if (report.done === 0 && code !== 0) throw new Error(`torture ${name} ended with ${code}: ${trouble}`);
    }
    return { done, tried };
  };
  return Object.assign(run, { native: true });
}

const hasNative = () => program !== undefined || 'neither build/plain/tests/torture nor that of build/native is built';
const has = (kind) => () => findBrowser(kind) !== undefined || `no ${kind} was found`;
const hasOpfs = () =>
  existsSync(join(project, 'dist/volumes/opfs.js')) ? has('chromium')() : 'there is no OPFS volume';

export const attacks = [
  {
    name: 'crash',
    title: 'Simulated crash at every storage operation, 5 kinds of damage, again during recovery',
    unit: 'crashes',
    goal: 200,
    ready: hasNative,
    run: native('crash'),
  },
  {
    name: 'node-random',
    title: 'Node writer killed (SIGKILL) at a random moment',
    unit: 'kills',
    goal: 5000,
    ready: () => true,
    run: here(killNode, { form: 'random' }),
  },
  {
    name: 'node-points',
    title: 'Node writer killed (SIGKILL) at a named point, before, in and after each call on a file',
    unit: 'kills',
    goal: 5000,
    ready: () => true,
    run: here(killNode, { form: 'points' }),
  },
  {
    name: 'power-loss',
    title: 'Power loss under a Node writer, played at the calls on files: unsynced bytes and names kept, lost or torn',
    unit: 'power losses',
    goal: 100,
    ready: () => true,
    run: here(loseThePower, {}),
  },
  {
    name: 'chromium',
    title: 'Chromium killed while it writes to IndexedDB: renderer crash, browser SIGKILL, page closed or left',
    unit: 'kills',
    goal: 500,
    ready: has('chromium'),
    run: here(killBrowsers, { kind: 'chromium' }),
  },
  {
    name: 'chromium-opfs',
    title: 'The same, writing to OPFS in a worker',
    unit: 'kills',
    goal: 500,
    ready: hasOpfs,
    run: here(killBrowsers, { kind: 'chromium', storage: 'opfs' }),
  },
  {
    name: 'firefox',
    title: 'Firefox killed (SIGKILL) while it writes to IndexedDB',
    unit: 'kills',
    goal: 200,
    ready: has('firefox'),
    run: here(killBrowsers, { kind: 'firefox' }),
  },
  {
    name: 'io-error',
    title: 'I/O error at every storage operation, once and from then on',
    unit: 'failures',
    goal: 200,
    ready: hasNative,
    run: native('io-error'),
  },
  {
    name: 'oom',
    title: 'Allocation failure at every allocation of 12 operations, once and from then on',
    unit: 'failures',
    goal: 24,
    ready: hasNative,
    run: native('oom'),
  },
  {
    name: 'damage',
    title: 'Every bit flip and truncation of a 64 KiB database, then random damage',
    unit: 'damaged databases',
    goal: 1_600_000,
    ready: hasNative,
    run: native('damage'),
  },
  {
    name: 'model',
    title: 'Random operations against a plain model, reopening at random',
    unit: 'operations',
    goal: 1000,
    ready: hasNative,
    run: native('model'),
  },
  {
    name: 'null-control',
    title: 'Null control: simulated crashes of a host that syncs nothing must lose data',
    unit: 'crashes',
    goal: 100,
    ready: hasNative,
    run: native('null-control'),
  },
];
