// The embedding model: its files, and one engine's use of them.
import { readBytes, type FileSource } from './bytes.js';
import { readOptions } from './check.js';
import type { Engine } from './engine.js';
import { Message } from './message.js';

export interface EmbedderSource {
  /** One token a line. */
  vocabulary: FileSource;
  /** One row a token; core/text/model/README.md describes it. */
  table: FileSource;
}

interface EmbedderFiles {
  vocabulary: Uint8Array;
  table: Uint8Array;
}

// The files of this package are read once and kept, 4 MB: every database and embedder of a page uses the same, also
// when the network is gone by then.
let ownFiles: Promise<EmbedderFiles> | undefined;

/** Brings `model` (default: the files of this package) to the engine. Answers its dimension. */
export async function loadModel(engine: () => Engine, model: unknown): Promise<number> {
  const { vocabulary, table } = await (model === undefined ? readOwnFiles() : readFiles(model));
  const message = new Message(JSON.stringify({ vocabularyBytes: vocabulary.length }));
  message.bytes(vocabulary).bytes(table);
  // Only now: it may have been closed while the files were on their way.
  return engine().call<{ dimension: number }>('_loadEmbedder', message.finish()).dimension;
}

/** Embeddings of `texts`, row after row. The texts are well-formed. */
export function embedTexts(engine: Engine, texts: readonly string[]): Float32Array {
  const { vectors } = engine.call<{ vectors: [number, number] }>('_embed', new Message('{}').strings(texts).finish());
  return engine.memory.floats(...vectors);
}

function readOwnFiles(): Promise<EmbedderFiles> {
  ownFiles ??= readFiles({
    // Spelled out, so that bundlers see which files belong to this one.
    vocabulary: new URL('./model/vocab.txt', import.meta.url),
    table: new URL('./model/table.bin', import.meta.url),
  }).catch((error: unknown) => {
    // A failure is not remembered: the next call tries again.
    ownFiles = undefined;
    throw error;
  });
  return ownFiles;
}

async function readFiles(given: unknown): Promise<EmbedderFiles> {
  const source = readOptions(given, 'model', ['vocabulary', 'table']);
  const [vocabulary, table] = await Promise.all([
    readBytes(source.vocabulary, 'model.vocabulary'),
    readBytes(source.table, 'model.table'),
  ]);
  return { vocabulary: vocabulary.bytes, table: table.bytes };
}
