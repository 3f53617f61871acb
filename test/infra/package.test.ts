/** The constructs as their users get them: packed, in an empty folder, with no tool to bundle anything; and a clean clone. */

import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../support/command.ts';
import { cloneRepository, must } from '../support/pack.ts';
import { readmeSnippets, repository } from '../support/readme.ts';

const modules = fileURLToPath(new URL('node_modules', repository));
const functions = ['fetch', 'group', 'produce', 'topics'];

let dir: string;
let clone: string;
let app: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-cdk-'));
  clone = join(dir, 'clone');
  app = join(dir, 'app');
  await cloneRepository(clone);
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Every bundle in a cloud assembly. */
async function assetsOf(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  return files.filter((path) => /^asset\.[0-9a-f]+\/index\.mjs$/.test(path));
}

const cdk = join(modules, '.bin/cdk');
const cdkEnvironment = { ...process.env, CDK_DISABLE_CLI_TELEMETRY: 'true', CI: 'true' };

test('cdk synth in a clean clone builds the bundles and the template', async () => {
  const output = await must(cdk, ['synth', '--no-color'], clone, cdkEnvironment);
  expect(output).toContain('AWS::ApiGateway::RestApi');
  expect(await assetsOf(join(clone, 'cdk.out'))).toHaveLength(functions.length);
  const template = JSON.parse(await readFile(join(clone, 'cdk.out/Millrace.template.json'), 'utf8'));
  expect(Object.keys(template.Outputs).sort()).toEqual([
    'Bucket',
    'Endpoint',
    'FetchFunction',
    'GroupFunction',
    'ProduceFunction',
    'Table',
    'TopicsFunction',
  ]);
}, 120_000);

test('a finding of the security check fails the synth', async () => {
  const source = await readFile(join(clone, 'infra/app.ts'), 'utf8');
  const bucket = "new (await import('aws-cdk-lib/aws-s3')).Bucket(stack, 'Bad');";
  await writeFile(join(clone, 'infra/bad-app.ts'), source.replace('app.synth();', `${bucket}\napp.synth();`));
  const finished = await runCommand(process.execPath, ['infra/bad-app.ts'], { cwd: clone, env: cdkEnvironment });
  await rm(join(clone, 'infra/bad-app.ts'));
  expect(finished.exitCode).not.toBe(0);
  expect(finished.errors).toContain('AwsSolutions-S10');
}, 120_000);

const appOfReadme = readmeSnippets().find(({ path }) => path === 'test/examples/cdk-app.ts')?.code ?? '';

test('the app of README synthesizes in an empty folder from the packed package, with its types checked', async () => {
  await must('npm', ['pack', '--pack-destination', dir], clone);
  const [tarball = ''] = (await readdir(dir)).filter((name) => name.endsWith('.tgz'));
  await mkdir(join(app, 'node_modules/millrace'), { recursive: true });
  await must('tar', ['-xzf', join(dir, tarball), '--strip-components=1', '-C', 'node_modules/millrace'], app);
  // What a user of the constructs installs beside it, and nothing else: no esbuild, no AWS SDK.
  for (const name of ['aws-cdk-lib', 'constructs'])
    await symlink(join(modules, name), join(app, 'node_modules', name), 'dir');
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'shop', type: 'module', private: true }));
  await writeFile(join(app, 'app.ts'), appOfReadme);
  const own = ['order-handler', 'order-report'];
  for (const name of own) {
    await mkdir(join(app, 'dist', name), { recursive: true });
    await writeFile(join(app, 'dist', name, 'index.js'), `exports.handler = async () => '${name}';`);
  }

  await must(process.execPath, ['app.ts'], app, { PATH: '/nowhere', CDK_OUTDIR: join(app, 'cdk.out') });
  const template = JSON.parse(await readFile(join(app, 'cdk.out/Shop.template.json'), 'utf8'));
  const types = Object.values(template.Resources as Record<string, { Type: string }>).map(({ Type }) => Type);
  expect(types.filter((type) => type === 'AWS::Lambda::Function')).toHaveLength(functions.length + own.length);
  expect(types).toContain('Custom::MillraceTopic');
  const assets = await assetsOf(join(app, 'cdk.out'));
  expect(assets).toHaveLength(functions.length);
  for (const path of assets) {
    const bundle = await readFile(join(app, 'cdk.out', path), 'utf8');
    // Nothing is left to be found at run time but what Node.js has.
    const imported = [...bundle.matchAll(/\bfrom\s*["']([@\w][\w@./:-]*)["']/g)].map(([, name = '']) => name);
    expect(imported).toContain('node:module');
    expect(imported.filter((name) => !isBuiltin(name))).toEqual([]);
  }

  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024'],
    module: 'nodenext',
    types: ['node'],
    typeRoots: [join(modules, '@types')],
    strict: true,
    exactOptionalPropertyTypes: true,
    // The library of AWS has its own mistakes; ours would show in app.ts.
    skipLibCheck: true,
    noEmit: true,
  };
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.ts'] }));
  await must(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', '.'], app);
}, 120_000);
