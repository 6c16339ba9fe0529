// Sources: what spec search takes from folders, file pickers and lists, and in which order.
//
// The same rules hold for a folder read in Node (folder.ts) and for one dropped on a page, so that both give the same
// database. This file touches no platform but the web's own File.
import { shown } from './check.js';
import { NearfieldError, invalid } from './errors.js';

/** Larger files are refused: the largest hand-written spec seen so far is under one megabyte. */
export const maxFileBytes = 64 * 1024 * 1024;

/** A file to index, not read yet. */
export interface SpecFile {
  /** Relative to the indexed folder, with `/`. Becomes the `source` of its blocks. */
  readonly path: string;
  /** What the file was said to hold; reading it may find otherwise. */
  readonly bytes: number;
  read(): Promise<Uint8Array>;
}

/** A file given directly. Bytes that are not UTF-8 are indexed as U+FFFD. */
export type SpecDocument =
  | { readonly path: string; readonly bytes: Uint8Array; readonly text?: undefined }
  | { readonly path: string; readonly text: string; readonly bytes?: undefined };

/** Tools that keep specs, or instructions for agents, in a hidden folder. */
const hiddenFoldersTaken = new Set(['.kiro', '.specify', '.claude', '.cursor', '.github']);

/** Whether a file of this name is indexed when its folder is. */
export function takesFile(name: string): boolean {
  return /\.(md|markdown)$/i.test(name);
}

/** Whether a folder of this name is entered. */
export function takesFolder(name: string): boolean {
  return name !== 'node_modules' && (!name.startsWith('.') || hiddenFoldersTaken.has(name));
}

/** Throws LimitExceeded, naming the file, above maxFileBytes. */
export function checkFileSize(path: string, bytes: number): void {
  if (bytes <= maxFileBytes) return;
  throw new NearfieldError(
    'LimitExceeded',
    `file ${path} has ${bytes} bytes; at most ${maxFileBytes} (64 MiB) are indexed`,
    { value: path },
  );
}

/**
 * Sorts by folder, then by name, so that the files of one feature stand together. Two files of one path are refused
 * with InvalidArgument.
 */
export function inFolderOrder(files: readonly SpecFile[]): SpecFile[] {
  const keyed = files.map((file) => ({ file, folder: folderOf(file.path) }));
  keyed.sort((a, b) => compare(a.folder, b.folder) || compare(a.file.path, b.file.path));
  const sorted = keyed.map((entry) => entry.file);
  sorted.forEach((file, i) => {
    if (i > 0 && sorted[i - 1]?.path === file.path) throw samePath(file.path);
  });
  return sorted;
}

export function samePath(path: string): NearfieldError {
  return invalid(`two files have the path ${path}`, path);
}

/** The path up to its last `/`; '' for a file at the top. */
export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

/** A document that is in memory. Throws InvalidArgument or LimitExceeded. */
export function documentFile(document: SpecDocument): SpecFile {
  const path: unknown = (document as { path?: unknown } | null)?.path;
  if (typeof path !== 'string' || path === '') {
    throw invalid(`a file to index needs a path, a string that is not empty; got ${shown(path)}`, path);
  }
  const content: unknown = document.bytes ?? document.text;
  if (typeof content !== 'string' && !(content instanceof Uint8Array)) {
    throw invalid(`file ${path} needs bytes (a Uint8Array) or text (a string), got ${shown(content)}`, path);
  }
  // Checked before encoding too: a string has at least as many bytes as UTF-16 units.
  checkFileSize(path, content.length);
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  checkFileSize(path, bytes.length);
  return { path: path.replaceAll('\\', '/'), bytes: bytes.length, read: async () => bytes };
}

/**
 * Of the files of a picker or a dropped folder, those that spec search takes. The name of the dropped folder itself is
 * left out where there is only one, as for a folder on disk.
 */
export function pickedFiles(files: Iterable<File>): SpecFile[] {
  const picked = Array.from(files, (file) => ({ file, parts: (file.webkitRelativePath || file.name).split('/') }));
  const single = new Set(picked.map(({ parts }) => (parts.length > 1 ? parts[0] : ''))).size === 1;
  const taken: SpecFile[] = [];
  for (const { file, parts } of picked) {
    const inside = parts.length > 1 ? parts.slice(1) : parts;
    const name = inside.at(-1) ?? '';
    if (!takesFile(name) || !inside.slice(0, -1).every(takesFolder)) continue;
    const path = (single ? inside : parts).join('/');
    checkFileSize(path, file.size);
    taken.push({ path, bytes: file.size, read: () => readPicked(file, path) });
  }
  return taken;
}

async function readPicked(file: File, path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (cause) {
    // Browsers say the same for a file that is gone, has changed or may not be read.
    const message = `file ${path} cannot be read any more; choose it again`;
    throw new NearfieldError('NotFound', message, { value: path, cause });
  }
}

// By UTF-16 units: the order must not depend on the machine's language.
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
