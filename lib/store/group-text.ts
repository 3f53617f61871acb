/** The members of a group and its topics as text, as both stores keep them. */

import { decodeAssignment, encodeAssignment } from './assignment.ts';
import type { Group, GroupMember } from './items.ts';

type Plan = Pick<Group, 'members' | 'topics'>;

export function encodePlan({ members, topics }: Plan): string {
  const encoded = members.map(({ targetAssignment, ...member }) => {
    return { ...member, target: encodeAssignment(targetAssignment).toString('base64') };
  });
  return JSON.stringify({ members: encoded, topics });
}

export function decodePlan(text: string): Plan {
  const { members, topics } = JSON.parse(text) as {
    members: (Omit<GroupMember, 'targetAssignment'> & { target: string })[];
    topics: Group['topics'];
  };
  const decoded = members.map(({ target, ...member }): GroupMember => {
    // JSON leaves out what is undefined.
    return {
      ...member,
      instanceId: member.instanceId,
      targetAssignment: decodeAssignment(Buffer.from(target, 'base64')),
    };
  });
  return { members: decoded, topics };
}
