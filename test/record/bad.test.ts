import { describe, expect, test } from 'vitest';
import { type ErrorCode, isLogError, type LogError } from '../../lib/errors.ts';
import { MiB } from '../../lib/limits.ts';
import { checkClientBatch } from '../../lib/record/check-batch.ts';
import { checkCrc, decodeRecords, splitBatches } from '../../lib/record/record-batch.ts';
import { badFiles, readGolden } from './golden.ts';

/** The error that each kind of refusal deserves. */
const codeOfKind: Readonly<Record<string, ErrorCode>> = {
  truncated: 'CORRUPT_MESSAGE',
  length: 'CORRUPT_MESSAGE',
  crc: 'CORRUPT_MESSAGE',
  compressed: 'CORRUPT_MESSAGE',
  magic: 'UNSUPPORTED_VERSION',
  codec: 'UNSUPPORTED_COMPRESSION_TYPE',
  attributes: 'INVALID_RECORD',
  control: 'INVALID_RECORD',
  producer: 'INVALID_RECORD',
  count: 'INVALID_RECORD',
  offsets: 'INVALID_RECORD',
  record: 'INVALID_RECORD',
  batches: 'INVALID_RECORD',
  'too-large': 'MESSAGE_TOO_LARGE',
};

/** Where this project says more than the kind does. */
const moreThanTheKind: Readonly<Record<string, readonly [reason: string, code: ErrorCode]>> = {
  'log-append-time-from-client.bin': ['timestamp-type', 'INVALID_TIMESTAMP'],
};

/** Kafka takes it too, and kafkajs and @platformatic/kafka write every batch so: producer id -1, epoch 0, sequence 0. */
const taken = ['producer-epoch-without-id.bin'];

function refusalOf(act: () => unknown): LogError | undefined {
  try {
    act();
  } catch (error) {
    expect(isLogError(error), `${error}`).toBe(true);
    return error as LogError;
  }
  return undefined;
}

function reasonOf(error: LogError): string {
  return (error.details as { reason: string }).reason;
}

describe('from a client', () => {
  for (const { file, reject, or, note } of badFiles) {
    const isTaken = reject === null || taken.includes(file);
    test(`${file} is ${isTaken ? 'accepted' : `refused: ${reject}`} (${note})`, () => {
      const error = refusalOf(() => checkClientBatch(readGolden(`bad/${file}`)));
      if (isTaken) return expect(error).toBeUndefined();
      if (error === undefined) return expect.unreachable(`${file} was accepted`);
      const [reason, code] = moreThanTheKind[file] ?? [];
      if (reason === undefined) expect([reject, ...or]).toContain(reasonOf(error));
      else expect(reasonOf(error)).toBe(reason);
      expect(error.code).toBe(code ?? codeOfKind[reasonOf(error)]);
      expect(error.effect).toBe('none');
      expect(error.message).toMatch(/^[a-z].*[^.]$/);
    });
  }
});

describe('in a fetch', () => {
  // What only a client may not do is no damage in a log.
  const onlyFromClients = ['attributes', 'control', 'producer', 'batches'];
  // A log has gaps after compaction, and a batch that is empty.
  const rightInLogs = ['last-delta-9.bin', 'empty-batch.bin'];

  for (const { file, reject, goodBatches } of badFiles) {
    test(`${file} gives its ${goodBatches} good batches and no more`, () => {
      const bytes = readGolden(`bad/${file}`);
      let good = 0;
      let partial = 0;
      const error = refusalOf(() => {
        const { batches, partialBytes } = splitBatches(bytes);
        partial = partialBytes;
        for (const batch of batches) {
          checkCrc(batch);
          for (const _ of decodeRecords(batch));
          good += 1;
        }
      });
      if (reject === null || onlyFromClients.includes(reject) || rightInLogs.includes(file)) {
        expect(error).toBeUndefined();
        if (bytes.length > 0) expect(good).toBeGreaterThan(0);
        return;
      }
      expect(good).toBe(goodBatches);
      if (reject === 'truncated') expect(partial).toBeGreaterThan(0);
      else expect(error).toBeDefined();
    });
  }
});

test('bombs are refused in bounded memory and time', () => {
  for (const { file } of badFiles.filter(({ file }) => file.startsWith('bomb-'))) {
    const bytes = readGolden(`bad/${file}`);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    expect(refusalOf(() => checkClientBatch(bytes))?.code).toMatch(/MESSAGE_TOO_LARGE|CORRUPT_MESSAGE/);
    expect(performance.now() - start).toBeLessThan(2000);
    expect(process.memoryUsage().rss - before).toBeLessThan(190 * MiB);
  }
});

test('what the batches of a request may decompress to falls by what each does, and by more for one that fails', () => {
  const budget = { bytesLeft: 128 * MiB };
  checkClientBatch(readGolden('bad/ok.bin'), budget);
  expect(budget.bytesLeft).toBe(128 * MiB);
  checkClientBatch(readGolden('bad/ok-gzip.bin'), budget);
  const left = budget.bytesLeft;
  expect(left).toBeGreaterThan(127 * MiB);
  expect(left).toBeLessThan(128 * MiB);
  for (const { file, reject } of badFiles) {
    if (reject !== 'compressed') continue;
    const budget = { bytesLeft: left };
    expect(refusalOf(() => checkClientBatch(readGolden(`bad/${file}`), budget))).toBeDefined();
    expect(budget.bytesLeft).toBe(left - 64 * MiB);
  }
  const emptied = { bytesLeft: 0 };
  expect(refusalOf(() => checkClientBatch(readGolden('bad/ok-gzip.bin'), emptied))?.code).toBe('MESSAGE_TOO_LARGE');
});

test('a smaller limit for decompressed records is kept', () => {
  const bytes = readGolden('java-zstd-blocks.bin');
  const error = refusalOf(() => [...decodeRecords(bytes, { budget: { bytesLeft: 1000 } })]);
  expect(error?.code).toBe('MESSAGE_TOO_LARGE');
  expect(error?.message).toMatch(/, 1000 were left for this one; send fewer at once$/);
});
