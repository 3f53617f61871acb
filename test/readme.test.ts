import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as limits from '../lib/limits.ts';
import { metrics } from '../lib/metrics.ts';
import { type DevServer, runCommand, startDevServer } from './support/command.ts';
import {
  normalise,
  readme,
  readmeParts,
  readmeSession,
  readmeSnippets,
  readmeUrl,
  repository,
  withSources,
} from './support/readme.ts';

const pathOf = (path: string) => fileURLToPath(new URL(path, repository));

describe.each(['README.md', 'infra/README.md'])('the words of %s', (document) => {
  const text = readFileSync(pathOf(document), 'utf8');

  test('every file and heading that it links to is there', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(5);
    const missing = links.filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? pathOf(document) : join(dirname(pathOf(document)), path);
      return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
    });
    expect(missing).toEqual([]);
  });

  test('every npm script that it names is one of package.json', async () => {
    const { scripts } = JSON.parse(await readFile(pathOf('package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...text.matchAll(/npm (?:run ([\w:]+)|(start|test)\b)/g)].map(
      ([, script, short]) => script ?? short ?? '',
    );
    expect(named.filter((script) => scripts[script] === undefined)).toEqual([]);
  });

  test('every variable of ours that it names is read somewhere', () => {
    const rooms = ['lib', 'functions', 'infra', 'test'];
    const sources = rooms
      .flatMap((room) =>
        readdirSync(pathOf(room), { recursive: true, encoding: 'utf8' }).map((path) => join(room, path)),
      )
      .filter((path) => path.endsWith('.ts'))
      .map((path) => readFileSync(pathOf(path), 'utf8'))
      .join('\n');
    const named = new Set([...text.matchAll(/\bMILLRACE_[A-Z0-9_]+\b/g)].map(([name]) => name));
    expect([...named].filter((name) => !new RegExp(`\\b${name}\\b`).test(sources))).toEqual([]);
  });
});

function anchorsOf(path: string): string[] {
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('the tables', () => {
  test('the table of limits says what limits.ts says', () => {
    const rows = [...readme.matchAll(/^\| [^|]+ \| ([^|]+) \| `(\w+)` \|$/gm)];
    expect(rows.length).toBeGreaterThan(10);
    const written = rows.map(([, value, name]) => `${name}: ${value}`);
    expect(written).toEqual(rows.map(([, , name = '']) => `${name}: ${formatLimit(name)}`));
  });

  test('the table of metrics says what lib/metrics.ts says', () => {
    const rows = Object.entries(metrics).map(
      ([name, { perTopic, meaning }]) => `| ${name} | ${perTopic ? 'yes' : ''} | ${meaning} |`,
    );
    expect(readFileSync(pathOf('infra/README.md'), 'utf8')).toContain(`|---|---|---|\n${rows.join('\n')}\n`);
  });

  test('what is said to be paid for metrics is their price', () => {
    const usdOf = (count: number) => `$${(count * 0.3).toFixed(2)}`;
    const ofTopics = Object.values(metrics).filter(({ perTopic }) => perTopic).length;
    const told = readFileSync(pathOf('infra/README.md'), 'utf8').replaceAll('\n', ' ');
    expect(told).toContain(`${usdOf(Object.keys(metrics).length)} for those of a log that is used all the time`);
    expect(told).toContain(`and ${usdOf(ofTopics)} more for each topic`);
    expect(readme).toContain(`(${usdOf(ofTopics)} a month for each topic in use`);
  });
});

const dayMs = 24 * 60 * 60_000;

/** By the unit its name ends in. */
function formatLimit(name: string): string {
  const value = (limits as Readonly<Record<string, unknown>>)[name];
  if (typeof value !== 'number') return 'not in limits.ts';
  if (/Ms(Max|Default)?$/.test(name)) return value % dayMs === 0 ? `${value / dayMs} days` : `${value / 1000} s`;
  if (!/Bytes(Waiting|Held)?(Max|Default)?$/.test(name)) return value.toLocaleString('en-US');
  if (value % limits.MiB === 0) return `${value / limits.MiB} MiB`;
  return value % limits.KiB === 0 ? `${value / limits.KiB} KiB` : `${value.toLocaleString('en-US')} bytes`;
}

/** As in README, but for this machine's log: its commands are the clone's own, its programs import the sources. */
describe('the commands and programs, in the order of README', () => {
  let dir: string;
  let server: DevServer;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-readme-'));
    const { scripts } = JSON.parse(await readFile(pathOf('package.json'), 'utf8')) as { scripts: { start: string } };
    const [node, ...args] = scripts.start.split(' ');
    expect(node).toBe('node');
    server = await startDevServer(process.execPath, [...args, '--data', join(dir, 'data')], { cwd: pathOf('.') });
  });
  afterAll(async () => {
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const session = readmeSession(readmeParts.local);
  const isCurl = ({ command }: { readonly command: string }) => command.startsWith('curl ');

  test('the curl session prints what README shows', async ({ skip }) => {
    const steps = session.filter(isCurl);
    expect(steps.length).toBeGreaterThan(3);
    if (!(await hasCurl())) {
      // The programs below go on with the topic and the records that the session makes.
      for (const { command } of steps) await postAsCurlWould(command);
      skip('needs curl 7.82 or newer, which has --json');
    }
    for (const { command, output } of steps) expect(await runShell(command)).toBe(`$ ${command}\n${normalise(output)}`);
  });

  test('every block of TypeScript is a file of test/examples', async () => {
    const snippets = readmeSnippets();
    expect(snippets.length).toBe([...readme.matchAll(/^```ts$/gm)].length);
    for (const { path, code } of snippets) {
      const file = await readFile(pathOf(path), 'utf8');
      expect(withSources(code), path).toBe(file);
    }
  });

  test.for(readmeSnippets(readmeParts.local))(
    '$path runs and prints what README shows',
    async ({ path, code, output }) => {
      const program = join(dir, `${path.replaceAll('/', '-')}`.replace(/\.ts$/, '.mts'));
      await writeFile(program, withSources(code, repository.href).replaceAll(readmeUrl, server.url));
      const finished = await runCommand(process.execPath, [program]);
      expect(finished).toEqual({ exitCode: 0, output, errors: '' });
    },
  );

  test('the command line prints what README shows', async () => {
    for (const { command, output } of session.filter((step) => !isCurl(step))) {
      expect(await runShell(command)).toBe(`$ ${command}\n${normalise(output)}`);
    }
  });

  async function postAsCurlWould(command: string): Promise<void> {
    const [, body, url] = /--json '([^']*)' (\S+)/.exec(command) ?? [];
    if (body === undefined || url === undefined) return;
    const headers = { 'content-type': 'application/json' };
    await fetch(url.replace(readmeUrl, server.url), { method: 'POST', headers, body });
  }

  /** Standard output of one line of the session, as README prints it; what goes to standard error is not shown there. */
  async function runShell(command: string): Promise<string> {
    const millrace = 'millrace() { "$NODE" "$MILLRACE" "$@"; }';
    const env = {
      ...process.env,
      NODE: process.execPath,
      MILLRACE: pathOf('lib/cli/millrace.ts'),
      MILLRACE_ENDPOINT: server.url,
    };
    const { output, errors } = await runCommand(
      'sh',
      ['-c', `${millrace}\n${command.replaceAll(readmeUrl, server.url)}`],
      { env },
    );
    return output === '' && errors.startsWith('millrace:') ? errors : `$ ${command}\n${normalise(output)}`;
  }
});

async function hasCurl(): Promise<boolean> {
  const finished = await runCommand('curl', ['--version']).catch(() => undefined);
  const [, major = 0, minor = 0] = /^curl (\d+)\.(\d+)/.exec(finished?.output ?? '')?.map(Number) ?? [];
  return major > 7 || (major === 7 && minor >= 82);
}
