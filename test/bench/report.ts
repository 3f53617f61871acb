/** What a run found, as a table for people; the same as JSON for programs. */

import { peers } from './peers.ts';

export interface Target {
  readonly target: string;
  readonly measured: number;
  readonly limit: number;
  readonly unit: string;
  /** `at most`: smaller is better. */
  readonly kind: 'at most' | 'at least';
}

/** One thing measured: numbers of one unit, by who was measured. */
export interface Row {
  readonly column: string;
  readonly what: string;
  readonly unit: string;
  readonly http?: number | undefined;
  readonly direct?: number | undefined;
  /** The machine itself at the same task, by how. */
  readonly machine?: Readonly<Record<string, number>>;
  readonly targets?: readonly Target[];
}

export interface Report {
  readonly at: string;
  readonly node: string;
  readonly cpus: string;
  readonly fileSystem: string;
  readonly elapsedMs: number;
  readonly rows: readonly Row[];
}

export function isMet({ kind, measured, limit }: Target): boolean {
  return kind === 'at most' ? measured <= limit : measured >= limit;
}

export function toJson(report: Report): string {
  const rows = report.rows.map((row) => ({
    ...row,
    targets: (row.targets ?? []).map((target) => ({ ...target, isMet: isMet(target) })),
  }));
  return JSON.stringify({ ...report, rows, peers }, undefined, 2);
}

export function toText(report: Report): string {
  const measured = report.rows.map(({ what, unit, http, direct, machine = {} }) => [
    what,
    show(http, unit),
    show(direct, unit),
    Object.entries(machine)
      .map(([how, value]) => `${how} ${show(value, unit)}`)
      .join(', '),
  ]);
  const targets = report.rows.flatMap(({ targets = [] }) =>
    targets.map((target) => [
      target.target,
      show(target.measured, target.unit),
      `${target.kind} ${show(target.limit, target.unit)}`,
      isMet(target) ? 'met' : 'MISSED',
    ]),
  );
  return [
    `node ${report.node}, ${report.cpus}, ${report.fileSystem}, ${(report.elapsedMs / 1000).toFixed(0)} s`,
    'The server and its load share the processors, so over HTTP the echo is the ceiling, not the disk.',
    '',
    table([['measured', 'over HTTP', 'in process', 'the machine itself'], ...measured]),
    '',
    table([['target', 'measured', 'wanted', ''], ...targets]),
    '',
    table([
      ['peers, measured elsewhere on such a machine', '1 in flight', '32 writers', '64 KiB batches', 'read'],
      ...peers.map(({ peer, one, many, batches, catchUp }) => [peer, one, many, batches, catchUp]),
    ]),
  ].join('\n');
}

function show(value: number | undefined, unit: string): string {
  if (value === undefined) return '';
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit === '/s' ? `${text}/s` : `${text} ${unit}`;
}

export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [lines[0], widths.map((width) => '-'.repeat(width)).join('  '), ...lines.slice(1)].join('\n');
}
