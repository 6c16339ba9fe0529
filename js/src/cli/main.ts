#!/usr/bin/env node
// nearfield on the command line. Each command lives in a file of its own and is loaded when it is asked for.

import { NearfieldError } from '../errors.js';
import { parseArguments, wantsJson } from './arguments.js';
import { Output, tellError, watchOutput } from './output.js';

async function main(words: readonly string[]): Promise<number> {
  try {
    const invocation = parseArguments(words);
    switch (invocation.command) {
      case 'help': {
        const { helpText } = await import('./help.js');
        process.stdout.write(helpText(invocation.topic));
        return 0;
      }
      case 'version': {
        const { readFile } = await import('node:fs/promises');
        const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
        process.stdout.write(`nearfield ${(JSON.parse(text) as { version: string }).version}\n`);
        return 0;
      }
    }
    const { command, operands, flags } = invocation;
    const output = new Output(flags.json, flags.color);
    if (flags.import !== undefined) await (await import('./backend-module.js')).loadModule(flags.import);
    switch (command) {
      case 'index':
        return await (await import('./index.js')).runIndex(operands, flags, output);
      case 'search':
        return await (await import('./search.js')).runSearch(operands, flags, output);
      case 'get':
        return await (await import('./get.js')).runGet(operands, flags, output);
      case 'stats':
        return await (await import('./stats.js')).runStats(operands, flags, output);
      case 'backup':
        return await (await import('./backup.js')).runBackup(operands, flags, output);
      case 'restore':
        return await (await import('./restore.js')).runRestore(operands, flags, output);
      case 'doctor':
        return await (await import('./doctor.js')).runDoctor(operands, flags, output);
      case 'config':
        return await (await import('./config.js')).runConfig(operands, flags, output);
      case 'migrate':
        return await (await import('./migrate.js')).runMigrate(operands, flags, output);
      case 'export':
        return await (await import('./export.js')).runExport(operands, flags, output);
      case 'import':
        return await (await import('./import.js')).runImport(operands, flags, output);
      case 'conformance':
        return await (await import('./conformance.js')).runConformance(operands, flags, output);
    }
  } catch (error) {
    return tellError(error, wantsJson(words));
  }
}

watchOutput();
// Node ends when nothing is left that could wake it, also in the middle of a promise: of a backend of somebody's, say.
let ended = false;
process.once('beforeExit', () => {
  if (ended) return;
  process.exitCode = tellError(
    new NearfieldError('Internal', 'something that was asked will never answer, and nothing else is left to do'),
    wantsJson(process.argv.slice(2)),
  );
});
// Set, not exited with: what is on its way to a pipe still has to arrive.
process.exitCode = await main(process.argv.slice(2));
ended = true;
