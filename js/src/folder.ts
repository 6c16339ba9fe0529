// Folders: the spec files below folders on disk. Node only; specs.ts loads this file when it is given a path.
//
// Symbolic links are followed only to places inside the folder that the walk has not seen otherwise, so that nothing is
// indexed twice and a loop of links ends. Every failure is a NearfieldError that names the path.
import { checkSignal } from './check.js';
import { NearfieldError, invalid, reasonOf } from './errors.js';
import { builtin } from './host.js';
import { checkFileSize, takesFile, takesFolder, type SpecFile } from './sources.js';

interface Node {
  files: typeof import('node:fs/promises');
  paths: typeof import('node:path');
}

export interface ListOptions {
  /** A folder that is left out wherever it stands: the database itself. */
  leaveOut?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The spec files below `folders`, in no particular order. With one folder, paths are relative to it; with several, they
 * begin with the folder's own name.
 *
 * Throws NotFound for a folder that is not there, InvalidArgument for a file where a folder should be and for two
 * folders of the same name, LimitExceeded for a file that is too large, StorageFailed for what cannot be read, Aborted.
 */
export async function listFolders(folders: readonly string[], options: ListOptions = {}): Promise<SpecFile[]> {
  const node = await nodeModules();
  await checkFolders(folders);
  const { leaveOut } = options;
  const left = leaveOut === undefined ? undefined : await node.files.realpath(leaveOut).catch(() => undefined);
  const found: SpecFile[] = [];
  for (const folder of folders) {
    const prefix = folders.length > 1 ? `${folderName(folder, node)}/` : '';
    found.push(...(await new Walk(node, folder, prefix, left, options.signal).run()));
  }
  return found;
}

/** Throws what listFolders would throw for the folders themselves, and reads nothing. */
export async function checkFolders(folders: readonly string[]): Promise<void> {
  const node = await nodeModules();
  if (folders.length === 0) throw invalid('there is no folder to index');
  const names = new Map<string, string>();
  for (const folder of folders) {
    if (folder === '') throw invalid('the name of a folder is empty', folder);
    if (folder.includes('\0')) throw invalid('the name of a folder holds a NUL character', folder);
    const found = await node.files.stat(folder).catch((cause: unknown) => {
      throw pathError(cause, folder, 'folder');
    });
    if (!found.isDirectory()) throw invalid(`${folder} is not a folder`, folder);
    const name = folderName(folder, node);
    const other = names.get(name);
    if (other !== undefined) {
      throw invalid(
        `folders ${other} and ${folder} are both called ${name}; their files could not be told apart`,
        folder,
      );
    }
    names.set(name, folder);
  }
}

function folderName(folder: string, { paths }: Node): string {
  return paths.basename(paths.resolve(folder));
}

class Walk {
  readonly #node: Node;
  readonly #folder: string;
  readonly #prefix: string;
  readonly #leaveOut: string | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #found: SpecFile[] = [];
  readonly #seen = new Set<string>(); // real paths of folders entered and files taken
  readonly #links: string[] = [];
  #root = '';

  constructor(node: Node, folder: string, prefix: string, leaveOut: string | undefined, signal?: AbortSignal) {
    this.#node = node;
    this.#folder = folder;
    this.#prefix = prefix;
    this.#leaveOut = leaveOut;
    this.#signal = signal;
  }

  async run(): Promise<SpecFile[]> {
    this.#root = await this.#node.files.realpath(this.#folder).catch((cause: unknown) => {
      throw pathError(cause, this.#folder, 'folder');
    });
    await this.#enter(this.#root, this.#root);
    // Links last: a place that can be reached without one keeps its own path. Following one may find more.
    for (let link = this.#links.shift(); link !== undefined; link = this.#links.shift()) await this.#follow(link);
    return this.#found;
  }

  /** Takes what is below `path`, whose real path is `real`. */
  async #enter(path: string, real: string): Promise<void> {
    const { files, paths } = this.#node;
    const waiting = [{ path, real }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      checkSignal(this.#signal);
      if (next.real === this.#leaveOut || this.#seen.has(next.real)) continue;
      this.#seen.add(next.real);
      const folder = next.path;
      const entries = await files.readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
        throw pathError(cause, this.#shown(folder), 'folder');
      });
      for (const entry of entries) {
        const inside = paths.join(folder, entry.name);
        const realInside = paths.join(next.real, entry.name);
        if (entry.isDirectory()) {
          if (takesFolder(entry.name)) waiting.push({ path: inside, real: realInside });
        } else if (entry.isSymbolicLink()) {
          this.#links.push(inside);
        } else if (entry.isFile() && takesFile(entry.name)) {
          await this.#take(inside, realInside);
        }
      }
    }
  }

  async #follow(link: string): Promise<void> {
    const { files, paths } = this.#node;
    // A link to nowhere, or one that turns in a circle, is not a document.
    const real = await files.realpath(link).catch(() => undefined);
    const inside = this.#root.endsWith(paths.sep) ? this.#root : this.#root + paths.sep;
    if (real === undefined || !real.startsWith(inside)) return;
    const found = await files.stat(real).catch(() => undefined);
    const name = paths.basename(link);
    if (found?.isDirectory() && takesFolder(name)) await this.#enter(link, real);
    if (found?.isFile() && takesFile(name)) await this.#take(link, real);
  }

  async #take(path: string, real: string): Promise<void> {
    if (this.#seen.has(real)) return;
    this.#seen.add(real);
    const { files, paths } = this.#node;
    const { size } = await files.stat(path).catch((cause: unknown) => {
      throw pathError(cause, this.#shown(path), 'file');
    });
    checkFileSize(this.#shown(path), size);
    const inside = paths.relative(this.#root, path).split(paths.sep).join('/');
    this.#found.push({ path: this.#prefix + inside, bytes: size, read: () => this.#read(path) });
  }

  async #read(path: string): Promise<Uint8Array> {
    const bytes = await this.#node.files.readFile(path).catch((cause: unknown) => {
      throw pathError(cause, this.#shown(path), 'file');
    });
    checkFileSize(this.#shown(path), bytes.length);
    return bytes;
  }

  /** The path as the caller would spell it. */
  #shown(path: string): string {
    const { paths } = this.#node;
    return paths.join(this.#folder, paths.relative(this.#root, path));
  }
}

function pathError(cause: unknown, path: string, kind: 'file' | 'folder'): NearfieldError {
  const code = (cause as { code?: unknown }).code;
  const extra = { value: path, cause };
  if (code === 'ENOENT') return new NearfieldError('NotFound', `${kind} ${path} is not there`, extra);
  if (code === 'ENOTDIR') return new NearfieldError('InvalidArgument', `${path} is not a folder`, extra);
  const reason =
    code === 'EACCES' || code === 'EPERM' ? 'permission denied' : typeof code === 'string' ? code : reasonOf(cause);
  return new NearfieldError('StorageFailed', `${kind} ${path} cannot be read: ${reason}`, extra);
}

async function nodeModules(): Promise<Node> {
  return { files: await builtin('node:fs/promises'), paths: await builtin('node:path') };
}
