/** CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of a record batch. */

import { crc32c as wasmCrc32c } from '@platformatic/wasm-utils/bundled';

/**
 * Unsigned, over `[byteStart, byteEnd)`.
 *
 * Measured on Node 24: WebAssembly 55 ns for 64 bytes and 1.6 GB/s for large ones, copy included; a table in
 * JavaScript 138 ns and 0.45 GB/s. So one way serves every size.
 */
export function crc32c(bytes: Uint8Array, byteStart = 0, byteEnd = bytes.length): number {
  if (byteStart >= byteEnd) return 0;
  return wasmCrc32c(byteStart === 0 && byteEnd === bytes.length ? bytes : bytes.subarray(byteStart, byteEnd));
}
