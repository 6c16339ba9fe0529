// TOML: text to the layer of a configuration that core/config/layers.h reads. Only the syntax is dealt with here.
import type { TomlError } from 'smol-toml';
import { encodeJson, isWellFormed } from './check.js';

/** Of one file or text. */
export const maxConfigBytes = 1 << 20;
/** Of tables and lists in one another. */
const maxDepth = 32;

/** JSON text of a layer. Whatever is wrong with the text becomes a problem in the engine's report. */
export async function tomlLayer(name: string, text: string): Promise<string> {
  const { parse } = await import('smol-toml');
  let tables: unknown;
  try {
    // Keys that JavaScript's objects give a meaning to are kept for the engine, which refuses them by name.
    tables = parse(text, { integersAsBigInt: 'asNeeded', unsafeKeyBehaviour: 'keep', maxDepth });
  } catch (error) {
    return brokenLayer(name, error as Partial<TomlError>);
  }
  if (!isWellFormed(text)) return brokenLayer(name, {});
  // The parser counts brackets, not the dots of a name.
  if (isDeep(tables, maxDepth)) return JSON.stringify({ name, broken: 'is nested too deep', line: 0 });
  const odd: Record<string, string> = Object.create(null);
  const values = encodeJson(tame(tables, '', odd), name, 'InvalidConfig');
  return `{"name":${JSON.stringify(name)},"values":${values},"lines":${JSON.stringify(linesOf(text))},"odd":${JSON.stringify(odd)}}`;
}

// The error's own text quotes the line, and with it a key that may stand there; its first line does not.
function brokenLayer(name: string, { line = 0, column = 0, message = '' }: Partial<TomlError>): string {
  const reason = message.split('\n', 1)[0]!.replace(/^Invalid TOML document: /, '');
  const at = column > 0 ? ` (column ${column})` : '';
  const again = /redefine/.test(reason) ? ', or stands twice in one table' : '';
  return JSON.stringify({ name, broken: `is not TOML${again}: ${reason || 'malformed text'}${at}`, line });
}

function isDeep(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeep(each, levels - 1));
}

// TOML has values that JSON cannot hold: `odd` gets how they are written, by their path.
function tame(value: unknown, path: string, odd: Record<string, string>): unknown {
  switch (typeof value) {
    case 'number':
      if (Number.isFinite(value)) return value;
      odd[path] = Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
      return null;
    case 'bigint':
      odd[path] = String(value);
      return null;
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (value instanceof Date) {
    odd[path] = 'a date';
    return null;
  }
  if (Array.isArray(value)) return value.map((each: unknown) => tame(each, path, odd));
  const out: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(value)) {
    out[key] = tame((value as Record<string, unknown>)[key], path === '' ? key : `${path}.${key}`, odd);
  }
  return out;
}

const header = /^\s*\[\[?\s*([\w.\s-]+?)\s*\]\]?\s*(#.*)?$/;
const assignment = /^\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*=/;

/** Where keys stand that are written plainly, counted from 1. Texts of several lines are stepped over. */
export function linesOf(text: string): Record<string, number> {
  const lines: Record<string, number> = Object.create(null);
  let table = '';
  let until: string | undefined;
  text.split('\n').forEach((line, index) => {
    if (until !== undefined) {
      if (line.includes(until)) until = undefined;
      return;
    }
    const head = header.exec(line);
    if (head) {
      table = `${head[1]!.replace(/\s/g, '')}.`;
      return;
    }
    const key = assignment.exec(line);
    if (key) lines[table + key[1]!.replace(/\s/g, '')] ??= index + 1;
    const opened = /=\s*("""|''')/.exec(line);
    if (opened && !line.slice(opened.index + opened[0].length).includes(opened[1]!)) until = opened[1];
  });
  return lines;
}
