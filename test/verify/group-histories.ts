/** Histories of a group made by hand: good ones, and for each promise one that breaks it. Group `billing`, partition `a/0`. */

import type { InvariantName } from '../../lib/verify/checker.ts';
import type { History, Operation } from '../../lib/verify/history.ts';
import {
  changeGroup,
  commit,
  committed,
  fetch,
  historyOf,
  lookForGroups,
  member,
  poll,
  produce,
  unknown,
} from './histories.ts';

const stale = { kind: 'failed', code: 'STALE_MEMBER_EPOCH', isRetriable: false } as const;
const noMember = { kind: 'failed', code: 'UNKNOWN_MEMBER_ID', isRetriable: false } as const;
const notFound = { kind: 'failed', code: 'GROUP_ID_NOT_FOUND', isRetriable: false } as const;
const forBilling = { group: 'billing' };
const empty = [fetch(0, [], [900, 901])];

/** `m` has the partition, is told to give it up, says that it has, and then `n` gets it. */
const handedOver = [
  member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
  member('join', 'n', [2, []], [3, 4]),
  member('heartbeat', 'm', [1, ['a/1']], [5, 6]),
  member('heartbeat', 'm', [2, ['a/1']], [7, 8, { owned: ['a/1'] }]),
  member('heartbeat', 'n', [2, ['a/0']], [9, 10]),
];
/** Around a look at the group. */
const stays = [member('join', 'm', [1, ['a/0']], [1, 2]), member('heartbeat', 'm', [1], [5, 6])];
/** `m` is heard of no more at 2 s, its session lasts 45 s, and `n` gets what it had. */
const inherited = (atSeconds: number) => [
  member('join', 'm', [1, ['a/0', 'a/1']], [1, 2]),
  member('join', 'n', [2, ['a/0', 'a/1']], [atSeconds, atSeconds + 1]),
];

export const goodGroups: readonly (readonly [string, readonly Operation[]])[] = [
  [
    'a partition is handed over and read on where it was',
    [
      produce(['a', 'b'], 0, [0.1, 0.2]),
      ...handedOver,
      fetch(0, ['a'], [2.1, 2.2, forBilling], { highWatermark: 2 }),
      commit(1, ['m', 1], [2.3, 2.4]),
      commit(1, ['m', 1], [10.1, 10.2, { outcome: stale }]),
      committed([1, 2.3], [10.3, 10.4]),
      fetch(1, ['b'], [10.5, 10.6, forBilling]),
      commit(2, ['n', 2], [10.7, 10.8]),
      committed([2, 10.7], [10.9, 11, { done: [{ partition: 0, offset: 1 }] }]),
    ],
  ],
  [
    'a group is found when it has a member, or not when it has none any more',
    [
      ...stays,
      lookForGroups('listGroups', { kind: 'ok', groups: ['billing'] }, [3, 4]),
      lookForGroups('describeGroup', notFound, [7, 8]),
      ...empty,
    ],
  ],
  ['a member dies and its session ends', [...inherited(60), ...empty]],
  [
    'a member is given what it may have lost by a heartbeat that comes late',
    [
      member('heartbeat', 'm', unknown, [0.5, 0.6, { owned: [] }]),
      member('join', 'm', [1, ['a/0']], [1, 2]),
      member('join', 'n', [2, ['a/0']], [3, 4]),
      ...empty,
    ],
  ],
  [
    'a member commits what it may have been given by a heartbeat without an answer',
    [
      ...handedOver,
      member('heartbeat', 'm', unknown, [11, 12, { memberEpoch: 2 }]),
      member('heartbeat', 'm', [3], [12.1, 12.2]),
      commit(0, ['m', 3], [13, 14]),
      ...empty,
    ],
  ],
  [
    'a commit without an answer is done at any time, or never',
    [
      ...handedOver,
      commit(0, ['n', 2], [11, 12, { outcome: unknown }]),
      commit(0, ['n', 2], [13, 14]),
      committed([0, 13], [15, 16]),
      committed([0, 11], [17, 18]),
      ...empty,
    ],
  ],
  [
    'a static member comes back under another id, at the same epoch',
    [
      member('join', 'm', [1, ['a/0']], [1, 2, { instanceId: 'i' }]),
      member('leave', 'm', [1], [3, 4, { instanceId: 'i' }]),
      member('join', 'm2', [1, ['a/0']], [5, 6, { instanceId: 'i' }]),
      ...empty,
    ],
  ],
  [
    'a group is deleted and made again',
    [
      ...handedOver,
      commit(0, ['n', 2], [11, 12]),
      member('leave', 'm', [2], [13, 14]),
      member('leave', 'n', [2], [15, 16]),
      changeGroup(
        'resetOffsets',
        [{ topicId: 'a', partition: 0, offset: 0, metadata: '' }],
        [16.1, 16.2, { to: 'earliest' }],
      ),
      changeGroup('deleteGroup', [], [17, 18]),
      committed(undefined, [19, 20]),
      member('join', 'n', [5, ['a/0']], [21, 22]),
      member('heartbeat', 'n', [5], [23, 24]),
      ...empty,
    ],
  ],
];

/** Commits that are refused, of who may have lost the partition: by clocks that are right. */
export const refusedInOrder: readonly (readonly [string, readonly Operation[]])[] = [
  ['the session of its member may be over', [...handedOver, commit(0, ['n', 2], [60, 61, { outcome: noMember }])]],
  ['it is at an epoch of before', [...handedOver, commit(0, ['n', 1], [11, 12, { outcome: stale }])]],
  [
    'its member has given the partition up',
    [
      ...handedOver,
      member('heartbeat', 'n', [2, []], [11, 12, { owned: [] }]),
      commit(0, ['n', 2], [13, 14, { outcome: stale }]),
    ],
  ],
  [
    'another member has come as the same instance',
    [
      member('join', 'm', [1, ['a/0']], [1, 2, { instanceId: 'i' }]),
      member('join', 'm2', unknown, [3, 4, { instanceId: 'i' }]),
      commit(0, ['m', 1], [5, 6, { outcome: noMember }]),
    ],
  ],
];

type Spoiled = readonly [story: string, history: History, also?: readonly InvariantName[]];

export const spoiledGroups = {
  partitionsHaveOneMember: [
    [
      'two members are told the same at one epoch',
      historyOf([
        member('join', 'm', [1, []], [1, 2]),
        member('join', 'n', [2, ['a/0']], [3, 4]),
        member('heartbeat', 'm', [2, ['a/0']], [100, 101]),
        ...empty,
      ]),
    ],
    [
      'the epochs of a group that is made again begin as before',
      historyOf([
        member('join', 'm', [1, ['a/0']], [1, 2]),
        member('leave', 'm', [1], [3, 4]),
        changeGroup('deleteGroup', [], [5, 6]),
        member('join', 'n', [1, ['a/0']], [7, 8]),
        ...empty,
      ]),
    ],
  ],
  partitionsAreHandedOver: [
    [
      'one is given what another holds',
      { ...historyOf([...handedOver.filter(({ start }) => start !== 7), ...empty]), clockErrorMsMax: 0 },
    ],
    [
      'two are given the same at once, whoever was first',
      {
        ...historyOf([member('join', 'm', [1, ['a/0']], [1, 6]), member('join', 'n', [2, ['a/0']], [2, 5]), ...empty]),
        clockErrorMsMax: 0,
      },
    ],
    ['one inherits from a member that lives', { ...historyOf([...inherited(30), ...empty]), clockErrorMsMax: 10_000 }],
  ],
  formerOwnersCommitNothing: [
    ['a commit is taken from the owner of before', historyOf([...handedOver, commit(0, ['m', 1], [11, 12]), ...empty])],
    [
      'a commit is taken from the owner of before, who long ago was not answered once',
      historyOf([
        ...handedOver,
        member('heartbeat', 'm', unknown, [2.1, 2.2, { memberEpoch: 1 }]),
        commit(0, ['m', 2], [11, 12]),
        ...empty,
      ]),
    ],
    [
      'the same at a higher epoch, when that heartbeat comes too late',
      historyOf([
        ...handedOver,
        member('heartbeat', 'm', unknown, [2.1, 2.2, { memberEpoch: 1 }]),
        member('heartbeat', 'm', [3, ['a/1']], [11, 12]),
        commit(0, ['m', 3], [13, 14]),
        ...empty,
      ]),
    ],
    [
      'a commit is taken at an epoch of before',
      historyOf([
        ...handedOver,
        member('leave', 'n', [2], [11, 12]),
        member('heartbeat', 'm', [3, ['a/0', 'a/1']], [13, 14]),
        commit(0, ['m', 1], [15, 16]),
        ...empty,
      ]),
    ],
  ],
  ownersMayCommit: [
    [
      'a commit of the owner is refused',
      {
        ...historyOf([...handedOver, commit(0, ['n', 2], [11, 12, { outcome: stale }]), ...empty]),
        clockErrorMsMax: 0,
      },
    ],
    [
      'the owner is said to be no member',
      {
        ...historyOf([...handedOver, commit(0, ['n', 2], [11, 12, { outcome: noMember }]), ...empty]),
        clockErrorMsMax: 0,
      },
    ],
  ],
  resetsGoWhereTheyWereAsked: [
    [
      'a group is set to an offset that is not the earliest',
      historyOf([
        changeGroup(
          'resetOffsets',
          [{ topicId: 'a', partition: 0, offset: 2, metadata: '' }],
          [1, 2, { to: 'earliest' }],
        ),
        ...empty,
      ]),
    ],
  ],
  oldEpochsAreFenced: [
    [
      'an epoch falls',
      historyOf([
        member('join', 'm', [5, []], [1, 2]),
        member('heartbeat', 'm', [3, []], [3, 4, { memberEpoch: 5 }]),
        ...empty,
      ]),
    ],
    [
      'something left over of a member is answered',
      historyOf([
        member('join', 'm', [1, []], [1, 2]),
        member('heartbeat', 'm', [2, []], [3, 4]),
        member('heartbeat', 'm', [3, []], [5, 6]),
        member('heartbeat', 'm', [3, []], [7, 8, { memberEpoch: 1, isStray: true }]),
        ...empty,
      ]),
    ],
  ],
  outsidersWaitForMembers: [
    [
      'a commit from outside is taken while there is a member',
      historyOf([
        member('join', 'm', [1, ['a/0']], [1, 2]),
        commit(0, undefined, [3, 4]),
        member('heartbeat', 'm', [1], [5, 6]),
        ...empty,
      ]),
    ],
    [
      'a group is deleted that has a member',
      historyOf([
        member('join', 'm', [1, ['a/0']], [1, 2]),
        changeGroup('deleteGroup', [], [3, 4]),
        member('heartbeat', 'm', [1], [5, 6]),
        ...empty,
      ]),
    ],
  ],
  committedOffsetsAreTheLast: [
    [
      'an older commit is found',
      historyOf([
        ...handedOver,
        commit(0, ['n', 2], [11, 12]),
        commit(0, ['n', 2], [13, 14]),
        committed([0, 11], [15, 16]),
        ...empty,
      ]),
    ],
    [
      'a commit is lost',
      historyOf([...handedOver, commit(0, ['n', 2], [11, 12]), committed(undefined, [13, 14]), ...empty]),
    ],
    [
      'what a deleted group had is found',
      historyOf([
        commit(0, undefined, [11, 12]),
        changeGroup('deleteGroup', [], [13, 14]),
        committed([0, 11], [15, 16]),
        ...empty,
      ]),
    ],
    [
      'a commit that was refused is found',
      historyOf([
        ...handedOver,
        commit(0, ['m', 1], [11, 12, { outcome: stale }]),
        committed([0, 11], [13, 14]),
        ...empty,
      ]),
    ],
  ],
  groupsAreFound: [
    [
      'a group with a member is not listed',
      historyOf([...stays, lookForGroups('listGroups', { kind: 'ok', groups: ['audit'] }, [3, 4]), ...empty]),
    ],
    [
      'a group with a member is not there',
      historyOf([...stays, lookForGroups('describeGroup', notFound, [3, 4]), ...empty]),
    ],
  ],
  closedConsumersHaveCommitted: [
    [
      'what was done is not committed',
      historyOf([
        produce(['a', 'b'], 0, [0.1, 0.2]),
        fetch(0, ['a', 'b'], [1, 2, forBilling]),
        committed(undefined, [3, 4, { done: [{ partition: 0, offset: 1 }] }]),
      ]),
    ],
  ],
  groupsSkipNothing: [
    [
      'a record was handed out to nobody',
      historyOf([
        produce(['a', 'b'], 0, [0.1, 0.2]),
        ...handedOver,
        fetch(0, ['a'], [2.1, 2.2, forBilling], { highWatermark: 2 }),
        commit(2, ['n', 2], [11, 12]),
        fetch(0, ['a', 'b'], [90, 91]),
      ]),
    ],
    [
      'a record was handed out after what is behind it was committed',
      historyOf([
        produce(['a'], 0, [0.1, 0.2]),
        ...handedOver,
        commit(1, ['n', 2], [11, 12]),
        fetch(0, ['a'], [13, 14, forBilling]),
      ]),
    ],
    [
      'what a consumer was not done with never comes again',
      historyOf([
        produce(['a', 'b'], 0, [0.1, 0.2]),
        ...handedOver,
        poll([[0, 'a']], [2.1, 2.2, forBilling]),
        poll([[1, 'b']], [2.1, 2.3, { ...forBilling, isUndone: true }]),
        commit(2, ['n', 2], [11, 12]),
        fetch(0, ['a', 'b'], [90, 91]),
      ]),
    ],
  ],
} as const satisfies Partial<Record<InvariantName, readonly Spoiled[]>>;
