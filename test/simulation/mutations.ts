/**
 * Bugs on purpose: each a small change of the source that must apply at exactly one place, and that the simulation must
 * find. A change that no longer applies fails the script, so that the list follows the code.
 */

import { edit, type Mutation } from './mutation.ts';
import { groupMutations } from './mutations-groups.ts';

export const mutations: readonly Mutation[] = [
  {
    name: 'drop the producer condition: every sequence is the next one',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        "  if (baseSequence === expectedSequence) return { verdict: 'next' };",
        "  if (baseSequence >= 0 && expectedSequence >= 0) return { verdict: 'next' };",
      ),
    ],
  },
  {
    name: 'do not look for duplicates: a resend is out of order',
    profile: 'local',
    edits: [edit('lib/store/producer-state.ts', 'producerEpoch === state.producerEpoch) {', 'producerEpoch < 0) {')],
  },
  {
    name: 'answer a duplicate with the end of the log',
    profile: 'local',
    edits: [
      edit(
        'lib/store/head.ts',
        "return { outcome: 'duplicate', baseOffset: sequence.baseOffset, timestamp: sequence.timestamp };",
        "return { outcome: 'duplicate', baseOffset: logEndOffset, timestamp: sequence.timestamp };",
      ),
    ],
  },
  {
    name: 'let zombies write: an older epoch is not refused',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        'state !== undefined && producerEpoch < state.producerEpoch',
        'state !== undefined && producerEpoch < 0',
      ),
      edit(
        'lib/store/producer-state.ts',
        "if (baseSequence === expectedSequence) return { verdict: 'next' };",
        "if (baseSequence === expectedSequence || producerEpoch < (state?.producerEpoch ?? 0)) return { verdict: 'next' };",
      ),
    ],
  },
  {
    name: 'forget a producer that a roll moved out of the head',
    profile: 'local',
    edits: [
      edit(
        'lib/store/head.ts',
        'producer.producerId <= (head.movedProducerIdMax ?? -1)',
        'producer.producerId < (head.movedProducerIdMax ?? -1) - 1e9',
      ),
    ],
  },
  {
    name: 'roll without checking tailBase',
    profile: 'local',
    edits: [
      edit('lib/store/metadata-store-sqlite.ts', 'stored.tailBase !== seen.tailBase || ', ''),
      edit(
        'lib/store/head.ts',
        "assert(stored.tailBase === seen.tailBase, 'a roll works on the tail it has seen');",
        '',
      ),
      edit(
        'lib/store/head.ts',
        'assert(stored.tail.length >= seen.tail.length && seen.tail.length > 0',
        'assert(seen.tail.length > 0',
      ),
    ],
  },
  {
    name: 'roll away what was appended since the head was read',
    profile: 'local',
    edits: [edit('lib/store/head.ts', 'tail: stored.tail.slice(seen.tail.length)', 'tail: []')],
  },
  {
    name: 'forget in a page the highest timestamp before it',
    profile: 'local',
    edits: [
      edit('lib/store/head.ts', 'stored.rolledMaxTimestamp ?? Number.MIN_SAFE_INTEGER', 'Number.MIN_SAFE_INTEGER'),
    ],
  },
  {
    name: 'answer before the commit is known: a lost reply counts as success',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'const commit = await metadataStore.commitBatches({ topicId: topic.topicId, partition, batches });',
        `const commit = await metadataStore
        .commitBatches({ topicId: topic.topicId, partition, batches })
        .catch(async () => {
          const [head] = await metadataStore.getHeads(topic.topicId, [partition]);
          if (head === undefined) return { outcome: 'missing' as const };
          const baseOffset = head.logEndOffset;
          return { outcome: 'committed' as const, head, batches: batches.map(({ timestamp }) => ({ outcome: 'committed' as const, baseOffset, timestamp })) };
        });`,
      ),
    ],
  },
  {
    name: 'try an append of unknown effect again without a producer id',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'const commit = await metadataStore.commitBatches({ topicId: topic.topicId, partition, batches });',
        `const append = () => metadataStore.commitBatches({ topicId: topic.topicId, partition, batches });
      const commit = await append().catch(append);`,
      ),
    ],
  },
  {
    name: 'call an append of unknown effect one without effect',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'if (isLogError(error)) return { partition, error };',
        "if (isLogError(error)) return { partition, error: new LogError(error.code, error.message, { effect: 'none' }) };",
      ),
    ],
  },
  {
    name: 'reuse an object id within a millisecond',
    profile: 'local',
    edits: [edit('lib/store/object-id.ts', 'lastSuffix + 1 + random.getUint16(0)', 'lastSuffix')],
  },
  {
    name: 'swap the coordinates of two batches in one object',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'const { byteStart, byteLength, offsetCount, maxTimestamp } = rows[index] as (typeof rows)[number];',
        'const { byteStart, byteLength, offsetCount, maxTimestamp } = rows[rows.length - 1 - index] as (typeof rows)[number];',
      ),
    ],
  },
  {
    name: 'stamp the offset of the run on every batch in it',
    profile: 'local',
    edits: [
      edit('lib/fetch/read-runs.ts', 'stampBaseOffset(batch, baseOffset);', 'stampBaseOffset(batch, run.baseOffset);'),
    ],
  },
  {
    name: 'read above the watermark: pages rolled since the head was read count',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/find-batches.ts',
        'found.filter((page) => page.lastOffset < head.tailBase)',
        'found.filter((page) => page.lastOffset >= 0)',
      ),
      edit('lib/fetch/find-batches.ts', 'due === head.tailBase', 'due >= head.tailBase'),
    ],
  },
  {
    name: 'claim a high watermark beyond the head',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/fetch.ts',
        'highWatermark: head.logEndOffset,\n      logStartOffset',
        'highWatermark: head.logEndOffset + 1,\n      logStartOffset',
      ),
    ],
  },
  {
    name: 'skip the batch that did not fit',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/fetch.ts',
        '> maxBytes) return answer();',
        '> maxBytes) return { ...answer(), nextOffset: stamped.nextOffset };',
      ),
    ],
  },
  {
    name: 'cut a run out of a shared read at the wrong place',
    profile: 'local',
    edits: [
      edit('lib/fetch/read-runs.ts', 'const from = run.byteStart - read.byteStart;', 'const from = 0 * run.byteStart;'),
    ],
  },
  {
    name: 'give out what was read without checking its checksum',
    profile: 'local',
    edits: [edit('lib/fetch/read-runs.ts', '      checkCrc(batch);\n', '')],
  },
  {
    name: 'search times to the wrong side of a page',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/find-batches.ts',
        'candidate.maxTimestampSoFar >= timestamp',
        'candidate.maxTimestampSoFar > timestamp + 100',
      ),
    ],
  },
  {
    name: 'never look a topic up again',
    profile: 'local',
    edits: [edit('lib/topic/topics.ts', 'ageMs >= 0 && ageMs < cacheAgeMsMax', 'ageMs < Number.POSITIVE_INFINITY')],
  },
  {
    name: 'alter without checking the version',
    profile: 'local',
    edits: [edit('lib/store/metadata-store-sqlite.ts', ' || row.version !== change.version', '')],
  },
  {
    name: 'leave the heads of a deleted topic behind',
    profile: 'local',
    edits: [edit('lib/store/metadata-store-sqlite.ts', 'sql.deleteHeads.run(topicId);\n', '')],
  },
  {
    name: 'give a producer id twice',
    profile: 'local',
    edits: [
      edit(
        'lib/store/metadata-store-sqlite.ts',
        'SET value = value + 1 WHERE',
        'SET value = value + (value % 5 > 0) WHERE',
      ),
    ],
  },
  {
    name: "append without the producers' condition",
    profile: 'aws',
    edits: [
      edit(
        'lib/store/append-update-dynamodb.ts',
        '...parts.map(({ condition }) => condition),',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
        '...parts.map(({ condition }) => `(${condition} OR attribute_exists(pk))`),',
      ),
    ],
  },
  {
    name: 'send an append again that has no producer id',
    profile: 'aws',
    edits: [
      edit('lib/store/append-dynamodb.ts', 'call.update(update, isRepeatable(sent))', 'call.update(update, true)'),
    ],
  },
  {
    name: 'forget that an attempt without an answer may have been carried out',
    profile: 'aws',
    edits: [edit('lib/store/append-dynamodb.ts', 'if (written.mayBeDone) onSilence();', '')],
  },
  {
    name: 'tell of an altered topic what the look at it says',
    profile: 'local',
    edits: [edit('lib/topic/topics.ts', '.catch(afterChange)', '')],
  },
  {
    name: 'say that a write without an answer had no effect',
    profile: 'aws',
    edits: [edit('lib/store/errors-dynamodb.ts', "effect: isUnknown ? 'unknown' : 'none',", "effect: 'none',")],
  },
  {
    name: 'commit before the object is stored',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/object-store-s3.ts',
        'await this.#client.send(new PutObjectCommand(input), { abortSignal });',
        'void this.#client.send(new PutObjectCommand(input), {}).catch(() => abortSignal);',
      ),
    ],
  },
  {
    name: 'read heads eventually consistent',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/call-dynamodb.ts',
        'const input = { TableName: this.table, Key: key, ConsistentRead: true };',
        'const input = { TableName: this.table, Key: key, ConsistentRead: false };',
      ),
    ],
  },
  {
    name: 'read pages eventually consistent',
    profile: 'aws',
    edits: [edit('lib/store/call-dynamodb.ts', '      ConsistentRead: true,\n', '      ConsistentRead: false,\n')],
  },
  {
    name: 'roll on DynamoDB whatever tailBase is',
    profile: 'aws',
    edits: [
      edit('lib/store/roll-dynamodb.ts', "const conditions = ['b = :from'];", "const conditions = ['b >= :from'];"),
    ],
  },
  {
    name: 'lose the batches a producer is remembered by when they are rolled away',
    profile: 'aws',
    edits: [
      edit('lib/store/roll-dynamodb.ts', 'lastBaseOffset(state) >= seen.tailBase,', 'lastBaseOffset(state) < 0,'),
    ],
  },
  {
    name: 'move producers out of the head without writing them down',
    profile: 'aws',
    edits: [edit('lib/store/roll-dynamodb.ts', 'await putProducers(call, seen, moved ?? []);', '')],
  },
  {
    name: 'key pages by text that does not sort as numbers do',
    profile: 'aws',
    edits: [edit('lib/store/items-dynamodb.ts', "String(value).padStart(16, '0')", 'String(value)')],
  },
  {
    name: 'let heads outlive their topic',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/topics-dynamodb.ts',
        '...range(0, lastCount).map((partition) => ({',
        '...range(lastCount, lastCount).map((partition) => ({',
      ),
    ],
  },
  {
    name: 'answer a fetch from the heads that the fetch before it read',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/fetch.ts',
        'const heads = await metadataStore.getHeads(\n      topic.topicId,\n      known.map(({ partition }) => partition),\n    );',
        `const wanted = topic.topicId + known.map(({ partition }) => partition).join();
    const kept = (deps as { kept?: Map<string, (Head | undefined)[]> }).kept ?? new Map();
    (deps as { kept?: Map<string, (Head | undefined)[]> }).kept = kept;
    const read = metadataStore.getHeads(topic.topicId, known.map(({ partition }) => partition));
    const heads = kept.get(wanted) ?? (await read);
    void read.then((fresh) => kept.set(wanted, fresh), () => undefined);`,
      ),
    ],
  },
  {
    name: 'ack what was not stored: a put that failed is committed all the same',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'encodeFooter(rows)]);',
        "encodeFooter(rows)]).catch(() => '019b7657bc007000800000000000abcd' as BatchCoordinates['objectId']);",
      ),
    ],
  },
  {
    name: 'take a conflict of S3 (409) for an object that is stored',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/object-store-s3.ts',
        "          if (s3ErrorKind(error) === 'taken' && nextId === objectId)",
        `          if ((error as Error).name === 'ConditionalRequestConflict') return objectId;
          if (s3ErrorKind(error) === 'taken' && nextId === objectId)`,
      ),
    ],
  },
  {
    name: 'remember four batches of a producer and not five',
    profile: 'local',
    edits: [edit('lib/store/producer-state.ts', '.slice(-producerBatchesMax)', '.slice(1 - producerBatchesMax)')],
  },
  {
    name: 'remember the batches of an older epoch as those of the newer one',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        'state?.producerEpoch === producer.producerEpoch ? state.batches : []',
        'state?.batches ?? []',
      ),
    ],
  },
  {
    name: 'take any sequence from a producer that is not known, as Kafka once did',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        'state === undefined || producerEpoch > state.producerEpoch ? 0 :',
        'state === undefined ? baseSequence : producerEpoch > state.producerEpoch ? 0 :',
      ),
    ],
  },
  {
    name: 'take any sequence from a newer epoch',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        'state === undefined || producerEpoch > state.producerEpoch ? 0 :',
        'state === undefined ? 0 : producerEpoch > state.producerEpoch ? baseSequence :',
      ),
    ],
  },
  {
    name: 'tell another append time than the one that is stamped',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/check-batch.ts',
        'stampLogAppendTime(stored, maxTimestamp);',
        'stampLogAppendTime(stored, clock.nowMs() + 1);',
      ),
    ],
  },
  {
    name: 'believe the highest timestamp that a header claims',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/check-batch.ts',
        'isAppendTime ? clock.nowMs() : checked.maxTimestamp',
        'isAppendTime ? clock.nowMs() : checked.header.maxTimestamp',
      ),
    ],
  },
  {
    name: 'answer the callers of one flush in the wrong order',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/flush-queue.ts',
        'resolve(results[index] as Result)',
        'resolve(results.at(-1 - index) as Result)',
      ),
    ],
  },
  {
    name: 'give up on a full tail without rolling it',
    profile: 'local',
    edits: [edit('lib/produce/produce.ts', 'if (rolls === rollsBeforeAppendMax) {', 'if (rolls >= 0) {')],
  },
  {
    name: 'skip what is damaged',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/fetch.ts',
        'if (batches.length === 0) return { partition, error };',
        'nextOffset = Math.max(nextOffset, (runs[index]?.[0]?.baseOffset ?? 0) + (runs[index]?.[0]?.offsetCount ?? 0));',
      ),
    ],
  },
  {
    name: 'write a footer that says where the next batch begins',
    profile: 'aws',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'encodeFooter(rows)',
        'encodeFooter(rows.map((row) => ({ ...row, byteStart: row.byteStart + row.byteLength })))',
      ),
    ],
  },
  {
    name: 'keep the heads of a deleted topic in memory',
    profile: 'local',
    edits: [
      edit(
        'lib/store/metadata-store-sqlite.ts',
        'sql.deleteHeads.run(topicId);\n        heads.clear();\n',
        'sql.deleteHeads.run(topicId);\n',
      ),
    ],
  },
  {
    name: 'give offsets by the head that was seen before the append',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/append-dynamodb.ts',
        'let next = logEndOffset - offsetCount;',
        'let next = seen?.head.logEndOffset ?? logEndOffset - offsetCount;',
      ),
    ],
  },
  {
    name: 'tell a resend in one flush with its batch the offset that the batch would have had',
    profile: 'aws',
    edits: [
      edit(
        'lib/store/append-dynamodb.ts',
        'return judged.baseOffset < seenEnd ? judged :',
        'return judged.baseOffset >= 0 ? judged :',
      ),
    ],
  },
  {
    name: 'take no more than three records of a producer',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        'if (baseSequence === expectedSequence) return',
        'if (baseSequence === expectedSequence && baseSequence < 3) return',
      ),
    ],
  },
  {
    name: 'refuse every newer epoch of a producer',
    profile: 'local',
    edits: [
      edit(
        'lib/store/producer-state.ts',
        'if (baseSequence === expectedSequence) return',
        'if (baseSequence === expectedSequence && producerEpoch === 0) return',
      ),
    ],
  },
  {
    name: 'read from the start where the latest is asked for',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/fetch.ts',
        "asked === 'latest' ? head.logEndOffset : asked;",
        "asked === 'latest' ? head.logStartOffset : asked;",
      ),
    ],
  },
  {
    name: 'read from three records before the end where the latest is asked for',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/fetch.ts',
        "asked === 'latest' ? head.logEndOffset : asked;",
        "asked === 'latest' ? Math.max(head.logStartOffset, head.logEndOffset - 3) : asked;",
      ),
    ],
  },
  {
    name: 'list an earliest offset that is above the end',
    profile: 'local',
    edits: [
      edit(
        'lib/fetch/list-offsets.ts',
        "if (timestamp === 'earliest') return { offset: head.logStartOffset,",
        "if (timestamp === 'earliest') return { offset: head.logEndOffset + 7,",
      ),
    ],
  },
  {
    name: 'let a flush of the client fail',
    profile: 'local',
    edits: [
      edit(
        'lib/client/producer.ts',
        'if (outcomes === undefined) return;',
        "if (outcomes !== undefined) throw new Error('a bug of the client');",
      ),
    ],
  },
  {
    name: 'leave a promise behind that is rejected',
    profile: 'local',
    edits: [
      edit(
        'lib/produce/produce.ts',
        'roller.rollWhenDue(commit);',
        "if (batches.length === 2) void Promise.reject(new Error('nobody hears of it'));\n        roller.rollWhenDue(commit);",
      ),
    ],
  },
  {
    name: 'begin two records behind the earliest in the client',
    profile: 'local',
    edits: [
      edit(
        'lib/client/consumer.ts',
        "from === 'latest' ? highWatermark : logStartOffset];",
        "from === 'latest' ? highWatermark : Math.min(highWatermark, logStartOffset + 2)];",
      ),
    ],
  },
  ...groupMutations,
];

/** The changed files with their new text. Throws when an edit does not apply at exactly one place. */
export function applyMutation(mutation: Mutation, readFile: (file: string) => string): Map<string, string> {
  const changed = new Map<string, string>();
  for (const { file, search, replace } of mutation.edits) {
    const text = changed.get(file) ?? readFile(file);
    const places = text.split(search).length - 1;
    if (places !== 1) {
      throw new Error(`mutation "${mutation.name}" applies at ${places} places of ${file}, and must at one: ${search}`);
    }
    changed.set(
      file,
      text.replace(search, () => replace),
    );
  }
  return changed;
}
