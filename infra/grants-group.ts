/**
 * Who may be in a group, by which door: all that is done with one group, from heartbeats to its deletion.
 *
 * | via      | allows                                      | reaches                                                          |
 * |----------|---------------------------------------------|------------------------------------------------------------------|
 * | `http`   | execute-api:Invoke on the group's paths     | this group                                                       |
 * | `invoke` | lambda:InvokeFunction on the group function | every group: IAM does not see what an invocation carries         |
 * | `direct` | single actions on the table                 | the items of this group, and entries in the list of all groups   |
 *
 * None of them reads records: a consumer has `grantConsume` of its topics too, and by `direct` it needs that already for the
 * ends of their partitions.
 */

import { Token } from 'aws-cdk-lib';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { type GroupId, parseGroupId } from '../lib/ids.ts';
import { groupPk, groupsPk } from '../lib/store/group-items-dynamodb.ts';
import { topicsPk } from '../lib/store/items-dynamodb.ts';
import { type GrantOptions, type Grantor, grantPaths } from './grants.ts';
import { grantKey, grantObjects, grantTable, type Stores } from './grants-direct.ts';

const paths = [
  'GET /v1/groups/{group}',
  'DELETE /v1/groups/{group}',
  'POST /v1/groups/{group}/heartbeat',
  'GET /v1/groups/{group}/offsets',
  'POST /v1/groups/{group}/offsets',
  'POST /v1/groups/{group}/offsets/reset',
];

/** Of the items of a group, by what `lib/store/group-store-dynamodb.ts` sends; transactions are granted step by step. */
const ofGroup = ['GetItem', 'BatchGetItem', 'Query', 'UpdateItem', 'PutItem', 'DeleteItem'];
/** Each group has an entry in one list, whose keys IAM cannot tell apart. */
const ofGroupList = ['PutItem', 'DeleteItem'];

/** Throws when the name could not be a group's: a `*` in it would be one of IAM. */
export function grantGroup(
  grantor: Grantor,
  group: string,
  grantee: IGrantable,
  { via = 'http' }: GrantOptions = {},
): Grant {
  // Of a name that only a deployment knows this cannot be looked at.
  if (!Token.isUnresolved(group)) parseGroupId(group);
  if (via === 'http') {
    return grantPaths(
      grantor,
      paths.map((line) => line.replace('{group}', group)),
      grantee,
    );
  }
  if (via === 'invoke') {
    const resourceArns = [grantor.groupFunction.functionArn];
    return Grant.addToPrincipal({ grantee, actions: ['lambda:InvokeFunction'], resourceArns });
  }
  return grantTable(grantor, grantee, ofGroup, groupPk(group as GroupId))
    .combine(grantTable(grantor, grantee, ofGroupList, groupsPk))
    .combine(grantTable(grantor, grantee, ['GetItem', 'Query'], topicsPk))
    .combine(grantKey(grantor, grantee));
}

/**
 * For the group function: to write every group and nothing else. It reads the ends of partitions, and to find an offset by
 * its time pages and objects.
 */
export function grantGroups(stores: Stores, grantee: IGrantable): Grant {
  const written = ofGroup.filter((action) => !readActions.includes(action));
  return grantTable(stores, grantee, readActions)
    .combine(grantTable(stores, grantee, written, groupPk('*' as GroupId)))
    .combine(grantTable(stores, grantee, ofGroupList, groupsPk))
    .combine(grantObjects(stores, grantee, ['GetObject']))
    .combine(grantKey(stores, grantee));
}
const readActions = ['GetItem', 'BatchGetItem', 'Query'];
