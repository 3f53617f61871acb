/** The judge itself: what it allows, what it denies, and what it refuses to judge. */

import { describe, expect, test } from 'vitest';
import { isLike, policiesOf } from '../support/policy.ts';
import { resolveTemplate } from '../support/template.ts';

const bucket = 'arn:aws:s3:::Data';

/** A role with one policy of these statements, and a bucket with the other ones. */
function judge(statements: readonly object[], ofBucket: readonly object[] = []) {
  return policiesOf(
    resolveTemplate({
      Resources: {
        Role: { Type: 'AWS::IAM::Role', Properties: {} },
        Other: { Type: 'AWS::IAM::Role', Properties: {} },
        Data: { Type: 'AWS::S3::Bucket' },
        Policy: {
          Type: 'AWS::IAM::Policy',
          Properties: { Roles: [{ Ref: 'Role' }], PolicyDocument: { Statement: statements } },
        },
        BucketPolicy: {
          Type: 'AWS::S3::BucketPolicy',
          Properties: { Bucket: { Ref: 'Data' }, PolicyDocument: { Statement: ofBucket } },
        },
      },
    }),
  );
}

const read = { Effect: 'Allow', Action: 's3:GetObject', Resource: { 'Fn::Join': ['', [bucket, '/a/*']] } };

test('what no statement allows is denied, and what one allows is allowed to its principal alone', () => {
  const { allows } = judge([read]);
  const request = { action: 's3:GetObject', resource: `${bucket}/a/b/c` };
  expect(allows('Role', request)).toBe(true);
  expect(allows('Role', { ...request, action: 's3:getobject' })).toBe(true);
  expect(allows('Role', { ...request, action: 's3:PutObject' })).toBe(false);
  expect(allows('Role', { ...request, resource: `${bucket}/b` })).toBe(false);
  expect(allows('Other', request)).toBe(false);
  expect(() => allows('Nobody', request)).toThrow('Nobody is no principal of the template');
});

test('a Deny wins over an Allow, also the Deny of a bucket', () => {
  const request = { action: 's3:GetObject', resource: `${bucket}/a/secret` };
  const deny = { Effect: 'Deny', Action: 's3:*', Resource: `${bucket}/a/secret` };
  expect(judge([read]).allows('Role', request)).toBe(true);
  expect(judge([deny, read]).allows('Role', request)).toBe(false);
  expect(judge([read], [{ ...deny, Principal: { AWS: '*' } }]).allows('Role', request)).toBe(false);
});

test('conditions hold when all of their keys do', () => {
  const keys = (leadingKeys: readonly string[]) => ({
    action: 'dynamodb:Query',
    resource: 'table',
    context: { 'dynamodb:LeadingKeys': leadingKeys },
  });
  const Condition = { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['id/*', 'topics'] } };
  const { allows } = judge([{ Effect: 'Allow', Action: 'dynamodb:Query', Resource: 'table', Condition }]);
  expect(allows('Role', keys(['id/0', 'topics']))).toBe(true);
  expect(allows('Role', keys(['id/0', 'other/0']))).toBe(false);

  const put = { Effect: 'Allow', Action: 's3:PutObject', Resource: `${bucket}/*` };
  const condition = { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } };
  const onlyNew = { ...put, Effect: 'Deny', Principal: { AWS: '*' }, Condition: condition };
  const request = { action: 's3:PutObject', resource: `${bucket}/x` };
  const creation = { 's3:ObjectCreationOperation': ['true'] };
  expect(judge([put], [onlyNew]).allows('Role', { ...request, context: creation })).toBe(false);
  const ifAbsent = { ...creation, 's3:if-none-match': ['*'] };
  expect(judge([put], [onlyNew]).allows('Role', { ...request, context: ifAbsent })).toBe(true);
});

describe('what is not understood is refused', () => {
  const statements = {
    'another condition': { ...read, Condition: { StringEquals: { 'aws:username': 'x' } } },
    'NotAction in the place of an action': { Effect: 'Allow', NotAction: 's3:PutObject', Resource: '*' },
    'an effect of its own': { ...read, Effect: 'Perhaps' },
    'an intrinsic function': { ...read, Resource: { 'Fn::ImportValue': 'Elsewhere' } },
    'a resource that is not there': { ...read, Resource: { Ref: 'Missing' } },
  };
  test.for(Object.entries(statements))('%s', ([, statement]) => {
    expect(() => judge([statement])).toThrow(/not understood|is no resource/);
  });

  test('a bucket policy that allows', () => {
    expect(() => judge([], [{ ...read, Principal: { AWS: '*' } }])).toThrow('not understood');
  });

  test('a role with a managed policy', () => {
    const Properties = { ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess'] };
    const template = resolveTemplate({ Resources: { Role: { Type: 'AWS::IAM::Role', Properties } } });
    const { allows } = policiesOf(template);
    expect(() => allows('Role', { action: 's3:GetObject', resource: bucket })).toThrow('not understood');
  });
});

test('a star stands for any characters, slashes too, a question mark for one, and all others for themselves', () => {
  expect(isLike('a/*/c', 'a/b/b/c')).toBe(true);
  expect(isLike('a/*/c', 'a//c')).toBe(true);
  expect(isLike('a?c', 'abc')).toBe(true);
  expect(isLike('a?c', 'ac')).toBe(false);
  expect(isLike('a.c', 'abc')).toBe(false);
  expect(isLike('a*', 'ba')).toBe(false);
});
