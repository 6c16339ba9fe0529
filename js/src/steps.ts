// Steps: the files of a source in pieces, each of which is indexed at once and durable as a whole or not at all.
import { documentFile, folderOf, samePath, type SpecDocument, type SpecFile } from './sources.js';

/** Where the engine works on the thread of a page. */
export const inPage = typeof document !== 'undefined';

/**
 * A step is about this long: enough to make one durable write cheap, little enough to stop soon after and to keep what
 * is on its way to disk small (2 MiB took 20 MiB more memory and was no faster). In a page also little enough to keep
 * it alive; the engine works on the page's own thread.
 */
const stepBytes = (inPage ? 256 : 1024) * 1024;

/** A file and what was read from it. */
export interface ReadFile {
  file: SpecFile;
  content: Uint8Array;
}

/**
 * A step ends between two folders where it can, because links between the files of a feature are resolved inside one.
 * A folder of more than four steps is cut all the same.
 */
export function* stepsOf(files: readonly SpecFile[]): Generator<SpecFile[]> {
  let step: SpecFile[] = [];
  let bytes = 0;
  for (const file of files) {
    const last = step.at(-1);
    const sameFolder = last !== undefined && folderOf(last.path) === folderOf(file.path);
    if (last !== undefined && bytes + file.bytes > (sameFolder ? 4 * stepBytes : stepBytes)) {
      yield step;
      step = [];
      bytes = 0;
    }
    step.push(file);
    bytes += file.bytes;
  }
  if (step.length > 0) yield step;
}

/** Of files in the order in which they come, which cannot be sorted. */
export async function* arrivingSteps(documents: AsyncIterable<SpecDocument>): AsyncGenerator<SpecFile[]> {
  const seen = new Set<string>();
  let step: SpecFile[] = [];
  let bytes = 0;
  for await (const document of documents) {
    const file = documentFile(document);
    if (seen.has(file.path)) throw samePath(file.path);
    seen.add(file.path);
    step.push(file);
    bytes += file.bytes;
    if (bytes < stepBytes) continue;
    yield step;
    step = [];
    bytes = 0;
  }
  if (step.length > 0) yield step;
}

/** Reads one step while the one before is indexed. */
export async function* readAhead(
  steps: Iterable<SpecFile[]> | AsyncIterable<SpecFile[]>,
): AsyncGenerator<ReadFile[], void, undefined> {
  let next: Promise<ReadFile[]> | undefined;
  for await (const step of steps) {
    const before = next;
    next = Promise.all(step.map(async (file) => ({ file, content: await file.read() })));
    // Looked at when its turn comes; until then a failure is nobody's unhandled rejection.
    next.catch(() => {});
    if (before !== undefined) yield await before;
  }
  if (next !== undefined) yield await next;
}
