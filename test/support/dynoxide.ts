/**
 * DynamoDB on this machine: the emulator dynoxide in a process of its own, or the endpoint that
 * MILLRACE_TEST_DYNAMODB_ENDPOINT names (DynamoDB Local, LocalStack).
 *
 * ```ts
 * describe.skipIf(dynamoDbMissing)(`on DynamoDB${dynamoDbMissing ?? ''}`, () => { ... });
 * ```
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { tableDefinition } from '../../lib/store/items-dynamodb.ts';

export interface DynamoDb {
  readonly endpoint: string;
  /** Sends each request once, as the stores' own clients do. */
  readonly client: DynamoDBClient;
  close(): Promise<void>;
}

/** What a client needs beside the endpoint; no emulator looks at it. */
export const emulatorAccess = {
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
} as const;

const givenEndpoint = process.env.MILLRACE_TEST_DYNAMODB_ENDPOINT;
const program = fileURLToPath(
  new URL(`../../node_modules/@dynoxide/${process.platform}-${process.arch}/dynoxide`, import.meta.url),
);
const portAttemptsMax = 5;

/** Why there is no DynamoDB here; undefined when there is one. */
export const dynamoDbMissing: string | undefined =
  givenEndpoint !== undefined || existsSync(program)
    ? undefined
    : `: skipped, dynoxide is not installed for ${process.platform}-${process.arch} and MILLRACE_TEST_DYNAMODB_ENDPOINT is not set`;

export async function startDynoxide(): Promise<DynamoDb> {
  if (givenEndpoint !== undefined) {
    const client = clientOf(givenEndpoint);
    return { endpoint: givenEndpoint, client, close: async () => client.destroy() };
  }
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const child = spawn(program, ['serve', '--host', '127.0.0.1', '--port', String(port)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const kill = () => void child.kill('SIGKILL');
    process.once('exit', kill);
    const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const isListening = await Promise.race([
      // It tells both on the standard error: that it listens, and that it cannot.
      new Promise<boolean>((resolve) => {
        child.stderr.setEncoding('utf8').on('data', (text: string) => text.includes('listening on') && resolve(true));
      }),
      exited.then(() => false),
    ]);
    const client = clientOf(`http://127.0.0.1:${port}`);
    const close = async () => {
      process.off('exit', kill);
      client.destroy();
      kill();
      await exited;
    };
    if (isListening) return { endpoint: `http://127.0.0.1:${port}`, client, close };
    await close();
    // Somebody else took the port between our look and the emulator's start.
    if (attempt === portAttemptsMax) throw new Error(`${program} did not start, ${attempt} ports tried`);
  }
}

/** Makes an empty table and returns its name. */
export async function createTable(client: DynamoDBClient): Promise<string> {
  const table = `millrace-${crypto.randomUUID()}`;
  await client.send(new CreateTableCommand({ ...tableDefinition, TableName: table }));
  return table;
}

function clientOf(endpoint: string): DynamoDBClient {
  return new DynamoDBClient({ ...emulatorAccess, endpoint, maxAttempts: 1 });
}

/** The emulator has no way to choose a port and tell it, so one is looked up beforehand. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') return reject(new Error('a TCP server has a port'));
      server.close(() => resolve(address.port));
    });
  });
}
