/**
 * Signature Version 4 as API Gateway checks it (service `execute-api`). Source: IAM User Guide, "Create a signed AWS API
 * request"; refusals as API Gateway words them.
 */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { region } from './template.ts';

export interface SignedRequest {
  readonly method: string;
  /** As it came, percent-encoding and all, without query. */
  readonly path: string;
  readonly query: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

export type SignatureCheck =
  | { readonly accessKeyId: string }
  /** The type of gateway response, the error type in the header, and the message. */
  | { readonly refused: readonly [responseType: string, errorType: string, message: string] };

const authorizationPattern =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([a-z0-9-]+)\/execute-api\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
const skewMsMax = 5 * 60_000;

/** `secretOf` gives the secret of an access key, or undefined when there is no such key. */
export function checkSignature(
  request: SignedRequest,
  secretOf: (accessKeyId: string) => string | undefined,
): SignatureCheck {
  const { headers } = request;
  const { authorization } = headers;
  if (authorization === undefined) {
    return refuse(
      'MISSING_AUTHENTICATION_TOKEN',
      'MissingAuthenticationTokenException',
      'Missing Authentication Token',
    );
  }
  const match = authorizationPattern.exec(authorization);
  if (match === null) {
    const message = `Authorization header is not of the form of Signature Version 4: ${authorization.slice(0, 40)}`;
    return refuse('DEFAULT_4XX', 'IncompleteSignatureException', message);
  }
  const [, accessKeyId = '', day = '', scopeRegion = '', signedHeaders = '', signature = ''] = match;
  const secret = secretOf(accessKeyId);
  if (secret === undefined) {
    const message = 'The security token included in the request is invalid.';
    return refuse('DEFAULT_4XX', 'UnrecognizedClientException', message);
  }
  const date = headers['x-amz-date'] ?? '';
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!date.startsWith(day) || !(Math.abs(Date.now() - at) < skewMsMax)) {
    return refuse('INVALID_SIGNATURE', 'InvalidSignatureException', `Signature expired: ${date}`);
  }
  const expected = sign(request, secret, { date, day, scopeRegion, signedHeaders });
  const isSigned = timingSafeEqual(Buffer.from(expected), Buffer.from(signature));
  if (!isSigned || scopeRegion !== region || !signedHeaders.split(';').includes('host')) {
    const message =
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
      'and signing method. Consult the service documentation for details.';
    return refuse('INVALID_SIGNATURE', 'InvalidSignatureException', message);
  }
  return { accessKeyId };
}

function refuse(...refused: [string, string, string]): SignatureCheck {
  return { refused };
}

function sign(
  { method, path, query, headers, body }: SignedRequest,
  secret: string,
  { date, day, scopeRegion, signedHeaders }: Readonly<Record<'date' | 'day' | 'scopeRegion' | 'signedHeaders', string>>,
): string {
  const canonical = [
    method,
    // Every service but S3 encodes each segment of the path once more.
    path.split('/').map(encode).join('/'),
    [...new URLSearchParams(query.replaceAll('+', '%2B'))]
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join('&'),
    ...signedHeaders.split(';').map((name) => `${name}:${(headers[name] ?? '').trim().replaceAll(/ +/g, ' ')}`),
    '',
    signedHeaders,
    sha256(body),
  ].join('\n');
  const scope = `${day}/${scopeRegion}/execute-api/aws4_request`;
  const key = [day, scopeRegion, 'execute-api', 'aws4_request'].reduce<Buffer | string>(
    (previous, part) => createHmac('sha256', previous).update(part).digest(),
    `AWS4${secret}`,
  );
  return createHmac('sha256', key)
    .update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`)
    .digest('hex');
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
