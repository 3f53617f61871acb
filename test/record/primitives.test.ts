import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLogError } from '../../lib/errors.ts';
import { crc32c } from '../../lib/record/crc32c.ts';
import { addInt64, readInt64, subtractInt64, toInt64, writeInt64 } from '../../lib/record/int.ts';
import {
  unsignedVarintBytes,
  VarintReader,
  varintBytes,
  varlongBytes,
  writeUnsignedVarint,
  writeVarint,
  writeVarlong,
} from '../../lib/record/varint.ts';
import { xxhash32 } from '../../lib/record/xxhash32.ts';
import { readGoldenJson } from './golden.ts';

describe('checksums', () => {
  interface CrcVector {
    readonly data: string;
    readonly crc32c: number;
    readonly range?: { readonly start: number; readonly length: number; readonly crc32c: number };
  }

  test("crc32c gives what Kafka's gives", () => {
    for (const { data, crc32c: expected, range } of readGoldenJson<CrcVector[]>('crc32c.json')) {
      const bytes = Buffer.from(data, 'base64');
      expect(crc32c(bytes)).toBe(expected);
      if (range) expect(crc32c(bytes, range.start, range.start + range.length)).toBe(range.crc32c);
    }
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });

  test('xxhash32 gives the published values', () => {
    const hash = (text: string) => xxhash32(Buffer.from(text), 0, text.length);
    expect(hash('')).toBe(0x02cc5d05);
    expect(hash('a')).toBe(0x550d7456);
    expect(hash('abc')).toBe(0x32d153ff);
    expect(hash('Nobody inspects the spammish repetition')).toBe(0xe2293b2f);
  });
});

describe('varints', () => {
  interface VarintVector {
    readonly kind: 'varint' | 'varlong' | 'unsignedVarint';
    readonly hex: string;
    readonly value?: string;
    readonly length?: number;
    readonly error?: string;
    readonly canonical?: boolean;
  }
  const read = {
    varint: (reader: VarintReader) => reader.readVarint(),
    varlong: (reader: VarintReader) => reader.readVarlong(),
    unsignedVarint: (reader: VarintReader) => reader.readUnsignedVarint(),
  };
  const write = {
    varint: (bytes: Uint8Array, value: bigint) => writeVarint(bytes, 0, Number(value)),
    varlong: (bytes: Uint8Array, value: bigint) => writeVarlong(bytes, 0, toInt64(value)),
    unsignedVarint: (bytes: Uint8Array, value: bigint) => writeUnsignedVarint(bytes, 0, Number(value)),
  };
  const size = {
    varint: (value: bigint) => varintBytes(Number(value)),
    varlong: (value: bigint) => varlongBytes(toInt64(value)),
    unsignedVarint: (value: bigint) => unsignedVarintBytes(Number(value)),
  };

  test("are read and written as Kafka's are", () => {
    for (const { kind, hex, value, length, error, canonical } of readGoldenJson<VarintVector[]>('varint.json')) {
      const reader = new VarintReader(Buffer.from(hex, 'hex'));
      if (error !== undefined) {
        expect(() => read[kind](reader), `${kind} ${hex}`).toThrow(expect.objectContaining({ code: 'INVALID_RECORD' }));
        continue;
      }
      expect(String(read[kind](reader)), `${kind} ${hex}`).toBe(value);
      expect(reader.at).toBe(length);
      if (!canonical) continue;
      const bytes = new Uint8Array(10);
      const written = write[kind](bytes, BigInt(value as string));
      expect(Buffer.from(bytes.subarray(0, written)).toString('hex')).toBe(hex);
      expect(size[kind](BigInt(value as string))).toBe(written);
    }
  });

  test('a varlong of any 64 bits comes back', () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.nat(63), (wide, shift) => {
        const value = toInt64(wide >> BigInt(shift));
        const bytes = new Uint8Array(10);
        const end = writeVarlong(bytes, 0, value);
        expect(end).toBe(varlongBytes(value));
        expect(new VarintReader(bytes, 0, end).readVarlong()).toBe(value);
      }),
    );
  });

  test('nothing is read beyond the end', () => {
    const reader = new VarintReader(Uint8Array.of(0x80, 0x80, 0x00), 0, 2);
    try {
      reader.readVarint();
      expect.unreachable();
    } catch (error) {
      expect(isLogError(error, 'INVALID_RECORD')).toBe(true);
    }
  });
});

test('64-bit numbers come back, are numbers when they can be, and wrap when they are added', () => {
  const int64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
  const edges = [0n, -1n, 2n ** 31n, 2n ** 32n, -(2n ** 32n), 2n ** 53n - 1n, 2n ** 53n, 1n - 2n ** 53n, -(2n ** 53n)];
  fc.assert(
    fc.property(fc.oneof(int64, fc.constantFrom(...edges)), fc.oneof(int64, fc.constantFrom(...edges)), (a, b) => {
      const bytes = new Uint8Array(8);
      writeInt64(bytes, 0, toInt64(a));
      expect(Buffer.from(bytes).readBigInt64BE()).toBe(a);
      const read = readInt64(bytes, 0);
      expect(BigInt(read)).toBe(a);
      expect(typeof read).toBe(Number.isSafeInteger(Number(a)) ? 'number' : 'bigint');
      expect(BigInt(addInt64(toInt64(a), toInt64(b)))).toBe(BigInt.asIntN(64, a + b));
      expect(BigInt(subtractInt64(toInt64(a), toInt64(b)))).toBe(BigInt.asIntN(64, a - b));
    }),
    { numRuns: 2000 },
  );
});
