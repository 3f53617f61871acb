/**
 * Who may do what, by which door.
 *
 * | via      | allows                                      | reaches                                                           |
 * |----------|---------------------------------------------|-------------------------------------------------------------------|
 * | `http`   | execute-api:Invoke on the topic's paths     | this topic                                                        |
 * | `invoke` | lambda:InvokeFunction on one function       | every topic: IAM does not see what an invocation carries          |
 * | `direct` | single actions on the table and the bucket  | see `grants-direct.ts`: the index of this topic, and of the       |
 * |          |                                             | objects all whose names are known                                 |
 *
 * Groups have grants of their own, in `grants-group.ts`; who manages the log manages them all.
 */

import type { RestApi } from 'aws-cdk-lib/aws-apigateway';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { acknowledgeWildcards } from './acknowledge.ts';
import type { FunctionName } from './bundles.ts';
import { grantDirect, type Stores } from './grants-direct.ts';

export type Access = 'produce' | 'consume' | 'manage';

export interface GrantOptions {
  /**
   * The door the caller uses: the API over HTTP, an invoke of the function, or the stores themselves
   * (`millrace/direct`). Over `http` a grant is of one topic and nothing else. An `invoke` reaches every topic. `direct`
   * reaches the index of one topic, the names and configs of all, and any object whose random name is known; to manage
   * topics it reaches them all.
   * @default 'http'
   */
  readonly via?: 'http' | 'invoke' | 'direct';
}

/** What a grant can be on: the parts of `Millrace`. */
export interface Grantor extends Stores {
  readonly api: RestApi;
  readonly produceFunction: LambdaFunction;
  readonly fetchFunction: LambdaFunction;
  readonly topicsFunction: LambdaFunction;
  readonly groupFunction: LambdaFunction;
}

/** As much of a topic as grants need. */
export interface GrantedTopic {
  readonly topicName: string;
  /** Undefined where it is not known, as of a topic made elsewhere. */
  readonly topicId: string | undefined;
}

/** Paths of the API by access; `{topic}` is the topic granted, or `*`. A client asks for the topic's partitions first. */
const paths: Readonly<Record<Access, readonly string[]>> = {
  produce: [
    'GET /v1/topics/{topic}',
    'POST /v1/topics/{topic}/records',
    'POST /v1/topics/{topic}/batches',
    'POST /v1/producers',
  ],
  consume: [
    'GET /v1/topics/{topic}',
    'POST /v1/topics/{topic}/fetch',
    // Any partition: partitions are added while consumers run, and no path of another topic begins like these.
    'GET /v1/topics/{topic}/partitions/*/records',
    'GET /v1/topics/{topic}/partitions/*/offsets',
  ],
  manage: ['GET /v1/topics/{topic}', 'PATCH /v1/topics/{topic}', 'DELETE /v1/topics/{topic}'],
};

/** Only for those who manage the whole log: paths that name no topic, and every group but what its members send. */
const pathsOfLog = [
  'POST /v1/topics',
  'GET /v1/topics',
  'GET /v1/groups',
  'GET /v1/groups/*',
  'DELETE /v1/groups/*',
  'POST /v1/groups/*/offsets/reset',
];

const functionOf: Readonly<Record<Access, FunctionName>> = { produce: 'produce', consume: 'fetch', manage: 'topics' };

/**
 * Grants `access` to one topic, or to all when `topic` is undefined. There is no grant to produce to all topics over HTTP:
 * a `*` of IAM covers slashes as well, so whoever may `GET /v1/topics/*` may fetch from every topic.
 */
export function grantAccess(
  grantor: Grantor,
  access: Access,
  topic: GrantedTopic | undefined,
  grantee: IGrantable,
  { via = 'http' }: GrantOptions = {},
): Grant {
  const isOfLog = topic === undefined && access === 'manage';
  if (via === 'http') {
    const lines = [...paths[access], ...(isOfLog ? pathsOfLog : [])];
    return grantPaths(
      grantor,
      lines.map((line) => line.replace('{topic}', topic?.topicName ?? '*')),
      grantee,
    );
  }
  if (via === 'invoke') return grantInvoke(grantor, isOfLog ? ['topics', 'group'] : [functionOf[access]], grantee);
  return grantDirect(grantor, access, topic, grantee);
}

/** Each line is a method and a path. */
export function grantPaths({ api }: Grantor, lines: readonly string[], grantee: IGrantable): Grant {
  const resourceArns = lines.map((line) => {
    const [method, path = ''] = line.split(' ');
    return api.arnForExecuteApi(method, path, api.deploymentStage.stageName);
  });
  acknowledgeWildcards(grantee, resourceArns, 'Topics and groups are made, and partitions added, while callers run.');
  return Grant.addToPrincipal({ grantee, actions: ['execute-api:Invoke'], resourceArns });
}

function grantInvoke(grantor: Grantor, names: readonly FunctionName[], grantee: IGrantable): Grant {
  // Without the `:*` of CDK's own grantInvoke: there are no versions and no aliases.
  const resourceArns = names.map((name) => grantor[`${name}Function`].functionArn);
  return Grant.addToPrincipal({ grantee, actions: ['lambda:InvokeFunction'], resourceArns });
}
