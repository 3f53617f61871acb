import { describe, expect, test } from 'vitest';
import { recordHeadersMax } from '../../lib/limits.ts';
import { checkClientBatch } from '../../lib/record/check-batch.ts';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import type { RecordHeader } from '../../lib/record/record.ts';
import { decodeRecords } from '../../lib/record/record-batch.ts';

function batchWith(headerCount: number): Uint8Array {
  const headers = Array<RecordHeader>(headerCount).fill(['', null]);
  const none = { key: null, value: null, headers: [], timestamp: 1000 };
  return encodeBatch({ records: [none, { ...none, headers }], codec: 'zstd' });
}

// A batch of 5.6 KB held one record with 30 million empty headers. It was stored, and every process that decoded it died.
describe('the headers of a record', () => {
  test('are taken up to the limit', () => {
    const batch = batchWith(recordHeadersMax);
    expect(checkClientBatch(batch).recordCount).toBe(2);
    expect([...decodeRecords(batch)].map(({ headers }) => headers.length)).toEqual([0, recordHeadersMax]);
  });

  test.each([
    ['a producer sends', checkClientBatch],
    ['lie in a log from before', (batch: Uint8Array) => [...decodeRecords(batch)]],
  ])('are refused beyond it when they %s', (_where, read) => {
    expect(() => read(batchWith(recordHeadersMax + 1))).toThrow(
      expect.objectContaining({
        code: 'INVALID_RECORD',
        effect: 'none',
        message: 'record 1 of the batch has 10001 headers; at most 10000 are allowed',
      }),
    );
  });
});
