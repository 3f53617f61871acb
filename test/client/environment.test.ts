import { beforeEach, expect, test, vi } from 'vitest';
import { fromEnvironment } from '../../lib/client/index.ts';
import { listenToBodies } from './http-server.ts';

const functions = {
  MILLRACE_PRODUCE_FUNCTION: 'log-produce',
  MILLRACE_FETCH_FUNCTION: 'log-fetch',
  MILLRACE_TOPICS_FUNCTION: 'log-topics',
  MILLRACE_GROUP_FUNCTION: 'log-group',
};

beforeEach(() => {
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  return () => vi.unstubAllEnvs();
});

/** A log of no topics, by HTTP and by invoke, and the paths it was asked for. */
async function startLog(): Promise<{ endpoint: string; paths: (string | undefined)[] }> {
  const paths: (string | undefined)[] = [];
  const page = '{"topics":[]}';
  const endpoint = await listenToBodies(({ url }, _, response) => {
    paths.push(url);
    const isInvoke = url?.startsWith('/2015-03-31/functions/');
    response.end(isInvoke ? JSON.stringify({ status: 200, headers: {}, body: page, isBase64Encoded: false }) : page);
  });
  vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
  return { endpoint, paths };
}

test('a client from the environment invokes the functions that it names', async () => {
  const { endpoint, paths } = await startLog();
  await using log = fromEnvironment({ ...functions, MILLRACE_ENDPOINT: endpoint });
  expect(await log.admin.listTopics().next()).toMatchObject({ done: true });
  expect(paths).toEqual(['/2015-03-31/functions/log-topics/invocations']);
});

test('a client from the environment asks the endpoint when it names no function, or when it is told to', async () => {
  const { endpoint, paths } = await startLog();
  for (const log of [
    fromEnvironment({ MILLRACE_ENDPOINT: endpoint }),
    fromEnvironment({ ...functions, MILLRACE_ENDPOINT: endpoint }, { via: 'http' }),
  ]) {
    expect(await log.admin.listTopics().next()).toMatchObject({ done: true });
    await log.close();
  }
  expect(paths).toEqual(['/v1/topics', '/v1/topics']);
});

test('an environment that names no log is told what to set', () => {
  expect(() => fromEnvironment({ MILLRACE_ENDPOINT: '' })).toThrow(
    'the environment names no log; set MILLRACE_PRODUCE_FUNCTION, MILLRACE_FETCH_FUNCTION, MILLRACE_TOPICS_FUNCTION or MILLRACE_GROUP_FUNCTION, or MILLRACE_ENDPOINT',
  );
  expect(() => fromEnvironment(functions, { via: 'http' })).toThrow(
    'the environment names no log; set MILLRACE_ENDPOINT',
  );
});
