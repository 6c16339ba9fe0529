// nearfield/transfer: points between stores, and between stores and files.
export {
  exportPoints,
  type ExportOptions,
  type ExportReport,
  type ExportSinks,
  type PointsFormat,
} from './transfer/export.js';
export { importPoints, type ImportOptions, type ImportReport, type ImportSources } from './transfer/import.js';
export type { MigrationJournal } from './transfer/journal.js';
export { migrate, type MigrateOptions, type MigrateReport } from './transfer/migrate.js';
export type { TransferProgress } from './transfer/progress.js';
export type { Difference, Verification } from './transfer/verify.js';
export type { Failure } from './transfer/write.js';
export type { ByteSink, ByteSource } from './sinks.js';
