import { describe, expect, test } from 'vitest';
import { checkHistory, type InvariantName, invariantNames } from '../../lib/verify/checker.ts';
import type { History, Operation, TopicLife } from '../../lib/verify/history.ts';
import { goodGroups, refusedInOrder, spoiledGroups } from './group-histories.ts';
import {
  by,
  changeTopic,
  fetch,
  historyOf,
  list,
  listOffsets,
  nextProducer,
  orders,
  poll,
  produce,
  refused,
  unknown,
} from './histories.ts';
import { endedInOrder, sessionsOf, spoiledSessions } from './session-histories.ts';

/** The names of the invariants that a history violates. */
function violated(history: History): InvariantName[] {
  return [...new Set(checkHistory(history).map(({ invariant }) => invariant))];
}
const found = (operations: readonly Operation[], topics?: readonly TopicLife[]) =>
  violated(historyOf(operations, topics));

/** Two batches, acked, and read to the end. */
const good = [produce(['a', 'b'], 0, [1, 2]), produce(['cc'], 2, [3, 4]), fetch(0, ['a', 'b', 'cc'], [90, 91])];
const heads = (...watermarks: number[]) =>
  watermarks.map((highWatermark, partition) => ({ partition, logStartOffset: 0, highWatermark }));
const gone: TopicLife = { ...orders, leaving: 50, to: 50 };
const again: TopicLife = {
  ...orders,
  topicId: 'b',
  from: 60,
  fromMs: 60_000,
  partitionCounts: [{ count: 1, from: 60, fromMs: 60_000 }],
};

describe('a history that keeps its promises', () => {
  test('passes, whatever became of what had no answer', () => {
    expect(found(good)).toEqual([]);
    const lost = produce(['lost'], unknown, [5, undefined]);
    expect(found([...good, lost])).toEqual([]);
    expect(found([...good, lost, fetch(3, ['lost'], [92, 93])])).toEqual([]);
    const two = produce(['lost1', 'lost2'], unknown, [5, undefined]);
    expect(found([...good, two, fetch(3, ['lost1', 'lost2'], [92, 93])])).toEqual([]);
    expect(found([...good, produce(['no'], refused, [5, 6])])).toEqual([]);
  });

  test('passes when overlapping operations may have happened in either order', () => {
    const overlapping = [produce(['a'], 1, [1, 10]), produce(['b'], 0, [2, 9]), fetch(0, ['b', 'a'], [90, 91])];
    expect(found(overlapping)).toEqual([]);
    expect(found([...overlapping, fetch(0, ['b'], [3, 8]), fetch(0, [], [4, 7])])).toEqual([]);
  });

  test('passes when a record was sent twice without an answer, and its second place is read before the first', () => {
    const operations = [
      produce(['a'], unknown, [1, 20]),
      produce(['b'], 1, [5, 6]),
      produce(['a'], unknown, [7, 20]),
      fetch(2, ['a'], [30, 31]),
      fetch(0, ['a', 'b', 'a'], [90, 91]),
    ];
    expect(checkHistory(historyOf(operations))).toEqual([]);
  });

  test('passes when readers begin at names', () => {
    const latest = fetch(3, ['dd'], [2, 7, { asked: 'latest' }]);
    const named = [
      produce(['dd'], 3, [6, 7]),
      latest,
      fetch(0, ['a', 'b', 'cc', 'dd'], [92, 93, { asked: 'earliest' }]),
      listOffsets('earliest', 0, undefined, [94, 95]),
      listOffsets('latest', 4, undefined, [96, 97]),
      listOffsets(99, undefined, undefined, [98, 99]),
    ];
    expect(found([...good.slice(0, 2), ...named])).toEqual([]);
    const earliest = poll([[0, 'a']], [4.1, 4.2, { from: 'earliest', session: 'e' }]);
    expect(found([...good, earliest, poll([[2, 'cc']], [4.3, 4.4, { from: 'latest' }])])).toEqual([]);
  });

  test('passes with resends, newer epochs, and a resend of what is long forgotten', () => {
    const sent = ['a', 'b', 'c', 'd', 'e', 'f'].map((value, at) =>
      produce([value], at, [3 * at, 3 * at + 1, by(7, 0, at)]),
    );
    const all = fetch(0, ['a', 'b', 'c', 'd', 'e', 'f', 'g'], [90, 91]);
    const others = [produce(['a'], 0, [1.5, 2, by(7, 0, 0)]), produce(['a'], refused, [30, 31, by(7, 0, 0)])];
    expect(found([...sent, ...others, produce(['g'], 6, [40, 41, by(7, 1, 0)]), all])).toEqual([]);
  });

  test('passes when a producer is refused that has left something out, or is no longer the newest', () => {
    const first = produce(['a'], 0, [1, 2, by(7, 0, 0)]);
    const end = fetch(0, ['a'], [90, 91]);
    expect(found([first, produce(['c'], refused, [3, 4, by(7, 0, 2)]), end])).toEqual([]);
    expect(found([first, produce(['b'], refused, [1.5, 4, by(7, 0, 1)]), end])).toEqual([]);
    const old = produce(['a'], 0, [1, 2, by(7, 0, 0)]);
    expect(found([old, produce(['b'], refused, [45, 65, by(7, 0, 1)])], [gone, again])).toEqual([]);
    const newer = produce(['n'], unknown, [3, undefined, by(7, 1, 0)]);
    const fenced = { ...refused, code: 'INVALID_PRODUCER_EPOCH' } as const;
    expect(found([first, newer, produce(['b'], fenced, [3.5, 4, by(7, 0, 1)]), end])).toEqual([]);
  });

  test('passes when a topic is deleted and made again, and stays apart from the one before', () => {
    const operations = [
      produce(['old'], 0, [1, 2]),
      changeTopic('delete', { kind: 'ok', topicId: undefined, partitions: [] }, [49, 51]),
      changeTopic('create', { kind: 'ok', topicId: 'b', partitions: [] }, [59, 61]),
      produce(['new'], 0, [70, 71]),
      fetch(0, ['new'], [90, 91]),
    ];
    expect(found(operations, [gone, again])).toEqual([]);
  });

  test.each(goodGroups)('passes when %s', (_, operations) => {
    expect(found(operations)).toEqual([]);
  });

  test.each(refusedInOrder)('passes when a commit is refused and %s', (_, operations) => {
    expect(violated({ ...historyOf([...operations, fetch(0, [], [900, 901])]), clockErrorMsMax: 0 })).toEqual([]);
  });

  test.each(endedInOrder)('passes when %s', (_, operations) => {
    expect(violated(sessionsOf(operations))).toEqual([]);
  });

  test('passes when a batch is delivered twice, once to a topic that goes and once to the next one of its name', () => {
    const operations = [produce(['x'], 0, [49, 65]), produce(['x'], 0, [70, 71]), fetch(0, ['x'], [90, 91])];
    expect(found(operations, [gone, again])).toEqual([]);
  });
});

/** For every invariant: a history that violates it, and it alone where that is possible. */
type Spoiled = readonly [story: string, history: History, also?: readonly InvariantName[]];
const spoiled: Readonly<Record<InvariantName, readonly Spoiled[]>> = {
  ...spoiledGroups,
  ...spoiledSessions,
  ackedIsReadable: [
    [
      'another record is where an acked one should be',
      historyOf([...good.slice(0, 2), fetch(0, ['a', 'b', 'xx'], [90, 91]), produce(['xx'], unknown, [5, 6])]),
    ],
  ],
  ackedIsReadToTheEnd: [
    ['an acked record was never read', historyOf(good.slice(0, 2))],
    [
      'an acked record was read once, and is gone later',
      historyOf([...good, produce(['dd'], 3, [92, 93]), fetch(1, ['b', 'cc', 'dd'], [94, 95])]),
    ],
  ],
  offsetHasOneValue: [
    [
      'an offset shows one record and then another',
      historyOf([
        produce(['a'], unknown, [1, 2]),
        produce(['b'], unknown, [3, 4]),
        fetch(0, ['a'], [5, 6]),
        fetch(0, ['b'], [7, 8]),
      ]),
    ],
    ['two records are acked for one offset', historyOf([...good, produce(['dd'], 2, [5, 6])]), ['ackedIsReadable']],
  ],
  offsetsAreContiguous: [
    [
      'a fetch leaves an offset out',
      historyOf([
        ...good,
        fetch(0, ['a'], [92, 93], {
          records: [{ offset: 1, value: 'b', timestamp: 1 }],
          nextOffset: 2,
          highWatermark: 3,
        }),
      ]),
    ],
    [
      'a fetch is sent on too far',
      historyOf([...good, fetch(0, ['a'], [92, 93], { nextOffset: 2, highWatermark: 3 })]),
    ],
    [
      'a fetch reads above the high watermark',
      historyOf([...good, fetch(0, ['a', 'b', 'cc'], [92, 93], { highWatermark: 2 })]),
      ['watermarksNeverFall', 'appendsAreLinearizable'],
    ],
  ],
  batchesAreWhole: [
    [
      'a batch without an answer is there in part',
      historyOf([
        produce(['t', 'u', 'v'], unknown, [1, undefined]),
        produce(['d'], 1, [3, 4]),
        produce(['e', 'f'], 2, [5, 6]),
        fetch(0, ['t', 'd', 'e', 'f'], [90, 91]),
      ]),
    ],
    [
      'the records of a batch stand in another order',
      historyOf([produce(['t', 'u'], unknown, [1, undefined]), fetch(0, ['u', 't'], [90, 91])]),
      ['appendsAreLinearizable'],
    ],
    [
      'two batches stand in each other',
      historyOf([
        produce(['t', 'u'], unknown, [1, undefined]),
        produce(['v', 'w'], unknown, [2, undefined]),
        fetch(0, ['t', 'v', 'u', 'w'], [90, 91]),
      ]),
    ],
  ],
  fetchesGoOn: [
    ['a fetch below the watermark gets nothing', historyOf([...good, fetch(1, [], [92, 93], { highWatermark: 3 })])],
  ],
  onlyWhatWasSentIsRead: [
    ['a record was never sent', historyOf([...good, fetch(3, ['ghost'], [92, 93])])],
    ['a refused record is read', historyOf([...good, produce(['no'], refused, [5, 6]), fetch(3, ['no'], [92, 93])])],
    [
      'a record was sent to another partition',
      historyOf([...good, produce(['no'], unknown, [5, 6, { partition: 1 }]), fetch(3, ['no'], [92, 93])]),
    ],
    [
      'a record is read before it is sent',
      historyOf([...good, fetch(3, ['no'], [92, 93]), produce(['no'], unknown, [94, 95])]),
      ['appendsAreLinearizable'],
    ],
    [
      'a timestamp is altered',
      historyOf([
        produce(['a'], 0, [1, 2]),
        fetch(0, ['a'], [90, 91], { records: [{ offset: 0, value: 'a', timestamp: 77 }] }),
      ]),
    ],
    [
      'a deleted topic comes back',
      historyOf([produce(['old'], 0, [1, 2]), fetch(0, ['old'], [90, 91])], [gone, again]),
    ],
  ],
  nothingAppearsTwice: [
    [
      'a record without a producer id is there twice',
      historyOf([produce(['a'], unknown, [1, 2]), fetch(0, ['a', 'a'], [90, 91])]),
    ],
    [
      'a resend was appended once more',
      historyOf([
        produce(['a'], unknown, [1, 2, by(7, 0, 0)]),
        produce(['a'], 1, [3, 4, by(7, 0, 0)]),
        fetch(0, ['a', 'a'], [90, 91]),
      ]),
      ['sequencesFollow'],
    ],
  ],
  sequencesFollow: [
    [
      'a sequence is missing',
      historyOf([
        produce(['a'], unknown, [1, 2, by(7, 0, 0)]),
        produce(['b'], 0, [3, 4, by(7, 0, 1)]),
        fetch(0, ['b'], [90, 91]),
      ]),
    ],
    [
      'an older epoch comes behind a newer one',
      historyOf([
        produce(['a'], unknown, [1, 2, by(7, 0, 0)]),
        produce(['b'], 0, [1.5, 4, by(7, 1, 0)]),
        fetch(0, ['b', 'a'], [90, 91]),
      ]),
    ],
  ],
  resendsGetTheFirstAnswer: [
    [
      'a resend is answered with another offset',
      historyOf([
        produce(['e'], 0, [5, 6, by(7, 0, 0)]),
        produce(['e'], 1, [7, 8, by(7, 0, 0)]),
        fetch(0, ['e'], [92, 93]),
      ]),
    ],
    [
      'a resend of an acked batch is refused',
      historyOf([
        produce(['e'], 0, [5, 6, by(7, 0, 0)]),
        produce(['e'], refused, [7, 8, by(7, 0, 0)]),
        fetch(0, ['e'], [92, 93]),
      ]),
      ['rightProducersAreAccepted'],
    ],
  ],
  sendsKeepTheirOrder: [
    [
      'what was sent later is acked for an earlier place',
      historyOf([
        produce(['a'], 1, [1, 5, { session: 's' }]),
        produce(['b'], 0, [2, 4, { session: 's' }]),
        fetch(0, ['b', 'a'], [90, 91]),
      ]),
    ],
  ],
  fencedProducersStayOut: [
    [
      'a zombie is acked',
      historyOf([
        produce(['b'], 0, [1, 2, by(7, 1, 0)]),
        produce(['a'], 1, [3, 4, by(7, 0, 0)]),
        fetch(0, ['b', 'a'], [90, 91]),
      ]),
      ['sequencesFollow'],
    ],
  ],
  rightProducersAreAccepted: [
    ['the first batch of a producer is refused', historyOf([...good, produce(['x'], refused, [5, 6, by(7, 0, 0)])])],
    [
      'the next batch is refused',
      historyOf([
        produce(['a', 'b'], 0, [1, 2, by(7, 0, 0)]),
        produce(['c'], refused, [3, 4, by(7, 0, 2)]),
        fetch(0, ['a', 'b'], [90, 91]),
      ]),
    ],
    [
      'a newer epoch is refused',
      historyOf([
        produce(['a'], 0, [1, 2, by(7, 0, 0)]),
        produce(['b'], { ...refused, code: 'INVALID_PRODUCER_EPOCH' }, [3, 4, by(7, 1, 0)]),
        fetch(0, ['a'], [90, 91]),
      ]),
    ],
  ],
  watermarksNeverFall: [
    [
      'the high watermark falls',
      historyOf([...good, listOffsets('latest', 2, undefined, [92, 93])]),
      ['appendsAreLinearizable'],
    ],
    [
      'the log start offset falls',
      historyOf([
        ...good,
        fetch(3, [], [92, 93], { logStartOffset: 2 }),
        fetch(3, [], [94, 95], { logStartOffset: 1 }),
      ]),
      ['logsStartAtTheirFirstRecord'],
    ],
    [
      'the log starts behind its end',
      historyOf([...good, fetch(3, [], [92, 93], { logStartOffset: 4 })]),
      ['logsStartAtTheirFirstRecord'],
    ],
  ],
  readsBeginWhereTheyAsked: [
    [
      'the earliest is not where the log starts',
      historyOf([...good, fetch(2, ['cc'], [92, 93, { asked: 'earliest' }])]),
    ],
    ['an offset is answered from another one', historyOf([...good, fetch(2, ['cc'], [92, 93, { asked: 0 }])])],
    ['the earliest is nowhere', historyOf([...good, listOffsets('earliest', undefined, undefined, [92, 93])])],
    ['the latest is nowhere', historyOf([...good, listOffsets('latest', undefined, undefined, [92, 93])])],
  ],
  logsStartAtTheirFirstRecord: [
    [
      'the first records are gone',
      historyOf([...good, fetch(3, [], [92, 93, { asked: 'earliest' }], { logStartOffset: 3 })]),
    ],
    ['the earliest is an offset of its own', historyOf([...good, listOffsets('earliest', 999, undefined, [92, 93])])],
  ],
  pollsGoUpAndSkipNothing: [
    [
      'a poll goes back (external nonmonotonic)',
      historyOf([
        ...good,
        fetch(0, ['a', 'b'], [92, 93, { session: 's' }]),
        fetch(1, ['b', 'cc'], [94, 95, { session: 's' }]),
      ]),
      ['watermarksNeverFall', 'appendsAreLinearizable'],
    ],
    [
      'a poll skips (external)',
      historyOf([
        ...good,
        fetch(0, ['a'], [92, 93, { session: 's' }], { highWatermark: 3 }),
        fetch(2, ['cc'], [94, 95, { session: 's' }]),
      ]),
    ],
    ['the first poll from the earliest skips', historyOf([...good, poll([[2, 'cc']], [92, 93, { from: 'earliest' }])])],
    [
      'a poll skips (internal)',
      historyOf([
        ...good,
        fetch(0, [], [92, 93, { session: 's' }], {
          records: [
            { offset: 0, value: 'a', timestamp: 1 },
            { offset: 2, value: 'cc', timestamp: 2 },
          ],
          nextOffset: 3,
          highWatermark: 3,
        }),
      ]),
      ['offsetsAreContiguous'],
    ],
  ],
  timesFindTheFirstRecord: [
    ['a later record is found', historyOf([...good, listOffsets(1, 1, 1, [92, 93])])],
    ['an older record is found', historyOf([...good, listOffsets(2, 0, 1, [92, 93])])],
    ['nothing is found', historyOf([...good, listOffsets(2, undefined, undefined, [92, 93])])],
    ['the highest is not the highest', historyOf([...good, listOffsets('max', 0, 1, [92, 93])])],
    [
      'what is found is above the end',
      historyOf([...good, listOffsets(99, 50, 100, [92, 93]), listOffsets('latest', 3, undefined, [94, 95])]),
    ],
    ['the time is not the one of the record', historyOf([...good, listOffsets(2, 2, 3, [92, 93])])],
  ],
  appendsAreLinearizable: [
    [
      'the latest is not the end',
      historyOf([...good, fetch(1, ['b', 'cc'], [92, 93, { asked: 'latest' }])]),
      ['watermarksNeverFall'],
    ],
    [
      'the latest is the start',
      historyOf([...good.slice(0, 2), fetch(0, ['a', 'b', 'cc'], [5, 6, { asked: 'latest' }])]),
    ],
    [
      'a batch is put before one that was acked before it began',
      historyOf([produce(['a'], 1, [1, 2]), produce(['b'], 0, [3, 4]), fetch(0, ['b', 'a'], [90, 91])]),
    ],
    ['a read does not see what was acked before it began', historyOf([...good, fetch(0, ['a', 'b'], [5, 6])])],
    [
      'a read sees what was sent after it ended',
      historyOf([fetch(0, ['a'], [1, 2]), produce(['a'], 0, [3, 4])]),
      ['onlyWhatWasSentIsRead', 'ackedIsReadToTheEnd'],
    ],
    ['a batch shows in part', historyOf([...good, fetch(0, ['a'], [1.1, 1.9])])],
  ],
  whatIsThereIsServed: [
    [
      'an offset in range is refused',
      historyOf([
        ...good,
        fetch(1, [], [92, 93, { outcome: { kind: 'failed', code: 'OFFSET_OUT_OF_RANGE', isRetriable: false } }]),
      ]),
    ],
    [
      'data is gone',
      historyOf([
        ...good,
        fetch(1, [], [92, 93, { outcome: { kind: 'failed', code: 'KAFKA_STORAGE_ERROR', isRetriable: false } }]),
      ]),
    ],
  ],
  whatIsThereIsFound: [
    [
      'a topic is not found',
      historyOf([
        ...good,
        fetch(1, [], [92, 93, { outcome: { kind: 'failed', code: 'UNKNOWN_TOPIC_OR_PARTITION', isRetriable: true } }]),
      ]),
    ],
  ],
  answersNeedATopic: [['a topic that is gone answers', historyOf([fetch(0, [], [70, 71])], [gone])]],
  topicsComeAndGoOnce: [
    [
      'two create one topic',
      historyOf([...good, changeTopic('create', { kind: 'ok', topicId: 'b', partitions: [] }, [94, 95])]),
    ],
    [
      'a topic is said to be there',
      historyOf(
        [changeTopic('create', { kind: 'failed', code: 'TOPIC_ALREADY_EXISTS', isRetriable: false }, [70, 71])],
        [gone],
      ),
    ],
    [
      'a delete deletes nothing',
      historyOf([...good, changeTopic('delete', { kind: 'ok', topicId: undefined, partitions: [] }, [94, 95])]),
    ],
  ],
  topicsChangeByRequest: [
    [
      'a create that failed without effect made the topic',
      historyOf(
        [changeTopic('create', { kind: 'failed', code: 'KAFKA_STORAGE_ERROR', isRetriable: true }, [59, 61])],
        [again],
      ),
    ],
    [
      'an alter that failed without effect added partitions',
      historyOf(
        [
          changeTopic('alter', { kind: 'failed', code: 'KAFKA_STORAGE_ERROR', isRetriable: true }, [69, 71]),
          changeTopic('create', { kind: 'ok', topicId: 'b', partitions: [] }, [59, 61]),
        ],
        [{ ...again, partitionCounts: [...again.partitionCounts, { count: 2, from: 70, fromMs: 70_000 }] }],
      ),
    ],
  ],
  topicsOnlyGrow: [
    [
      'partitions are gone',
      historyOf([
        ...good,
        changeTopic('describe', { kind: 'ok', topicId: 'a', partitions: heads(3, 0) }, [94, 95]),
        changeTopic('describe', { kind: 'ok', topicId: 'a', partitions: heads(3) }, [96, 97]),
      ]),
    ],
  ],
  listsAreWhole: [
    ['a topic is left out', historyOf([...good, list([], [94, 95])])],
    ['a topic that is gone is listed', historyOf([list(['a'], [94, 95])], [gone])],
  ],
  producerIdsAreGivenOnce: [['an id is given twice', historyOf([nextProducer(7, [1, 2]), nextProducer(7, [3, 4])])]],
  nothingIsABug: [
    [
      'something else than an answer',
      historyOf([...good, produce(['x'], { kind: 'bug', detail: 'TypeError' }, [5, 6])]),
    ],
    [
      'an error that only bugs cause',
      historyOf([
        ...good,
        produce(['x'], { kind: 'unknown', code: 'UNKNOWN_SERVER_ERROR', isRetriable: false }, [5, 6]),
      ]),
    ],
  ],
};

describe('a violation is found', () => {
  for (const name of invariantNames) {
    for (const [story, history, also = []] of spoiled[name]) {
      test(`by ${name}: ${story}`, () => {
        expect(violated(history).toSorted()).toEqual([name, ...also].toSorted());
      });
    }
  }

  test('and told with those who took part in it', () => {
    const history = historyOf([
      ...good.slice(0, 2),
      fetch(0, ['a', 'b', 'xx'], [90, 91]),
      produce(['xx'], unknown, [5, 6]),
    ]);
    const [violation] = checkHistory(history);
    expect(violation?.operations.map(({ id }) => id)).toEqual([3, 90]);
    expect(violation?.text).toBe(
      'cc was acked for orders/0 at 2 by produce 3 of client, where fetch 90 of client read xx',
    );
  });
});
