// nearfield: vector and full-text search over your documents, in the browser, at the edge and in Node.
//
// Importing this starts no work and touches no global.
export { open } from './open.js';
export type { ChangeListener, Database, DatabaseInfo, OpenOptions, StorageKind } from './database.js';
export type { StorageEstimate } from './persist.js';
export type { Change, Role } from './session.js';
export type { BackupOptions, BackupProgress, BackupReport, BackupSink, BackupSource } from './backup.js';
export {
  registerBackend,
  registerVectorBackend,
  unregisterBackend,
  type Backend,
  type BackendFactory,
  type BackendSettings,
  type PartialStore,
  type SearchResult,
  type VectorBackend,
  type VectorHit,
  type VectorPoint,
  type VectorRecord,
  type VectorStore,
} from './backends.js';
export { asVectorBackend, asVectorStore } from './facades.js';
export { connect, type ConnectOptions } from './connect.js';
export type { CallOptions, EnsureReport, Store, StoreHealth, StoreInfo, StoreSnapshot } from './store.js';
export {
  checkConfig,
  type ConfigKey,
  type ConfigOptions,
  type ConfigProblem,
  type ConfigReport,
  type ConfigSource,
} from './config.js';
export {
  doctor,
  type DoctorOptions,
  type DoctorReport,
  type FileFinding,
  type FileState,
  type GenerationFinding,
  type Repair,
} from './doctor.js';
export { loadEmbedder, type Embedder, type EmbedderOptions } from './embedder.js';
export { load } from './load.js';
export type { LoadOptions, WasmSource } from './wasm.js';
export { NearfieldError, type Code } from './errors.js';
export type { FileSource } from './bytes.js';
export type { EmbedderSource } from './model.js';
export type {
  Collection,
  CollectionInfo,
  ProbeOptions,
  ProbeReport,
  CollectionSchema,
  Durability,
  Point,
  ReadOptions,
  Recovery,
  ScrollOptions,
  StoredPoint,
  UpsertReport,
  WriteOptions,
} from './collection.js';
export type { Filter, Fusion, Hit, Hits, LegScore, Part, Plan, SearchOptions } from './search.js';
export type { Vector } from './check.js';
export type { FilterOperator } from './generated/operators.js';
export type { CodeKind } from './generated/code-kinds.js';
export type { IndexKind } from './generated/kinds.js';
export type { Metric } from './generated/metrics.js';
