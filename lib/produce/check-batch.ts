/** What a topic asks of a batch before it is stored. The bytes are changed in place where the topic's config says so. */

import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Timestamp } from '../ids.ts';
import { type CheckedBatch, checkClientBatch, noTimestamp } from '../record/check-batch.ts';
import { recompressBatch } from '../record/encode-batch.ts';
import { type Codec, type DecompressionBudget, stampLogAppendTime, stampMaxTimestamp } from '../record/record-batch.ts';
import type { TopicConfig } from '../topic/topic-config.ts';

export interface ReadyBatch {
  readonly batch: Uint8Array;
  readonly recordCount: number;
  readonly maxTimestamp: Timestamp;
  readonly producer: CheckedBatch['producer'];
}

/**
 * Checks size, structure, checksum and timestamps, then applies `compression.type` and `message.timestamp.type`.
 * Throws the `LogError` that the producer is to see; nothing was stored.
 */
export function prepareBatch(
  batch: Uint8Array,
  config: TopicConfig,
  clock: Clock,
  budget?: DecompressionBudget,
): ReadyBatch {
  checkSize(batch, config);
  const checked = checkClientBatch(batch, budget);
  const isAppendTime = config.timestampType === 'LogAppendTime';
  if (!isAppendTime) checkTimestamps(checked, config, clock.nowMs());

  const codec = storedCodec(config, checked.header.codec);
  const stored = codec === checked.header.codec ? batch : recompressBatch(batch, codec);
  if (stored !== batch) checkSize(stored, config);

  const maxTimestamp = isAppendTime ? clock.nowMs() : checked.maxTimestamp;
  if (isAppendTime) stampLogAppendTime(stored, maxTimestamp);
  // A header that claims another maximum would mislead every search by time; Kafka writes it anew as well.
  else if (checked.header.maxTimestamp !== maxTimestamp) stampMaxTimestamp(stored, maxTimestamp);
  return { batch: stored, recordCount: checked.recordCount, maxTimestamp, producer: checked.producer };
}

function storedCodec({ compressionType }: TopicConfig, sent: Codec): Codec {
  if (compressionType === 'producer') return sent;
  return compressionType === 'uncompressed' ? 'none' : compressionType;
}

function checkSize(batch: Uint8Array, { messageBytesMax }: TopicConfig): void {
  if (batch.length <= messageBytesMax) return;
  throw new LogError(
    'MESSAGE_TOO_LARGE',
    `record batch of ${batch.length} bytes, max.message.bytes of the topic is ${messageBytesMax}`,
    { details: { bytes: batch.length, bytesMax: messageBytesMax } },
  );
}

function checkTimestamps({ minTimestamp, maxTimestamp }: CheckedBatch, config: TopicConfig, nowMs: number): void {
  const earliest = nowMs - config.timestampBeforeMaxMs;
  const latest = nowMs + config.timestampAfterMaxMs;
  for (const timestamp of [minTimestamp, maxTimestamp]) {
    // A record without a timestamp is free of the limits.
    if (timestamp === noTimestamp || (timestamp >= earliest && timestamp <= latest)) continue;
    // Without a limit on one side, which JSON could not tell either.
    const bounds = [
      ...(Number.isFinite(earliest) ? [`from ${earliest}`] : []),
      ...(Number.isFinite(latest) ? [`up to ${latest}`] : []),
    ].join(' ');
    throw new LogError(
      'INVALID_TIMESTAMP',
      `timestamp ${timestamp} is out of range, the topic takes those ${bounds} (now is ${nowMs})`,
      {
        details: {
          timestamp,
          ...(Number.isFinite(earliest) && { earliest }),
          ...(Number.isFinite(latest) && { latest }),
        },
      },
    );
  }
}
