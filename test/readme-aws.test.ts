/**
 * README's section on AWS as its reader follows it: the programs are put into an empty folder and bundled by the commands
 * shown, the stack is synthesized and put to work on this machine, and then called in every way shown. Each function has
 * the rights of its role in that stack, and no others.
 */

import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Millrace } from '../lib/client/index.ts';
import { runCommand } from './support/command.ts';
import { type Deployment, deploy } from './support/deployment.ts';
import { dynamoDbMissing } from './support/dynoxide.ts';
import { type LambdaEndpoint, startLambdaEndpoint } from './support/lambda-endpoint.ts';
import { startFunction } from './support/lambda-runtime.ts';
import { must } from './support/pack.ts';
import { normalise, readmeParts, readmeSession, readmeSnippets, repository, withSources } from './support/readme.ts';
import { resolveTemplate, type Template } from './support/template.ts';

const root = fileURLToPath(repository);
const { aws } = readmeParts;
const shellBlocks = [...aws.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
/** The function of the shell with which README signs. */
const signed = /^signed\(\) \{.*\}$/m.exec(aws)?.[0] ?? '';

describe.skipIf(dynamoDbMissing)(`README on AWS${dynamoDbMissing ?? ''}`, () => {
  let dir: string;
  let app: string;
  let shop: Shop;
  let deployed: Deployment;
  let lambda: LambdaEndpoint;

  const admin = { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'Admin', AWS_SECRET_ACCESS_KEY: 'secret of Admin' };

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-readme-aws-'));
    app = join(dir, 'app');
    await mkdir(app);
    await symlink(join(root, 'node_modules'), join(app, 'node_modules'), 'dir');
    await writeFile(join(app, 'package.json'), '{"type":"module"}');
    for (const { path, code } of readmeSnippets(aws)) {
      await writeFile(join(app, basename(path)), withSources(code, root));
    }
    const bundling = shellBlocks
      .flatMap((block) => block.split('\n'))
      .filter((line) => line.startsWith('npx esbuild '));
    expect(bundling).toHaveLength(2);
    for (const line of bundling) {
      await must(join(root, 'node_modules/.bin/esbuild'), [...line.split(' ').slice(2), '--log-level=error'], app);
    }
    await must(process.execPath, ['cdk-app.ts'], app, { ...process.env, CDK_OUTDIR: join(dir, 'cdk.out') });
    shop = readShop(JSON.parse(await readFile(join(dir, 'cdk.out/Shop.template.json'), 'utf8')));

    deployed = await deploy({
      ...shop,
      attributes: { [shop.topicId]: 'not known before it is made' },
      callers: Object.fromEntries(
        ['Admin', shop.handlerRole].map((principal) => [
          principal,
          { secretAccessKey: `secret of ${principal}`, principal },
        ]),
      ),
    });
    lambda = await startLambdaEndpoint(Object.values(deployed.functions));
  }, 120_000);
  afterAll(async () => {
    await lambda?.close();
    await deployed?.close();
    await rm(dir, { recursive: true, force: true });
  });

  /** One line of the session, as README prints it. The AWS CLI is played by curl: what it sends is one request. */
  async function runShell(command: string, sign = signed): Promise<string> {
    const cli =
      'aws() { [ "$*" = "lambda invoke --function-name $4 --payload fileb:///dev/stdin answer.json" ] || return 2; ' +
      'curl -s --data-binary @- -o answer.json "$LAMBDA/2015-03-31/functions/$4/invocations"; }';
    const env = {
      ...process.env,
      ...admin,
      MILLRACE_ENDPOINT: deployed.gateway.url,
      PRODUCE_FUNCTION: deployed.functions.produce.name,
      FETCH_FUNCTION: deployed.functions.fetch.name,
      LAMBDA: lambda.url,
    };
    const { output, errors } = await runCommand('sh', ['-c', `${sign}\n${cli}\n${command}`], { cwd: dir, env });
    return `$ ${command}\n${normalise(output)}${errors}`;
  }

  test('the session with curl and the AWS CLI prints what README shows', async ({ skip }) => {
    const steps = readmeSession(aws);
    expect(steps.length).toBeGreaterThan(4);
    if (!(await hasSigningCurl())) {
      // What comes below goes on with the topic that the session makes.
      await using log = adminClient();
      await log.admin.createTopic('orders', { partitions: 3 });
      for (const total of [12, 30]) {
        const value = JSON.stringify({ customer: 'customer-7', total });
        await log.producer('orders').send({ key: 'customer-7', value });
      }
      return skip('needs curl 7.88 or newer, which signs what README sends');
    }
    for (const { command, output } of steps) expect(await runShell(command)).toBe(`$ ${command}\n${normalise(output)}`);

    const [, header = ''] = /write\s+`(-H [^`]+)` before `"\$@"`/.exec(aws) ?? [];
    const temporary = `AWS_SESSION_TOKEN='a/b+c=='; ${signed.replace('"$@"', `${header} "$@"`)}`;
    expect(temporary).toContain('x-amz-security-token');
    const describeTopic = 'signed -o /dev/null -w "%{http_code}" "$MILLRACE_ENDPOINT/v1/topics/orders"';
    expect(await runShell(describeTopic, temporary)).toBe(`$ ${describeTopic}\n200`);
  });

  function adminClient(): Millrace {
    const credentials = { accessKeyId: 'Admin', secretAccessKey: 'secret of Admin' };
    return new Millrace({ endpoint: deployed.gateway.url, auth: { region: 'us-east-1', credentials } });
  }

  test('the function that produces does it with its one grant, and gives the number of the order', async () => {
    const { Variables } = environmentOf(shop.handler);
    expect(Variables.MILLRACE_ENDPOINT).toMatch(/^https:\/\/\w+\.execute-api\.us-east-1\.amazonaws\.com\/prod$/);
    // The name leads to AWS. What was signed for it goes to the gateway of this machine instead.
    const { hostname, port } = new URL(deployed.gateway.url);
    const reroute = `import http from 'node:http';
      import https from 'node:https';
      https.request = ({ agent, headers, hostname, ...options }) =>
        http.request({ ...options, protocol: 'http:', hostname: '${hostname}', port: ${port}, headers: { ...headers, host: hostname } });`;
    const fn = startFunction({
      folder: await assetOf(shop.handler),
      environment: {
        ...Variables,
        AWS_ACCESS_KEY_ID: shop.handlerRole,
        AWS_SECRET_ACCESS_KEY: `secret of ${shop.handlerRole}`,
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(reroute)}`,
      },
    });
    try {
      const numbers: unknown[] = [];
      for (const total of [8, 50]) {
        const { payload, error } = await fn.invoke({ customer: 'customer-7', total });
        expect(error).toBeUndefined();
        numbers.push(payload);
      }
      expect(numbers).toEqual(['1-2', '1-3']);
    } finally {
      await fn.close();
    }
  });

  test('the function that reads bucket and table itself does it with its one grant', async () => {
    await using log = adminClient();
    const { topicId } = await log.admin.describeTopic('orders');
    const guard = await deployed.guard(shop.reportRole, { [shop.topicId]: topicId });
    const { Variables } = environmentOf(shop.report);
    const fn = startFunction({
      folder: await assetOf(shop.report),
      environment: {
        ...Variables,
        AWS_ENDPOINT_URL: guard.endpoint,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
      },
    });
    try {
      const { payload, error } = await fn.invoke({});
      expect(error).toBeUndefined();
      expect(payload).toEqual({ count: 4, total: 100 });
    } finally {
      await fn.close();
    }
    expect([...guard.seen].filter((access) => access.startsWith('refused'))).toEqual([]);
  });

  test('the program that invokes prints the topics', async () => {
    const { produce, fetch, topics } = deployed.functions;
    const program = (await readFile(join(app, 'invoke.ts'), 'utf8'))
      .replace("'ProduceFunction'", `'${produce.name}'`)
      .replace("'FetchFunction'", `'${fetch.name}'`)
      .replace("'TopicsFunction'", `'${topics.name}'`);
    await writeFile(join(app, 'invoke.ts'), program);
    const env = { ...process.env, ...admin, AWS_ENDPOINT_URL_LAMBDA: lambda.url };
    const finished = await runCommand(process.execPath, ['invoke.ts'], { cwd: app, env });
    expect(finished).toEqual({ exitCode: 0, output: 'orders 3\n', errors: '' });
  });

  test('the test of a user passes', async () => {
    const finished = await runCommand(process.execPath, ['order-test.ts'], { cwd: app });
    expect(finished).toMatchObject({ exitCode: 0, output: expect.stringMatching(/pass 2$/m) });
  });

  test('every alarm of the stack stands in the table of alarms', () => {
    const document = readFileSync(join(root, 'infra/README.md'), 'utf8');
    const alarms = Object.entries(shop.template.Resources).filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm');
    const names = alarms.map(([logicalId]) => logicalId.replace(/^LogAlarms(\w+)[0-9A-F]{8}$/, '$1'));
    const rows = [...document.matchAll(/^\| ([\w, ]+) \| [^|]+ \| [^|]+ \|$/gm)].map(([, first = '']) => first);
    const written = rows.flatMap((first) => first.split(', '));
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !written.includes(name))).toEqual([]);
  });

  function propertiesOf(logicalId: string): Properties {
    const names = {
      [shop.bucket]: deployed.bucket,
      [shop.table]: deployed.table,
      [shop.topicId]: 'known to IAM alone',
    };
    return resolveTemplate(shop.template, names).resources.get(logicalId)?.Properties ?? {};
  }
  const environmentOf = (logicalId: string) =>
    propertiesOf(logicalId).Environment as { readonly Variables: Readonly<Record<string, string>> };

  /** A copy of what is deployed, with nothing around it that Lambda does not have either. */
  async function assetOf(logicalId: string): Promise<string> {
    const { S3Key } = propertiesOf(logicalId).Code as { readonly S3Key: string };
    const folder = join(dir, logicalId);
    await cp(join(dir, 'cdk.out', `asset.${basename(S3Key, '.zip')}`), folder, { recursive: true });
    return folder;
  }
});

/** The logical ids of a synthesized `cdk-app.ts`. */
interface Shop {
  readonly template: Template;
  readonly bucket: string;
  readonly table: string;
  /** The attribute by which grants name the topic. */
  readonly topicId: string;
  readonly functions: Readonly<Record<'produce' | 'fetch' | 'topics' | 'group', string>>;
  readonly handler: string;
  readonly handlerRole: string;
  readonly report: string;
  readonly reportRole: string;
}

/** With an administrator beside what the stack has. */
function readShop(synthesized: Template): Shop {
  const resources = structuredClone(synthesized.Resources) as Record<string, { Type: string; Properties?: Properties }>;
  const find = (type: string, matches: (logicalId: string, properties: Properties) => boolean = () => true): string => {
    const found = Object.entries(resources).filter(
      ([logicalId, { Type, Properties = {} }]) => Type === type && matches(logicalId, Properties),
    );
    expect(found, type).toHaveLength(1);
    return found[0]?.[0] ?? '';
  };
  const functionOf = (name: string) =>
    find('AWS::Lambda::Function', (_, { Description }) => Description === `Millrace: ${name}`);
  const own = (name: string) => {
    const role = find('AWS::IAM::Role', (logicalId) => logicalId.startsWith(`${name}ServiceRole`));
    // What CDK gives to every function: it may write its logs. The judge of this machine knows no policies of AWS's own.
    expect(JSON.stringify(resources[role]?.Properties?.ManagedPolicyArns)).toContain('AWSLambdaBasicExecutionRole');
    delete resources[role]?.Properties?.ManagedPolicyArns;
    return [find('AWS::Lambda::Function', (logicalId) => logicalId.startsWith(name)), role] as const;
  };
  const [handler, handlerRole] = own('OrderHandler');
  const [report, reportRole] = own('OrderReport');
  const statement = { Effect: 'Allow', Action: 'execute-api:Invoke', Resource: '*' };
  resources.Admin = {
    Type: 'AWS::IAM::Role',
    Properties: { Policies: [{ PolicyDocument: { Statement: [statement] } }] },
  };
  return {
    template: { Resources: resources },
    bucket: find('AWS::S3::Bucket'),
    table: find('AWS::DynamoDB::Table'),
    topicId: `${find('Custom::MillraceTopic', (_, { topic, partitions }) => topic === 'orders' && partitions === 3)}.topicId`,
    functions: {
      produce: functionOf('produce'),
      fetch: functionOf('fetch'),
      topics: functionOf('topics'),
      group: functionOf('group'),
    },
    handler,
    handlerRole,
    report,
    reportRole,
  };
}

type Properties = Record<string, unknown>;

async function hasSigningCurl(): Promise<boolean> {
  const finished = await runCommand('curl', ['--version']).catch(() => undefined);
  const [, major = 0, minor = 0] = /^curl (\d+)\.(\d+)/.exec(finished?.output ?? '')?.map(Number) ?? [];
  return major > 7 || (major === 7 && minor >= 88);
}
