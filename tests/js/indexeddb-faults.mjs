// IndexedDB that fails: at the n-th of all points where something can go wrong, in one of several ways. Knows no test
// runner and no Node, so that browsers can run it too.
//
// A point is each opening, each transaction's beginning, each request and each transaction's completion.

// How each kind of point can fail.
const applies = {
  open: ['error', 'throw', 'block', 'quota'],
  transaction: ['throw', 'abort', 'close'],
  request: ['error', 'throw', 'abort', 'close'],
  complete: ['abort', 'quota', 'close'],
};

const requests = [
  'add',
  'put',
  'get',
  'getAll',
  'getAllKeys',
  'delete',
  'openCursor',
  'openKeyCursor',
  'count',
  'clear',
];

const fault = (name) => new DOMException('simulated', name);

// Ends a transaction as the browser would, with `error` as its reason (none: an abort nobody explains).
function fail(transaction, error) {
  if (error !== undefined) Object.defineProperty(transaction, 'error', { value: error, configurable: true });
  try {
    transaction.abort();
  } catch {
    // It has ended already.
  }
}

/**
 * Puts the shim in place. `plan(kind, n)` is asked at every point, with what kind of point it is and its number, and
 * answers how to fail there, or undefined. Answers a function that takes the shim away.
 */
export function shim(plan) {
  const originals = [];
  const replace = (owner, name, make) => {
    const original = owner[name];
    originals.push(() => (owner[name] = original));
    owner[name] = make(original);
  };
  // The driver's patience with an opening that does not answer is over soon; what it does then is the same.
  let blocked = false;
  replace(globalThis, 'setTimeout', (later) => (call, milliseconds, ...rest) => {
    const shortened = blocked && milliseconds >= 10_000;
    if (shortened) blocked = false;
    return later(call, shortened ? 1 : milliseconds, ...rest);
  });
  const { get } = IDBObjectStore.prototype;
  let points = 0;
  const live = new Map(); // transactions of each open connection
  const point = (kind) => {
    return plan(kind, points++);
  };
  // The browser closes the connection: whatever runs is aborted, then there is an event.
  const forceClose = (database) => {
    for (const transaction of live.get(database) ?? []) fail(transaction, fault('AbortError'));
    live.delete(database);
    database.close();
    setTimeout(() => database.onclose?.(new Event('close')), 0);
  };

  replace(
    IDBFactory.prototype,
    'open',
    (open) =>
      function (...given) {
        const how = point('open');
        if (how === 'throw') throw fault('SecurityError');
        if (how === undefined) return open.apply(this, given);
        const request = { onsuccess: null, onerror: null, onupgradeneeded: null, onblocked: null, result: undefined };
        request.error = fault(how === 'quota' ? 'QuotaExceededError' : 'UnknownError');
        if (how === 'block') blocked = true;
        else setTimeout(() => request.onerror?.(new Event('error')), 0);
        return request;
      },
  );
  replace(
    IDBDatabase.prototype,
    'transaction',
    (begin) =>
      function (...given) {
        // fake-indexeddb begins its upgrades this way.
        if (given[1] === 'versionchange') return begin.apply(this, given);
        const how = point('transaction');
        if (how === 'throw') throw fault('InvalidStateError');
        if (how === 'close') forceClose(this);
        const transaction = begin.apply(this, given);
        if (!live.has(this)) live.set(this, new Set());
        live.get(this).add(transaction);
        const forget = () => live.get(this)?.delete(transaction);
        transaction.addEventListener('complete', forget);
        transaction.addEventListener('abort', forget);
        if (how === 'abort') setTimeout(() => fail(transaction), 0);
        return transaction;
      },
  );
  // A transaction completes when its last request has been served and its handler made no more.
  const unserved = new WeakMap();
  const watchEnd = (transaction, request) => {
    unserved.set(transaction, (unserved.get(transaction) ?? 0) + 1);
    let handler;
    Object.defineProperty(request, 'onsuccess', { get: () => null, set: (given) => (handler = given) });
    const served = (event) => {
      handler?.call(request, event);
      unserved.set(transaction, unserved.get(transaction) - 1);
      if (unserved.get(transaction) > 0) return;
      const how = point('complete');
      if (how === 'abort') fail(transaction);
      if (how === 'quota') fail(transaction, fault('QuotaExceededError'));
      if (how === 'close') forceClose(transaction.db);
    };
    request.addEventListener('success', served);
  };
  for (const name of requests) {
    replace(
      IDBObjectStore.prototype,
      name,
      (call) =>
        function (...given) {
          const how = point('request');
          if (how === 'throw') throw fault(name === 'add' || name === 'put' ? 'DataCloneError' : 'UnknownError');
          if (how !== 'error') {
            const request = call.apply(this, given);
            watchEnd(this.transaction, request);
            if (how === 'abort') request.addEventListener('success', () => fail(this.transaction));
            if (how === 'close') forceClose(this.transaction.db);
            return request;
          }
          // Served, but as a failure: an error event, and then, if nobody prevents it, the abort.
          const error = fault('UnknownError');
          const request = new EventTarget();
          Object.assign(request, { error, result: undefined, onsuccess: null, onerror: null });
          const { transaction } = this;
          const served = get.call(this, 'served');
          served.onsuccess = () => {
            const event = new Event('error', { cancelable: true });
            request.onerror?.(event);
            if (!event.defaultPrevented) fail(transaction, error);
          };
          return request;
        },
    );
  }
  return () => {
    for (const undo of originals.reverse()) undo();
  };
}

/** Deletes the database that a run has left. */
export function deleteDatabase(path) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(path);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });
}

/**
 * Every way to fail at every point, as [n, how, afterFailure]; `kinds` are the points of a run without a failure.
 * `short`: one way for each point, in turn.
 */
export function* plans(kinds, short) {
  for (const [n, kind] of kinds.entries()) {
    const ways = applies[kind];
    for (const [i, how] of ways.entries()) {
      for (const [j, afterFailure] of ['again', 'reopen'].entries()) {
        if (!short || (i === n % ways.length && j === (n >> 2) % 2)) yield [n, how, afterFailure];
      }
    }
  }
}
