// Whether a copy is one: how many points there are, some of them compared, and searches asked on both sides.
import { NearfieldError } from '../errors.js';
import { rawGet, type RawPoint, type RawStore } from '../raw.js';
import type { Hits } from '../search.js';
import type { Store } from '../store.js';
import { sameJson } from './json.js';

export interface Difference {
  id: string;
  what: 'missing' | 'vector' | 'text' | 'payload';
}

export interface Verification {
  /** Everything that was looked at agrees. */
  ok: boolean;
  /** Points on both sides. */
  counts: { from: number; to: number };
  /** Points that were compared, and what differs. */
  sampled: number;
  differences: Difference[];
  searches: {
    /** Exact searches that were asked on both sides. */
    asked: number;
    /** Of these the ones that were answered alike. */
    agreed: number;
    /** Why none was asked. */
    skipped?: string;
  };
}

/** Few: a text may have 16 MiB. */
const getBatch = 20;
const queries = 20;
const hits = 10;
/** Of scores between stores, and of components that a server normalises. */
const tolerance = 1e-4;

/** `expected`: points that both should have; `others`: the target had points of its own. */
export async function verify(
  from: { store: Store<object>; raw: RawStore },
  to: { store: Store<object>; raw: RawStore },
  sample: readonly string[],
  expected: { from: number; to: number; others: boolean },
  signal: AbortSignal | undefined,
  step: (points: number) => void,
): Promise<Verification> {
  const normalises = to.store.backend !== 'embedded' && (await to.store.info({ signal })).metric === 'cosine';
  const counts = { from: await from.store.count({ signal }), to: await to.store.count({ signal }) };
  const differences: Difference[] = [];
  const vectors: Float32Array[] = [];
  for (let first = 0; first < sample.length; first += getBatch) {
    const ids = sample.slice(first, first + getBatch);
    const [ours, theirs] = await Promise.all([from.raw[rawGet](ids, signal), to.raw[rawGet](ids, signal)]);
    const found = new Map(theirs.map((point) => [point.id, point]));
    for (const point of ours) {
      const what = difference(point, found.get(point.id), normalises);
      if (what !== undefined) differences.push({ id: point.id, what });
      if (point.vector !== undefined && vectors.length < queries) vectors.push(point.vector);
    }
    step(ids.length);
  }
  // As many points as came: then they are the same ones.
  const alone = counts.to === expected.to;
  const same = alone && expected.to === expected.from;
  const searches = await compareSearches(from.store, to.store, vectors, same, signal);
  const counted = alone || (expected.others && counts.to > expected.to);
  const ok = counts.from === expected.from && counted && differences.length === 0 && searches.agreed === searches.asked;
  return { ok, counts, sampled: sample.length, differences, searches };
}

function difference(ours: RawPoint, theirs: RawPoint | undefined, normalises: boolean): Difference['what'] | undefined {
  if (theirs === undefined) return 'missing';
  if (!sameVector(ours.vector, theirs.vector, normalises)) return 'vector';
  if ((ours.text ?? '') !== (theirs.text ?? '')) return 'text';
  return samePayload(ours.payload, theirs.payload) ? undefined : 'payload';
}

// Servers know no point without a payload.
function samePayload(ours = '{}', theirs = '{}'): boolean {
  return sameJson(ours, theirs);
}

function sameVector(ours: Float32Array | undefined, theirs: Float32Array | undefined, normalises: boolean): boolean {
  if (ours === undefined || theirs === undefined) return ours === theirs;
  if (ours.length !== theirs.length) return false;
  if (ours.every((component, i) => component === theirs[i])) return true;
  if (!normalises) return false;
  const [a, b] = [lengthOf(ours), lengthOf(theirs)];
  return ours.every((component, i) => Math.abs(component / a - theirs[i]! / b) <= tolerance);
}

function lengthOf(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, component) => sum + component * component, 0)) || 1;
}

async function compareSearches(
  from: Store<object>,
  to: Store<object>,
  vectors: readonly Float32Array[],
  same: boolean,
  signal: AbortSignal | undefined,
): Promise<Verification['searches']> {
  if (vectors.length === 0) return { asked: 0, agreed: 0, skipped: 'no point of the sample has a vector' };
  if (!same) return { asked: 0, agreed: 0, skipped: 'the two do not hold the same points' };
  const asked = vectors.map((vector) => ({ vector, k: hits, exact: true, include: [] as const, signal }));
  try {
    const [ours, theirs] = await Promise.all([from.searchBatch(asked, { signal }), to.searchBatch(asked, { signal })]);
    return { asked: asked.length, agreed: ours.filter((answer, i) => sameHits(answer, theirs[i]!)).length };
  } catch (error) {
    if (!(error instanceof NearfieldError) || error.code !== 'Unsupported') throw error;
    return { asked: 0, agreed: 0, skipped: error.message };
  }
}

// Scores place by place; ids too, but for those that are as close as another one.
function sameHits(ours: Hits<object>, theirs: Hits<object>): boolean {
  if (ours.length !== theirs.length) return false;
  const near = (one: number, other: number) => Math.abs(one - other) <= tolerance * Math.max(1, Math.abs(one));
  const tied = (i: number) =>
    [i - 1, i + 1].some((j) => ours[j] !== undefined && near(ours[j].score, ours[i]!.score)) || i === ours.length - 1;
  return ours.every((hit, i) => near(hit.score, theirs[i]!.score) && (hit.id === theirs[i]!.id || tied(i)));
}
