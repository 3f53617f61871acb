/**
 * The package as its users get it: packed, installed into an empty folder, used from there. The folder has no network: the
 * dependencies are the ones of this repository, put in place of the registry's.
 */

import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand, startDevServer } from './support/command.ts';
import { cloneRepository, must } from './support/pack.ts';
import { readmeSnippets, readmeUrl, repository } from './support/readme.ts';

const pathOf = (path: string) => fileURLToPath(new URL(path, repository));

let dir: string;
let app: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-package-'));
  app = join(dir, 'app');
  await mkdir(app);
  // With the build in `prepack`, from a copy: other tests run what is built here.
  await cloneRepository(join(dir, 'clone'));
  await must('npm', ['pack', '--pack-destination', dir], join(dir, 'clone'));
  const { version, dependencies } = await readPackage(pathOf('package.json'));
  const overrides = Object.fromEntries(
    Object.keys(dependencies).map((name) => [name, `file:${pathOf(`node_modules/${name}`)}`]),
  );
  const manifest = {
    name: 'app',
    private: true,
    type: 'module',
    dependencies: { millrace: `file:../millrace-${version}.tgz` },
    overrides,
  };
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest));
  await must('npm', ['install', '--offline', '--ignore-scripts', '--omit=optional'], app);
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

async function readPackage(path: string): Promise<{ version: string; dependencies: Record<string, string> }> {
  return JSON.parse(await readFile(path, 'utf8'));
}

test('the package holds what is run and read, and nothing else', async () => {
  const installed = join(app, 'node_modules/millrace');
  const entries = await readdir(installed, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1));
  const isBuilt = /^dist\/(lib|infra)\/.+(\.js|\.d\.ts)$|^dist\/functions\/(produce|fetch|topics|group)\//;
  const others = files.filter((path) => !isBuilt.test(path));
  expect(others.sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'lib/DECISIONS.md',
    'lib/api/PROTOCOL.md',
    'package.json',
  ]);
});

test('millrace/direct keeps a log in a folder, which is there when it is opened again', async () => {
  await writeFile(
    join(app, 'direct.js'),
    `import { isLogError, openMillrace } from 'millrace/direct';
    for (const value of ['first', 'second']) {
      const log = await openMillrace({ dir: './data' });
      try {
        await log.admin.createTopic('greetings');
      } catch (error) {
        if (!isLogError(error, 'TOPIC_ALREADY_EXISTS')) throw error;
      }
      for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
        await log.producer('greetings', { compression }).send({ value: value + ' ' + compression });
      }
      for await (const { offset, valueText } of log.consumer('greetings', { follow: false })) console.log(offset, valueText);
      await log.close();
    }`,
  );
  const values = ['first', 'second'].flatMap((value) =>
    ['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((codec) => `${value} ${codec}`),
  );
  const lines = values.map((value, offset) => `${offset} ${value}`);
  const finished = await runCommand(process.execPath, ['direct.js'], { cwd: app });
  expect(finished).toEqual({
    exitCode: 0,
    output: [...lines.slice(0, 5), ...lines, ''].join('\n'),
    errors: '',
  });
});

test('the bin serves a log that the client in the same package fills and reads', async () => {
  const bin = join(app, 'node_modules/.bin/millrace');
  const server = await startDevServer(bin, ['dev', '--memory'], { cwd: app });
  try {
    await writeFile(
      join(app, 'http.js'),
      `import { Millrace } from 'millrace';
      const log = new Millrace({ endpoint: '${server.url}' });
      await log.admin.createTopic('orders', { partitions: 2 });
      console.log(await log.producer('orders').send({ key: 'k', value: 'v', timestamp: 5 }));
      for await (const { keyText, valueText } of log.consumer('orders', { follow: false })) console.log(keyText, valueText);
      await log.close();`,
    );
    const finished = await runCommand(process.execPath, ['http.js'], { cwd: app });
    expect(finished).toEqual({ exitCode: 0, output: '{ partition: 0, offset: 0, timestamp: 5 }\nk v\n', errors: '' });
  } finally {
    await server.stop();
  }
});

test('the bin knows its version', async () => {
  const { version } = await readPackage(pathOf('package.json'));
  const finished = await runCommand(join(app, 'node_modules/.bin/millrace'), ['--version']);
  expect(finished).toEqual({ exitCode: 0, output: `${version}\n`, errors: '' });
});

test('the bin says which Node.js it needs when it is run by an older one', async () => {
  // Stands in for an old Node.js: what differs for the bin is the version it sees.
  const disguise = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.0' } })";
  const bin = join(app, 'node_modules/millrace/dist/lib/cli/millrace.js');
  const args = ['--import', `data:text/javascript,${encodeURIComponent(disguise)}`, bin, '--version'];
  expect(await runCommand(process.execPath, args)).toEqual({
    exitCode: 1,
    output: '',
    errors: 'millrace: needs Node.js 22.19 or newer, this is 20.20.0\n',
  });
});

test('the programs of README compile against the types of the package, with every library checked', async () => {
  const sources = join(app, 'src');
  await mkdir(sources);
  // The app of the CDK is compiled in `infra/package.test.ts`, where its library is.
  for (const { path, code } of readmeSnippets().filter((snippet) => !snippet.path.endsWith('/cdk-app.ts'))) {
    await writeFile(
      join(sources, path.slice(path.lastIndexOf('/') + 1)),
      code.replaceAll(readmeUrl, 'http://127.0.0.1:1'),
    );
  }
  // The types speak of AbortSignal and of streams, which for a program on Node.js come from here.
  await mkdir(join(app, 'node_modules/@types'), { recursive: true });
  await symlink(pathOf('node_modules/@types/node'), join(app, 'node_modules/@types/node'), 'dir');
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024'],
    module: 'nodenext',
    moduleResolution: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    allowImportingTsExtensions: true,
    skipLibCheck: false,
    noEmit: true,
  };
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  const finished = await runCommand(process.execPath, [pathOf('node_modules/typescript/bin/tsc'), '-p', '.'], {
    cwd: app,
  });
  expect(finished).toEqual({ exitCode: 0, output: '', errors: '' });
});
