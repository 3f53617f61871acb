import { describe, expect, test } from 'vitest';
import { prepareBatch } from '../../lib/produce/check-batch.ts';
import { codecs } from '../../lib/record/compression.ts';
import { checkCrc, decodeRecords, readBatchHeader, stampMaxTimestamp } from '../../lib/record/record-batch.ts';
import { changeConfig, topicConfig } from '../../lib/topic/topic-config.ts';
import { batchOf } from '../log-fixture.ts';

const nowMs = 1_700_000_000_000;
const clock = { nowMs: () => nowMs, sleep: async () => {} };
const prepare = (batch: Uint8Array, config: Record<string, unknown> = {}) =>
  prepareBatch(batch, topicConfig(changeConfig({}, config)), clock);
const hourMs = 3_600_000;
const timestampsOf = (batch: Uint8Array) => [...decodeRecords(batch)].map(({ timestamp }) => timestamp);

describe('timestamps', () => {
  const limits = { 'message.timestamp.before.max.ms': 1000, 'message.timestamp.after.max.ms': 500 };

  test('may be as far from now as the topic says, and no further', () => {
    const batch = batchOf({ timestamps: [nowMs - 1000, nowMs + 500] });
    expect(prepare(batch, limits).maxTimestamp).toBe(nowMs + 500);
    for (const timestamp of [nowMs - 1001, nowMs + 501]) {
      const refused = () => prepare(batchOf({ timestamps: [nowMs, timestamp, nowMs] }), limits);
      expect(refused).toThrow(expect.objectContaining({ code: 'INVALID_TIMESTAMP', effect: 'none' }));
      expect(refused).toThrow(
        `timestamp ${timestamp} is out of range, the topic takes those from ${nowMs - 1000} up to ${nowMs + 500}`,
      );
    }
  });

  test('have no limit in the past and one hour in the future unless the topic says so', () => {
    expect(prepare(batchOf({ timestamps: [0, nowMs + hourMs] })).maxTimestamp).toBe(nowMs + hourMs);
    const timestamp = nowMs + hourMs + 1;
    // It said -Infinity, and null in its details.
    expect(() => prepare(batchOf({ timestamps: [timestamp] }))).toThrow(
      expect.objectContaining({
        message: `timestamp ${timestamp} is out of range, the topic takes those up to ${nowMs + hourMs} (now is ${nowMs})`,
        details: { timestamp, latest: nowMs + hourMs },
      }),
    );
  });

  test('of -1 mean none, and are free of the limits', () => {
    expect(prepare(batchOf({ timestamps: [-1, -1] }), limits).maxTimestamp).toBe(-1);
    expect(prepare(batchOf({ timestamps: [nowMs, -1] }), limits).maxTimestamp).toBe(nowMs);
  });

  // The check looked at the lowest and the highest timestamp. A record without one hid a record that was too old.
  test('that are too old are found beside a record without one', () => {
    expect(() => prepare(batchOf({ timestamps: [-1, 5, nowMs] }), limits)).toThrow(/timestamp 5 is out of range/);
    expect(prepare(batchOf({ timestamps: [-1, nowMs - 1000, nowMs] }), limits).recordCount).toBe(3);
  });

  test('become the append time where the topic says so, with a right checksum and no limits', () => {
    for (const codec of codecs) {
      const config = { ...limits, 'message.timestamp.type': 'LogAppendTime' };
      const ready = prepare(batchOf({ timestamps: [5, 6], codec }), config);
      checkCrc(ready.batch);
      expect(ready.maxTimestamp).toBe(nowMs);
      expect(readBatchHeader(ready.batch)).toMatchObject({ timestampType: 'LogAppendTime', maxTimestamp: nowMs });
      expect(timestampsOf(ready.batch)).toEqual([nowMs, nowMs]);
    }
  });

  test('a header that claims another maximum is corrected', () => {
    const batch = batchOf({ timestamps: [nowMs - 5, nowMs - 9] });
    stampMaxTimestamp(batch, nowMs + 77);
    const ready = prepare(batch);
    checkCrc(ready.batch);
    expect(ready.maxTimestamp).toBe(nowMs - 5);
    expect(readBatchHeader(ready.batch).maxTimestamp).toBe(nowMs - 5);
  });
});

describe('compression.type', () => {
  test('producer keeps what was sent, anything else is what is stored', () => {
    for (const codec of codecs) {
      const sent = batchOf({ timestamps: [1, 2, 3], valueBytes: 200, codec });
      expect(prepare(sent).batch).toBe(sent);
      for (const wanted of codecs) {
        const type = wanted === 'none' ? 'uncompressed' : wanted;
        const { batch } = prepare(sent, { 'compression.type': type });
        checkCrc(batch);
        expect(readBatchHeader(batch).codec).toBe(wanted);
        expect([...decodeRecords(batch)]).toEqual([...decodeRecords(sent)]);
        if (wanted === codec) expect(batch).toBe(sent);
      }
    }
  });
});

describe('max.message.bytes', () => {
  test('is the size of the whole batch, and the first byte beyond it is refused', () => {
    const batch = batchOf({ valueBytes: 100 });
    expect(prepare(batch, { 'max.message.bytes': batch.length, 'message.timestamp.type': 'LogAppendTime' }).batch).toBe(
      batch,
    );
    const bytesMax = batch.length - 1;
    expect(() => prepare(batch, { 'max.message.bytes': bytesMax })).toThrow(
      expect.objectContaining({ code: 'MESSAGE_TOO_LARGE', details: { bytes: batch.length, bytesMax } }),
    );
  });

  test('holds for what is stored, not only for what was sent', () => {
    const batch = batchOf({ timestamps: [nowMs], valueBytes: 5000, codec: 'zstd' });
    const config = { 'max.message.bytes': 4000, 'compression.type': 'uncompressed' };
    expect(() => prepare(batch, config)).toThrow(expect.objectContaining({ code: 'MESSAGE_TOO_LARGE' }));
  });

  test('is looked at before anything else, so that a large wrong batch costs nothing', () => {
    expect(() => prepare(new Uint8Array(200), { 'max.message.bytes': 199 })).toThrow(/record batch of 200 bytes/);
  });
});
