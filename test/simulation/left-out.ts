/** What the simulation does not reach, and why: files that it leaves out, and branches of the others that it cannot take. */

const realDisk =
  'a real disk, where the order of writes and syncs is the point; test/durability cuts them where it likes';

/** Not counted at all. */
export const filesLeftOut: Readonly<Record<string, string>> = {
  'lib/store/connections.ts': 'sockets, which the simulation has none of; test/store/connections.test.ts',
  'lib/store/data-folder.ts': 'the folder of one machine and its lock; test/store/data-folder.test.ts',
  'lib/store/file-io.ts': realDisk,
  'lib/store/object-store-files.ts': realDisk,
  'lib/store/read-files.ts': realDisk,
  'lib/store/volume.ts': realDisk,
  'lib/store/volume-files.ts': realDisk,
  'lib/store/volume-writer.ts': realDisk,
  'lib/topic/partitioner.ts': "arithmetic without a state, held to the values of Kafka's own client by test/golden",
};

export interface BranchLeftOut {
  readonly file: string;
  /** A piece of the source that is there once; branches that begin in it are meant. */
  readonly source: string;
  readonly reason: string;
}

const isVolume = 'ids of objects in volumes, which lie on a real disk';
const isFile = 'files of SQLite on a real disk; test/store/metadata-store.test.ts opens old and new ones';
const ownClient = 'a client of its own, with sockets; the simulation gives it one';

const manyBytes = '4 MiB in one request; test/produce';
const manyBehind = 'nine partitions of one fetch, all behind; test/fetch';

const fullDisk = [
  "if (!(error instanceof Error && 'errcode' in error && error.errcode === sqliteFull)) throw error;",
  "if (database.isTransaction) database.exec('ROLLBACK');",
];

/** Parts of files that belong to what is left out: not counted either. */
export const partsLeftOut: readonly BranchLeftOut[] = [
  {
    file: 'lib/store/object-id.ts',
    source: 'assert(volumeNumber > 0 && volumeNumber <= volumeNumberMax,',
    reason: isVolume,
  },
  {
    file: 'lib/store/object-id.ts',
    source: 'assert(byteStart % placeUnitBytes === 0 && byteStart <= placeStartMax,',
    reason: isVolume,
  },
  {
    file: 'lib/store/object-id.ts',
    source: 'if (volumeNumber === 0 || !isObjectId(objectId)) return undefined;',
    reason: isVolume,
  },
  { file: 'lib/store/metadata-store-sqlite.ts', source: 'if (version > schemaVersion) {', reason: isFile },
  { file: 'lib/store/metadata-store-sqlite.ts', source: 'if (version === 0)', reason: isFile },
  { file: 'lib/store/metadata-store-sqlite.ts', source: "if (path !== ':memory:')", reason: isFile },
  {
    file: 'lib/store/requests-dynamodb.ts',
    source: '(region === undefined ? {} : { region }),\n    ...(endpoint === undefined ? {} : { endpoint }),',
    reason: ownClient,
  },
  {
    file: 'lib/store/requests-s3.ts',
    source:
      '(region === undefined ? {} : { region }),\n    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),',
    reason: ownClient,
  },
  ...fullDisk.map((source) => ({ file: 'lib/store/metadata-store-sqlite.ts', source, reason: isFile })),
];

const noSlot = 'as many calls at once as there are sockets, until the deadline; test/store/slots.test.ts';

const isBug = 'only a bug gets there, and is told as one';
const isTyped = 'the types ask for it: it is always there';
const isRefusedBefore = 'a door for other callers: the log does not ask for this';
const sharedStore = 'all processes of a simulation share it, so it is open until the end';
const noSweep = 'nothing deletes objects yet';

/** Counted as not covered all the same. */
export const branchesLeftOut: readonly BranchLeftOut[] = [
  {
    file: 'lib/store/metadata-store-sqlite.ts',
    source: 'if (!deleted.isAll) remains.removeRest(topicId);',
    reason: '1,000 pages of one topic; test/store/metadata-store.test.ts',
  },
  { file: 'lib/store/requests-dynamodb.ts', source: 'if (hasSlot) this.#slots.give();', reason: noSlot },
  { file: 'lib/store/requests-s3.ts', source: 'if (hasSlot) this.#slots.give();', reason: noSlot },
  { file: 'lib/produce/produce.ts', source: 'if (preparedBytes() >= turnAt) {', reason: manyBytes },
  { file: 'lib/produce/produce.ts', source: 'if (turns !== undefined) preparing', reason: manyBytes },
  { file: 'lib/fetch/fetch.ts', source: 'bytes > 0 && bytes >= maxBytes;', reason: manyBehind },
  { file: 'lib/fetch/fetch.ts', source: 'isEnough ? [] : await findRuns', reason: manyBehind },
  {
    file: 'lib/produce/flush-queue.ts',
    source: 'if (this.#heldBytes > 0 && this.#heldBytes + item.heldBytes > bytesWaitingMax) throw',
    reason: '64 MiB in one process at once; test/produce/flush-queue.test.ts',
  },
  {
    file: 'lib/produce/flush-queue.ts',
    source: 'if (this.#refused?.heldBytes !== this.#heldBytes) {',
    reason: '64 MiB in one process at once; test/produce/flush-queue.test.ts',
  },
  { file: 'lib/produce/produce.ts', source: 'if (isLogError(error)) return { partition, error };', reason: isBug },
  {
    file: 'lib/produce/produce.ts',
    source: 'if (rolls === rollsBeforeAppendMax) {',
    reason: 'others fill 236 entries behind each of three rolls',
  },
  { file: 'lib/fetch/fetch.ts', source: "offset: 'offset' in one ? one.offset : 'latest',", reason: isTyped },
  { file: 'lib/fetch/fetch.ts', source: '(runs[index] ?? []).entries()', reason: isTyped },
  { file: 'lib/fetch/fetch.ts', source: 'if (!isLogError(error)) throw error;', reason: isBug },
  {
    file: 'lib/fetch/find-batches.ts',
    source: "if (page.baseOffset > due) return 'gone';",
    reason: 'a delete that has taken some pages and not yet those behind them; test/fetch',
  },
  {
    file: 'lib/fetch/read-runs.ts',
    source: 'if (bytesUnderWay > 0 && bytesUnderWay + bytes > fetchBytesHeldMax) {',
    reason: '256 MiB in one process at once; test/fetch',
  },
  {
    file: 'lib/fetch/read-runs.ts',
    source: 'bytes.length - byteStart < 12 ? 0 :',
    reason: 'the checksum of the batch before it fails first',
  },
  { file: 'lib/fetch/read-runs.ts', source: 'if (!isLogError(error)) throw error;', reason: isBug },
  {
    file: 'lib/store/topics-dynamodb.ts',
    source: 'throw areHeadsGone ? withUnknownEffect',
    reason: 'more partitions than a transaction takes; test/store/dynamodb-faults.test.ts',
  },
  { file: 'lib/topic/topics.ts', source: 'if (cached.size <= cacheTopicsMax) break;', reason: '10,000 topics' },
  { file: 'lib/store/append-dynamodb.ts', source: 'if (!isLogError(error)) throw error;', reason: isBug },
  { file: 'lib/store/call-dynamodb.ts', source: '(responses?.[this.table] ?? [])', reason: isTyped },
  {
    file: 'lib/store/commit-waiters.ts',
    source: 'if (signal.aborted) return Promise.resolve(false);',
    reason: isRefusedBefore,
  },
  {
    file: 'lib/store/errors-dynamodb.ts',
    source: "if (!('code' in error) || typeof error.code !== 'string') return 'other';",
    reason: isBug,
  },
  {
    file: 'lib/store/errors-dynamodb.ts',
    source: "error.syscall === 'read' || error.syscall === 'write'",
    reason: 'a network that goes away; test/store/dynamodb-faults.test.ts',
  },
  { file: 'lib/store/errors-dynamodb.ts', source: 'if (!(error instanceof RetryError)) return error;', reason: isBug },
  {
    file: 'lib/store/errors-dynamodb.ts',
    source: "if (kind === 'other' && region !== undefined) return cause;",
    reason: isBug,
  },
  {
    file: 'lib/store/errors-s3.ts',
    source: "typeof error.code === 'string' ? 'transient' : 'other';",
    reason: isBug,
  },
  { file: 'lib/store/errors-s3.ts', source: 'if (!(error instanceof RetryError)) return error;', reason: isBug },
  {
    file: 'lib/store/errors-s3.ts',
    source: "if (kind === 'other' && region !== undefined && statusOf(cause) === undefined) return cause; // A bug.",
    reason: isBug,
  },
  {
    file: 'lib/store/errors-s3.ts',
    source: "operation === 'ListObjectsV2' ? 'bucket'",
    reason: 'lists are of the audit alone, which has no faults',
  },
  {
    file: 'lib/store/errors-s3.ts',
    source: 'region === undefined\n        ? `',
    reason: ownClient,
  },
  { file: 'lib/store/errors-s3.ts', source: 'if (!(cause instanceof Error)) return String(cause);', reason: isBug },
  { file: 'lib/store/errors-s3.ts', source: 'cause.message || cause.name', reason: 'errors of Node have messages' },
  {
    file: 'lib/store/group-commit.ts',
    source: "if (!(error instanceof Error) || !('errcode' in error)) return error;",
    reason: isBug,
  },
  { file: 'lib/store/head.ts', source: 'head.tail[entriesBefore]?.offsetCount ?? 0', reason: isTyped },
  { file: 'lib/store/head.ts', source: 'state.batches.at(-1)?.baseOffset ?? -1', reason: isTyped },
  { file: 'lib/store/hedge.ts', source: 'sorted[Math.floor(sorted.length * quantile)] ?? delayMsMax', reason: isTyped },
  { file: 'lib/store/items-dynamodb.ts', source: 'if (value.N === undefined) return 1;', reason: isTyped },
  {
    file: 'lib/store/metadata-store-dynamodb.ts',
    source: 'if (isClosed) {',
    reason: 'the log is closed before its stores are, and refuses',
  },
  { file: 'lib/store/metadata-store-dynamodb.ts', source: 'if (isClosed) return;', reason: isRefusedBefore },
  {
    file: 'lib/store/metadata-store-dynamodb.ts',
    source: 'if (lanes.get(lane) === answer) lanes.delete(lane);',
    reason: 'commits of one partition come one after another already; test/store/metadata-store-dynamodb.test.ts',
  },
  {
    file: 'lib/store/metadata-store-sqlite.ts',
    source: 'if (heads.size >= headsKeptMax)',
    reason: '10,000 partitions',
  },
  { file: 'lib/store/metadata-store-sqlite.ts', source: 'if (isClosed) return;', reason: sharedStore },
  { file: 'lib/store/metadata-store-sqlite.ts', source: 'isClosed ? Promise.reject', reason: sharedStore },
  { file: 'lib/store/metadata-store-sqlite.ts', source: 'if (isClosed) throw closedError();', reason: sharedStore },
  {
    file: 'lib/store/object-id.ts',
    source: 'if (suffix >= 2 ** 40) {',
    reason: 'ten million objects in a millisecond',
  },
  {
    file: 'lib/store/object-layout.ts',
    source: 'bytes.readUInt32BE(trailerAt) : -1',
    reason: 'an object of another program; test/store/bytes.test.ts',
  },
  {
    file: 'lib/store/object-layout.ts',
    source: 'if (footerBytes < 0 || footerBytes > trailerAt || footerBytes % rowBytes !== 0) {',
    reason: 'an object of another program; test/store/bytes.test.ts',
  },
  {
    file: 'lib/store/object-store-memory.ts',
    source: "async put(body) {\n      if (isClosed) throw refuse('the object store is closed');",
    reason: sharedStore,
  },
  {
    file: 'lib/store/object-store-memory.ts',
    source: "byteLength) {\n      if (isClosed) throw refuse('the object store is closed');",
    reason: sharedStore,
  },
  {
    file: 'lib/store/object-store-memory.ts',
    source: 'if (object === undefined) throw',
    reason: 'nothing that is referred to goes; test/contract',
  },
  {
    file: 'lib/store/object-store-memory.ts',
    source: 'if (byteStart < 0 || byteLength < 0 || byteStart + byteLength > object.length) {',
    reason: isRefusedBefore,
  },
  { file: 'lib/store/object-store-s3.ts', source: 'if (!isObjectId(objectId)) throw lost(', reason: isRefusedBefore },
  {
    file: 'lib/store/object-store-s3.ts',
    source: 'if (byteStart < 0 || byteLength < 0) throw lost(',
    reason: isRefusedBefore,
  },
  { file: 'lib/store/object-store-s3.ts', source: 'if (byteLength === 0) return await', reason: isRefusedBefore },
  { file: 'lib/store/object-store-s3.ts', source: 'const { ContentLength = 0 } =', reason: isRefusedBefore },
  { file: 'lib/store/object-store-s3.ts', source: 'if (byteStart > ContentLength) throw', reason: isRefusedBefore },
  { file: 'lib/store/object-store-s3.ts', source: 'LastModified?.getTime() ?? before', reason: isTyped },
  { file: 'lib/store/object-store-s3.ts', source: 'const { Errors = [] } =', reason: noSweep },
  { file: 'lib/store/object-store-s3.ts', source: "{ Key = '', Code = 'unknown' } of Errors", reason: noSweep },
  { file: 'lib/store/object-store-s3.ts', source: "exec(header ?? '')", reason: isTyped },
  { file: 'lib/store/producer-state.ts', source: 'last === undefined ? 0', reason: isTyped },
  {
    file: 'lib/store/requests-dynamodb.ts',
    source: 'options.client ?? createClient(options, this.#connections)',
    reason: ownClient,
  },
  {
    file: 'lib/store/requests-dynamodb.ts',
    source: 'if (this.#options.client === undefined) this.#client.destroy();',
    reason: ownClient,
  },
  {
    file: 'lib/store/requests-dynamodb.ts',
    source: '{ CapacityUnits = 0 }',
    reason: 'costs; test/store/dynamodb-costs',
  },
  {
    file: 'lib/store/requests-s3.ts',
    source: 'options.client ?? createClient(options, this.#connections)',
    reason: ownClient,
  },
  {
    file: 'lib/store/requests-s3.ts',
    source: ': {};',
    reason: 'hedging is left on; test/bench measures without it',
  },
  {
    file: 'lib/store/requests-s3.ts',
    source: 'if (this.#options.client === undefined) this.client.destroy();',
    reason: ownClient,
  },
  { file: 'lib/store/roll-dynamodb.ts', source: "if (seen.tail.length === 0) return 'lost';", reason: isRefusedBefore },
  {
    file: 'lib/store/tail-entries.ts',
    source: 'BigInt(timestamp) - BigInt(from)',
    reason: 'timestamps 285,000 years apart',
  },
  { file: 'lib/store/tail-entries.ts', source: 'batches[0]?.baseSequence ?? 0', reason: isTyped },
  {
    file: 'lib/store/topics-dynamodb.ts',
    source: "if (textOf(there, 'topicId') === topicId) return { outcome: 'created' };",
    reason: 'a call that lasts ten minutes',
  },
  { file: 'lib/store/topics-dynamodb.ts', source: 'if (!isLogError(error)) throw error;', reason: isBug },
];
