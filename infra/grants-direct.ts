/**
 * What the stores send, so what a program without the functions has to be allowed; the functions' own roles hold the same.
 *
 * Where the id of the topic is known, the condition `dynamodb:LeadingKeys` keeps everything but the list of topics within
 * that topic (keys: `lib/store/items-dynamodb.ts`). Objects cannot be told apart by topic, since one holds batches of
 * several: to read one its random name must be known, which the index of its topics has, and nobody may list them. No
 * object can be replaced; see the bucket's policy in `storage.ts`.
 */

import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { acknowledgeWildcards } from './acknowledge.ts';
import type { Access, GrantedTopic } from './grants.ts';

export interface Stores {
  readonly bucket: Bucket;
  readonly table: Table;
  readonly encryptionKey: IKey | undefined;
}

interface StoreAccess {
  /** Of the items of the topic: heads, pages, producer states. */
  readonly ofTopic: readonly string[];
  /** Of the items that belong to no single topic, by their partition key. */
  readonly shared: Readonly<Record<string, readonly string[]>>;
  readonly objects: readonly string[];
}

const storeAccess: Readonly<Record<Access, StoreAccess>> = {
  produce: {
    ofTopic: ['GetItem', 'BatchGetItem', 'UpdateItem', 'PutItem'],
    shared: { topics: ['GetItem'], counter: ['UpdateItem'] },
    objects: ['PutObject'],
  },
  consume: {
    ofTopic: ['GetItem', 'BatchGetItem', 'Query'],
    shared: { topics: ['GetItem'] },
    objects: ['GetObject'],
  },
  // Whoever may change the list of topics reaches them all.
  manage: {
    ofTopic: ['GetItem', 'BatchGetItem', 'Query', 'UpdateItem', 'PutItem', 'DeleteItem', 'BatchWriteItem'],
    shared: {},
    objects: [],
  },
};

/** Throws when the topic's id is not known: the grant would silently reach every topic. */
export function grantDirect(
  stores: Stores,
  access: Access,
  topic: GrantedTopic | undefined,
  grantee: IGrantable,
): Grant {
  const isScoped = topic !== undefined && access !== 'manage';
  if (isScoped && topic.topicId === undefined) {
    throw new Error(
      `direct access to topic ${topic.topicName} needs its id: give topicId to Topic.fromTopicName ("millrace topics describe" shows it)`,
    );
  }
  const { ofTopic, shared, objects } = storeAccess[access];
  const onTable = (names: readonly string[], leadingKey?: string) => grantTable(stores, grantee, names, leadingKey);
  const grants = isScoped
    ? [
        onTable(ofTopic, `${topic.topicId}/*`),
        ...Object.entries(shared).map(([leadingKey, names]) => onTable(names, leadingKey)),
      ]
    : [onTable([...new Set([...ofTopic, ...Object.values(shared).flat()])])];
  if (objects.length > 0) grants.push(grantObjects(stores, grantee, objects));
  return [...grants, grantKey(stores, grantee)].reduce((all, grant) => all.combine(grant));
}

/** Actions on the table, all of it or the items of one partition key. */
export function grantTable(
  { table }: Stores,
  grantee: IGrantable,
  names: readonly string[],
  leadingKey?: string,
): Grant {
  return Grant.addToPrincipal({
    grantee,
    actions: names.map((name) => `dynamodb:${name}`),
    resourceArns: [table.tableArn],
    ...(leadingKey !== undefined && {
      conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [leadingKey] } },
    }),
  });
}

export function grantObjects({ bucket }: Stores, grantee: IGrantable, names: readonly string[]): Grant {
  const resourceArns = [bucket.arnForObjects('*')];
  acknowledgeWildcards(grantee, resourceArns, 'An object holds record batches of several topics under a random name.');
  return Grant.addToPrincipal({ grantee, actions: names.map((name) => `s3:${name}`), resourceArns });
}

/** To use the key of the account, where bucket and table have one. */
export function grantKey({ encryptionKey }: Stores, grantee: IGrantable): Grant {
  if (encryptionKey === undefined) return Grant.drop(grantee, 'there is no key');
  return Grant.addToPrincipal({ grantee, actions: keyActions, resourceArns: [encryptionKey.keyArn] });
}

/**
 * What S3 and DynamoDB do with the key in the caller's name; `kms:ReEncrypt*` and `kms:GenerateDataKey*` of the manuals,
 * written out. Source: DynamoDB Developer Guide, "How DynamoDB uses AWS KMS"; S3 User Guide, "Using SSE-KMS".
 */
const keyActions = [
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:Encrypt',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];
