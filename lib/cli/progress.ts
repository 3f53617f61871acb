/** How far a long command is: pure texts, and the line on a terminal that keeps being rewritten. */

import type { Clock } from '../clock.ts';

const refreshMs = 200;
/** Without a terminal (`--progress` into a file) every refresh is a line of its own, so there are fewer. */
const refreshPlainMs = 2000;

export interface Progress {
  readonly label: string;
  readonly recordCount: number;
  readonly bytes: number;
  /** How much there is in all, in records or bytes; undefined when nobody knows. */
  readonly total: { readonly unit: 'records' | 'bytes'; readonly count: number } | undefined;
  readonly elapsedMs: number;
}

/** `produced 1,200 records, 3.4 MB, 1.1 MB/s, 45%, 4s left`. */
export function progressText(progress: Progress): string {
  const { label, recordCount, bytes, total, elapsedMs } = progress;
  const parts = [`${label} ${formatCount(recordCount, 'record')}`, formatBytes(bytes), formatRate(bytes, elapsedMs)];
  if (total !== undefined && total.count > 0) {
    const done = total.unit === 'bytes' ? bytes : recordCount;
    parts.push(`${Math.min(100, Math.floor((done / total.count) * 100))}%`);
    const left = timeLeftMs(done, total.count, elapsedMs);
    if (left !== undefined) parts.push(`${formatDuration(left)} left`);
  }
  return parts.join(', ');
}

/** Time left at the mean rate so far; undefined before anything was done, 0 when all is. */
export function timeLeftMs(done: number, total: number, elapsedMs: number): number | undefined {
  if (done <= 0 || elapsedMs <= 0) return undefined;
  return Math.max(0, (elapsedMs / done) * (total - done));
}

export function formatCount(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

/** Decimal units, as networks and disks are sold: `999 B`, `1.5 kB`, `50.0 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  let value = bytes / 1000;
  let unit = 0;
  // 999.95 would be shown as 1000.0 of the smaller unit.
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

export function formatRate(bytes: number, elapsedMs: number): string {
  return `${formatBytes(elapsedMs <= 0 ? 0 : (bytes / elapsedMs) * 1000)}/s`;
}

/** `250 ms`, `4s`, `1m 05s`, `2h 03m`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`;
  return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, '0')}m`;
}

/** Counts, and rewrites a line on standard error while it is shown. */
export class ProgressLine {
  recordCount = 0;
  bytes = 0;
  private readonly startMs: number;
  private lastShownMs: number;

  private readonly label: string;
  private readonly total: Progress['total'];
  private readonly isShown: boolean;
  private readonly clock: Clock;
  private readonly stream: { readonly isTTY?: boolean; write(text: string): unknown };

  constructor(options: {
    readonly label: string;
    readonly total: Progress['total'];
    readonly isShown: boolean;
    readonly clock: Clock;
    readonly stream: { readonly isTTY?: boolean; write(text: string): unknown };
  }) {
    this.label = options.label;
    this.total = options.total;
    this.isShown = options.isShown;
    this.clock = options.clock;
    this.stream = options.stream;
    this.startMs = options.clock.nowMs();
    this.lastShownMs = this.startMs;
  }

  get elapsedMs(): number {
    return this.clock.nowMs() - this.startMs;
  }

  add(recordCount: number, bytes: number): void {
    this.recordCount += recordCount;
    this.bytes += bytes;
    if (!this.isShown) return;
    const nowMs = this.clock.nowMs();
    if (nowMs - this.lastShownMs < (this.stream.isTTY ? refreshMs : refreshPlainMs)) return;
    this.lastShownMs = nowMs;
    const text = progressText({
      label: this.label,
      recordCount: this.recordCount,
      bytes: this.bytes,
      total: this.total,
      elapsedMs: nowMs - this.startMs,
    });
    this.stream.write(this.stream.isTTY ? `\r${text}\x1b[K` : `${text}\n`);
  }

  /** `3.4 MB in 2s, 1.7 MB/s`. */
  summary(): string {
    const { bytes, elapsedMs } = this;
    return `${formatBytes(bytes)} in ${formatDuration(elapsedMs)}, ${formatRate(bytes, elapsedMs)}`;
  }

  /** Takes the line away, so that the next text begins on a clean one. */
  clear(): void {
    if (this.isShown && this.stream.isTTY) this.stream.write('\r\x1b[K');
  }
}
