// Attack: the power fails under a Node writer.
//
// No process can cut its machine's power, so the disk is played: everything the writer does to its folder is followed by
// wrapping node:fs/promises, and at every named point (points.mjs) a folder may be made of what a disk could then hold.
// What was synced is there. Of the rest anything may be: bytes of a file since its last sync are lost, torn or there;
// names given or taken since the folder's last sync are there or not, each for itself. This is harsher than any file
// system in use, which is the point: nothing is left to its kindness.
import files from 'node:fs/promises';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { open } from 'nearfield';
import { Ledger, Violation } from './ledger.mjs';
import { dump, mix, random, run } from './script.mjs';

const genuine = { ...files };

/** One file, whatever it is called: its bytes, and those that are safe. */
class Contents {
  bytes = Buffer.alloc(0);
  safe = Buffer.alloc(0);

  write(bytes, position) {
    const length = Math.max(this.bytes.length, position + bytes.length);
    const next = Buffer.alloc(length);
    this.bytes.copy(next);
    next.set(bytes, position);
    this.bytes = next;
  }

  left(next) {
    const chance = next();
    if (chance < 0.5) return this.safe;
    if (chance < 0.7) return this.bytes;
    // As much of it as is safe, and a piece of what is not.
    const shared = Math.min(this.safe.length, this.bytes.length);
    const torn = this.bytes.subarray(0, shared + Math.floor(next() * (this.bytes.length - shared)));
    return torn.length < this.safe.length ? this.safe : torn;
  }
}

/** Follows what happens in `folder` from now on, until stop(). Calls `reached(momentous)` after each change and each sync. */
class Disk {
  #folder;
  #reached;
  #names = new Map();
  #safeNames = new Map();
  // Syncing does nothing: the null control.
  #deaf;

  constructor(folder, reached, { deaf = false } = {}) {
    this.#folder = folder;
    this.#reached = reached;
    this.#deaf = deaf;
    for (const call of ['copyFile', 'link', 'rename', 'unlink']) files[call] = this.#wrap(call);
    files.open = (path, flags, ...rest) => this.#open(path, flags, ...rest);
    syncBuiltinESMExports();
  }

  stop() {
    Object.assign(files, genuine);
    syncBuiltinESMExports();
  }

  /** What the disk may hold if the power fails now, in a new folder. */
  leave(folder, next) {
    mkdirSync(folder);
    for (const name of new Set([...this.#names.keys(), ...this.#safeNames.keys()])) {
      const now = this.#names.get(name);
      const safe = this.#safeNames.get(name);
      const there = now === safe || next() < 0.5 ? safe : now;
      // The lock of a machine that was started again means nothing; this process still runs, and would hold it.
      if (there !== undefined && name !== 'LOCK') writeFileSync(join(folder, name), there.left(next));
    }
  }

  #name(path) {
    return dirname(String(path)) === this.#folder ? basename(String(path)) : undefined;
  }

  #wrap(call) {
    return async (path, ...rest) => {
      const result = await genuine[call](path, ...rest);
      const name = this.#name(path);
      if (name === undefined) return result;
      const contents = this.#names.get(name);
      if (call === 'copyFile') {
        const copied = new Contents();
        copied.bytes = contents.bytes;
        this.#names.set(this.#name(rest[0]), copied);
      }
      if (call === 'link' || call === 'rename') this.#names.set(this.#name(rest[0]), contents);
      if (call === 'unlink' || call === 'rename') this.#names.delete(name);
      // The moment on which everything hangs: a manifest is there, its name not yet safe.
      await this.#reached(call === 'link' && String(rest[0]).includes('manifest-'));
      return result;
    };
  }

  async #open(path, flags, ...rest) {
    const handle = await genuine.open(path, flags, ...rest);
    if (String(path) === this.#folder) {
      this.#after(handle, 'sync', () => {
        if (!this.#deaf) this.#safeNames = new Map(this.#names);
      });
      return handle;
    }
    const name = this.#name(path);
    if (name === undefined) return handle;
    let contents = this.#names.get(name);
    if (contents === undefined) this.#names.set(name, (contents = new Contents()));
    else if (flags === 'w') contents.bytes = Buffer.alloc(0);
    this.#after(handle, 'write', ({ bytesWritten }, bytes, offset, length, position) => {
      contents.write(bytes.subarray(offset, offset + bytesWritten), position);
    });
    this.#after(handle, 'truncate', (_, length) => {
      contents.bytes = contents.bytes.subarray(0, length);
    });
    this.#after(handle, 'sync', () => {
      if (!this.#deaf) contents.safe = contents.bytes;
    });
    return handle;
  }

  #after(handle, call, then) {
    const original = handle[call];
    handle[call] = async (...args) => {
      const result = await original.apply(handle, args);
      then(result, ...args);
      await this.#reached();
      return result;
    };
  }
}

/**
 * Cases `from` to `from + count` of `seed`: one script each, with the power failing at about `share` of all moments,
 * and more often in the middle of a commit. Calls `done(number, states)` after each; stops when `more()` is false. Throws Violation, with `from`. `deaf` is the
 * null control: a disk on which syncing does nothing.
 */
export async function loseThePower({
  seed,
  from,
  count,
  share = 0.25,
  more = () => true,
  done = () => {},
  deaf = false,
  keep = false,
}) {
  for (let number = from; number < from + count && more(); number++) {
    const base = mkdtempSync(join(tmpdir(), 'nearfield-torture-'));
    const path = join(base, 'db');
    const next = random(mix(seed, number));
    const issued = [];
    const acknowledged = [];
    let states = 0;
    let broken;
    let looking = Promise.resolve();

    // What the disk holds is put aside at once; it is looked at one after the other, so as not to hold all of it.
    const look = (momentous = false) => {
      if (broken !== undefined || next() >= (momentous ? Math.max(share, 0.6) : share)) return undefined;
      const folder = join(base, `left-${states++}`);
      disk.leave(folder, next);
      const ledger = new Ledger({ relaxedMayGo: true });
      ledger.begin(mix(seed, number, 7));
      for (const index of issued) ledger.issue(index);
      for (const [index, relaxed] of acknowledged) ledger.acknowledge(index, relaxed);
      looking = looking.then(async () => {
        if (broken !== undefined) return;
        try {
          const db = await open({ path: folder });
          ledger.check({ found: await dump(db), recovery: (await db.info()).recovery });
          await db.close();
        } catch (error) {
          broken = new Violation(`${error.message}${keep ? ` (kept in ${folder})` : ''}`, { cause: error });
          return;
        }
        rmSync(folder, { recursive: true });
      });
      return looking;
    };
    const disk = new Disk(path, look, { deaf });
    const start = () => open({ path });
    try {
      const place = { db: await start(), collections: new Map() };
      await run(mix(seed, number, 7), place, start, {
        more: (index) => index < 60 && broken === undefined,
        issued: (index) => issued.push(index),
        acknowledged: (index, relaxed) => acknowledged.push([index, relaxed]),
      });
      await place.db.close();
      await looking;
    } finally {
      disk.stop();
      if (broken === undefined || !keep) rmSync(base, { recursive: true, force: true });
    }
    if (broken !== undefined) throw Object.assign(broken, { from: number });
    done(number, states);
  }
}
