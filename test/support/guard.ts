/**
 * Stands between a program and the emulators of S3 and DynamoDB and lets through what the program's role may do, by the
 * policies of a template: no emulator does that. Tells every access it was asked for.
 */

import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AccessRequest, Policies } from './policy.ts';
import { accountId, region } from './template.ts';

export interface GuardOptions {
  readonly policies: Policies;
  /** Logical id of the role. */
  readonly principal: string;
  readonly s3Endpoint: string;
  readonly dynamoDbEndpoint: string;
}

export interface Guard {
  /** For AWS_ENDPOINT_URL: one address for both services. */
  readonly endpoint: string;
  /** Each access once: `dynamodb:GetItem`, `s3:PutObject`; refused ones with `refused ` before. */
  readonly seen: Set<string>;
  close(): Promise<void>;
}

export async function startGuard({ policies, principal, s3Endpoint, dynamoDbEndpoint }: GuardOptions): Promise<Guard> {
  const seen = new Set<string>();
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer(async (incoming, outgoing) => {
    const body = Buffer.concat(await incoming.toArray());
    const target = incoming.headers['x-amz-target'];
    const isS3 = target === undefined;
    const accesses = isS3 ? s3Accesses(incoming) : dynamoDbAccesses(String(target), body);
    const refused = accesses.find((access) => !policies.allows(principal, access));
    for (const access of accesses) seen.add(access === refused ? `refused ${access.action}` : access.action);
    if (refused !== undefined) return isS3 ? denyS3(outgoing) : denyDynamoDb(outgoing, principal, refused);
    const forwarded = http.request(
      new URL(incoming.url ?? '', isS3 ? s3Endpoint : dynamoDbEndpoint),
      // With the host as it was signed.
      { method: incoming.method, headers: incoming.headers, agent, setHost: false },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    forwarded.on('error', () => outgoing.destroy());
    forwarded.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        agent.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Path-style requests only. */
function s3Accesses({ method, url = '', headers }: http.IncomingMessage): AccessRequest[] {
  const [path = '', query = ''] = url.split('?');
  const [, bucket, key] = /^\/([^/]+)\/?(.*)$/.exec(path) ?? [];
  const resource = `arn:aws:s3:::${bucket}`;
  if (method === 'GET' && key === '' && query.includes('list-type=2')) return [{ action: 's3:ListBucket', resource }];
  const actions: Partial<Record<string, string>> = { GET: 's3:GetObject', HEAD: 's3:GetObject', PUT: 's3:PutObject' };
  const action = actions[method ?? ''];
  if (action === undefined || key === '') throw new Error(`guard: ${method} ${url} is not understood`);
  const condition = headers['if-none-match'];
  const context = {
    'aws:SecureTransport': ['true'],
    's3:TlsVersion': ['1.3'],
    's3:ObjectCreationOperation': [String(action === 's3:PutObject')],
    ...(condition !== undefined && { 's3:if-none-match': [condition] }),
  };
  return [{ action, resource: `${resource}/${key}`, context }];
}

interface TableRequest {
  readonly TableName?: string;
  readonly Key?: Keyed;
  readonly Item?: Keyed;
  readonly Keys?: readonly Keyed[];
  readonly KeyConditionExpression?: string;
  readonly ExpressionAttributeValues?: Readonly<Record<string, { readonly S?: string }>>;
}
interface Keyed {
  readonly pk: { readonly S: string };
}

/** An access for each table and, within a transaction, for each of its steps. */
function dynamoDbAccesses(target: string, body: Buffer): AccessRequest[] {
  const operation = target.split('.')[1] ?? '';
  const request = JSON.parse(body.toString());
  if (operation === 'TransactWriteItems') {
    const steps = request.TransactItems as readonly Readonly<Record<string, TableRequest>>[];
    const names: Record<string, string> = { Put: 'PutItem', Update: 'UpdateItem', Delete: 'DeleteItem' };
    return steps.flatMap((step) =>
      Object.entries(step).map(([kind, input]) => access(names[kind] ?? `${kind}Item`, input)),
    );
  }
  if (operation === 'BatchGetItem') {
    return Object.entries(request.RequestItems as Record<string, TableRequest>).map(([TableName, input]) =>
      access(operation, { TableName, ...input }),
    );
  }
  if (operation === 'BatchWriteItem') {
    return Object.entries(request.RequestItems as Record<string, Record<string, TableRequest>[]>).map(
      ([TableName, writes]) => {
        const Keys = writes.flatMap((write) => Object.values(write).flatMap(({ Key, Item }) => Key ?? Item ?? []));
        return access(operation, { TableName, Keys });
      },
    );
  }
  return [access(operation, request)];
}

function access(operation: string, request: TableRequest): AccessRequest {
  const keys = [request.Key, request.Item, ...(request.Keys ?? [])].flatMap((key) => key?.pk.S ?? []);
  if (operation === 'Query') {
    const [, value = ''] = /\bpk = (:\w+)/.exec(request.KeyConditionExpression ?? '') ?? [];
    keys.push(...[request.ExpressionAttributeValues?.[value]?.S].flatMap((text) => text ?? []));
  }
  if (keys.length === 0) throw new Error(`guard: ${operation} has no keys: ${JSON.stringify(request)}`);
  return {
    action: `dynamodb:${operation}`,
    resource: `arn:aws:dynamodb:${region}:${accountId}:table/${request.TableName}`,
    context: { 'dynamodb:LeadingKeys': keys },
  };
}

function denyS3(outgoing: http.ServerResponse): void {
  outgoing.writeHead(403, { 'content-type': 'application/xml' });
  outgoing.end('<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>');
}

function denyDynamoDb(outgoing: http.ServerResponse, principal: string, { action, resource }: AccessRequest): void {
  const Message = `User: ${principal} is not authorized to perform: ${action} on resource: ${resource}`;
  outgoing.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
  outgoing.end(JSON.stringify({ __type: 'com.amazon.coral.service#AccessDeniedException', Message }));
}
