import { rm } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { listen, listenToBodies } from '../client/http-server.ts';
import { compileCacheDir, runCli } from './run-cli.ts';

afterAll(() => rm(compileCacheDir, { recursive: true, force: true }));

const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret', AWS_SESSION_TOKEN: 'token' };
const noKeys = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '', AWS_PROFILE: '' };

/** A log without topics, and the signatures it was shown. */
async function startLog(): Promise<{ endpoint: string; seen: (string | undefined)[] }> {
  const seen: (string | undefined)[] = [];
  const endpoint = await listenToBodies(({ headers }, _, response) => {
    seen.push(headers.authorization, headers['x-amz-security-token'] as string | undefined);
    response.end('{"topics":[]}');
  });
  return { endpoint, seen };
}

test('a command signs its requests when it is told a region', async () => {
  const { endpoint, seen } = await startLog();
  const list = ['topics', 'list', '--endpoint', `${endpoint}/prod`];
  expect(await runCli([...list, '--region', 'eu-central-1'], { ...noKeys, ...keys })).toMatchObject({ exitCode: 0 });
  expect(seen).toEqual([
    expect.stringMatching(/^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/execute-api\/aws4_request, /),
    'token',
  ]);
});

test('a command does not sign for an endpoint that is none of AWS, whatever keys there are', async () => {
  const { endpoint, seen } = await startLog();
  const run = await runCli(['topics', 'list', '--endpoint', endpoint], { ...keys, AWS_REGION: 'eu-central-1' });
  expect(run).toMatchObject({ exitCode: 0 });
  expect(seen).toEqual([undefined, undefined]);
});

test('what is no region is wrong use', async () => {
  const { exitCode, stderr } = await runCli(['topics', 'list', '--region', 'Frankfurt']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('use the name of an AWS region such as eu-central-1');
});

describe('an address where no log answers', () => {
  const checkAddress = '  Check the address, of --endpoint or MILLRACE_ENDPOINT: something else answers there.\n';

  // Some were told to be a bug whose details the server's log has, and one was a TypeError.
  test.each([
    ['a page', 200, '<html>', 'what answered with status 200 is no log: its answer is not JSON'],
    ['other JSON', 200, '{"hello":1}', 'what answered with status 200 is no log: topics is not in its answer'],
    ['a page that is not there', 404, '<html>', 'the server answered with status 404'],
    [
      'a page that is elsewhere',
      301,
      '',
      'the server answered with status 301, to go to another place; requests are not sent on, name that endpoint',
    ],
  ])('is told so: %s', async (_, status, body, message) => {
    const endpoint = await listen((_, response) => response.writeHead(status).end(body));
    const { exitCode, stdout, stderr } = await runCli(['topics', 'list', '--endpoint', endpoint]);
    expect(stderr).toContain(`millrace: ${message}\n${checkAddress}  Nothing was changed by the call that failed.`);
    expect(stdout).toBe('');
    expect(exitCode).toBe(1);
  });

  test('may have made something of a request that makes', async () => {
    const endpoint = await listen((_, response) => response.end('{"hello":1}'));
    const { stderr } = await runCli(['topics', 'create', 'orders', '--endpoint', endpoint]);
    expect(stderr).toContain(`is no log: partitions is not in its answer\n${checkAddress}  It cannot be known`);
  });

  test('is told so before a log is put to the test', async () => {
    const endpoint = await listen((_, response) => response.end('{"hello":1}'));
    const { exitCode, stderr } = await runCli(['verify', '--seconds', '1', '--endpoint', endpoint]);
    expect(stderr).toContain(`is no log: topics is not in its answer\n${checkAddress}`);
    expect(exitCode).toBe(1);
  });

  test('because it is of http and not of https', async () => {
    const endpoint = (await listen(() => {})).replace('http:', 'https:');
    const { stderr } = await runCli(['topics', 'list', '--endpoint', endpoint]);
    expect(stderr).toContain(
      `millrace: ${endpoint} gave no answer: TLS failed (EPROTO); does it speak http, and not https?\n`,
    );
  });
});

test('a command that finds no keys says which', async () => {
  const none = { ...noKeys, HOME: '/nowhere', AWS_EC2_METADATA_DISABLED: 'true' };
  const { exitCode, stderr } = await runCli(['topics', 'list', '--region', 'eu-central-1'], none);
  expect(stderr).toContain('\n  Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.\n');
  expect(exitCode).toBe(1);
});
