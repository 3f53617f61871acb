/** Which partition a key belongs to: as in Kafka's Java client, so that every client agrees. */

/**
 * MurmurHash2, 32 bit, with Kafka's seed, as a signed integer.
 * Source: `org.apache.kafka.common.utils.Utils.murmur2`.
 */
export function murmur2(bytes: Uint8Array): number {
  const multiplier = 0x5bd1e995;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wholeBytes = bytes.length & ~3;
  let hash = 0x9747b28c ^ bytes.length;
  for (let at = 0; at < wholeBytes; at += 4) {
    let word = Math.imul(view.getInt32(at, true), multiplier);
    word ^= word >>> 24;
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier);
  }
  const restBytes = bytes.length - wholeBytes;
  if (restBytes === 3) hash ^= view.getUint8(wholeBytes + 2) << 16;
  if (restBytes >= 2) hash ^= view.getUint8(wholeBytes + 1) << 8;
  if (restBytes >= 1) hash = Math.imul(hash ^ view.getUint8(wholeBytes), multiplier);
  hash = Math.imul(hash ^ (hash >>> 13), multiplier);
  return (hash ^ (hash >>> 15)) | 0;
}

/** `(murmur2(key) & 0x7fffffff) % partitionCount`; an empty key is hashed too. */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}
