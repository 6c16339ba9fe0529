// Attack: a Node process that writes is killed with SIGKILL, and the next process looks at what is left.
//
// Two forms: at a random moment, and at each named point (points.mjs). Kills follow each other on the same folder, in
// chains; each process first says what it finds, then writes until it is killed itself, often before it has opened.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Ledger, Violation } from './ledger.mjs';
import { mix, random } from './script.mjs';

const writer = join(import.meta.dirname, 'writer.mjs');

/** A kill on one folder follows this many others at most, before a new folder is taken. */
const chainLength = { random: 250, points: 12 };
const endless = 1_000_000;

/** One database in a folder, and the ledger over it. */
class Victim {
  #ledger = new Ledger();

  constructor(folder) {
    this.path = join(folder, 'db');
  }

  /** Starts a process; `kill(child)` is called once it is ready. Answers whether it was killed, and its points. */
  async run({ seed, count, killAt, kill = () => {}, early = false }) {
    const child = spawn(process.execPath, [writer, this.path, `${seed}`, `${count}`, early ? 'early' : ''], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Ctrl-C is for the attacker.
      detached: true,
      env: { ...process.env, NEARFIELD_KILL_AT: killAt },
    });
    const exit = once(child, 'exit');
    let trouble = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (trouble += text));
    const points = [];
    let ended = false;
    let violation;
    for await (const line of createInterface({ input: child.stdout })) {
      const [word, ...rest] = line.split(' ');
      if (word === 'ready') kill(child);
      else if (word === 'issue') this.#ledger.issue(Number(rest[0]));
      else if (word === 'ack') this.#ledger.acknowledge(Number(rest[0]));
      else if (word === 'point') points.push(rest[0]);
      else if (word === 'end') ended = true;
      else if (word === 'found' && violation === undefined) {
        try {
          this.#ledger.check(JSON.parse(line.slice('found '.length)));
          this.#ledger.begin(seed);
        } catch (error) {
          violation = error;
          child.kill('SIGKILL');
        }
      }
    }
    const [code, signal] = await exit;
    if (violation !== undefined) throw violation;
    if (!ended && signal !== 'SIGKILL')
      throw new Violation(`the process failed (${code ?? signal}): ${trouble.trim()}`);
    return { killed: !ended, points };
  }
}

async function withVictim(body, keep = false) {
  const folder = await mkdtemp(join(tmpdir(), 'nearfield-torture-'));
  try {
    const answer = await body(new Victim(folder));
    await rm(folder, { recursive: true, force: true });
    return answer;
  } catch (error) {
    if (keep) error.message += ` (kept in ${folder})`;
    else await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The points a writer passes: on a new database, on one whose writer was killed, and when it is closed. */
export async function listPoints() {
  return withVictim(async (victim) => {
    const names = new Set();
    for (const seed of [1, 2]) {
      const { points } = await victim.run({ seed, count: 150, killAt: 'list' });
      for (const point of points) names.add(point);
      await victim.run({ seed, count: 0, killAt: 'lock.link.after:1' });
    }
    return [...names].sort();
  });
}

/**
 * Kills number `from` to `from + count` of `seed`. `form` is 'random' or 'points'. Calls `done(number, point)` after
 * each; the point is undefined where it could not be reached. Stops when `more()` is false. Throws Violation, with
 * `from`, where its chain of kills began; `keep` leaves the folder for a look.
 */
export async function killNode({
  form,
  seed,
  from,
  count,
  more = () => true,
  done = () => {},
  early = false,
  keep = false,
}) {
  const points = form === 'points' ? await listPoints() : [];
  let number = from;

  const killAtPoint = async (victim, round) => {
    const point = points[number % points.length];
    // First each point the first time it is reached, then later times.
    const times = 1 + (Math.floor(number / points.length) % 6);
    const { killed } = await victim.run({ ...round, count: 60, killAt: `${point}:${times}` });
    if (killed) return point;
    // It got away. What a longer life behind a dead writer does not reach either is not there in this state.
    await victim.run({ ...round, count: 0, killAt: 'lock.link.after:1' });
    const longer = { ...round, seed: mix(seed, number, 8), count: 400, killAt: `${point}:1` };
    return (await victim.run(longer)).killed ? point : undefined;
  };
  const killAtRandom = async (victim, round) => {
    const delay = random(mix(seed, number))() * 400;
    await victim.run({
      ...round,
      count: endless,
      kill: (child) => setTimeout(() => child.kill('SIGKILL'), delay),
    });
    return 'a random moment';
  };

  while (number < from + count && more()) {
    const first = number;
    await withVictim(async (victim) => {
      try {
        do {
          const round = { seed: mix(seed, number, 7), early };
          const point = await (form === 'points' ? killAtPoint(victim, round) : killAtRandom(victim, round));
          done(number++, point);
        } while (number < from + count && number % chainLength[form] !== 0 && more());
        await victim.run({ seed: 0, count: 3 });
        await victim.run({ seed: 0, count: 0 });
      } catch (error) {
        throw Object.assign(error, { from: first });
      }
    }, keep);
  }
}
