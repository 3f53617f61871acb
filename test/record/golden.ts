/** The golden data as the tests want it: bytes beside what the manifest says of them. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../golden');

/** Null, base64, or what is too long to be written out. */
export type GoldenBytes = null | string | { readonly bytes: number; readonly sha256: string };

export interface GoldenRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly sequence: number;
  readonly key: GoldenBytes;
  readonly value: GoldenBytes;
  readonly headers: readonly (readonly [string, GoldenBytes])[];
}

export interface GoldenBatch {
  readonly position: number;
  readonly sizeInBytes: number;
  readonly baseOffset: string;
  readonly lastOffset: string;
  readonly partitionLeaderEpoch: number;
  readonly crc: number;
  readonly attributes: number;
  readonly codec: string;
  readonly timestampType: string;
  readonly transactional: boolean;
  readonly control: boolean;
  readonly controlType?: string;
  readonly coordinatorEpoch?: number;
  readonly deleteHorizonMs: string | null;
  readonly baseTimestamp: string;
  readonly maxTimestamp: string;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly count: number;
  readonly records: readonly GoldenRecord[];
}

export interface GoldenFile {
  readonly file: string;
  readonly bytes: number;
  readonly batches: readonly GoldenBatch[];
}

export interface BadFile {
  readonly file: string;
  readonly reject: string | null;
  readonly or: readonly string[];
  readonly goodBatches: number;
  readonly note: string;
}

export function readGolden(file: string): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, file)));
}

export function readGoldenJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as T;
}

export const goldenFiles = readGoldenJson<GoldenFile[]>('manifest.json');
export const badFiles = readGoldenJson<BadFile[]>('bad/manifest.json');
export const goldenFileNames = readdirSync(folder).filter((name) => name.endsWith('.bin'));

/** Of the records that have a timestamp; -1 is Kafka's word for none. */
export function lowestTimestamp(timestamps: readonly number[]): number {
  const dated = timestamps.filter((timestamp) => timestamp !== -1);
  return dated.length === 0 ? -1 : Math.min(...dated, Math.max(...timestamps));
}
