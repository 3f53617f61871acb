import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { readBody } from '../../lib/server/read-body.ts';

const incomingOf = (chunks: Iterable<Buffer>) =>
  Object.assign(Readable.from(chunks), { headers: { 'transfer-encoding': 'chunked' } }) as unknown as IncomingMessage;

describe('a body in chunks', () => {
  // Ten million chunks of one byte took 4.4 GB, since each stayed a Buffer, while only their bytes were counted.
  it('takes little more memory than its bytes, however small they are', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const usedBytes = () => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const byteCount = 300_000;
    let heldBytes = 0;
    function* bytes() {
      const source = Buffer.alloc(1);
      const before = usedBytes();
      for (let at = 0; at < byteCount; at += 1) yield source.subarray(0);
      heldBytes = usedBytes() - before;
    }
    await readBody(incomingOf(bytes()), byteCount, { bytesLeft: byteCount });
    expect(heldBytes).toBeLessThan(10 * byteCount);
  });

  it.each([
    ['one', [5]],
    ['some', [1, 2, 3]],
    ['as many as are joined', Array(256).fill(3)],
    ['many small ones', Array(1000).fill(7)],
    ['many large ones', Array(600).fill(5000)],
    ['a mixture', Array.from({ length: 2000 }, (_, index) => 1 + ((index * 7919) % 9000))],
  ])('is what was sent: %s', async (_what, sizes: readonly number[]) => {
    const chunks = sizes.map((size, index) => Buffer.alloc(size, index));
    const whole = Buffer.concat(chunks);
    const room = { bytesLeft: whole.length };
    const body = await readBody(incomingOf(chunks), whole.length, room);
    expect(typeof body === 'string' ? body : whole.equals(body.bytes)).toBe(true);
    expect(room.bytesLeft).toBe(0);
  });
});
