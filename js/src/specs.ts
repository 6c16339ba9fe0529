// Spec search: the requirements, design sections and tasks of a repository's spec documents, found by question.
//
// A database of specs mirrors one source: a folder or several (Node), files from a picker, or documents in memory.
// Blocks are cut, embedded and searched in the engine; this file brings it the files in steps, each of which is durable
// as a whole or not at all.
import { checkSignal, readOptions, readText, shown } from './check.js';
import { Collection, type Recovery } from './collection.js';
import { Database, openKeys, openSession, type ChangeListener, type OpenOptions } from './database.js';
import { NearfieldError, invalid } from './errors.js';
import type { IndexKind } from './generated/kinds.js';
import { isNode } from './host.js';
import { readBlocks, type ImportedBlock } from './imported.js';
import { Message } from './message.js';
import { embedTexts, loadModel, type EmbedderSource } from './model.js';
import { readQuery, runQueries, type Filter, type Fusion, type LegScore, type Plan } from './search.js';
import type { Session } from './session.js';
import { documentFile, inFolderOrder, pickedFiles, type SpecDocument, type SpecFile } from './sources.js';
import { arrivingSteps, inPage, readAhead, stepsOf, type ReadFile } from './steps.js';
import { engineFile, type LoadOptions } from './wasm.js';

export type { FileSource } from './bytes.js';
export type { EmbedderSource } from './model.js';
export type { SpecDocument } from './sources.js';
export type { LoadOptions, WasmSource } from './wasm.js';

export interface OpenSpecsOptions extends OpenOptions {
  /** The embedder's files; default: those beside this package's code, read when they are first needed. */
  model?: EmbedderSource | undefined;
}

/** A folder or several (Node only), documents in memory, or what a file picker gives. */
export type SpecSource =
  string | readonly string[] | Iterable<SpecDocument> | AsyncIterable<SpecDocument> | Iterable<File> | FileList;

export interface IndexOptions {
  onProgress?: ((progress: IndexProgress) => void) | undefined;
  /** Looked at between steps; what was committed by then stays. */
  signal?: AbortSignal | undefined;
}

export interface IndexProgress {
  /** 'read': the files are known; 'index': after each step; 'done': once, at the end. */
  phase: 'read' | 'index' | 'done';
  /** Files dealt with so far, and all that are known; an async iterable makes itself known as it goes. */
  files: number;
  filesTotal: number;
  /** Blocks written so far. */
  blocks: number;
  bytes: number;
  bytesTotal: number;
}

export interface IndexReport {
  filesIndexed: number;
  /** Skipped, because their content is what it was. */
  filesUnchanged: number;
  /** In the database, but no longer in the source. */
  filesRemoved: number;
  blocksWritten: number;
  /** Blocks of changed and removed files that nothing took the place of. */
  blocksRemoved: number;
  /** Of all files read, unchanged ones too. */
  bytes: number;
  milliseconds: number;
}

export type SpecType = 'requirement' | 'design' | 'task' | 'decision' | 'knowledge' | 'md';

export interface SpecPayload {
  type: SpecType;
  /** Relative to the indexed folder, with `/`. */
  source: string;
  /** First and last line, from 1, inclusive. */
  lines: [number, number];
  /** Of the requirement, section or task the block belongs to; may be ''. */
  title: string;
  /** The folder of the spec; '' for other documents. */
  feature: string;
  /** Tasks: 'todo', 'in_progress', 'done'; everything else: 'active'. */
  status: string;
  tags: string[];
  /** Ids of blocks this one refers to. */
  links: string[];
  /** A criterion that says MUST, SHALL or CONSTRAINT, or steering that is always included. */
  pinned: boolean;
}

export interface SpecBlock {
  id: string;
  text: string;
  payload: SpecPayload;
}

export interface SpecHit extends SpecBlock {
  /** Greater is closer. */
  score: number;
  /** What each side of the search thought of it. */
  parts?: { dense?: LegScore; text?: LegScore };
  /** Pairs [begin, end) of UTF-16 offsets into the text where words of the question stand, ascending. */
  highlights?: [number, number][];
}

export type SpecHits = SpecHit[] & { plan?: Plan };

export type SearchMode = 'auto' | 'hybrid' | 'dense' | 'text';

export interface SpecSearchOptions {
  /** How many hits at most; default 10. */
  k?: number | undefined;
  /** How many of the best to leave out; default 0. */
  offset?: number | undefined;
  /** Over the payload: `{ type: 'task', status: { $ne: 'done' } }`. */
  filter?: Filter | undefined;
  /** dense: by meaning; text: by words; default 'auto': both. */
  mode?: SearchMode | undefined;
  /** Default { kind: 'convex', alpha: 0.35 }. */
  fusion?: Fusion | undefined;
  minScore?: number | undefined;
  /** Adds `highlights` to each hit; default false. */
  highlight?: boolean | undefined;
  /** Adds `plan` to the hits; default false. */
  explain?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface SpecsInfo {
  documents: number;
  blocks: number;
  /** How many blocks there are of each. */
  types: Record<string, number>;
  statuses: Record<string, number>;
  features: Record<string, number>;
  generation: number;
  index: { kind: IndexKind; reason: string };
  memory: { indexBytes: number; vectorBytes: number; payloadBytes: number; wasmBytes: number };
  storage: string;
  recovery: Recovery;
}

// Static embeddings and words go together best so; measured on spec documents.
const embeddedFusion: Fusion = { kind: 'convex' };
// As wasm/engine_specs.cpp calls them.
const blocksName = 'blocks';
const filesName = 'files';

/** What the engine says of a step. */
interface StepReport {
  filesIndexed: number;
  filesUnchanged: number;
  filesRemoved: number;
  blocksWritten: number;
  blocksRemoved: number;
}

const file = /* @__PURE__ */ engineFile(
  () => new URL('./nearfield-specs.wasm', import.meta.url),
  'serve nearfield-specs.wasm of this package there, or say where it is with load({ wasm }) of nearfield/specs',
);

/**
 * As load() of `nearfield`, for openSpecs(): that has an engine of its own, which cuts spec documents too.
 *
 * ```js
 * await load({ wasm: new URL('/assets/nearfield-specs.wasm', location.href) });
 * ```
 */
export async function load(options?: LoadOptions): Promise<void> {
  return file.load(options);
}

/**
 * Opens a database of specs, or makes a new one.
 *
 * ```js
 * const specs = await openSpecs({ path: '.nearfield' });
 * await specs.index('.');
 * const hits = await specs.search('how are uploads retried');
 * ```
 *
 * Throws what open() throws, and NotFound where it is to be read only and there is none.
 */
export async function openSpecs(given?: OpenSpecsOptions): Promise<Specs> {
  const { model, ...options } = readOptions(given, 'openSpecs', [...openKeys, 'model']);
  const session = await openSession(options, file.compiled);
  try {
    const specs = new Specs(session, model);
    if (options.readOnly && !specs.ready()) {
      const { path } = session.volume;
      throw new NearfieldError('NotFound', `${path} holds no specs; index a folder first`, { value: path });
    }
    return specs;
  } catch (error) {
    await session.close().catch(() => {});
    throw error;
  }
}

export class Specs {
  readonly #session: Session;
  readonly #model: unknown;
  // Where to read the blocks; undefined until something was indexed.
  #known: Collection<SpecPayload> | undefined;
  // Its dimension, once it is loaded into that engine.
  #embedder: { engine: object; dimension: Promise<number> } | undefined;
  // Settled when no index() is under way.
  #turn: Promise<unknown> = Promise.resolve();

  /** Private to the package; use openSpecs(). */
  constructor(session: Session, model: unknown) {
    this.#session = session;
    this.#model = model;
  }

  /** Private to the package: something was indexed, here or by the writer that this one reads beside. */
  ready(): boolean {
    return this.#blocks !== undefined;
  }

  get #blocks(): Collection<SpecPayload> | undefined {
    if (this.#known === undefined) {
      const { collections } = this.#session.info();
      if (collections.includes(blocksName) && collections.includes(filesName)) {
        this.#known = new Collection<SpecPayload>(this.#session, blocksName, 0);
      }
    }
    return this.#known;
  }

  /**
   * Makes the database mirror `source`: new and changed files are read and cut into blocks, unchanged ones skipped, and
   * those that are gone removed. Resolves when everything is durable; a second call waits for the first.
   *
   * With one folder, sources are relative to it; with several, they begin with the folder's name. Of folders and picked
   * files, `*.md` and `*.markdown` are taken, outside node_modules and hidden folders other than .kiro, .specify,
   * .claude, .cursor and .github; documents are all taken.
   *
   * ```js
   * const report = await specs.index('.', { onProgress: ({ files, filesTotal }) => console.log(files, filesTotal) });
   * ```
   *
   * Throws NotFound, InvalidArgument, LimitExceeded (files above 64 MiB), StorageFailed, QuotaExceeded, ReadOnly, Aborted,
   * Closed. What was committed before a failure stays.
   */
  async index(source: SpecSource, given?: IndexOptions): Promise<IndexReport> {
    const { onProgress, signal } = readOptions(given, 'index', ['onProgress', 'signal']) as IndexOptions;
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw invalid(`index: onProgress must be a function, got ${shown(onProgress)}`);
    }
    checkSignal(signal);
    this.#session.requireOpen();
    // One after another: the steps of two would mix, and each would remove the files of the other.
    const turn = this.#turn.then(() => this.#index(source, onProgress ?? (() => {}), signal));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #index(
    source: SpecSource,
    onProgress: (progress: IndexProgress) => void,
    signal: AbortSignal | undefined,
  ): Promise<IndexReport> {
    const started = performance.now();
    const report: IndexReport = {
      filesIndexed: 0,
      filesUnchanged: 0,
      filesRemoved: 0,
      blocksWritten: 0,
      blocksRemoved: 0,
      bytes: 0,
      milliseconds: 0,
    };
    const at = { files: 0, filesTotal: 0, bytes: 0, bytesTotal: 0 };
    const tell = (phase: IndexProgress['phase']) => onProgress({ phase, ...at, blocks: report.blocksWritten });

    const files = await this.#filesOf(source, signal);
    if (Array.isArray(files)) {
      at.filesTotal = files.length;
      at.bytesTotal = files.reduce((sum, file) => sum + file.bytes, 0);
    }
    tell('read');
    await this.#prepare();

    const kept: string[] = [];
    for await (const step of readAhead(Array.isArray(files) ? stepsOf(files) : arrivingSteps(files))) {
      checkSignal(signal);
      add(report, await this.#indexStep(step));
      for (const { file, content } of step) {
        kept.push(file.path);
        at.bytes += content.length;
      }
      at.files += step.length;
      at.filesTotal = Math.max(at.filesTotal, at.files);
      at.bytesTotal = Math.max(at.bytesTotal, at.bytes);
      tell('index');
      if (inPage) await nextTask();
    }
    checkSignal(signal);
    add(report, await this.#keepOnly(kept));
    report.bytes = at.bytes;
    report.milliseconds = performance.now() - started;
    tell('done');
    return report;
  }

  /** Indexing needs the collections and the embedder. */
  async #prepare(): Promise<void> {
    await this.#loadEmbedder();
    if (!this.ready()) await this.#session.run('_openSpecs');
  }

  /** Read from its files when it is first needed; a failure is not remembered. Answers its dimension. */
  #loadEmbedder(): Promise<number> {
    // recover() brings an engine that knows nothing of it.
    const engine = this.#session.engine();
    if (this.#embedder?.engine !== engine) {
      const dimension = loadModel(() => this.#session.engine(), this.#model);
      const loading = { engine, dimension };
      this.#embedder = loading;
      dimension.catch(() => {
        if (this.#embedder === loading) this.#embedder = undefined;
      });
    }
    return this.#embedder.dimension;
  }

  #indexStep(step: readonly ReadFile[]): Promise<StepReport> {
    const files = step.map(({ file, content }) => ({ path: file.path, bytes: content.length }));
    const message = new Message(JSON.stringify({ relaxed: this.#relaxed(), files }));
    for (const { content } of step) message.bytes(content);
    return this.#session.run('_indexFiles', message);
  }

  #keepOnly(paths: readonly string[]): Promise<StepReport> {
    return this.#session.run(
      '_removeMissing',
      new Message(JSON.stringify({ relaxed: this.#relaxed() })).strings(paths),
    );
  }

  #relaxed(): boolean {
    return this.#session.durability === 'relaxed';
  }

  /** Files whose number is known come sorted; documents of an async iterable come as they arrive. */
  async #filesOf(
    source: SpecSource,
    signal: AbortSignal | undefined,
  ): Promise<SpecFile[] | AsyncIterable<SpecDocument>> {
    if (isAsyncIterable(source)) return source;
    const items = typeof source === 'string' ? [source] : isIterable(source) ? [...source] : undefined;
    if (items === undefined) {
      throw invalid(`index: give a folder, folders, documents or files; got ${shown(source)}`, source);
    }
    if (items.length > 0 && items.every((item) => typeof item === 'string')) {
      if (!isNode()) {
        throw new NearfieldError('Unsupported', 'this host has no folders to read; hand in the files themselves');
      }
      const { listFolders } = await import('./folder.js');
      const { kind, path } = this.#session.volume;
      return inFolderOrder(await listFolders(items, { leaveOut: kind === 'node' ? path : undefined, signal }));
    }
    if (items.length > 0 && items.every(isFile)) return inFolderOrder(pickedFiles(items));
    return inFolderOrder(items.map((item) => documentFile(item as SpecDocument)));
  }

  /**
   * The blocks that answer a question best; by score, greatest first, then by id.
   *
   * ```js
   * const [best] = await specs.search('how are uploads retried', { k: 5, filter: { type: 'requirement' } });
   * ```
   *
   * Throws InvalidArgument (also for an empty question), FilterError, ConfigError, Aborted, Closed.
   */
  async search(question: string, given?: SpecSearchOptions): Promise<SpecHits> {
    const known = ['k', 'offset', 'filter', 'mode', 'fusion', 'minScore', 'highlight', 'explain', 'signal'] as const;
    const { highlight, fusion, ...options } = readOptions(given, 'search', known);
    const text = readText(question, 'question');
    if (text.trim() === '') throw invalid('the question is empty', text);
    const query = readQuery({ ...options, text, fusion: fusion ?? embeddedFusion, highlights: highlight });
    this.#session.requireOpen();
    if (this.#blocks === undefined) return [];
    if (options.mode !== 'text') {
      await this.#loadEmbedder();
      query.embed = true;
    }
    checkSignal(options.signal);
    return (await runQueries<SpecPayload>(this.#session, blocksName, 0, [query]))[0] as SpecHits;
  }

  /** The blocks of these ids, in their order; ids nobody has are left out. */
  async get(ids: readonly string[]): Promise<SpecBlock[]> {
    this.#session.requireOpen();
    return ((await this.#blocks?.get(ids)) ?? []) as SpecBlock[];
  }

  /**
   * All blocks, by ascending id, in pages of `batch` (default 256).
   *
   * ```js
   * for await (const page of specs.all()) for (const { payload } of page) console.log(payload.source);
   * ```
   */
  async *all(options?: { batch?: number | undefined }): AsyncGenerator<SpecBlock[], void, undefined> {
    const { batch } = readOptions(options, 'all', ['batch']) as { batch?: number };
    this.#session.requireOpen();
    if (this.#blocks === undefined) return;
    for await (const page of this.#blocks.scroll({ batch })) yield page as SpecBlock[];
  }

  /** What the database holds, counted. */
  async info(): Promise<SpecsInfo> {
    const { generation, recovery } = this.#session.info();
    const out: SpecsInfo = {
      documents: 0,
      blocks: 0,
      types: {},
      statuses: {},
      features: {},
      generation,
      index: { kind: 'flat', reason: '' },
      memory: {
        indexBytes: 0,
        vectorBytes: 0,
        payloadBytes: 0,
        wasmBytes: this.#session.engine().memory.byteLength,
      },
      storage: this.#session.volume.kind,
      recovery,
    };
    if (this.#blocks === undefined) return out;
    const { index, memory } = await this.#blocks.info();
    out.index = { kind: index.kind, reason: index.reason };
    out.memory = memory;
    const documents = new Set<string>();
    for await (const page of this.#blocks.scroll({ batch: 4096, include: ['payload'] })) {
      for (const { payload } of page as SpecBlock[]) {
        ++out.blocks;
        documents.add(payload.source);
        countOne(out.types, payload.type);
        countOne(out.statuses, payload.status);
        if (payload.feature !== '') countOne(out.features, payload.feature);
      }
    }
    out.documents = documents.size;
    return out;
  }

  /** Removes every block. */
  async clear(): Promise<void> {
    this.#session.requireOpen();
    if (this.#blocks === undefined) return;
    await this.#keepOnly([]);
  }

  /**
   * All blocks as JSON text: an array of objects with the members that SpecMem's blocks have (id, type, text, source,
   * status, tags, links, pinned) and ours (title, feature, lines). Vectors are left out; importJson makes them again.
   */
  async exportJson(): Promise<string> {
    const lines: string[] = [];
    for await (const page of this.all({ batch: 4096 })) {
      for (const { id, text, payload } of page) {
        const { type, ...rest } = payload;
        lines.push(JSON.stringify({ id, type, text, ...rest }));
      }
    }
    return lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`;
  }

  /**
   * Adds the blocks of exportJson() or of SpecMem, replacing those whose ids are known; members it does not know are
   * kept in the payload. Answers how many there were. A bad block fails the call before anything is written. The next
   * index() treats them as blocks of their sources: it replaces those of files it finds, and removes the others.
   *
   * Throws FormatError, naming the block, InvalidArgument, ReadOnly, StorageFailed, Closed.
   */
  async importJson(json: string): Promise<number> {
    const blocks = readBlocks(readText(json, 'json'));
    await this.#prepare();
    const dimension = await this.#loadEmbedder();
    await this.#recordSources(blocks);
    const target = new Collection<SpecPayload>(this.#session, blocksName, dimension);
    for (let first = 0; first < blocks.length; first += importStep) {
      const step = blocks.slice(first, first + importStep);
      const vectors = embedTexts(
        this.#session.engine(),
        step.map(({ text, payload }) => embeddedText(text, payload.title)),
      );
      await target.upsert(
        step.map((block, i) => {
          const vector = vectors.subarray(i * dimension, (i + 1) * dimension);
          // Without a known word there is no direction to search by.
          return vector.some((component) => component !== 0) ? { ...block, vector } : block;
        }),
      );
    }
    return blocks.length;
  }

  // Notes which blocks each source has, so that a later index() knows them. Before the blocks are written: a record that
  // names too many ids is harmless, a block that no record names would stay for good. The record has no hash, so the
  // file is read again when it is met.
  async #recordSources(blocks: readonly ImportedBlock[]): Promise<void> {
    const ids = new Map<string, Set<string>>();
    for (const { id, payload } of blocks) ids.set(payload.source, (ids.get(payload.source) ?? new Set()).add(id));
    const files = new Collection<object>(this.#session, filesName, 0);
    for (const { id, text } of await files.get([...ids.keys()], { include: ['text'] })) {
      for (const known of (text ?? '').split('\n')) if (known !== '') ids.get(id)?.add(known);
    }
    await files.upsert(Array.from(ids, ([id, known]) => ({ id, text: [...known, ''].join('\n'), payload: {} })));
  }

  /** As Database.refresh(). */
  async refresh(): Promise<boolean> {
    return this.#session.refresh();
  }

  /** As Database.writable(). */
  async writable(options?: { signal?: AbortSignal | undefined }): Promise<void> {
    await new Database(this.#session).writable(options);
  }

  /** As Database.onChange(). */
  onChange(listener: ChangeListener): () => void {
    return new Database(this.#session).onChange(listener);
  }

  /** As Database.persist(). */
  async persist(): Promise<boolean> {
    return new Database(this.#session).persist();
  }

  /** As Database.recover(). An index() that broke off goes on where it was when it is called again. */
  async recover(): Promise<void> {
    await this.#session.recover();
  }

  /** Waits for what was started, gives the lock back and frees the memory. A second close waits for the first. */
  async close(): Promise<void> {
    await this.#session.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

// Lets the page paint and answer its user. Not a timer: those of a page in the background wait for a second or more.
function nextTask(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise<void>((resolve) => {
    port1.onmessage = () => resolve();
    port2.postMessage(undefined);
  }).finally(() => port1.close());
}

function add(report: IndexReport, step: StepReport): void {
  report.filesIndexed += step.filesIndexed;
  report.filesUnchanged += step.filesUnchanged;
  report.filesRemoved += step.filesRemoved;
  report.blocksWritten += step.blocksWritten;
  report.blocksRemoved += step.blocksRemoved;
}

function countOne(counts: Record<string, number>, key: string): void {
  counts[key] = (Object.hasOwn(counts, key) ? (counts[key] as number) : 0) + 1;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof (value as { [Symbol.iterator]?: unknown } | null)?.[Symbol.iterator] === 'function';
}

function isAsyncIterable(value: unknown): value is AsyncIterable<SpecDocument> {
  return typeof (value as { [Symbol.asyncIterator]?: unknown } | null)?.[Symbol.asyncIterator] === 'function';
}

function isFile(value: unknown): value is File {
  const file = value as { name?: unknown; arrayBuffer?: unknown } | null;
  return typeof file?.name === 'string' && typeof file.arrayBuffer === 'function';
}

// As core/spec/ingest.cpp has it, so that an imported block is found like an indexed one.
function embeddedText(text: string, title: string): string {
  return title === '' || text.startsWith(title) ? text : `${title}. ${text}`;
}

const importStep = 1000;
