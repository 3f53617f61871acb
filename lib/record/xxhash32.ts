/** xxHash32 with seed 0, over `[byteStart, byteEnd)`: the checksum of lz4 frames (xxHash specification 0.1.1). */

import { readUint8, readUint32Le } from './int.ts';

const prime1 = 0x9e3779b1;
const prime2 = 0x85ebca77;
const prime3 = 0xc2b2ae3d;
const prime4 = 0x27d4eb2f;
const prime5 = 0x165667b1;

export function xxhash32(bytes: Uint8Array, byteStart: number, byteEnd: number): number {
  let at = byteStart;
  let hash: number;
  if (byteEnd - byteStart >= 16) {
    let lane1 = (prime1 + prime2) | 0;
    let lane2 = prime2 | 0;
    let lane3 = 0;
    let lane4 = -prime1 | 0;
    for (; at + 16 <= byteEnd; at += 16) {
      lane1 = mixLane(lane1, readUint32Le(bytes, at));
      lane2 = mixLane(lane2, readUint32Le(bytes, at + 4));
      lane3 = mixLane(lane3, readUint32Le(bytes, at + 8));
      lane4 = mixLane(lane4, readUint32Le(bytes, at + 12));
    }
    hash = (rotate(lane1, 1) + rotate(lane2, 7) + rotate(lane3, 12) + rotate(lane4, 18)) | 0;
  } else {
    hash = prime5;
  }
  hash = (hash + (byteEnd - byteStart)) | 0;
  for (; at + 4 <= byteEnd; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(readUint32Le(bytes, at), prime3)) | 0, 17), prime4);
  }
  for (; at < byteEnd; at += 1) {
    hash = Math.imul(rotate((hash + Math.imul(readUint8(bytes, at), prime5)) | 0, 11), prime1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), prime2);
  hash = Math.imul(hash ^ (hash >>> 13), prime3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mixLane(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, prime2)) | 0, 13), prime1);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
