/**
 * Which branches of some files were taken while something ran, counted as Istanbul counts them: both ways of an `if`, written
 * or not; each `case`; both ways of `?:`; each operand of `&&`, `||` and `??`; each default value. (`?.` is no branch.)
 *
 * V8 counts blocks, and `ast-v8-to-istanbul` puts them to the syntax. Node runs TypeScript with blanks in the place of types, so
 * what lies where in the one lies there in the other.
 */

import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { pathToFileURL } from 'node:url';
import { convert } from 'ast-v8-to-istanbul';
import { parseAstAsync } from 'vitest/node';

export interface Branch {
  /** From 1. */
  readonly line: number;
  /** From 0. */
  readonly column: number;
  readonly count: number;
  /** Istanbul's: `if`, `cond-expr`, `binary-expr`, `switch`, `default-arg`; and `else` for the other way of an `if`. */
  readonly kind: string;
}

/** Runs `work`, which must load the code it is about only now. By path: each file's branches, in the order of the source. */
export async function takenBranches(
  paths: readonly string[],
  work: () => Promise<void>,
): Promise<ReadonlyMap<string, readonly Branch[]>> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  await work();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  session.disconnect();
  const coverageOf = new Map(result.map((script) => [script.url, script]));
  const branches = new Map<string, readonly Branch[]>();
  for (const path of paths) {
    const url = pathToFileURL(path).href;
    // A file that was never loaded has all its branches, and took none.
    branches.set(path, await branchesOf(path, coverageOf.get(url) ?? { url, functions: [] }));
  }
  return branches;
}

async function branchesOf(path: string, coverage: Parameters<typeof convert>[0]['coverage']): Promise<Branch[]> {
  const code = readFileSync(path, 'utf8');
  const files = Object.values(await convert({ code, coverage, ast: parseAstAsync(code, { lang: 'ts' }) as never }));
  const branches = files.flatMap((file) =>
    Object.entries(file.branchMap).flatMap(([id, { type, loc, locations }]) =>
      locations.map(({ start }, index): Branch => {
        const isElse = type === 'if' && index === 1;
        // The way that is not written has no place of its own.
        const { line, column } = start.line === undefined ? loc.start : start;
        return { line, column, count: file.b[id]?.[index] ?? 0, kind: isElse ? 'else' : type };
      }),
    ),
  );
  return branches.sort((a, b) => a.line - b.line || a.column - b.column);
}
