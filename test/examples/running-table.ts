/** The demo's table of airports: redrawn in place on a terminal, a plain line now and then when piped. */

import type { Tally } from './proof.ts';

const airportsShown = 12;
const redrawMs = 100;
const plainLineMs = 200;

export interface RunningTable {
  /** Cheap: draws only when it is time to. */
  update(tallies: ReadonlyMap<string, Tally>, seenCount: number): void;
  /** Draws the whole table one last time, in either mode. */
  finish(tallies: ReadonlyMap<string, Tally>, seenCount: number): void;
}

export function createRunningTable(output: NodeJS.WriteStream, totalCount: number): RunningTable {
  const isTerminal = output.isTTY === true;
  let drawnAtMs = performance.now();
  let drawnLines = 0;

  const draw = (tallies: ReadonlyMap<string, Tally>, seenCount: number) => {
    const lines = tableLines(tallies, seenCount, totalCount);
    // Up to the first line of the last drawing; then each line is written over and cleared to its end.
    const up = drawnLines > 0 ? `\x1b[${drawnLines}A` : '';
    output.write(isTerminal ? `${up}${lines.map((line) => `${line}\x1b[K\n`).join('')}` : `${lines.join('\n')}\n`);
    drawnLines = lines.length;
  };

  return {
    update(tallies, seenCount) {
      const nowMs = performance.now();
      if (nowMs - drawnAtMs < (isTerminal ? redrawMs : plainLineMs)) return;
      drawnAtMs = nowMs;
      if (isTerminal) draw(tallies, seenCount);
      else output.write(`  ${progress(tallies, seenCount, totalCount)}\n`);
    },
    finish: draw,
  };
}

function tableLines(tallies: ReadonlyMap<string, Tally>, seenCount: number, totalCount: number): string[] {
  const busiest = [...tallies].sort(
    ([a, { count: aCount }], [b, { count: bCount }]) => bCount - aCount || (a < b ? -1 : 1),
  );
  const rows = busiest.slice(0, airportsShown).map(([airport, { count, sum }]) => {
    return `  ${airport.padEnd(8)}${number(count).padStart(8)}${(sum / count).toFixed(1).padStart(14)}`;
  });
  return [
    `  ${'airport'.padEnd(8)}${'flights'.padStart(8)}${'mean delay/min'.padStart(16)}`,
    ...rows,
    `  ${progress(tallies, seenCount, totalCount)}`,
  ];
}

function progress(tallies: ReadonlyMap<string, Tally>, seenCount: number, totalCount: number): string {
  return `${number(seenCount)} of ${number(totalCount)} flights from ${tallies.size} airports`;
}

/** Groups of three digits, the same everywhere. */
export function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
