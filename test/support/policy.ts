/**
 * The policies of a template, evaluated as IAM does: denied unless a statement of the principal allows it, and a Deny wins,
 * that of a bucket's policy too. What it does not understand it refuses to evaluate, so that a test cannot pass by what
 * was overlooked. Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements".
 */

import type { ResolvedTemplate } from './template.ts';

export interface AccessRequest {
  /** For example `execute-api:Invoke`. */
  readonly action: string;
  readonly resource: string;
  /** Context keys that the request has, for example `dynamodb:LeadingKeys`. */
  readonly context?: Readonly<Record<string, readonly string[]>>;
}

export interface Policies {
  /** Whether the role or user with this logical id may do it. */
  allows(principal: string, request: AccessRequest): boolean;
}

interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

export function policiesOf(template: ResolvedTemplate): Policies {
  const statements = new Map<string, Statement[]>();
  /** Have a boundary, a managed policy or a group, of which none is evaluated. */
  const notJudged = new Set<string>();
  for (const { logicalId, Properties } of ['Role', 'User'].flatMap((kind) => template.ofType(`AWS::IAM::${kind}`))) {
    const { PermissionsBoundary, ManagedPolicyArns, Groups, Policies } = Properties;
    if ((PermissionsBoundary ?? ManagedPolicyArns ?? Groups) !== undefined) notJudged.add(logicalId);
    const documents = listOf<{ PolicyDocument: unknown }>(Policies).map(({ PolicyDocument }) => PolicyDocument);
    statements.set(
      logicalId,
      documents.flatMap((document) => parseDocument(document)),
    );
  }
  for (const { Properties } of template.ofType('AWS::IAM::Policy')) {
    const { Roles, Users, Groups, PolicyDocument } = Properties;
    if (Groups !== undefined) throw new Error('policy: groups are not evaluated');
    for (const name of [...listOf<string>(Roles), ...listOf<string>(Users)]) {
      statements.get(name)?.push(...parseDocument(PolicyDocument));
    }
  }
  const ofBuckets = template.ofType('AWS::S3::BucketPolicy').flatMap(({ Properties }) => {
    return parseDocument(Properties.PolicyDocument, true);
  });

  return {
    allows(principal, request) {
      const own = statements.get(principal);
      if (own === undefined) throw new Error(`policy: ${principal} is no principal of the template`);
      if (notJudged.has(principal)) throw new Error(`policy: ${principal} has policies that are not understood`);
      const effects = [...own, ...ofBuckets].filter((one) => matches(one, request)).map(({ Effect }) => Effect);
      return effects.includes('Allow') && !effects.includes('Deny');
    },
  };
}

function parseDocument(document: unknown, isOfResource = false): Statement[] {
  const { Statement } = document as { Statement: unknown };
  return listOf<Record<string, unknown>>(Statement).map((statement) => {
    const { Effect, Action, Resource, Condition = {}, Principal, Sid: _, ...rest } = statement;
    // The policy of a resource may deny to everyone; what else it says of whom is not understood.
    const isForAll = JSON.stringify(Principal) === '{"AWS":"*"}' && Effect === 'Deny';
    const isKnown = Effect === 'Allow' || Effect === 'Deny';
    if (!isKnown || Object.keys(rest).length > 0 || (isOfResource ? !isForAll : Principal !== undefined)) {
      throw new Error(`policy: statement is not understood: ${JSON.stringify(statement)}`);
    }
    const conditions = Object.entries(Condition as Record<string, Record<string, unknown>>);
    for (const [operator] of conditions) {
      if (!Object.hasOwn(operators, operator)) throw new Error(`policy: condition ${operator} is not understood`);
    }
    const keysOf = (keys: Record<string, unknown>) =>
      Object.fromEntries(Object.entries(keys).map(([key, values]) => [key, listOf(values).map(String)]));
    return {
      Effect,
      Action: listOf<string>(Action),
      Resource: listOf<string>(Resource),
      Condition: Object.fromEntries(conditions.map(([operator, keys]) => [operator, keysOf(keys)])),
    };
  });
}

function matches(
  { Action, Resource, Condition }: Statement,
  { action, resource, context = {} }: AccessRequest,
): boolean {
  return (
    Action.some((pattern) => isLike(pattern.toLowerCase(), action.toLowerCase())) &&
    Resource.some((pattern) => isLike(pattern, resource)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, values]) => operators[operator]?.(context[key], values) === true),
    )
  );
}

type Operator = (seen: readonly string[] | undefined, values: readonly string[]) => boolean;

/** The conditions our stacks use. `ForAllValues` is true of a request without the key, as in IAM. */
const operators: Readonly<Record<string, Operator>> = {
  Null: (seen, values) => values.includes(String(seen === undefined)),
  Bool: (seen = [], values) => seen.some((one) => values.includes(one)),
  NumericLessThan: (seen = [], values) => seen.some((one) => values.some((value) => Number(one) < Number(value))),
  'ForAllValues:StringLike': (seen = [], values) => seen.every((one) => values.some((value) => isLike(value, one))),
};

/** `*` stands for any characters, slashes too, and `?` for one. */
export function isLike(pattern: string, text: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[^]*')
    .replaceAll('?', '[^]');
  return new RegExp(`^${source}$`).test(text);
}

function listOf<T>(value: unknown): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}
