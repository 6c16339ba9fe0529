// Operations of the file system fail, once each, while the real engine works through a script.
// NEARFIELD_TORTURE=1: every operation in every way; otherwise a sample.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Database } from '../../dist/database.js';
import { compiled } from '../../dist/load.js';
import { Session } from '../../dist/session.js';
import { NodeVolume } from '../../dist/volumes/node.js';
import { faultRun } from './fault-script.mjs';
import { hookedFiles } from './hooked-files.mjs';
import { temporaryFolder } from './support.mjs';

const long = process.env.NEARFIELD_TORTURE !== undefined;
const ways = ['EIO', 'ENOSPC', 'EACCES', 'EINTR'];
// Less than was asked for is written: some of it; some of it and then an error; nothing, forever.
const writeWays = ['short', 'short, then ENOSPC', 'nothing'];

const failure = (code) => Object.assign(new Error(`${code}: simulated`), { code, errno: -1 });

test('node: whichever operation fails, and however', async (t) => {
  const folder = temporaryFolder(t);
  let runs = 0;
  // `plan(operation, n)` answers how the n-th operation fails, or undefined.
  const run = async (plan, afterFailure) => {
    const path = join(folder, `${runs++}`);
    let n = 0;
    let sick = false;
    let exhausted = false;
    const files = hookedFiles(async (operation, args, call) => {
      if (exhausted && operation === 'handle.write') {
        exhausted = false;
        throw failure('ENOSPC');
      }
      const how = sick ? plan(operation, n++) : undefined;
      if (how === undefined) return call(...args);
      if (operation === 'handle.write' && writeWays.includes(how)) {
        const [bytes, offset, length, position] = args;
        if (how === 'nothing') return { bytesWritten: 0, buffer: bytes };
        exhausted = how !== 'short';
        return call(bytes, offset, Math.ceil(length / 2), position);
      }
      // A file that fails to close is closed all the same.
      if (operation === 'handle.close') await call(...args);
      throw failure(how);
    });
    const openDatabase = async (place) => {
      const volume = await NodeVolume.open(place, false, files);
      const session = await Session.open(volume, compiled);
      return {
        db: new Database(session),
        abandon: async () => {
          await volume.unlock();
          await volume.close();
        },
      };
    };
    const arm = () => {
      sick = true;
      return () => (sick = false);
    };
    await faultRun(path, openDatabase, arm, afterFailure, true);
    rmSync(path, { recursive: true });
  };
  const operations = [];
  await run((operation) => void operations.push(operation), 'again');
  assert.ok(operations.length > 200, `${operations.length} operations`);
  for (const [n, operation] of operations.entries()) {
    const possible = operation === 'handle.write' ? [...ways, ...writeWays] : ways;
    for (const [i, how] of possible.entries()) {
      for (const [j, afterFailure] of ['again', 'reopen'].entries()) {
        if (!long && (i !== n % possible.length || j !== (n >> 1) % 2 || n % 5 !== 0)) continue;
        try {
          await run((_operation, at) => (at === n ? how : undefined), afterFailure);
        } catch (error) {
          const where = `${operation}, ${n} of ${operations.length}: ${how}, then ${afterFailure}`;
          throw new Error(`${where}: ${error.message}`, { cause: error });
        }
      }
    }
  }
  t.diagnostic(`${runs - 1} failures at ${operations.length} operations`);
});
