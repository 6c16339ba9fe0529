// Libraries: what can be searched. The bundled samples are one, each folder a user adds is another.
//
// A library is one database of `nearfield/specs` in this browser's IndexedDB. One is open at a time; opening another
// closes it. Operations run one after another in the order they were asked for.
import { openSpecs } from 'nearfield/specs';
import { samplesId } from './state.js';

/** @typedef {Awaited<ReturnType<typeof openSpecs>>} Specs */
/** @typedef {{ id: string, name: string }} Library */
/** @typedef {{ name: string, repository: string, commit: string, licence: string, notices: string[], files: number, bytes: number, pack: string }} Corpus */
/** @typedef {{ phase: string, files: number, filesTotal: number, blocks: number, bytes: number, bytesTotal: number }} Progress */
/** @typedef {(progress: Progress) => void} OnProgress */
/** @typedef {{ blocks: number, types: Record<string, number>, statuses: Record<string, number> }} Info */
/**
 * @typedef {object} Opened
 * @property {Specs} specs
 * @property {Library} library
 * @property {Info} info
 * @property {boolean} readOnly  another tab writes to it
 * @property {number} milliseconds  from the call to the database being ready
 * @property {{ filesIndexed: number, filesUnchanged: number, filesRemoved: number } | undefined} indexed  undefined: opened as it was stored
 */

/** @type {Library} */
const samples = { id: samplesId, name: 'Bundled samples' };
const databasePath = (/** @type {string} */ id) => `/nearfield-demo/${id}`;

/** A value in localStorage; a browser that refuses storage behaves like an empty one. */
const remembered = {
  get(/** @type {string} */ key) {
    try {
      return JSON.parse(localStorage.getItem(`nearfield-${key}`) ?? 'null');
    } catch {
      return null;
    }
  },
  set(/** @type {string} */ key, /** @type {unknown} */ value) {
    try {
      localStorage.setItem(`nearfield-${key}`, JSON.stringify(value));
    } catch {
      // Then it is only remembered as long as the page lives.
    }
  },
};

export class Libraries {
  /** @type {Library[]} */
  #folders;
  /** @type {{ id: string, specs: Specs, readOnly: boolean } | undefined} */
  #open;
  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();
  /** @type {Corpus[]} */
  corpora = [];

  constructor() {
    const stored = remembered.get('folders');
    this.#folders = Array.isArray(stored)
      ? stored.filter(({ id, name }) => /^folder-\d+$/.test(id) && typeof name === 'string')
      : [];
  }

  /** The samples first, then folders in the order they were added. */
  list() {
    return [samples, ...this.#folders];
  }

  /** @template Answer @param {() => Promise<Answer>} operation @returns {Promise<Answer>} */
  #inTurn(operation) {
    const turn = this.#turn.then(operation, operation);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /**
   * Opens the library of that id (the samples where there is none), read-only where another tab has it open. The samples
   * are indexed when this browser does not hold them, or holds those of another version of this site.
   * @param {string} id @param {OnProgress} onProgress @returns {Promise<Opened>}
   */
  open(id, onProgress) {
    return this.#inTurn(async () => {
      const begun = performance.now();
      const library = this.list().find((candidate) => candidate.id === id) ?? samples;
      const { specs, readOnly } = await this.#switchTo(library.id, false);
      const indexed = library === samples ? await this.#indexSamples(specs, readOnly, onProgress) : undefined;
      const info = await specs.info();
      return { specs, library, info, readOnly, milliseconds: performance.now() - begun, indexed };
    });
  }

  /**
   * Indexes a folder into a library of its own and opens it. A folder of the same name is brought up to date: changed
   * files are replaced, files that are gone are removed. After a failure no library is open.
   * @param {import('./files.js').Folder} folder @param {OnProgress} onProgress @returns {Promise<Opened>}
   */
  add(folder, onProgress) {
    return this.#inTurn(async () => {
      const begun = performance.now();
      const known = this.#folders.find(({ name }) => name === folder.name);
      const number = 1 + Math.max(0, ...this.#folders.map(({ id }) => Number(id.slice('folder-'.length))));
      const library = known ?? { id: `folder-${number}`, name: folder.name };
      try {
        const { specs } = await this.#switchTo(library.id, true);
        await announce(folder.files.length, onProgress);
        const indexed = await specs.index(folder.files, { onProgress });
        if (!known) this.#folders.push(library);
        remembered.set('folders', this.#folders);
        const info = await specs.info();
        return { specs, library, info, readOnly: false, milliseconds: performance.now() - begun, indexed };
      } catch (error) {
        if (known) await this.#close().catch(() => {});
        else await this.#forget(library.id).catch(() => {});
        throw error;
      }
    });
  }

  /** Removes a library and its database from this browser. The samples come back when they are opened. @param {string} id */
  remove(id) {
    return this.#inTurn(async () => {
      await this.#forget(id);
      if (id === samplesId) remembered.set('samples', null);
      this.#folders = this.#folders.filter((library) => library.id !== id);
      remembered.set('folders', this.#folders);
    });
  }

  /**
   * With `mustWrite`, a database that another tab has open is a failure (DatabaseLocked).
   * @param {string} id @param {boolean} mustWrite
   */
  async #switchTo(id, mustWrite) {
    if (this.#open?.id === id && !(mustWrite && this.#open.readOnly)) return this.#open;
    await this.#close();
    const options = { path: databasePath(id), storage: /** @type {const} */ ('indexeddb') };
    let readOnly = false;
    const specs = await openSpecs(options).catch((error) => {
      if (mustWrite || error.code !== 'DatabaseLocked') throw error;
      readOnly = true;
      return openSpecs({ ...options, readOnly });
    });
    this.#open = { id, specs, readOnly };
    return this.#open;
  }

  async #close() {
    const open = this.#open;
    this.#open = undefined;
    await open?.specs.close();
  }

  /** @param {string} id */
  async #forget(id) {
    // A database that does not open or close any more can still be deleted.
    if (this.#open?.id === id) await this.#close().catch(() => {});
    await new Promise((deleted, failed) => {
      const request = indexedDB.deleteDatabase(databasePath(id));
      request.onsuccess = deleted;
      request.onerror = () => failed(request.error);
      request.onblocked = () =>
        failed(new Error('This database is open in another tab; close that tab and try again.'));
    });
  }

  /** @param {Specs} specs @param {boolean} readOnly @param {OnProgress} onProgress */
  async #indexSamples(specs, readOnly, onProgress) {
    const { version, corpora } = await fetchJson('corpora/index.json');
    this.corpora = corpora;
    // The version is remembered only once all is stored, so an interrupted first run is taken up again.
    if (readOnly || (remembered.get('samples') === version && (await specs.info()).blocks > 0)) return undefined;
    const packs = await Promise.all(this.corpora.map(({ pack }) => fetchJson(pack)));
    const files = packs.flatMap((pack) => pack.files);
    await announce(files.length, onProgress);
    const report = await specs.index(files, { onProgress });
    remembered.set('samples', version);
    return report;
  }
}

/** Shows what is coming, and lets it be painted before the engine is busy. @param {number} filesTotal @param {OnProgress} onProgress */
async function announce(filesTotal, onProgress) {
  onProgress({ phase: 'read', files: 0, filesTotal, blocks: 0, bytes: 0, bytesTotal: 0 });
  await new Promise((painted) => setTimeout(painted, 30));
}

/** @param {string} address  relative to this page */
async function fetchJson(address) {
  const response = await fetch(address).catch((cause) => {
    throw new Error(`${address} did not arrive; is the network there?`, { cause });
  });
  if (!response.ok) throw new Error(`${address} did not arrive (HTTP ${response.status})`);
  return response.json();
}
