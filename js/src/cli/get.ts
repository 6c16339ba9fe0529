// nearfield get: whole blocks by id.

import { NearfieldError } from '../errors.js';
import type { Flags } from './arguments.js';
import { openForReading } from './database.js';
import { printBlock } from './hits.js';
import type { Output } from './output.js';
import { jsonLine, printable } from './terminal.js';

export async function runGet(ids: string[], flags: Flags, output: Output): Promise<number> {
  if (ids.length === 0) throw new NearfieldError('ConfigError', 'get needs an id; search prints them');
  if (ids.includes('')) throw new NearfieldError('InvalidArgument', 'an id is empty', { value: '' });
  const specs = await openForReading(flags.db);
  const blocks = await specs.get(ids).finally(() => specs.close());

  const found = new Map(blocks.map((block) => [block.id, block]));
  let printed = 0;
  let missing = 0;
  for (const id of ids) {
    const block = found.get(id);
    if (block === undefined) {
      ++missing;
      const message = `no block has the id ${id}`;
      if (flags.json) process.stderr.write(jsonLine({ error: { code: 'NotFound', message, value: id } }) + '\n');
      else output.note(printable(message));
    } else if (flags.json) {
      output.object(block);
    } else {
      if (printed++ > 0) output.line();
      printBlock(block, output);
    }
  }
  return missing > 0 ? 1 : 0;
}
