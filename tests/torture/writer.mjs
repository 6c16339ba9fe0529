// A process that opens a database, says what it finds, and writes to it until it is killed.
//
//   writer.mjs FOLDER SEED COUNT [early]
//
// It says, a line each: `ready`; `found {...}` what dump() found and recovery() said; `issue N` before and `ack N` after
// operation N of the script of SEED; `end` when COUNT operations are done and the database is closed. Lines are written
// through at once: what a killed process said has arrived.
// $NEARFIELD_KILL_AT=<point>:<n> makes it kill itself when it reaches that point for the n-th time;
// NEARFIELD_KILL_AT=list makes it say `point <name>` at the end for every point it passed.
import { writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { watchPoints } from './points.mjs';
import { dump, run } from './script.mjs';

const [folder, seed, count, early] = process.argv.slice(2);
const path = resolve(folder);

function say(line) {
  const bytes = Buffer.from(`${line}\n`);
  for (let done = 0; done < bytes.length;) done += writeSync(1, bytes, done);
}

const passed = new Set();
const killAt = process.env.NEARFIELD_KILL_AT;
if (killAt === 'list') watchPoints(path, (point) => passed.add(point));
else if (killAt !== undefined) {
  const [point, times] = killAt.split(':');
  let left = Number(times);
  watchPoints(path, (reached) => {
    if (reached === point && --left === 0) process.kill(process.pid, 'SIGKILL');
  });
}

const { doctor, open } = await import('nearfield');
const start = () => open({ path });
say('ready');
// What a kill leaves behind is nothing that a doctor would call damage.
const examined = await doctor({ path }).catch((error) => {
  if (error.code !== 'NotFound') throw error;
});
if (examined?.healthy === false) throw new Error(`the doctor found: ${examined.problems.join('; ')}`);
const place = { db: await start(), collections: new Map() };
const found = await dump(place.db);
say(`found ${JSON.stringify({ found, recovery: (await place.db.info()).recovery })}`);
await run(Number(seed), place, start, {
  more: (index) => index < Number(count),
  issued: (index) => say(`issue ${index}`),
  acknowledged: (index) => say(`ack ${index}`),
  early: early === 'early',
});
await place.db.close();
for (const point of passed) say(`point ${point}`);
say('end');
