#!/usr/bin/env node
// Attacks the storage at length, and adds what was tried to torture-report.json.
//
//   npm run torture                                     every attack that has not reached its goal, in turn
//   npm run torture -- --minutes 30                     for half an hour
//   npm run torture -- --attack node-random --count 50  so many more cases of one attack
//   npm run torture -- --attack NAME --seed S --from N --count M    a replay, which is not added to the report
//   npm run torture -- --list                           the attacks, and how far each is
//
// Runs go on where the last one on the same commit and seed (default 1) ended; Ctrl-C ends after the current case. What
// is tried with uncommitted changes of the product is not added. A violation ends the run with exit code 1, after
// printing how to replay it; what the attack left is kept.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attacks } from '../tests/torture/attacks.mjs';
import { addRun, nextCase, productCommit, readReport, totalOf, writeReport } from '../tests/torture/report.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

/** Each fuzz target's goal. */
const fuzzSeconds = 1800;
const fuzzSlice = 300;
const fuzzTargets = readdirSync('tests/fuzz')
  .filter((name) => name.endsWith('_fuzz.cpp'))
  .map((name) => name.replace(/\.cpp$/, ''));

function fail(message) {
  console.error(`torture: ${message}`);
  process.exit(2);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        attack: { type: 'string' },
        seed: { type: 'string' },
        from: { type: 'string' },
        count: { type: 'string' },
        minutes: { type: 'string' },
        list: { type: 'boolean' },
      },
    });
    for (const name of ['seed', 'from', 'count', 'minutes']) {
      if (values[name] === undefined) continue;
      if (!/^\d{1,15}$/.test(values[name])) fail(`--${name} takes a whole number, not ${values[name]}`);
      values[name] = Number(values[name]);
    }
    return values;
  } catch (error) {
    return fail(error.message);
  }
}

const options = readOptions();
const names = [...attacks.map(({ name }) => name), 'fuzz'];
if (options.attack !== undefined && !names.includes(options.attack)) {
  fail(`there is no attack ${options.attack}; there are ${names.join(', ')}`);
}
if (options.attack === undefined && (options.count !== undefined || options.from !== undefined)) {
  fail('--from and --count need --attack');
}
const report = readReport();
const seed = options.seed ?? 1;
const commit = productCommit();
const replay = options.from !== undefined;

if (options.list) {
  for (const { name, goal, unit, ready } of attacks) {
    const { cases, tried, violations } = totalOf(report, name);
    const why = ready();
    const state = why === true ? '' : `  (${why})`;
    console.log(`${name.padEnd(14)}${cases} of ${goal} cases, ${tried} ${unit}, ${violations} violations${state}`);
  }
  for (const target of fuzzTargets) {
    const { seconds, tried, violations } = totalOf(report, `fuzz-${target}`);
    console.log(`fuzz-${target}  ${seconds} of ${fuzzSeconds} s, ${tried} inputs, ${violations} violations`);
  }
  process.exit(0);
}

let stopped = false;
process.on('SIGINT', () => {
  stopped = true;
  console.log('torture: ending after the current case');
});
const began = Date.now();
const endless = options.minutes === undefined;
const inTime = () => !stopped && (endless || Date.now() - began < options.minutes * 60_000);

function record(run) {
  if (replay || commit === undefined) return;
  // Somebody else may have added to it in the meantime.
  const now = readReport();
  addRun(now, { commit, date: new Date().toISOString().slice(0, 10), ...run });
  writeReport(now);
  report.rows = now.rows;
}

/** Runs one slice of an attack; answers how many cases were done. */
async function slice({ name, run, unit }, count, untilMs) {
  const from = options.from ?? nextCase(report, { attack: name, commit, seed });
  const start = Date.now();
  const more = () => inTime() && Date.now() < untilMs;
  const { done, tried, violation, replayFrom } = await run({ seed, from, count, more });
  const seconds = Math.round((Date.now() - start) / 1000);
  console.log(`${name}: cases ${from} to ${from + done}, ${tried} ${unit} in ${seconds} s`);
  const violations = violation === undefined ? 0 : 1;
  if (done > 0) record({ attack: name, seed, from, to: from + done, tried, violations, violation, seconds });
  if (violation !== undefined) {
    console.error(`VIOLATION in case ${from + done - 1} of ${name}: ${violation}`);
    console.error(
      `replay: npm run torture -- --attack ${name} --seed ${seed} --from ${replayFrom} --count ${from + done - replayFrom}`,
    );
    process.exit(1);
  }
  return done;
}

/** Runs every fuzz target for `seconds`. */
async function fuzz(seconds) {
  const child = spawn('scripts/fuzz', [`${seconds}`], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
  }
  const code = await new Promise((resolve) => child.once('close', resolve));
  for (const part of text.split(/^--- /m).slice(1)) {
    const target = /^\w+/.exec(part)[0];
    const tried = Number(/stat::number_of_executed_units:\s*(\d+)/.exec(part)?.[1] ?? 0);
    const attack = `fuzz-${target}`;
    const from = nextCase(report, { attack, commit, seed });
    const violations = /^(SUMMARY|==\d+==\s*ERROR)/m.test(part) ? 1 : 0;
    console.log(`${attack}: ${tried} inputs in ${seconds} s`);
    record({ attack, seed, from, to: from + Math.max(tried, 1), tried, violations, seconds });
  }
  if (code !== 0) {
    console.error(text.slice(-5000));
    console.error('VIOLATION, or the targets do not build: see above; findings are in build/fuzz/findings');
    process.exit(1);
  }
}

function build(side, target) {
  const { status } = spawnSync('scripts/build', [side, target], { stdio: ['ignore', 'ignore', 'inherit'] });
  return status === 0;
}

if (commit === undefined) console.log('torture: the product has uncommitted changes; nothing is added to the report');
const chosen = attacks.filter(({ name }) => options.attack === undefined || options.attack === name);
if (chosen.some(({ run }) => run.native)) build('native', 'torture');

if (options.attack === 'fuzz') {
  await fuzz(options.count ?? fuzzSlice);
} else if (options.attack !== undefined) {
  const [attack] = chosen;
  const why = attack.ready();
  if (why !== true) fail(`${attack.name} cannot run: ${why}`);
  const left = attack.goal - totalOf(report, attack.name).cases;
  const count = options.count ?? (endless ? Math.max(0, left) : Infinity);
  for (let done = 0; done < count && inTime();) {
    done += await slice(attack, Math.min(count - done, 1e9), replay ? Infinity : Date.now() + 120_000);
    if (replay) break;
  }
} else {
  const waiting = chosen.filter((attack) => {
    const why = attack.ready();
    if (why !== true) console.log(`${attack.name}: left out, ${why}`);
    return why === true;
  });
  const sliceMs = endless ? 120_000 : Math.max(10_000, (options.minutes * 60_000) / (waiting.length + 1));
  for (let busy = true; busy && inTime();) {
    busy = false;
    for (const attack of waiting) {
      const left = attack.goal - totalOf(report, attack.name).cases;
      if (left <= 0 || !inTime()) continue;
      await slice(attack, left, Date.now() + sliceMs);
      // Without a report there is nothing that says when it is enough.
      busy = commit !== undefined || !endless;
    }
    if (fuzzTargets.some((target) => totalOf(report, `fuzz-${target}`).seconds < fuzzSeconds) && inTime()) {
      await fuzz(endless ? fuzzSlice : Math.max(10, Math.min(fuzzSlice, options.minutes * 6)));
      busy = commit !== undefined || !endless;
    }
  }
}
for (const { name, goal } of chosen) {
  const { cases, violations } = totalOf(report, name);
  console.log(`${name.padEnd(14)}${cases} of ${goal} cases, ${violations} violations in the report`);
}
