/** Signature Version 4 as a server sees it: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */

import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Error } from './s3-error.ts';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const authorizationPattern =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([a-z0-9-]+)\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
const skewMsMax = 15 * 60_000;

/** Throws what S3 answers when the Authorization header is absent, malformed, of other keys, too old or wrong. */
export function checkSignature(request: IncomingMessage, credentials: S3Credentials, regionHere: string): void {
  const { authorization } = request.headers;
  if (authorization === undefined) throw new S3Error('AccessDenied', 'the request is not signed');
  const match = authorizationPattern.exec(authorization);
  if (match === null) throw new S3Error('AuthorizationHeaderMalformed', 'the Authorization header has another form');
  const [, accessKeyId = '', day = '', region = '', signedHeaders = '', signature] = match;
  if (region !== regionHere) {
    const message = `the region '${region}' is wrong; expecting '${regionHere}'`;
    throw new S3Error('AuthorizationHeaderMalformed', message, { 'x-amz-bucket-region': regionHere });
  }
  if (accessKeyId !== credentials.accessKeyId)
    throw new S3Error('InvalidAccessKeyId', `no key ${accessKeyId} is known`);

  const date = headerOf(request, 'x-amz-date');
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!date.startsWith(day) || !(Math.abs(Date.now() - at) < skewMsMax)) {
    throw new S3Error('RequestTimeTooSkewed', `x-amz-date is ${date}`);
  }
  const signed = signedHeaders.split(';');
  const unsigned = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-') && !signed.includes(name));
  if (!signed.includes('host') || unsigned.length > 0) {
    throw new S3Error('AccessDenied', `headers are not signed: ${unsigned.join(', ') || 'host'}`);
  }

  const [path = '', query = ''] = (request.url ?? '').split('?');
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...signed.map((name) => `${name}:${headerOf(request, name).trim().replaceAll(/ +/g, ' ')}`),
    '',
    signedHeaders,
    headerOf(request, 'x-amz-content-sha256'),
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const hash = createHash('sha256').update(canonical).digest('hex');
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${credentials.secretAccessKey}`,
  );
  const expected = createHmac('sha256', key).update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`).digest('hex');
  if (signature !== expected) throw new S3Error('SignatureDoesNotMatch', `signed otherwise than\n${canonical}`);
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  if (value === undefined) throw new S3Error('InvalidRequest', `header ${name} is missing`);
  return Array.isArray(value) ? value.join(',') : value;
}

function canonicalQuery(query: string): string {
  const encode = (text: string) =>
    encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  return [...new URLSearchParams(query.replaceAll('+', '%2B'))]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}
