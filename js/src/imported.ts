// Blocks from the published JSON of spec blocks: parsed, and checked one by one.
import { isObject, shown } from './check.js';
import { NearfieldError } from './errors.js';
import type { SpecPayload, SpecType } from './specs.js';

const types: readonly SpecType[] = ['requirement', 'design', 'task', 'decision', 'knowledge', 'md'];

export interface ImportedBlock {
  id: string;
  text: string;
  payload: SpecPayload;
}

/** Throws FormatError, naming the block, on anything else than an array of blocks whose ids differ. */
export function readBlocks(json: string): ImportedBlock[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw new NearfieldError('FormatError', `importJson: this is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (!Array.isArray(parsed)) {
    throw new NearfieldError('FormatError', `importJson: an array of blocks is expected, got ${shown(parsed)}`);
  }
  const seen = new Set<string>();
  return parsed.map((given: unknown, i) => {
    const block = readBlock(given, `block ${i}`);
    if (seen.has(block.id))
      throw new NearfieldError('FormatError', `block ${i}: the id ${shown(block.id)} stands twice`, {
        value: block.id,
      });
    seen.add(block.id);
    return block;
  });
}

// SpecMem leaves out what has its default value.
function readBlock(given: unknown, what: string): ImportedBlock {
  const bad = (name: string, expected: string, value: unknown) =>
    new NearfieldError('FormatError', `${what}: ${name} must be ${expected}, got ${shown(value)}`, { value });
  if (!isObject(given)) throw bad('it', 'an object', given);
  const { id, text, type, source, status = 'active', title = '', feature = '', ...rest } = given;
  const { tags = [], links = [], lines = [1, 1], pinned = false, ...more } = rest;
  const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
  const areTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((one) => typeof one === 'string');
  const isLine = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;
  if (!isText(id)) throw bad('id', 'a string that is not empty', id);
  if (!isText(text)) throw bad('text', 'a string that is not empty', text);
  if (!types.includes(type as SpecType)) throw bad('type', `one of ${types.join(', ')}`, type);
  if (!isText(source)) throw bad('source', 'a string that is not empty', source);
  if (!isText(status)) throw bad('status', 'a string that is not empty', status);
  if (typeof title !== 'string') throw bad('title', 'a string', title);
  if (typeof feature !== 'string') throw bad('feature', 'a string', feature);
  if (!areTexts(tags)) throw bad('tags', 'an array of strings', tags);
  if (!areTexts(links)) throw bad('links', 'an array of strings', links);
  if (!Array.isArray(lines) || lines.length !== 2 || !lines.every(isLine))
    throw bad('lines', 'two line numbers', lines);
  if (typeof pinned !== 'boolean') throw bad('pinned', 'true or false', pinned);
  const payload = { type, source, lines, title, feature, status, tags, links, pinned, ...more } as SpecPayload;
  return { id, text, payload };
}
