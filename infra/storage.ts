/** Where the log lives: one bucket for record batches, one table for what points at them. */

import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import { AnyPrincipal, Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { timeToLiveAttribute } from '../lib/store/items-dynamodb.ts';

export interface StorageProps {
  /**
   * Encrypts the bucket and the table.
   * @default keys that Amazon S3 and DynamoDB own, at no charge
   */
  readonly encryptionKey?: IKey;
  /**
   * What happens to bucket and table when they leave the stack. With DESTROY the records are lost, and the bucket has to
   * be emptied before it can go.
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
  /**
   * Refuses to delete the table, whoever asks: without it the objects in the bucket cannot be read any more.
   * @default true, unless the removal policy is DESTROY
   */
  readonly deletionProtection?: boolean;
}

export function createBucket(scope: Construct, props: StorageProps): Bucket {
  const { encryptionKey, removalPolicy = RemovalPolicy.RETAIN } = props;
  const bucket = new Bucket(scope, 'Bucket', {
    ...(encryptionKey === undefined
      ? { encryption: BucketEncryption.S3_MANAGED }
      : { encryption: BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }),
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    // Objects are put if absent and never changed: a version could only keep what was deleted on purpose, at full price.
    versioned: false,
    lifecycleRules: [{ id: 'AbortMultipartUploads', abortIncompleteMultipartUploadAfter: Duration.days(1) }],
    removalPolicy,
  });
  // S3 itself refuses a put that could replace an object, whoever sends it.
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
  bucket.addToResourcePolicy(
    new PolicyStatement({
      effect: Effect.DENY,
      principals: [new AnyPrincipal()],
      actions: ['s3:PutObject'],
      resources: [bucket.arnForObjects('*')],
      conditions: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
    }),
  );
  Validations.of(bucket).acknowledge({
    id: 'AwsSolutions-S1',
    reason:
      'Only the functions and those granted direct access read or write objects. Their requests are counted in metrics; ' +
      'a server access log would be one more object for each of them.',
  });
  return bucket;
}

/**
 * One table for all items of `lib/store/items.ts`; keys as `lib/store/metadata-store-dynamodb.ts` writes them. Not
 * `TableV2`: it takes no encryption key in a stack without a region, and its replicas could not order a log.
 */
export function createTable(scope: Construct, props: StorageProps): Table {
  const { encryptionKey, removalPolicy = RemovalPolicy.RETAIN } = props;
  return new Table(scope, 'Table', {
    partitionKey: { name: 'pk', type: AttributeType.STRING },
    sortKey: { name: 'sk', type: AttributeType.STRING },
    timeToLiveAttribute,
    // On demand: a log that nobody uses costs nothing but its storage.
    billingMode: BillingMode.PAY_PER_REQUEST,
    ...(encryptionKey === undefined
      ? { encryption: TableEncryption.DEFAULT }
      : { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey }),
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    deletionProtection: props.deletionProtection ?? removalPolicy !== RemovalPolicy.DESTROY,
    removalPolicy,
  });
}
