// Folders that a user drops or picks, as lists of markdown files to index.
//
// Only names and sizes are looked at here; the engine reads one file at a time while indexing, so a large folder does
// not have to fit in memory. Bounds keep a slip of the hand (a home folder, a disk image named notes.md) harmless.

/**
 * @typedef {object} Folder
 * @property {string} name
 * @property {File[]} files  each with its webkitRelativePath, the folder's name first
 * @property {string[]} leftOut  sentences for the user
 */

const maximumFiles = 20_000;
const maximumFileBytes = 32 * 1024 * 1024;
const maximumDepth = 64;
const isMarkdown = (/** @type {string} */ name) => /\.(md|markdown)$/i.test(name);
// The rule of `nearfield index`, applied early: walking through node_modules takes longer than indexing the specs.
const knownHidden = new Set(['.kiro', '.specify', '.claude', '.cursor', '.github']);
const isSkipped = (/** @type {string} */ folder) =>
  folder === 'node_modules' || (folder.startsWith('.') && !knownHidden.has(folder));

/** @param {Folder} folder @param {File} file */
function take(folder, file) {
  if (folder.files.length >= maximumFiles)
    throw new RangeError(`${folder.name} holds more than ${maximumFiles.toLocaleString('en')} markdown files`);
  if (file.size > maximumFileBytes)
    folder.leftOut.push(`${file.name} is larger than ${maximumFileBytes / 1024 / 1024} MB`);
  else folder.files.push(file);
}

/** The folder of an `<input webkitdirectory>`. @param {Iterable<File>} list @returns {Folder[]} */
export function pickedFolders(list) {
  /** @type {Map<string, Folder>} */
  const folders = new Map();
  for (const file of list) {
    const [name = '', ...steps] = file.webkitRelativePath.split('/');
    const folder = folders.get(name) ?? { name, files: [], leftOut: [] };
    folders.set(name, folder);
    if (isMarkdown(file.name) && !steps.slice(0, -1).some(isSkipped)) take(folder, file);
  }
  return [...folders.values()];
}

/**
 * What was dropped: each folder by itself, loose files together. Must be called in the drop event itself; the entries
 * are gone after it.
 * @param {DataTransfer} transfer @returns {Promise<Folder[]>}
 */
export async function droppedFolders(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const loose = /** @type {Folder} */ ({ name: 'Dropped files', files: [], leftOut: [] });
  const folders = [];
  for (const entry of entries) {
    if (entry.isDirectory) {
      const folder = { name: entry.name, files: [], leftOut: [] };
      await walk(/** @type {FileSystemDirectoryEntry} */ (entry), `${entry.name}/`, folder, 0);
      folders.push(folder);
    } else {
      await takeEntry(/** @type {FileSystemFileEntry} */ (entry), '', loose);
    }
  }
  // Files of other kinds, dropped alone, are reported as a folder without markdown.
  if (loose.files.length || loose.leftOut.length || !folders.length) folders.push(loose);
  return folders;
}

/** @param {FileSystemFileEntry} entry @param {string} prefix @param {Folder} folder */
async function takeEntry(entry, prefix, folder) {
  if (!isMarkdown(entry.name)) return;
  /** @type {File} */
  const file = await new Promise((found, failed) => entry.file(found, failed));
  // A picked file knows its place, a dropped one does not; from here on they are the same.
  Object.defineProperty(file, 'webkitRelativePath', { value: prefix + entry.name });
  take(folder, file);
}

/** @param {FileSystemDirectoryEntry} directory @param {string} prefix @param {Folder} folder @param {number} depth */
async function walk(directory, prefix, folder, depth) {
  if (depth > maximumDepth) throw new RangeError(`${prefix} is nested more than ${maximumDepth} folders deep`);
  const reader = directory.createReader();
  // A reader answers about a hundred entries a call, and none at the end.
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const entries = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!entries.length) return;
    for (const entry of entries) {
      if (entry.isFile) await takeEntry(/** @type {FileSystemFileEntry} */ (entry), prefix, folder);
      else if (!isSkipped(entry.name))
        await walk(/** @type {FileSystemDirectoryEntry} */ (entry), `${prefix}${entry.name}/`, folder, depth + 1);
    }
  }
}
