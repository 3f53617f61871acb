/**
 * Whom requests to an endpoint on AWS are signed for: the service and region that its name tells, and credentials that are
 * still good.
 */

import type { Clock } from '../clock.ts';
import { isLogError, LogError } from '../errors.ts';
import { missingPeer } from './missing-peer.ts';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export interface AwsAuth {
  /** @default the region in the endpoint's name; a domain of your own names none, and then it must be given */
  readonly region?: string;
  /** `lambda` for function URLs. @default by the endpoint's name, else 'execute-api' */
  readonly service?: 'execute-api' | 'lambda';
  /**
   * A function is asked again when what it gave is about to expire, or is refused as expired.
   * @default what the AWS SDK finds: environment, profile, SSO, role of the function, container or instance
   */
  readonly credentials?: AwsCredentials | (() => Promise<AwsCredentials>);
}

/** Names of API Gateway (private ones behind an endpoint of a VPC too) and of function URLs. */
const awsHostPattern =
  /\.(execute-api|lambda-url)\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws|on\.aws)$/;

/** Undefined when the name of the host does not tell. */
export function awsServiceOf(host: string): Required<Pick<AwsAuth, 'service' | 'region'>> | undefined {
  const [, service, region] = awsHostPattern.exec(host) ?? [];
  if (region === undefined) return undefined;
  return { service: service === 'lambda-url' ? 'lambda' : 'execute-api', region };
}

export interface CredentialSource {
  /** Throws TOPIC_AUTHORIZATION_FAILED when there are none. */
  get(): Promise<AwsCredentials>;
  /** `credentials` were refused as expired, whatever they say themselves. False when there are no others to be had. */
  renew(credentials: AwsCredentials): boolean;
}

/** As the AWS SDK does it: credentials are asked for again this long before they expire. */
const renewAheadMs = 5 * 60_000;

export function credentialSource(given: AwsAuth['credentials'], clock: Clock): CredentialSource {
  if (typeof given === 'object') return { get: async () => given, renew: () => false };
  const ask = given ?? askSdk;
  let held: AwsCredentials | undefined;
  let asking: Promise<AwsCredentials> | undefined;
  const leftMs = ({ expiration }: AwsCredentials) =>
    expiration === undefined ? Number.POSITIVE_INFINITY : expiration.getTime() - clock.nowMs();

  const askOnce = async () => {
    try {
      held = await ask();
      return held;
    } catch (error) {
      // What is held may be good for some minutes yet, and the next request asks again.
      if (held !== undefined && leftMs(held) > 0) return held;
      if (isLogError(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new LogError('TOPIC_AUTHORIZATION_FAILED', `no AWS credentials to sign with: ${reason}`, {
        details: { reason: 'no-credentials' },
        cause: error,
      });
    } finally {
      asking = undefined;
    }
  };

  return {
    async get() {
      if (held !== undefined && leftMs(held) > renewAheadMs) return held;
      asking ??= askOnce();
      return asking;
    },
    renew(credentials) {
      if (held === credentials) held = undefined;
      return true;
    },
  };
}

async function askSdk(): Promise<AwsCredentials> {
  const { defaultProvider } = await import('@aws-sdk/credential-provider-node').catch(
    missingPeer('to find AWS credentials (or give auth.credentials)', '@aws-sdk/credential-provider-node'),
  );
  // A new chain each time: what it finds is held here, and it must not answer from what was refused.
  return defaultProvider({ ignoreCache: true })();
}
