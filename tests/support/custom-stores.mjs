// Backends of three protocols as a user would write them: a Map, and loops.

const compare = {
  cosine: (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
  dot,
  euclidean: (a, b) => -Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0)),
  manhattan: (a, b) => -a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0),
};

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

const closest = (entries, scoreOf, k) =>
  entries
    .map((entry) => ({ ...entry, score: scoreOf(entry) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, k);

/** SpecMem's protocol; synchronous. */
export class MapVectorStore {
  #points = new Map();
  constructor({ metric }) {
    this.score = compare[metric];
  }
  add(id, embedding, metadata) {
    this.#points.set(id, { id, embedding, metadata });
  }
  search(embedding, topK) {
    return closest([...this.#points.values()], (point) => this.score(point.embedding, embedding), topK);
  }
  get(id) {
    return this.#points.get(id) ?? null;
  }
  delete(id) {
    return this.#points.delete(id);
  }
  count() {
    return this.#points.size;
  }
  clear() {
    this.#points.clear();
  }
}

/** CodeWeaver's protocol. */
export class MapVectorBackend {
  #points = new Map();
  constructor({ metric }) {
    this.score = compare[metric];
  }
  async upsertVectors(vectors) {
    for (const point of vectors) this.#points.set(point.id, point);
  }
  async searchVectors(queryVector, limit) {
    return closest([...this.#points.values()], (point) => this.score(point.vector, queryVector), limit);
  }
  async deleteCollection() {
    this.#points.clear();
  }
}

/** The part of Store that a store of one's own would have; filters are left to nearfield. */
export function mapStore({ metric }) {
  const points = new Map();
  const pick = ({ id, payload, text, vector }, include) => ({
    id,
    ...(include.includes('payload') && { payload }),
    ...(include.includes('text') && { text }),
    ...(include.includes('vector') && { vector }),
  });
  return {
    filters: false,
    async upsert(list) {
      for (const point of list) points.set(point.id, point);
    },
    async search({ vector, k, include }) {
      const all = [...points.values()].filter((point) => point.vector !== undefined);
      return closest(all, (point) => compare[metric](point.vector, vector), k).map(({ score, ...point }) => ({
        ...pick(point, include),
        score,
      }));
    },
    async get(ids, { include }) {
      return ids.flatMap((id) => (points.has(id) ? [pick(points.get(id), include)] : []));
    },
    async delete(ids) {
      return ids.filter((id) => points.delete(id)).length;
    },
    async count() {
      return points.size;
    },
    async *scroll({ batch, include }) {
      const ids = [...points.keys()];
      for (let i = 0; i < ids.length; i += batch) {
        const page = ids.slice(i, i + batch).filter((id) => points.has(id));
        yield page.map((id) => pick(points.get(id), include));
      }
    },
    async clear() {
      const count = points.size;
      points.clear();
      return count;
    },
    async drop() {
      points.clear();
      return true;
    },
  };
}
