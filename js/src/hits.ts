// Hits, read where the engine left them; wasm/hits.h says how they lie.
import { parseJson, type Engine } from './engine.js';
import type { Reader } from './memory.js';
import type { Hit, Hits, Plan } from './search.js';

const recordBytes = 56;

/** The answers of `count` queries that begin at `place`. To be called before the next call into the engine. */
export function readAnswers<Payload>(
  engine: Engine,
  place: number,
  count: number,
  microseconds: number,
): Hits<Payload>[] {
  const reader = engine.memory.reader(place);
  const answers: Hits<Payload>[] = [];
  for (let i = 0; i < count; i++) answers.push(readAnswer(engine, reader, microseconds));
  return answers;
}

function readAnswer<Payload>(engine: Engine, reader: Reader, microseconds: number): Hits<Payload> {
  const count = reader.word();
  const idBytes = reader.word();
  const payloadBytes = reader.word();
  const textBytes = reader.word();
  const planBytes = reader.word();
  const records = reader.split(count * recordBytes);
  const ids = reader.texts(idBytes);
  const payloads = payloadBytes === 0 ? [] : parseJson<Payload[]>(reader.text(payloadBytes));
  const texts = reader.texts(textBytes);
  let nextPayload = 0;
  const hits: Hits<Payload> = [];
  for (let i = 0; i < count; i++) {
    const score = records.double();
    const denseScore = records.double();
    const textScore = records.double();
    const denseRank = records.word();
    const textRank = records.word();
    const hit = { id: ids.next(records.word()) } as Hit<Payload>;
    if (records.word() !== 0) hit.payload = payloads[nextPayload++] as Payload;
    const ownTextBytes = records.word();
    if (ownTextBytes !== 0) hit.text = texts.next(ownTextBytes);
    const vector = records.word();
    const components = records.word();
    if (vector !== 0) hit.vector = engine.memory.floats(vector, components);
    const highlights = records.word();
    hit.score = score;
    hit.parts = {};
    if (denseRank !== 0) hit.parts.dense = { score: denseScore, rank: denseRank };
    if (textRank !== 0) hit.parts.text = { score: textScore, rank: textRank };
    if (highlights !== 0) hit.highlights = readPairs(reader, highlights - 1);
    hits.push(hit);
  }
  if (planBytes !== 0) hits.plan = readPlan(reader.text(planBytes), microseconds);
  return hits;
}

function readPairs(reader: Reader, count: number): [number, number][] {
  const pairs: [number, number][] = [];
  for (let i = 0; i < count; i++) pairs.push([reader.word(), reader.word()]);
  return pairs;
}

type EnginePlan = Pick<Plan, 'strategy' | 'reason' | 'rowsAllowed' | 'rowsScored'> & { count: number };

function readPlan(text: string, microseconds: number): Plan {
  const { strategy, reason, rowsAllowed, rowsScored, count } = parseJson<EnginePlan>(text);
  const selectivity = count === 0 ? 0 : rowsAllowed / count;
  return { strategy, reason, rowsAllowed, selectivity, rowsScored, microseconds };
}
