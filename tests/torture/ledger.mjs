// The oracle of an attack by killing: what a database may hold, by what its writers said before they were killed.
import { Model, findPrefix } from './script.mjs';

export class Violation extends Error {}

export class Ledger {
  /** How often a write acknowledged as relaxed was not there; counted only where that is no violation. */
  relaxedLost = 0;
  #relaxedMayGo;
  #before = new Model();
  // The script of the last writer: how many of its operations must, should and may be there.
  #seed = 0;
  #acknowledged = 0;
  #strict = 0;
  #issued = 0;

  /** `relaxedMayGo`: only writes acknowledged as strict must survive. */
  constructor({ relaxedMayGo = false } = {}) {
    this.#relaxedMayGo = relaxedMayGo;
  }

  /** A writer said what it found: what the ones before it left. Throws Violation where that cannot be. */
  check({ found, recovery }) {
    const atLeast = this.#relaxedMayGo ? this.#strict : this.#acknowledged;
    const { length, difference, model } = findPrefix(this.#before, this.#seed, atLeast, this.#issued, found);
    if (model === undefined) {
      throw new Violation(
        `found is no prefix of ${atLeast} to ${this.#issued} operations of script ${this.#seed}: ${difference}`,
      );
    }
    // A kill takes nothing from the system's cache: no file may look damaged.
    if (recovery.generationsSkipped !== 0 || recovery.rebuilt.length > 0) {
      throw new Violation(`a kill looks like damage: ${JSON.stringify(recovery)}`);
    }
    // An operation that changes nothing is found or not; that the shortest prefix is taken makes no loss of it.
    if (
      length < this.#acknowledged &&
      findPrefix(this.#before, this.#seed, this.#acknowledged, this.#issued, found).model === undefined
    ) {
      this.relaxedLost++;
    }
    this.#before = model;
    this.begin(0, 0);
  }

  /** A writer starts on the script of `seed`. `issued`: how many operations it may get to, where it does not tell. */
  begin(seed, issued = 0) {
    this.#seed = seed;
    this.#acknowledged = 0;
    this.#strict = 0;
    this.#issued = issued;
  }

  issue(index) {
    this.#issued = Math.max(this.#issued, index + 1);
  }

  acknowledge(index, relaxed) {
    this.#acknowledged = Math.max(this.#acknowledged, index + 1);
    if (!relaxed) this.#strict = Math.max(this.#strict, index + 1);
  }
}
