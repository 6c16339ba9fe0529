// Progress: one line on a terminal that is written over as work goes on.

import { counted, durationText, grouped } from './terminal.js';
import type { IndexProgress } from '../specs.js';
import type { TransferProgress } from '../transfer.js';

/** How the line is spelled. `milliseconds` since the start. */
export function progressText(progress: IndexProgress, milliseconds: number): string {
  if (progress.phase === 'read') return `reading ${counted(progress.filesTotal, 'file')}`;
  const seconds = milliseconds / 1000;
  const parts = [
    `${grouped(progress.files)} of ${counted(progress.filesTotal, 'file')}`,
    counted(progress.blocks, 'block'),
  ];
  if (progress.blocks > 0 && seconds > 0) parts.push(`${grouped(progress.blocks / seconds)} blocks/s`);
  const left = progress.bytesTotal - progress.bytes;
  if (progress.bytes > 0 && left > 0) parts.push(`${durationText((milliseconds * left) / progress.bytes)} left`);
  return `indexing ${parts.join(' · ')}`;
}

/** The same for points that move. `doing`: 'copying'. */
export function transferText(progress: TransferProgress, doing: string): string {
  const { phase, done, total, pointsPerSecond, millisecondsLeft } = progress;
  const verb = { check: 'checking', copy: doing, verify: 'comparing' }[phase];
  const parts = [`${grouped(done)} of ${counted(total, 'point')}`];
  if (pointsPerSecond > 0) parts.push(`${grouped(pointsPerSecond)} points/s`);
  if (millisecondsLeft !== undefined && done < total) parts.push(`${durationText(millisecondsLeft)} left`);
  return `${verb} ${parts.join(' · ')}`;
}

export class ProgressLine<Progress = IndexProgress> {
  private readonly start = performance.now();
  private shown = false;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly spell: (progress: Progress, milliseconds: number) => string,
  ) {}

  update(progress: Progress): void {
    const text = this.spell(progress, performance.now() - this.start);
    // A line that wraps could not be written over.
    this.stream.write(`\r\x1b[K${text.slice(0, (this.stream.columns || 80) - 1)}`);
    this.shown = true;
  }

  /** Takes the line away, so that what is printed next starts at the left. */
  clear(): void {
    if (this.shown) this.stream.write('\r\x1b[K');
    this.shown = false;
  }
}
