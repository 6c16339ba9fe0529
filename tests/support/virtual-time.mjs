// Time for tests of what waits: Date.now(), setTimeout() and clearTimeout() of this process by a clock that stands still
// until nothing else can happen, and then leaps to the next timer. Hours pass in no time, and always alike.
//
//   const time = new VirtualTime(); time.install(); ... time.uninstall();
//   await time.run(promise)     what the promise says, while time passes
//   time.now                    milliseconds
//
// For work that settles by promises and timers alone. What comes from the system, such as sockets and files, is not
// waited for: await that without run().

const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = globalThis;
const realNow = Date.now;

// Promises settle between two turns of the event loop. One turn more for what streams hand to setImmediate.
const turns = 2;
const turn = () => new Promise((resolve) => setImmediate(resolve));

export class VirtualTime {
  now = Date.UTC(2030, 0, 1);
  #timers = new Map();
  #last = 0;

  install() {
    globalThis.setTimeout = (work, delay = 0, ...args) => {
      const timer = { id: ++this.#last, at: this.now + Math.max(0, Number(delay) || 0), work, args, ref: () => timer };
      timer.unref = timer.ref;
      this.#timers.set(timer.id, timer);
      return timer;
    };
    globalThis.clearTimeout = (timer) => {
      if (!this.#timers.delete(timer?.id)) realClearTimeout(timer);
    };
    Date.now = () => this.now;
  }

  uninstall() {
    globalThis.setTimeout = realSetTimeout;
    globalThis.clearTimeout = realClearTimeout;
    Date.now = realNow;
  }

  /** Timers that nobody has cleared and whose time has not come. */
  get pending() {
    return this.#timers.size;
  }

  async run(promise) {
    let over = false;
    const end = () => (over = true);
    promise.then(end, end);
    for (;;) {
      for (let i = 0; i < turns && !over; i++) await turn();
      if (over) return promise;
      // The first of those that are due first.
      let next;
      for (const timer of this.#timers.values()) if (next === undefined || timer.at < next.at) next = timer;
      if (next === undefined) throw new Error('this would wait for good: nothing is under way, and no timer is set');
      this.#timers.delete(next.id);
      this.now = next.at;
      next.work(...next.args);
    }
  }
}
