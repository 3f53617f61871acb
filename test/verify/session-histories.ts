/** How long members keep their place, in histories made by hand. Group `billing`, clocks that may be 1 s wrong. */

import type { InvariantName } from '../../lib/verify/checker.ts';
import type { History, Operation } from '../../lib/verify/history.ts';
import { commit, fetch, historyOf, lookForGroups, member, unknown } from './histories.ts';

const noMember = { kind: 'failed', code: 'UNKNOWN_MEMBER_ID', isRetriable: false } as const;
const denied = { kind: 'failed', code: 'KAFKA_STORAGE_ERROR', isRetriable: false } as const;
const notFound = { kind: 'failed', code: 'GROUP_ID_NOT_FOUND', isRetriable: false } as const;
const empty = [fetch(0, [], [900, 901])];
export const sessionsOf = (operations: readonly Operation[]): History => ({
  ...historyOf([...operations, ...empty]),
  clockErrorMsMax: 1_000,
});

/** `m` is a static member, and away from 3 s on; its session lasts until 48 s. */
const leftForAWhile = [
  member('join', 'm', [1, ['a/0']], [1, 2, { instanceId: 'i' }]),
  member('leave', 'm', [1], [3, 4, { instanceId: 'i', isTemporary: true }]),
];

/** What may become of members whose time is perhaps over. */
export const endedInOrder: readonly (readonly [string, readonly Operation[]])[] = [
  ["a group that is not stable has a partition that is nobody's", [described(false, [['m', ['a/0'], ['a/0']]])]],
  [
    'a stable group shares all there is',
    [
      described(true, [
        ['m', ['a/0'], ['a/0']],
        ['n', ['a/1'], ['a/1']],
      ]),
    ],
  ],
  [
    'nothing was heard of a member for as long as its session lasts',
    [member('join', 'm', [1, ['a/0']], [1, 2]), member('heartbeat', 'm', noMember, [45, 46])],
  ],
  [
    'a member has held on to what it was to give up since an answer that it never got',
    [
      member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
      member('heartbeat', 'm', unknown, [5, 6]),
      member('heartbeat', 'm', [1, ['a/1']], [40, 41, { owned: ['a/0', 'a/1'] }]),
      member('heartbeat', 'm', noMember, [61, 62, { owned: ['a/0', 'a/1'] }]),
    ],
  ],
  [
    'a member has held on to what it was to give up since before an answer that it had no right to get',
    [
      member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
      member('heartbeat', 'm', denied, [5, 6]),
      member('heartbeat', 'm', [1, ['a/1']], [40, 41, { owned: ['a/0', 'a/1'] }]),
      member('heartbeat', 'm', noMember, [61, 62, { owned: ['a/0', 'a/1'] }]),
    ],
  ],
  [
    'a member may have left by a request without an answer',
    [
      member('join', 'm', [1, ['a/0']], [1, 2]),
      member('leave', 'm', unknown, [3, 4]),
      member('join', 'm', [2, ['a/0']], [5, 6]),
      member('heartbeat', 'm', noMember, [7, 8, { memberEpoch: 2 }]),
    ],
  ],
  ['a member that was away may be so no more', [...leftForAWhile, commit(0, undefined, [47, 48.5])]],
  [
    'a member that was away has come back under another id and left for good',
    [
      ...leftForAWhile,
      member('join', 'm2', [1, ['a/0']], [5, 6, { instanceId: 'i' }]),
      member('leave', 'm2', [1], [7, 8, { instanceId: 'i' }]),
      commit(0, undefined, [9, 10]),
    ],
  ],
  [
    'a member has given up in time what it was to give up',
    [
      member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
      member('heartbeat', 'm', [1, ['a/1']], [5, 6, { owned: ['a/0', 'a/1'] }]),
      member('heartbeat', 'm', [2], [40, 41, { owned: ['a/1'] }]),
      member('heartbeat', 'm', [2], [80, 81]),
    ],
  ],
];

/** Group `billing` as it is described: of each member what it has, and what it shall have. */
function described(
  isStable: boolean,
  members: readonly (readonly [memberId: string, has: readonly string[], shallHave: readonly string[]])[],
): Operation {
  const all = members.map(([memberId, has, shallHave]) => ({
    memberId,
    isAway: false,
    topics: ['orders'],
    has,
    shallHave,
  }));
  return lookForGroups(
    'describeGroup',
    { kind: 'ok', groups: ['billing'], described: { isStable, members: all } },
    [5, 6],
  );
}

type Spoiled = readonly [story: string, history: History, also?: readonly InvariantName[]];

export const spoiledSessions = {
  sessionsLastTheirTime: [
    [
      'a member that was heard of is said to be none',
      sessionsOf([
        member('join', 'm', [1, ['a/0']], [1, 2]),
        member('heartbeat', 'm', [1], [20, 21]),
        member('heartbeat', 'm', noMember, [60, 61]),
      ]),
    ],
    [
      'a member is ended before its time to give something up is over',
      sessionsOf([
        member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
        member('heartbeat', 'm', [1, ['a/1']], [5, 6, { owned: ['a/0', 'a/1'] }]),
        member('heartbeat', 'm', noMember, [30, 31, { owned: ['a/0', 'a/1'] }]),
      ]),
    ],
    [
      'another member comes as an instance that lives',
      sessionsOf([
        member('join', 'm', [1, ['a/0']], [1, 2, { instanceId: 'i' }]),
        member('join', 'm2', [1, ['a/1']], [30, 31, { instanceId: 'i' }]),
      ]),
    ],
  ],
  whoIsAwayIsAMember: [
    [
      'a commit from outside is taken while a member is away',
      sessionsOf([...leftForAWhile, commit(0, undefined, [30, 31])]),
    ],
    [
      'the group of a member that is away is not there',
      sessionsOf([...leftForAWhile, lookForGroups('describeGroup', notFound, [30, 31])]),
    ],
  ],
  whatIsTakenIsGivenUpInTime: [
    [
      'a member is heard that has long held on to what it was to give up',
      sessionsOf([
        member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
        member('heartbeat', 'm', [1, ['a/1']], [5, 6, { owned: ['a/0', 'a/1'] }]),
        member('heartbeat', 'm', [1], [40, 41]),
        member('heartbeat', 'm', [1], [70, 71]),
      ]),
    ],
  ],
  stableGroupsShareAll: [
    ["a partition of a stable group is nobody's", sessionsOf([described(true, [['m', ['a/0'], ['a/0']]])])],
    [
      "a partition of a stable group is two members'",
      sessionsOf([
        described(true, [
          ['m', ['a/0', 'a/1'], ['a/0', 'a/1']],
          ['n', ['a/1'], ['a/1']],
        ]),
      ]),
    ],
    [
      'a member of a stable group has not what it shall have',
      sessionsOf([described(true, [['m', ['a/0'], ['a/0', 'a/1']]])]),
    ],
  ],
} as const satisfies Partial<Record<InvariantName, readonly Spoiled[]>>;
