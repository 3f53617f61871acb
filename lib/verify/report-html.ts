/** A run as one page for people: the verdict, what was found, and a timeline around each anomaly. No scripts, no requests. */

import { formatOperation } from './format.ts';
import type { Operation } from './history.ts';
import type { VerifyReport } from './verify.ts';

/** More violations are counted and not drawn. */
const anomaliesShown = 20;
/** Operations of the same partition that are drawn on either side of those that take part. */
const neighboursShown = 12;
const width = 900;
const rowHeight = 18;

export function reportHtml(report: VerifyReport, endpoint: string): string {
  const { verdict, doubts, violations, evidence, history, durationMs, seed } = report;
  const facts = Object.entries({
    endpoint,
    seed,
    'duration in ms': durationMs,
    ...evidence,
    violations: violations.length,
  });
  const anomalies = violations.slice(0, anomaliesShown).map(({ invariant, text, operations }, index) => {
    const shown = around(history.operations, operations);
    const involved = new Set(operations);
    return `<h2>${index + 1}. ${htmlText(invariant)}</h2>
<p>${htmlText(text)}</p>
${timeline(shown, involved)}
<pre>${shown.map((operation) => `${involved.has(operation) ? '>' : ' '} ${htmlText(formatOperation(operation))}`).join('\n')}</pre>`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>millrace verify: ${verdict}</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: ${width + 40}px; }
h1 b { padding: 0.1em 0.5em; color: white; background: ${colours[verdict]}; }
td { padding: 0 1em 0 0; }
td + td { font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; font-size: 12px; background: #f5f5f5; padding: 0.5em; }
svg { background: #fafafa; display: block; }
</style>
<h1>millrace verify: <b>${verdict}</b></h1>
${doubts.map((doubt) => `<p>${htmlText(doubt)}</p>`).join('\n')}
<table>
${facts.map(([name, value]) => `<tr><td>${htmlText(spaced(name))}</td><td>${htmlText(String(value))}</td></tr>`).join('\n')}
</table>
${anomalies.join('\n')}
${violations.length > anomaliesShown ? `<p>and ${violations.length - anomaliesShown} more.</p>` : ''}
</html>
`;
}

const colours = { passed: '#2a7d3f', failed: '#b3261e', unproven: '#8a6d00' } as const;

/** Those that take part and the nearest others of their partitions, in order of their starts. */
function around(operations: readonly Operation[], involved: readonly Operation[]): Operation[] {
  const places = new Set(involved.map(placeOf));
  const same = operations.filter((operation) => places.has(placeOf(operation)));
  const indexes = involved.map((operation) => same.indexOf(operation)).filter((index) => index >= 0);
  const shown = new Set(
    indexes.flatMap((index) => same.slice(Math.max(0, index - neighboursShown), index + neighboursShown + 1)),
  );
  return [...shown].sort((a, b) => a.start - b.start);
}

function placeOf(operation: Operation): string {
  return 'partition' in operation ? `${operation.topic}/${operation.partition}` : operation.topic;
}

/** Each operation a bar from its start to its end; those that take part in red. */
function timeline(shown: readonly Operation[], involved: ReadonlySet<Operation>): string {
  const from = Math.min(...shown.map(({ startMs }) => startMs));
  const to = Math.max(...shown.map(({ startMs, endMs }) => endMs ?? startMs), from + 1);
  const x = (ms: number) => ((ms - from) / (to - from)) * (width - 220) + 200;
  const rows = shown.map((operation, row) => {
    const { startMs, endMs = to, client, type, id, outcome } = operation;
    const y = row * rowHeight;
    const fill = involved.has(operation) ? '#b3261e' : outcome.kind === 'ok' ? '#6b8fb5' : '#c9c9c9';
    const bar = `<rect x="${x(startMs).toFixed(1)}" y="${y + 4}" width="${Math.max(2, x(endMs) - x(startMs)).toFixed(1)}" height="${rowHeight - 8}" fill="${fill}"/>`;
    return `<text x="0" y="${y + 13}" font-size="11">#${id} ${htmlText(client)} ${type}</text>${bar}`;
  });
  return `<svg width="${width}" height="${shown.length * rowHeight}" role="img">${rows.join('')}</svg>`;
}

function spaced(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function htmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
