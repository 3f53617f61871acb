/** Requests signed for AWS (Signature Version 4) on their way into another transport. */

import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { problemContentType } from '../wire.ts';
import { type AwsAuth, type AwsCredentials, awsServiceOf, credentialSource } from './aws-auth.ts';
import { withinDeadline } from './deadline.ts';
import {
  formatQuery,
  gatewayLimits,
  type Transport,
  type TransportRequest,
  type TransportResponse,
  wrapTransport,
} from './transport.ts';

/** A clock that is this much off is corrected when a signature was refused; AWS allows five minutes. */
const skewMsMin = 60_000;
/** Credentials of a role change by the hour, and their keys would stay. */
const cachedKeysMax = 16;

/**
 * `inner` is an HTTP transport: what is signed is its endpoint with the path and the query behind it.
 * Throws INVALID_REQUEST when the region is neither given nor in the endpoint's name.
 */
export function signedTransport(inner: Transport, auth: AwsAuth, clock: Clock): Transport {
  const { hostname } = new URL(inner.endpoint);
  const named = awsServiceOf(hostname);
  const service = auth.service ?? named?.service ?? 'execute-api';
  const region = auth.region ?? named?.region;
  if (region === undefined) {
    throw new LogError('INVALID_REQUEST', `auth needs a region: the name ${hostname} does not tell it`);
  }
  const source = credentialSource(auth.credentials, clock);
  /** Keys by day and secret, as the signer makes them. */
  const cache = new Map<string, ArrayBuffer>();
  /** What the clock at the other end shows more than ours. */
  let skewMs = 0;

  async function sign(request: TransportRequest, credentials: AwsCredentials): Promise<TransportRequest> {
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    if (cache.size > cachedKeysMax) cache.clear();
    const signer = new AwsV4Signer({
      method: request.method,
      url: inner.endpoint + request.path + formatQuery(request.query),
      // The body's hash as a header: there it can be made of parts, and Lambda's web endpoints ask for it.
      headers: { ...request.headers, 'x-amz-content-sha256': hashOf(request.body ?? []) },
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service,
      region: region ?? '',
      cache,
      datetime: amzDate(clock.nowMs() + skewMs),
    });
    const { headers } = await signer.sign();
    return { ...request, headers: Object.fromEntries(headers) };
  }

  /** Whether a refused signature can be made better. */
  function canImprove(answer: TransportResponse, credentials: AwsCredentials): boolean {
    if (answer.status !== 403 || answer.header('content-type')?.startsWith(problemContentType)) return false;
    const reason = `${answer.header('x-amzn-errortype')} ${Buffer.from(answer.body.subarray(0, 1000)).toString()}`;
    if (/ExpiredToken|token.{1,50}expired/i.test(reason)) return source.renew(credentials);
    const theirSkewMs = Date.parse(answer.header('date') ?? '') - clock.nowMs();
    if (!(Math.abs(theirSkewMs - skewMs) >= skewMsMin)) return false;
    skewMs = theirSkewMs;
    return true;
  }

  async function send(request: TransportRequest): Promise<TransportResponse> {
    const deadlineMs = clock.nowMs() + request.timeoutMs;
    const attempt = async () => {
      const left = { ...request, timeoutMs: Math.max(deadlineMs - clock.nowMs(), 1) };
      const credentials = await withinDeadline(clock, left, noCredentialsInTime(request.timeoutMs), () => source.get());
      const signed = await sign(request, credentials);
      const answer = await inner({ ...signed, timeoutMs: Math.max(deadlineMs - clock.nowMs(), 1) });
      return { answer, credentials };
    };
    const { answer, credentials } = await attempt();
    return canImprove(answer, credentials) ? (await attempt()).answer : answer;
  }

  return wrapTransport(inner, send, gatewayLimits);
}

function hashOf(parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** `20260131T080000Z`. */
function amzDate(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[:-]|\.\d{3}/g, '');
}

function noCredentialsInTime(timeoutMs: number): () => LogError {
  return () =>
    new LogError('REQUEST_TIMED_OUT', `there were no AWS credentials within ${timeoutMs} ms`, { effect: 'none' });
}
