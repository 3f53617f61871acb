/** The two copies that snappy and lz4 are made of. Callers have checked every bound. */

/** Below this, a loop beats the call of a native copy. */
const nativeCopyBytesMin = 48;

/** Copies `length` bytes of `from`, from `start` on, to `out[at]`. */
export function copyLiteral(out: Uint8Array, at: number, from: Uint8Array, start: number, length: number): void {
  if (length >= nativeCopyBytesMin) {
    out.set(from.subarray(start, start + length), at);
    return;
  }
  for (let index = 0; index < length; index += 1) out[at + index] = from[start + index] as number;
}

/** Copies `length` bytes from `distance` bytes before `at`; they may overlap, and then repeat. */
export function copyMatch(out: Uint8Array, at: number, distance: number, length: number): void {
  const start = at - distance;
  if (length < nativeCopyBytesMin) {
    for (let index = 0; index < length; index += 1) out[at + index] = out[start + index] as number;
    return;
  }
  // What is there already is copied, then twice as much: a long run takes few steps.
  let copied = Math.min(distance, length);
  out.copyWithin(at, start, start + copied);
  while (copied < length) {
    const step = Math.min(copied, length - copied);
    out.copyWithin(at + copied, at, at + step);
    copied += step;
  }
}
