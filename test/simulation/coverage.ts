/** Which branches of the log the simulation takes. `--help` says how. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Branch } from './branches.ts';
import { oneOf, Progress, profiles, runCommand, wholeNumber } from './command.ts';
import { type BranchLeftOut, branchesLeftOut, filesLeftOut, partsLeftOut } from './left-out.ts';

const percentMin = 90;

const usage = `
Simulates seeds of both profiles and prints which branches of the log's source were taken: for each file and folder how many
of how many, and those that were not, with the reason where there is one. Branches are counted as Istanbul counts them: both
ways of an "if" and of "?:", each "case", each operand of "&&", "||" and "??", each default value.

  node test/simulation/coverage.ts [options]

  --seeds N             how many seeds of each profile [200]
  --from N              the first of them [1]
  --profile local|aws   only this one
  --json                print JSON

Exit code 0: at least ${percentMin} % of the branches of every folder were taken; 1: fewer; 2: an option is wrong.

  node test/simulation/coverage.ts --seeds 1000
  node test/simulation/coverage.ts --seeds 50 --from 5000 --profile aws
`;

const options = {
  seeds: { type: 'string', default: '200' },
  from: { type: 'string', default: '1' },
  profile: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

const folders = ['lib/produce', 'lib/fetch', 'lib/topic', 'lib/store', 'lib/group'];
const root = new URL('../../', import.meta.url).pathname;

interface FileReport {
  readonly file: string;
  readonly branchCount: number;
  readonly coveredCount: number;
  readonly uncovered: readonly (Pick<Branch, 'line' | 'column' | 'kind'> & {
    readonly source: string;
    readonly reason: string | undefined;
  })[];
}

await runCommand(usage, options, async ({ json, ...values }) => {
  const from = wholeNumber('from', values.from, 0);
  const seedCount = wholeNumber('seeds', values.seeds, 1);
  const chosen = values.profile === undefined ? profiles : [oneOf('profile', values.profile, profiles)];
  // Loads Vite, which is as large as it is.
  const { takenBranches } = await import('./branches.ts');

  const files = filesOf(folders);
  const progress = new Progress();
  const branches = await takenBranches(
    files.map((file) => join(root, file)),
    async () => {
      const { simulate } = await import('./simulation.ts');
      let done = 0;
      for (const profile of chosen) {
        for (let seed = from; seed < from + seedCount; seed++) {
          await simulate({ seed, profile });
          done += 1;
          await progress.tell(
            () => `${profile}: ${done} of ${seedCount * chosen.length} seeds, ${progress.rate(done)}`,
          );
        }
      }
    },
  );
  progress.end();

  const reports = files.map((file) => report(file, branches.get(join(root, file)) ?? []));
  const totals = folders.map((folder) => {
    const own = reports.filter(({ file }) => file.startsWith(`${folder}/`));
    return { folder, ...sum(own), percent: percentOf(sum(own)) };
  });
  if (json)
    console.log(
      JSON.stringify({ profiles: chosen, from, seedCount, totals, files: reports, filesLeftOut, partsLeftOut }),
    );
  else console.log(formatted(reports, totals));
  return totals.every(({ percent }) => percent >= percentMin) ? 0 : 1;
});

function filesOf(of: readonly string[]): string[] {
  const all = of.flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`));
  const gone = Object.keys(filesLeftOut).find((file) => !all.includes(file));
  if (gone !== undefined) throw new Error(`${gone} is left out, and not there`);
  return all.filter((file) => file.endsWith('.ts') && !(file in filesLeftOut));
}

function report(file: string, all: readonly Branch[]): FileReport {
  const text = readFileSync(join(root, file), 'utf8');
  const lines = text.split('\n');
  const placeOf = ({ line, column }: Branch) => {
    return lines.slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, column);
  };
  const branches = all.filter((branch) => reasonOf(partsLeftOut, file, text, placeOf(branch)) === undefined);
  const uncovered = branches
    .filter(({ count }) => count === 0)
    .map((branch) => {
      const { line, column, kind } = branch;
      const source = (lines[line - 1] ?? '').slice(column);
      return { line, column, kind, source, reason: reasonOf(branchesLeftOut, file, text, placeOf(branch)) };
    });
  return { file, branchCount: branches.length, coveredCount: branches.length - uncovered.length, uncovered };
}

function reasonOf(of: readonly BranchLeftOut[], file: string, text: string, at: number): string | undefined {
  for (const left of of.filter((one) => one.file === file)) {
    const start = text.indexOf(left.source);
    if (start < 0 || start !== text.lastIndexOf(left.source)) {
      throw new Error(`this is left out, and must be in ${file} once: ${left.source}`);
    }
    if (at >= start && at < start + left.source.length) return left.reason;
  }
  return undefined;
}

type Counts = Pick<FileReport, 'branchCount' | 'coveredCount'>;

function sum(counts: readonly Counts[]): Counts {
  return {
    branchCount: counts.reduce((total, { branchCount }) => total + branchCount, 0),
    coveredCount: counts.reduce((total, { coveredCount }) => total + coveredCount, 0),
  };
}

function percentOf({ branchCount, coveredCount }: Counts): number {
  return branchCount === 0 ? 100 : Math.floor((1_000 * coveredCount) / branchCount) / 10;
}

function formatted(
  reports: readonly FileReport[],
  totals: readonly (Counts & { readonly folder: string; readonly percent: number })[],
): string {
  const row = (name: string, counts: Counts) =>
    `| ${name} | ${counts.branchCount} | ${counts.coveredCount} | ${percentOf(counts).toFixed(1)} % |`;
  const head = (name: string) => [`| ${name} | branches | covered | percent |`, '|---|---:|---:|---:|'];
  return [
    ...head('folder'),
    ...totals.map((total) => row(total.folder, total)),
    row('all', sum(totals)),
    '',
    ...head('file'),
    ...reports.filter(({ branchCount }) => branchCount > 0).map((one) => row(one.file, one)),
    '',
    'not covered:',
    ...reports.flatMap(({ file, uncovered }) =>
      uncovered.map(({ line, column, kind, source, reason }) => {
        const place = `${file}:${line}:${column + 1}`;
        return `  ${place} ${kind}: ${source}${reason === undefined ? '' : `\n    ${reason}`}`;
      }),
    ),
    '',
    'left out:',
    ...Object.entries(filesLeftOut).map(([file, reason]) => `  ${file}: ${reason}`),
    ...partsLeftOut.map(({ file, source, reason }) => `  ${file}, ${source.split('\n')[0]}: ${reason}`),
  ].join('\n');
}
