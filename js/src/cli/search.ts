// nearfield search: the blocks that answer a question.

import { NearfieldError } from '../errors.js';
import type { SpecHits, SpecSearchOptions } from '../specs.js';
import type { Flags } from './arguments.js';
import { openForReading } from './database.js';
import { printHit } from './hits.js';
import type { Output } from './output.js';
import { counted, grouped, jsonLine, printable } from './terminal.js';

export async function runSearch(words: string[], flags: Flags, output: Output): Promise<number> {
  const question = words.join(' ').trim();
  if (question === '') {
    throw new NearfieldError(
      'InvalidArgument',
      'search needs a question, such as: nearfield search "how are uploads retried"',
      { value: question },
    );
  }
  const options: SpecSearchOptions = { k: flags.k, offset: flags.offset, highlight: true, explain: flags.explain };
  if (flags.filter !== undefined) options.filter = flags.filter;
  if (flags.mode !== undefined) options.mode = flags.mode;
  if (flags.alpha !== undefined) options.fusion = { kind: 'convex', alpha: flags.alpha };

  const specs = await openForReading(flags.db);
  const hits = await specs.search(question, options).finally(() => specs.close());

  // The store is closed by now: a reader that goes away while hits are printed hurts nothing.
  hits.forEach((hit, i) => {
    if (flags.json) return output.object(hit);
    if (i > 0) output.line();
    printHit(hit, flags.offset + i + 1, flags, output);
  });
  if (flags.explain && hits.plan !== undefined) {
    // Beside the hits, so that what reads them need not know about it.
    if (flags.json) process.stderr.write(jsonLine({ plan: hits.plan }) + '\n');
    else output.note(`plan: ${planText(hits.plan)}`);
  }
  if (hits.length > 0) return 0;
  if (!flags.json)
    output.note(
      flags.offset > 0 ? `no more hits for "${printable(question)}"` : `nothing found for "${printable(question)}"`,
    );
  return 1;
}

function planText(plan: NonNullable<SpecHits['plan']>): string {
  const parts = [`${counted(plan.rowsScored, 'block')} scored`];
  if (plan.selectivity < 1) parts.push(`${grouped(plan.rowsAllowed)} pass the filter`);
  parts.push(`${(plan.microseconds / 1000).toFixed(1)} ms`);
  return `${plan.strategy}${plan.reason === '' ? '' : ` (${printable(plan.reason)})`}; ${parts.join(', ')}`;
}
