/** What the stacks allow, and what a security check has to say of them. */

import { AwsSolutionsChecks } from 'cdk-nag';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveTemplate } from '../support/template.ts';
import { type Stacks, synthesize } from './stacks.ts';

let stacks: Stacks;

beforeAll(async () => {
  stacks = await synthesize();
}, 60_000);
afterAll(() => stacks?.remove());

test('AwsSolutions of cdk-nag finds nothing in any of the stacks', () => {
  expect(new AwsSolutionsChecks().validateScope(stacks.app)).toEqual({ success: true, violations: [] });
});

/** Every acknowledgement: the construct it stands on, the finding and the reason. */
function acknowledgements() {
  return stacks.app.node.findAll().flatMap(({ node }) =>
    node.metadata
      .filter(({ type }) => type === 'aws:cdk:acknowledged-rules')
      .flatMap(({ data }) =>
        Object.entries(data as Record<string, unknown>).map(([id, reason]) => {
          return { path: node.path, id: id.replace(/^annotation::/i, ''), reason: JSON.stringify(reason) };
        }),
      ),
  );
}

test('every acknowledgement gives a reason, and is of a finding that would be there without it', () => {
  const unforgiving = new AwsSolutionsChecks();
  Object.assign(unforgiving, { isAcknowledged: () => false });
  const { violations } = unforgiving.validateScope(stacks.app);
  const isFound = ({ path, id }: { path: string; id: string }) =>
    violations.some(
      ({ ruleName, violatingResources }) =>
        ruleName === id && violatingResources.some(({ constructPath = '' }) => constructPath.startsWith(`${path}/`)),
    );
  const acknowledged = acknowledgements();
  expect(acknowledged.filter((one) => !isFound(one))).toEqual([]);
  expect(acknowledged.filter(({ reason }) => reason.length < 40)).toEqual([]);
  expect(new Set(acknowledged.map(({ id }) => id.replace(/\[.*/, '')))).toEqual(
    new Set(['S1', 'APIG2', 'APIG3', 'APIG6', 'COG4', 'IAM4', 'IAM5'].map((rule) => `AwsSolutions-${rule}`)),
  );
});

test('no statement that allows has a wildcard as action, and no resource is a wildcard alone', () => {
  for (const template of [stacks.defaults, stacks.choices, stacks.team]) {
    const resolved = resolveTemplate(template, stacks.attributes);
    for (const { Properties, logicalId } of resolved.ofType('AWS::IAM::Policy')) {
      const { Statement } = Properties.PolicyDocument as { Statement: Record<string, unknown>[] };
      for (const { Action, Resource } of Statement) {
        expect(JSON.stringify(Action), logicalId).not.toContain('*');
        // X-Ray knows no resources; see the acknowledgement beside it.
        if (!JSON.stringify(Action).includes('xray:')) expect([Resource].flat(), logicalId).not.toContain('*');
      }
    }
  }
});
