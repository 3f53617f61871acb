/**
 * Producer states as bytes, in a head and in producer items.
 *
 * Each state: producerId float64, producerEpoch int16, batch count uint8, then per batch baseSequence uint32,
 * recordCount uint32, baseOffset float64, timestamp float64. All big-endian; 131 bytes with the full window of five.
 */

import type { ProducerBatch, ProducerState } from './items.ts';

const stateBytes = 11;
const batchBytes = 24;

export function encodeProducers(states: readonly ProducerState[]): Buffer {
  const byteLength = states.reduce((sum, state) => sum + stateBytes + state.batches.length * batchBytes, 0);
  const bytes = Buffer.alloc(byteLength);
  let at = 0;
  for (const state of states) {
    bytes.writeDoubleBE(state.producerId, at);
    bytes.writeInt16BE(state.producerEpoch, at + 8);
    bytes.writeUInt8(state.batches.length, at + 10);
    at += stateBytes;
    for (const batch of state.batches) {
      bytes.writeUInt32BE(batch.baseSequence, at);
      bytes.writeUInt32BE(batch.recordCount, at + 4);
      bytes.writeDoubleBE(batch.baseOffset, at + 8);
      bytes.writeDoubleBE(batch.timestamp, at + 16);
      at += batchBytes;
    }
  }
  return bytes;
}

export function decodeProducers(encoded: Uint8Array): ProducerState[] {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const states: ProducerState[] = [];
  let at = 0;
  while (at < bytes.length) {
    const producerId = bytes.readDoubleBE(at);
    const producerEpoch = bytes.readInt16BE(at + 8);
    const batchCount = bytes.readUInt8(at + 10);
    at += stateBytes;
    const batches: ProducerBatch[] = [];
    for (let index = 0; index < batchCount; index++, at += batchBytes) {
      batches.push({
        baseSequence: bytes.readUInt32BE(at),
        recordCount: bytes.readUInt32BE(at + 4),
        baseOffset: bytes.readDoubleBE(at + 8),
        timestamp: bytes.readDoubleBE(at + 16),
      });
    }
    states.push({ producerId, producerEpoch, batches });
  }
  return states;
}
