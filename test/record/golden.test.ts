import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { checkClientBatch } from '../../lib/record/check-batch.ts';
import { recompressBatch } from '../../lib/record/encode-batch.ts';
import {
  checkCrc,
  decodeRecords,
  lastOffsetDeltaOf,
  readBatchHeader,
  readControlRecord,
  splitBatches,
} from '../../lib/record/record-batch.ts';
import {
  type GoldenBatch,
  type GoldenBytes,
  goldenFileNames,
  goldenFiles,
  lowestTimestamp,
  readGolden,
} from './golden.ts';

test('the manifest names every file of batches', () => {
  expect(goldenFiles.map(({ file }) => file).sort()).toEqual(goldenFileNames.sort());
});

for (const { file, bytes: fileBytes, batches: expected } of goldenFiles) {
  test(`${file} decodes to what its manifest says`, () => {
    const bytes = readGolden(file);
    expect(bytes.length).toBe(fileBytes);
    const { batches, partialBytes } = splitBatches(bytes);
    expect(partialBytes).toBe(0);
    expect(batches.length).toBe(expected.length);
    batches.forEach((batch, index) => {
      const golden = expected[index] as GoldenBatch;
      expect(batch.byteOffset).toBe(golden.position);
      checkCrc(batch);
      expect(headerOf(batch)).toEqual(expectedHeaderOf(golden));
      expect(readBatchHeader(bytes, golden.position)).toEqual(readBatchHeader(batch));
      expect(recordsOf(batch, golden)).toEqual(golden.records.map(({ sequence: _, ...record }) => record));
      if (golden.control) {
        const { type, coordinatorEpoch } = readControlRecord(batch);
        const known = golden.controlType === 'ABORT' || golden.controlType === 'COMMIT';
        expect({ type, coordinatorEpoch }).toEqual({
          type: known ? golden.controlType : 'other',
          coordinatorEpoch: golden.coordinatorEpoch,
        });
      }
    });
  });
}

test('what a plain client sent is accepted as it was sent', () => {
  const byClients = goldenFiles.filter(
    ({ file }) => !/^lib-|compacted|logappendtime|transactions/.test(file) || file === 'lib-sequence-wrap.bin',
  );
  let count = 0;
  for (const { file, batches } of byClients) {
    const views = splitBatches(readGolden(file)).batches;
    batches.forEach((golden, index) => {
      const checked = checkClientBatch(views[index] as Uint8Array);
      const timestamps = golden.records.map(({ timestamp }) => Number(timestamp));
      expect(checked.recordCount).toBe(golden.count);
      expect(checked.maxTimestamp).toBe(Math.max(...timestamps));
      expect(checked.minTimestamp).toBe(lowestTimestamp(timestamps));
      const { producerEpoch, baseSequence } = golden;
      const producerId = Number(golden.producerId);
      expect(checked.producer).toEqual(producerId === -1 ? undefined : { producerId, producerEpoch, baseSequence });
      count += 1;
    });
  }
  expect(count).toBeGreaterThan(100);
});

test('what only a log may hold is refused from a client', () => {
  const reasons = new Map<string, unknown>();
  for (const { file } of goldenFiles.filter(({ file }) => /^lib-|compacted|logappendtime|transactions/.test(file))) {
    for (const batch of splitBatches(readGolden(file)).batches) {
      const header = readBatchHeader(batch);
      if (header.isControl) expectReason(batch, 'control');
      else if (header.timestampType === 'LogAppendTime') expectReason(batch, 'timestamp-type');
      else if (header.deleteHorizonMs !== undefined) expectReason(batch, 'attributes');
      else if (header.isTransactional) expectReason(batch, 'transactional');
      else if (header.recordCount === 0) expectReason(batch, 'count');
      else if (typeof header.producerId === 'bigint') expectReason(batch, 'producer');
      else if (typeof header.maxTimestamp === 'bigint') expectReason(batch, 'timestamp');
      else if (header.recordCount !== header.lastOffsetDelta + 1) expectReason(batch, 'offsets');
      else checkClientBatch(batch);
      reasons.set(file, true);
    }
  }
  expect(reasons.size).toBeGreaterThan(10);

  function expectReason(batch: Uint8Array, reason: string): void {
    expect(() => checkClientBatch(batch)).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ reason }) }),
    );
  }
});

test('a batch under another codec holds the same records and the same header', () => {
  for (const { file } of goldenFiles.filter(({ file }) =>
    /^java-(none|1000|nulls|compacted|transactions)|^lib-/.test(file),
  )) {
    for (const batch of splitBatches(readGolden(file)).batches) {
      for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const again = recompressBatch(batch, codec);
        checkCrc(again);
        expect([...decodeRecords(again)]).toEqual([...decodeRecords(batch)]);
        const isEmpty = readBatchHeader(batch).recordCount === 0;
        const { codec: codecFound, attributes, crc: _crc, sizeInBytes: _size, ...rest } = readBatchHeader(again);
        expect(codecFound).toBe(isEmpty ? 'none' : codec);
        expect(readBatchHeader(batch)).toMatchObject(rest);
        expect(attributes & ~7).toBe(readBatchHeader(batch).attributes & ~7);
      }
    }
  }
});

function headerOf(batch: Uint8Array) {
  const header = readBatchHeader(batch);
  return {
    ...header,
    baseOffset: String(header.baseOffset),
    lastOffset: String(BigInt(header.baseOffset) + BigInt(lastOffsetDeltaOf(batch))),
    deleteHorizonMs: header.deleteHorizonMs === undefined ? null : String(header.deleteHorizonMs),
    baseTimestamp: String(header.baseTimestamp),
    maxTimestamp: String(header.maxTimestamp),
    producerId: String(header.producerId),
  };
}

function expectedHeaderOf(golden: GoldenBatch) {
  return {
    baseOffset: golden.baseOffset,
    lastOffset: golden.lastOffset,
    lastOffsetDelta: Number(BigInt(golden.lastOffset) - BigInt(golden.baseOffset)),
    sizeInBytes: golden.sizeInBytes,
    leaderEpoch: golden.partitionLeaderEpoch,
    crc: golden.crc,
    attributes: golden.attributes,
    codec: golden.codec,
    timestampType: golden.timestampType,
    isTransactional: golden.transactional,
    isControl: golden.control,
    deleteHorizonMs: golden.deleteHorizonMs,
    baseTimestamp: golden.baseTimestamp,
    maxTimestamp: golden.maxTimestamp,
    producerId: golden.producerId,
    producerEpoch: golden.producerEpoch,
    baseSequence: golden.baseSequence,
    recordCount: golden.count,
  };
}

function recordsOf(batch: Uint8Array, golden: GoldenBatch) {
  return [...decodeRecords(batch)].map((record, index) => {
    const expected = golden.records[index];
    return {
      offset: String(record.offset),
      timestamp: String(record.timestamp),
      key: told(record.key, expected?.key),
      value: told(record.value, expected?.value),
      headers: record.headers.map(([name, value], at) => [name, told(value, expected?.headers[at]?.[1])]),
    };
  });
}

/** Bytes as the manifest tells them. */
function told(bytes: Uint8Array | null, like: GoldenBytes | undefined): GoldenBytes {
  if (bytes === null) return null;
  if (typeof like !== 'object' || like === null) return Buffer.from(bytes).toString('base64');
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}
