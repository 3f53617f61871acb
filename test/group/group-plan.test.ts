import { describe, expect, test } from 'vitest';
import { newGroup, nextGroup } from '../../lib/group/group-plan.ts';
import type { GroupId, InstanceId, MemberId, TopicId } from '../../lib/ids.ts';
import { parseTopicName } from '../../lib/ids.ts';
import { noPartitions } from '../../lib/store/assignment.ts';
import type { GroupMember } from '../../lib/store/items.ts';
import { orders, returns } from './group-fixture.ts';

const topics = [orders, returns].map((topic) => ({ topic, topicId: `id of ${topic}` as TopicId, partitionCount: 4 }));
const memberOf = (memberId: string, given: Partial<GroupMember> = {}): GroupMember => ({
  memberId: memberId as MemberId,
  instanceId: undefined,
  topics: [orders, returns],
  assignor: 'uniform',
  targetAssignment: noPartitions,
  ...given,
});
const instanceId = 'm1' as InstanceId;

describe('a group', () => {
  const group = nextGroup(newGroup('g' as GroupId, 0), [memberOf('m1'), memberOf('m2', { instanceId })], topics, 0);
  const [dynamic, isStatic] = group.members as [GroupMember, GroupMember];

  test.each<[string, readonly GroupMember[], typeof topics]>([
    ['a member comes', [dynamic, isStatic, memberOf('m3')], topics],
    ['a member goes', [isStatic], topics],
    ['one goes and another comes', [memberOf('m3'), isStatic], topics],
    ['a static member comes back as none', [dynamic, { ...isStatic, instanceId: undefined }], topics],
    ['a subscription loses a topic', [dynamic, { ...isStatic, topics: [orders] }], topics],
    ['a subscription has another topic', [dynamic, { ...isStatic, topics: [orders, parseTopicName('z')] }], topics],
    ['an assignor is another', [{ ...dynamic, assignor: 'range' }, isStatic], topics],
    ['a topic grows', [dynamic, isStatic], topics.map((one) => ({ ...one, partitionCount: 5 }))],
    ['a topic goes', [dynamic, isStatic], topics.slice(1)],
    ['a topic was made again', [dynamic, isStatic], topics.map((one) => ({ ...one, topicId: 'new' as TopicId }))],
  ])('has a new epoch when %s', (_, members, found) => {
    expect(nextGroup(group, members, found, 1)).toMatchObject({ groupEpoch: 2, version: 2 });
  });

  test('has no new epoch when a static member has another id, and is itself when nothing is new', () => {
    const again = { ...isStatic, memberId: 'm9' as MemberId };
    expect(nextGroup(group, [dynamic, again], topics, 1)).toMatchObject({ groupEpoch: 1, version: 2 });
    const inOtherOrder = { ...isStatic, topics: [returns, orders] };
    expect(nextGroup(group, [inOtherOrder, dynamic], topics.toReversed(), 1)).toBe(group);
  });

  // With 1,000 members of 1,000 topics that took 0.4 s and 100 MB for every heartbeat that was not quiet.
  test('does not go through the subscriptions that nobody has touched', () => {
    let looks = 0;
    const watched = new Proxy([orders, returns], {
      get: (target, name) => {
        looks++;
        return Reflect.get(target, name);
      },
    });
    const before = { ...group, members: group.members.map((member) => ({ ...member, topics: watched })) };
    const members = before.members.map((member) => ({ ...member }));
    expect(nextGroup(before, members, topics, 1)).toBe(before);
    expect(looks).toBe(0);
  });
});
