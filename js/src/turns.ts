// Writes in the order of their calls, where they touch the same points.
//
// A request that has to be sent again may arrive after a later one, and undo it. So a write waits for those before it
// that it shares an id with.
import { unlessAborted } from './signal.js';

export class Turns {
  /** The last write of each id, while it is under way. None of these rejects. */
  readonly #last = new Map<string, Promise<void>>();
  /** The last write that may have touched any id. */
  #any: Promise<void> | undefined;

  /** Does `write` when it is its turn, at once where nothing is before it. `ids`: undefined where it may be any. */
  async take<Result>(
    ids: readonly string[] | undefined,
    signal: AbortSignal | undefined,
    write: () => Promise<Result>,
  ): Promise<Result> {
    const before = new Set<Promise<void>>();
    if (this.#any !== undefined) before.add(this.#any);
    for (const last of ids === undefined ? this.#last.values() : ids.map((id) => this.#last.get(id))) {
      if (last !== undefined) before.add(last);
    }
    let end!: () => void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const earlier = before.size === 0 ? undefined : Promise.all(before);
    // Also when it is given up while it waits: who comes next must not overtake those before it.
    const done: Promise<void> = earlier === undefined ? ended : earlier.then(() => ended);
    if (ids === undefined) {
      this.#any = done;
    } else {
      for (const id of ids) this.#last.set(id, done);
    }
    void done.then(() => {
      if (this.#any === done) this.#any = undefined;
      for (const id of ids ?? []) if (this.#last.get(id) === done) this.#last.delete(id);
    });
    try {
      if (earlier !== undefined) await unlessAborted(earlier, signal);
      return await write();
    } finally {
      end();
    }
  }
}
