// One engine in a process of its own, and our end of the talk with it; serve.h says what the lines are.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { project } from './support.mjs';

export const nativeFolder = path.join(project, 'build/bench');
const buildLimit = 1800;
// Seconds for one figure: whole passes over the queries until the first, never more than the second.
const roundLeast = 0.15;
const roundLimit = 0.4;

/** Of what a program printed before it failed: the line that names the error, or the last one. */
export function complaint(text) {
  const lines = text.trim().split('\n');
  return (lines.find((line) => /^(\w*Error|FATAL ERROR|npm error)\b/.test(line)) ?? lines.at(-1)).slice(0, 200);
}

/** The other end of the conversation in serve.h. */
export class Conversation {
  #process;
  #lines;
  #errors = '';
  #ended;

  constructor(engine, folder, rows, dim) {
    const place = [folder, String(rows), String(dim)];
    const [command, args] = engine.program
      ? [
          path.join(project, 'scripts/toolchain'),
          [path.join(nativeFolder, 'plain/tests', engine.program), ...place, ...engine.programArgs],
        ]
      : [
          'node',
          [
            '--expose-gc',
            '--max-old-space-size=8192',
            path.join(project, 'tests/bench/engine.mjs'),
            ...place,
            engine.name,
          ],
        ];
    this.#process = spawn(command, args, { cwd: project, stdio: 'pipe' });
    this.#process.stderr.on('data', (data) => (this.#errors = (this.#errors + data).slice(-10_000)));
    // A process that is gone shows in #ended.
    this.#process.stdin.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#process.on('error', (error) => resolve(error.message));
      this.#process.on('close', (code, signal) =>
        resolve(complaint(this.#errors) || `it ended with ${signal ?? code}`),
      );
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ask(line, limit) {
    this.#process.stdin.write(`${line}\n`);
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve({ reason: `no answer within ${limit} s` }), limit * 1000);
    });
    const gone = this.#ended.then((reason) => ({ reason }));
    const answer = await Promise.race([this.#lines.next(), late, gone]);
    clearTimeout(timer);
    if (answer.value === undefined) {
      const reason = answer.reason ?? (await this.#ended);
      this.close();
      throw new Error(reason);
    }
    const value = JSON.parse(answer.value);
    if (value.error !== undefined) {
      this.close();
      throw new Error(value.error);
    }
    return value;
  }

  close() {
    this.#process.kill('SIGKILL');
  }
}

export const build = (conversation) => conversation.ask('build', buildLimit);
export const search = (conversation, effort, queries, seconds) =>
  conversation.ask(`search ${effort ?? 0} ${queries} ${seconds}`, 60 + 10 * seconds);

/** Queries a second. */
export async function speed(conversation, effort, queries) {
  const sum = { queries: 0, seconds: 0 };
  while (sum.seconds < roundLeast) {
    const pass = await search(conversation, effort, queries, roundLimit);
    sum.queries += pass.queries;
    sum.seconds += pass.seconds;
  }
  return sum.queries / sum.seconds;
}
