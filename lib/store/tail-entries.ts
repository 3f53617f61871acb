/**
 * Entries of a tail and of pages as short bytes: a head is written with every append, and DynamoDB bills each kilobyte.
 *
 * | field        | form            |                                                                                 |
 * |--------------|-----------------|---------------------------------------------------------------------------------|
 * | flags        | 1 byte          | 0; 1: one batch of a producer, it fills the entry; 2: a list of such batches      |
 * | objectId     | 16 bytes        |                                                                                 |
 * | byteStart    | unsigned varint |                                                                                 |
 * | byteLength   | unsigned varint |                                                                                 |
 * | offsetCount  | unsigned varint |                                                                                 |
 * | maxTimestamp | varlong         | less the time in objectId, which is much the same                                |
 * | batches      | see below       | flags 1: one; flags 2: an unsigned varint with their count, then each             |
 *
 * A batch of a producer is what its state is to remember of it. Its base offset is not written: nobody knows it before
 * the append, and afterwards it follows from the place of the entry in the tail.
 *
 * | field         | form            | flags |                                                                         |
 * |---------------|-----------------|-------|-------------------------------------------------------------------------|
 * | producerId    | varlong         | 1, 2  |                                                                         |
 * | producerEpoch | unsigned varint | 1, 2  |                                                                         |
 * | baseSequence  | unsigned varint | 1, 2  |                                                                         |
 * | offsetDelta   | unsigned varint | 2     | from the base offset of the entry; with flags 1 it is 0                 |
 * | recordCount   | unsigned varint | 2     | with flags 1 it is offsetCount                                          |
 * | timestamp     | varlong         | 2     | less maxTimestamp; with flags 1 it is maxTimestamp                      |
 */

import { assert } from '../errors.ts';
import type { Int64, ObjectId } from '../ids.ts';
import {
  unsignedVarintBytes,
  VarintReader,
  varlongBytes,
  writeUnsignedVarint,
  writeVarlong,
} from '../record/varint.ts';
import type { BatchCoordinates, ProducerBatch, ProducerState } from './items.ts';
import { addToSequence } from './producer-state.ts';

/** What a tail remembers of a producer's batch. */
export interface EntryBatch extends Omit<ProducerBatch, 'baseOffset'> {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** From the base offset of its entry. */
  readonly offsetDelta: number;
}

export interface TailEntry {
  readonly coordinates: BatchCoordinates;
  readonly batches: readonly EntryBatch[];
}

const objectIdBytes = 16;
const oneBatch = 1;
const listOfBatches = 2;

export function encodeEntry({ coordinates, batches }: TailEntry): Uint8Array {
  const { objectId, byteStart, byteLength, offsetCount, maxTimestamp } = coordinates;
  const [first] = batches;
  const isFilled =
    first !== undefined &&
    batches.length === 1 &&
    first.offsetDelta === 0 &&
    first.recordCount === offsetCount &&
    first.timestamp === maxTimestamp;
  const writer = new Writer();
  writer.byte(batches.length === 0 ? 0 : isFilled ? oneBatch : listOfBatches);
  writer.hex(objectId);
  writer.unsigned(byteStart);
  writer.unsigned(byteLength);
  writer.unsigned(offsetCount);
  writer.long(difference(maxTimestamp, timeOf(objectId)));
  if (batches.length > 0 && !isFilled) writer.unsigned(batches.length);
  for (const batch of batches) {
    writer.long(batch.producerId);
    writer.unsigned(batch.producerEpoch);
    writer.unsigned(batch.baseSequence);
    if (isFilled) break;
    writer.unsigned(batch.offsetDelta);
    writer.unsigned(batch.recordCount);
    writer.long(difference(batch.timestamp, maxTimestamp));
  }
  return writer.bytes();
}

/** Of a UUIDv7: its first 48 bits. Of any other id, some number. */
const timeOf = (objectId: string) => Number.parseInt(objectId.slice(0, 12), 16);

/** Timestamps are any safe integers, so what lies between two of them need not be one. */
function difference(timestamp: number, from: number): Int64 {
  const plain = timestamp - from;
  return Number.isSafeInteger(plain) ? plain : BigInt(timestamp) - BigInt(from);
}

const later = (from: number, by: Int64) => Number(BigInt(from) + BigInt(by));

/** Entries one after another, as a page has them; a tail has each in bytes of its own. */
export function decodeEntries(encoded: Uint8Array): TailEntry[] {
  const reader = new VarintReader(encoded);
  const entries: TailEntry[] = [];
  while (reader.at < encoded.length) entries.push(readEntry(reader));
  return entries;
}

function readEntry(reader: VarintReader): TailEntry {
  const flags = reader.bytes[reader.at];
  assert(flags === 0 || flags === oneBatch || flags === listOfBatches, `entry has flags ${flags}, known are 0 to 2`);
  const objectIdAt = reader.at + 1;
  reader.at = objectIdAt + objectIdBytes;
  const objectId = Buffer.from(reader.bytes.subarray(objectIdAt, reader.at)).toString('hex') as ObjectId;
  const coordinates: BatchCoordinates = {
    objectId,
    byteStart: reader.readUnsignedVarint(),
    byteLength: reader.readUnsignedVarint(),
    offsetCount: reader.readUnsignedVarint(),
    maxTimestamp: later(timeOf(objectId), reader.readVarlong()),
  };
  const count = flags === listOfBatches ? reader.readUnsignedVarint() : flags;
  const batches = Array.from({ length: count }, (): EntryBatch => {
    const producer = {
      producerId: Number(reader.readVarlong()),
      producerEpoch: reader.readUnsignedVarint(),
      baseSequence: reader.readUnsignedVarint(),
    };
    if (flags === oneBatch) {
      const { offsetCount: recordCount, maxTimestamp: timestamp } = coordinates;
      return { ...producer, offsetDelta: 0, recordCount, timestamp };
    }
    return {
      ...producer,
      offsetDelta: reader.readUnsignedVarint(),
      recordCount: reader.readUnsignedVarint(),
      timestamp: later(coordinates.maxTimestamp, reader.readVarlong()),
    };
  });
  return { coordinates, batches };
}

/**
 * A producer state without its id: producerEpoch and the first baseSequence as unsigned varints, then per batch
 * recordCount (unsigned varint), baseOffset and timestamp (varlongs, from the second batch on as the difference to the
 * batch before). The other sequences need no bytes: each batch follows the one before it.
 */
export function encodeState({ producerEpoch, batches }: ProducerState): Uint8Array {
  const writer = new Writer();
  writer.unsigned(producerEpoch);
  writer.unsigned(batches[0]?.baseSequence ?? 0);
  let before = { baseOffset: 0, timestamp: 0 };
  for (const batch of batches) {
    writer.unsigned(batch.recordCount);
    writer.long(batch.baseOffset - before.baseOffset);
    writer.long(difference(batch.timestamp, before.timestamp));
    before = batch;
  }
  return writer.bytes();
}

export function decodeState(producerId: number, encoded: Uint8Array): ProducerState {
  const reader = new VarintReader(encoded);
  const producerEpoch = reader.readUnsignedVarint();
  let baseSequence = reader.readUnsignedVarint();
  let before = { baseOffset: 0, timestamp: 0 };
  const batches: ProducerBatch[] = [];
  while (reader.at < encoded.length) {
    const recordCount = reader.readUnsignedVarint();
    const baseOffset = before.baseOffset + Number(reader.readVarlong());
    const timestamp = later(before.timestamp, reader.readVarlong());
    before = { baseOffset, timestamp };
    batches.push({ baseSequence, recordCount, baseOffset, timestamp });
    baseSequence = addToSequence(baseSequence, recordCount);
  }
  return { producerId, producerEpoch, batches };
}

/** Collects bytes; an entry is short, and rarely has more than one batch. */
class Writer {
  #bytes = new Uint8Array(64);
  #length = 0;

  byte(value: number): void {
    this.#room(1)[this.#length++] = value;
  }

  hex(value: string): void {
    const bytes = Buffer.from(value, 'hex');
    assert(bytes.length === objectIdBytes, `object id ${value} is ${objectIdBytes} bytes in hex`);
    this.#room(objectIdBytes).set(bytes, this.#length);
    this.#length += objectIdBytes;
  }

  unsigned(value: number): void {
    this.#length = writeUnsignedVarint(this.#room(unsignedVarintBytes(value)), this.#length, value);
  }

  long(value: Int64): void {
    this.#length = writeVarlong(this.#room(varlongBytes(value)), this.#length, value);
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(count: number): Uint8Array {
    if (this.#length + count > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}
