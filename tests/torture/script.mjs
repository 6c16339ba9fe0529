// What a database under attack is asked to do, and what must then be in it. Shared by Node and the page; no modules.
//
// A script is an endless list of operations that follows from a seed alone. Operations take effect in the order they are
// issued, so after a kill the database must be what some prefix of the list makes of it: one that holds every operation
// that was acknowledged. A Model holds that state as one hash per point.

/** Bit-exact on the way back: no metric here normalises vectors. */
export const schemas = {
  words: { text: {} },
  graph: { dimension: 8, metric: 'euclidean', index: 'hnsw', text: {} },
  plain: { dimension: 3, metric: 'dot', index: 'flat' },
};
const names = Object.keys(schemas);

// Mulberry32.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One seed out of several numbers. */
export function mix(...numbers) {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ (number >>> 0), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/**
 * The operations of `seed`: { kind, collection, ids?, content?, bytes?, relaxed, alone }. One that is `alone` is issued
 * when nothing else is under way; the others may be issued side by side.
 */
export function* script(seed) {
  const next = random(seed);
  const below = (limit) => Math.floor(next() * limit);
  for (const collection of names) yield { kind: 'create', collection, relaxed: false, alone: true };
  for (;;) {
    const collection = names[below(names.length)];
    const relaxed = next() < 0.3;
    const content = below(2 ** 31);
    const chance = next();
    if (chance < 0.58) {
      const ids = someIds(1 + below(next() < 0.2 ? 40 : 5), below);
      yield { kind: 'upsert', collection, ids, content, bytes: below(200), relaxed, alone: false };
    } else if (chance < 0.62) {
      // More than one log record holds: segments and a commit.
      const ids = someIds(40, below);
      yield { kind: 'upsert', collection, ids, content, bytes: 30_000, relaxed, alone: false };
    } else if (chance < 0.85) {
      yield { kind: 'delete', collection, ids: someIds(1 + below(8), below), relaxed, alone: false };
    } else if (chance < 0.92) {
      yield { kind: 'flush', relaxed: false, alone: false };
    } else if (chance < 0.96) {
      yield { kind: 'reopen', relaxed: false, alone: true };
    } else if (chance < 0.98) {
      yield { kind: 'clear', collection, relaxed: false, alone: false };
    } else {
      yield { kind: 'drop', collection, relaxed: false, alone: true };
      yield { kind: 'create', collection, relaxed: false, alone: true };
    }
  }
}

// Few ids, so that points are replaced and deleted and their rows die.
function someIds(count, below) {
  const ids = new Set();
  while (ids.size < count) ids.add(`p${below(150)}`);
  return [...ids];
}

/** The points an upsert writes. */
export function pointsOf({ collection, ids, content, bytes }) {
  const { dimension, text } = schemas[collection];
  return ids.map((id, i) => {
    const next = random(mix(content, i));
    const point = { id, payload: { content, i, half: next() < 0.5 } };
    if (dimension !== undefined) point.vector = Float32Array.from({ length: dimension }, () => next() * 2 - 1);
    if (text !== undefined) {
      let words = `w${content}`;
      while (words.length < bytes) words += ` w${Math.floor(next() * 500)}`;
      point.text = words;
    }
    return point;
  });
}

/** 53 bits of everything a point holds. */
export function hashOf({ id, payload, text = '', vector = [] }) {
  const all = JSON.stringify([id, payload, text, Array.from(vector)]);
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < all.length; i++) {
    const unit = all.charCodeAt(i);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}

/** Carries out one operation on `place`, { db, collections: Map }. `reopen` closes and opens it again. */
export async function perform(operation, place, reopen) {
  const options = { durability: operation.relaxed ? 'relaxed' : 'strict' };
  const collection = place.collections.get(operation.collection);
  switch (operation.kind) {
    case 'create':
      place.collections.set(
        operation.collection,
        await place.db.collection(operation.collection, schemas[operation.collection]),
      );
      return;
    case 'drop':
      await place.db.dropCollection(operation.collection);
      return;
    case 'upsert':
      await collection.upsert(pointsOf(operation), options);
      return;
    case 'delete':
      await collection.delete(operation.ids, options);
      return;
    case 'clear':
      await collection.clear();
      return;
    case 'flush':
      await place.db.flush();
      return;
    case 'reopen': {
      const opened = [...place.collections.keys()];
      await place.db.close();
      place.db = await reopen();
      for (const name of opened) place.collections.set(name, await place.db.collection(name));
      return;
    }
  }
}

/**
 * Issues operations of the script until `more(index)` is false, up to eight at once. `issued` and `acknowledged` are
 * told before the call and after its promise resolved. `early` is the null control: a writer that acknowledges
 * before it writes.
 */
export async function run(seed, place, reopen, { more, issued, acknowledged, early = false }) {
  const next = random(mix(seed, 1));
  const pending = new Set();
  let index = 0;
  for (const operation of script(seed)) {
    if (!more(index)) break;
    if (operation.alone || pending.size >= 8 || next() < 0.5) await Promise.all(pending);
    const here = index++;
    issued(here);
    if (early) acknowledged(here, operation.relaxed);
    const job = perform(operation, place, reopen).then(() => {
      if (!early) acknowledged(here, operation.relaxed);
      pending.delete(job);
    });
    pending.add(job);
    if (operation.alone) await job;
  }
  await Promise.all(pending);
}

/** Everything that is found in a database: { name: { id: hash } }, after asking it in several ways. */
export async function dump(db) {
  const found = {};
  for (const name of await db.collections()) {
    const collection = await db.collection(name);
    const { dimension, text } = schemas[name] ?? {};
    const points = {};
    let last;
    for await (const page of collection.scroll({ batch: 100, include: ['payload', 'text', 'vector'] })) {
      for (const point of page) points[point.id] = hashOf(point);
      last = page.at(-1);
    }
    const count = Object.keys(points).length;
    if ((await collection.count()) !== count) throw new Error(`${name}: count() is not what scroll() hands out`);
    // Derived state follows the rows: the last point is found by its vector, and by the word only its writing used.
    if (last !== undefined && dimension !== undefined) {
      const hits = await collection.search({ vector: last.vector, k: count, exact: true });
      if (hits.length !== count) throw new Error(`${name}: an exact search found ${hits.length} of ${count} points`);
    }
    if (last !== undefined && text !== undefined) {
      const hits = await collection.search({ text: `w${last.payload.content}`, k: count });
      if (!hits.some(({ id }) => id === last.id)) throw new Error(`${name}: ${last.id} is not found by its text`);
    }
    found[name] = points;
  }
  return found;
}

/** What must be in a database: its collections, each a map from id to the hash of the point. */
export class Model {
  collections = new Map();

  copy() {
    const copy = new Model();
    for (const [name, points] of this.collections) copy.collections.set(name, new Map(points));
    return copy;
  }

  apply({ kind, collection, ...operation }) {
    switch (kind) {
      case 'create':
        if (!this.collections.has(collection)) this.collections.set(collection, new Map());
        return;
      case 'drop':
        this.collections.delete(collection);
        return;
      case 'clear':
        this.collections.get(collection).clear();
        return;
      case 'upsert':
        for (const point of pointsOf({ collection, ...operation })) {
          this.collections.get(collection).set(point.id, hashOf(point));
        }
        return;
      case 'delete':
        for (const id of operation.ids) this.collections.get(collection).delete(id);
    }
  }

  /** The first difference between this and what dump() found, in words; undefined where there is none. */
  difference(found) {
    for (const name of Object.keys(found)) {
      if (!this.collections.has(name)) return `collection ${name} should not be there`;
    }
    for (const [name, points] of this.collections) {
      const there = found[name];
      if (there === undefined) return `collection ${name} is missing`;
      for (const [id, hash] of points) {
        if (there[id] === undefined) return `${name}/${id} is missing`;
        if (there[id] !== hash) return `${name}/${id} is not what was written last`;
      }
      for (const id of Object.keys(there)) if (!points.has(id)) return `${name}/${id} should not be there`;
    }
    return undefined;
  }
}

/**
 * Which prefix of the script a database that was `before` is found to hold: at least `atLeast` operations, at most
 * `atMost`. Answers { length, model } or { difference }, the difference being that to the shortest prefix allowed.
 */
export function findPrefix(before, seed, atLeast, atMost, found) {
  const model = before.copy();
  let difference;
  let length = 0;
  for (const operation of script(seed)) {
    if (length >= atLeast) {
      const here = model.difference(found);
      if (here === undefined) return { length, model };
      difference ??= here;
    }
    if (length === atMost) break;
    model.apply(operation);
    length++;
  }
  return { difference };
}
