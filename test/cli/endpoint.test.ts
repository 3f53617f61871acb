import { rm } from 'node:fs/promises';
import { afterAll, expect, test } from 'vitest';
import { listenToBodies } from '../client/http-server.ts';
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
