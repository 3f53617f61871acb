/** Tells cdk-nag why a statement of ours has a wildcard, where it looks for that: on the role of the grantee. */

import { Stack, Validations } from 'aws-cdk-lib';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';

export function acknowledgeWildcards(grantee: IGrantable, arns: readonly string[], reason: string): void {
  const { grantPrincipal } = grantee;
  if (!Construct.isConstruct(grantPrincipal)) return;
  const stack = Stack.of(grantPrincipal);
  for (const arn of arns.map((token) => flatten(stack.resolve(token))).filter((text) => text.includes('*'))) {
    Validations.of(grantPrincipal).acknowledge({ id: `AwsSolutions-IAM5[Resource::${arn}]`, reason });
  }
}

/** A reference as cdk-nag names it: `<Bucket.Arn>/*`. */
function flatten(value: unknown): string {
  if (typeof value === 'string') return value;
  const [[fn, argument] = ['', '']] = Object.entries(value as Record<string, unknown>);
  if (fn === 'Ref') return `<${argument}>`;
  if (fn === 'Fn::GetAtt') return `<${(argument as string[]).join('.')}>`;
  if (fn === 'Fn::Join') return (argument as [string, unknown[]])[1].map(flatten).join('');
  return JSON.stringify(value);
}
