/** Bad input over a real connection: the answer says what is wrong, nothing is stored, and the server goes on. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeBatch } from '../../lib/record/encode-batch.ts';
import { fieldAt, stampCrc } from '../../lib/record/record-batch.ts';
import { encodeFrames } from '../../lib/wire.ts';
import { batchOf, openServer } from '../api/harness.ts';
import { type BadFile, readGolden, readGoldenJson } from '../record/golden.ts';
import { exchange, head } from './raw.ts';

type Door = Awaited<ReturnType<typeof openServer>>;
let door: Door;
beforeAll(async () => {
  door = await openServer();
  await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
  await door.call('POST', '/v1/topics', { topic: 'small', config: { 'max.message.bytes': '1000' } });
});
afterAll(() => door[Symbol.asyncDispose]());

let before: number[];
const watermarks = async () => [
  await door.highWatermark('orders'),
  await door.highWatermark('orders', 1),
  await door.highWatermark('small'),
];
beforeEach(async () => {
  before = await watermarks();
});
afterEach(async () => {
  expect(await watermarks()).toEqual(before);
  expect(door.errors).toEqual([]);
  // It goes on: the very next good request works.
  const { status, json } = await door.produceBatches('orders', [{ partition: 0, batch: batchOf(['good']) }]);
  expect([status, json.results[0].baseOffset]).toEqual([200, before[0]]);
});

const orders = '/v1/topics/orders';
const frame = (batch: Uint8Array, partition = 0) => Buffer.concat(encodeFrames([{ partition, batch }]));

/** A good batch with one field of its header changed, and the checksum right again. */
function batchWith(change: (view: DataView) => void): Uint8Array {
  const batch = batchOf(['a', 'b', 'c']);
  change(new DataView(batch.buffer, batch.byteOffset, batch.byteLength));
  stampCrc(batch);
  return batch;
}

describe('every code that bad input can have', () => {
  it.each([
    [
      'CORRUPT_MESSAGE',
      400,
      'a wrong checksum',
      () => door.produceBatches('orders', [{ partition: 0, batch: damaged() }]),
    ],
    [
      'CORRUPT_MESSAGE',
      400,
      'bytes cut off',
      () => door.produceBatches('orders', [{ partition: 0, batch: batchOf(['a']).subarray(0, 40) }]),
    ],
    [
      'UNSUPPORTED_VERSION',
      400,
      'an old magic',
      () => door.produceBatches('orders', [{ partition: 0, batch: readGolden('bad/magic-1.bin') }]),
    ],
    [
      'UNSUPPORTED_COMPRESSION_TYPE',
      400,
      'an unknown codec',
      () => door.produceBatches('orders', [{ partition: 0, batch: readGolden('bad/codec-5.bin') }]),
    ],
    [
      'CORRUPT_MESSAGE',
      400,
      'trailing bytes',
      () => door.produceBatches('orders', [{ partition: 0, batch: Buffer.concat([batchOf(['a']), Buffer.alloc(1)]) }]),
    ],
    [
      'INVALID_RECORD',
      400,
      'a control batch',
      () => door.produceBatches('orders', [{ partition: 0, batch: readGolden('bad/control-from-client.bin') }]),
    ],
    [
      'INVALID_TXN_STATE',
      400,
      'a transactional batch',
      () => door.produceBatches('orders', [{ partition: 0, batch: transactional() }]),
    ],
    [
      'INVALID_TIMESTAMP',
      400,
      'a time far ahead',
      () => door.call('POST', `${orders}/records`, { records: [{ timestamp: Date.now() + 1e10 }] }),
    ],
    [
      'MESSAGE_TOO_LARGE',
      413,
      'a bomb',
      () => door.produceBatches('orders', [{ partition: 0, batch: readGolden('bad/bomb-zstd.bin') }]),
    ],
    [
      'MESSAGE_TOO_LARGE',
      413,
      'an oversize batch',
      () => door.produceBatches('small', [{ partition: 0, batch: batchOf(['x'.repeat(1000)]) }]),
    ],
    [
      'MESSAGE_TOO_LARGE',
      413,
      'an oversize record',
      () => door.call('POST', '/v1/topics/small/records', { records: [{ value: 'x'.repeat(1000) }] }),
    ],
    [
      'UNKNOWN_TOPIC_OR_PARTITION',
      404,
      'an unknown topic',
      () => door.call('POST', '/v1/topics/none/records', { records: [{}] }),
    ],
    [
      'UNKNOWN_TOPIC_OR_PARTITION',
      404,
      'an unknown partition',
      () => door.call('POST', `${orders}/records`, { records: [{ partition: 2 }] }),
    ],
    [
      'UNKNOWN_TOPIC_OR_PARTITION',
      404,
      'an unknown partition',
      () => door.produceBatches('orders', [{ partition: 2, batch: batchOf(['a']) }]),
    ],
    [
      'OFFSET_OUT_OF_RANGE',
      416,
      'a negative offset',
      () => door.call('GET', `${orders}/partitions/0/records?offset=-1`),
    ],
    ['OFFSET_OUT_OF_RANGE', 416, 'an offset ahead', () => door.call('GET', `${orders}/partitions/1/records?offset=1`)],
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', 409, 'a gap in the sequence', () => afterSequence(0, 5, 0)],
    ['INVALID_PRODUCER_EPOCH', 409, 'an older epoch', () => afterSequence(3, 1, 2)],
    ['TOPIC_ALREADY_EXISTS', 409, 'a topic that is there', () => door.call('POST', '/v1/topics', { topic: 'orders' })],
    ['INVALID_TOPIC_EXCEPTION', 400, 'a bad name', () => door.call('POST', '/v1/topics', { topic: 'a/b' })],
    ['INVALID_PARTITIONS', 400, 'fewer partitions', () => door.call('PATCH', orders, { partitions: 1 })],
    ['INVALID_CONFIG', 400, 'unknown config', () => door.call('PATCH', orders, { config: { nonsense: '1' } })],
    ['INVALID_REQUEST', 400, 'wrong types', () => door.call('POST', `${orders}/records`, { records: 'all' })],
  ] as const)('%s, %i: %s', async (code, status, _what, provoke) => {
    const answer = await provoke();
    expect([answer.status, answer.json.code, answer.json.effect]).toEqual([status, code, 'none']);
    expect(answer.json).toMatchObject({ status, type: `urn:millrace:error:${code}`, retriable: expect.any(Boolean) });
    expect(answer.json.detail).toMatch(/^[a-z]/);
    before = await watermarks();
  });

  function damaged(): Uint8Array {
    const batch = batchOf(['a']);
    batch[batch.length - 2] = (batch[batch.length - 2] ?? 0) ^ 0x10;
    return batch;
  }

  function transactional(): Uint8Array {
    const batch = batchOf(['a'], { producerId: 1, producerEpoch: 0, baseSequence: 0 });
    new DataView(batch.buffer, batch.byteOffset).setInt16(fieldAt.attributes, 0x10);
    stampCrc(batch);
    return batch;
  }

  /** One good batch at sequence 0, then the one in question. */
  async function afterSequence(firstEpoch: number, baseSequence: number, producerEpoch: number) {
    const { json } = await door.call('POST', '/v1/producers');
    const send = (sequence: number, epoch: number) => {
      const producer = { producerId: json.producerId, producerEpoch: epoch, baseSequence: sequence };
      return door.produceBatches('orders', [{ partition: 0, batch: batchOf(['a'], producer) }]);
    };
    expect((await send(0, firstEpoch)).status).toBe(200);
    const highWatermark = await door.highWatermark('orders');
    const answer = await send(baseSequence, producerEpoch);
    expect(await door.highWatermark('orders')).toBe(highWatermark);
    return answer;
  }
});

/** Real clients write an epoch beside the producer id -1, so it has to mean nothing. */
const taken = new Set(['producer-epoch-without-id.bin']);

describe('damaged batches', () => {
  const bad = readGoldenJson<BadFile[]>('bad/manifest.json').filter(
    ({ reject, file }) => reject !== null && !taken.has(file),
  );

  it.each(bad.map(({ file, reject, note }) => ({ file, reject, note })))(
    '$file is refused ($reject: $note)',
    async ({ file }) => {
      const { status, json } = await door.call('POST', `${orders}/batches`, frame(readGolden(`bad/${file}`)));
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
      expect(json).toMatchObject({ status, effect: 'none', code: expect.stringMatching(/^[A-Z_]+$/) });
    },
  );

  it.each([
    ['a record count that lies', batchWith((view) => view.setInt32(fieldAt.recordCount, 2 ** 31 - 1))],
    ['a last offset delta that lies', batchWith((view) => view.setInt32(fieldAt.lastOffsetDelta, 99))],
    ['unused attribute bits', batchWith((view) => view.setInt16(fieldAt.attributes, 0x0080))],
    ['a producer id below -1', batchWith((view) => view.setBigInt64(fieldAt.producerId, -2n))],
  ])('a batch with %s is refused', async (_what, batch) => {
    const { status, json } = await door.call('POST', `${orders}/batches`, frame(batch));
    expect([status, json.code, json.effect]).toEqual([400, 'INVALID_RECORD', 'none']);
  });

  it('a record header name that is not UTF-8 is refused', async () => {
    const headers = [['nAme', Buffer.from('v')]] as const;
    const batch = encodeBatch({ records: [{ key: null, value: null, headers, timestamp: Date.now() }] });
    batch[Buffer.from(batch).indexOf('nAme') + 1] = 0xff;
    stampCrc(batch);
    const { status, json } = await door.call('POST', `${orders}/batches`, frame(batch));
    expect([status, json.code, json.effect]).toEqual([400, 'INVALID_RECORD', 'none']);
  });
});

describe('HTTP that no client should send', () => {
  const body = JSON.stringify({ records: [{ value: 'v' }] });
  const length = `content-length: ${body.length}`;

  it.each([
    [
      'a header name that is not UTF-8',
      400,
      [
        Buffer.concat([
          Buffer.from(`POST ${orders}/records HTTP/1.1\r\nhost: x\r\n`),
          Buffer.from([0x6e, 0xff, 0xfe]),
          Buffer.from(`: v\r\n${length}\r\n\r\n${body}`),
        ]),
      ],
    ],
    [
      'a header of 10 MB',
      431,
      [`POST ${orders}/records HTTP/1.1\r\nhost: x\r\nx: `, Buffer.alloc(10e6, 'a'), `\r\n${length}\r\n\r\n${body}`],
    ],
    ['a path of 100 kB', 431, [`GET /v1/topics/${'a'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`]],
    ['noise', 400, [Buffer.from(Array.from({ length: 500 }, (_, index) => (index * 37) & 0xff))]],
    ['TLS', 400, [Buffer.from('16030100c8010000c40303', 'hex')]],
    [
      'two lengths',
      400,
      [`POST ${orders}/records HTTP/1.1\r\nhost: x\r\n${length}\r\ncontent-length: 5\r\n\r\n${body}`],
    ],
    [
      'a length beside chunks',
      400,
      [`POST ${orders}/records HTTP/1.1\r\nhost: x\r\n${length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ],
    [
      'chunks of a wrong length',
      400,
      [head('POST', `${orders}/records`, 'transfer-encoding: chunked'), `zz\r\n${body}\r\n0\r\n\r\n`],
    ],
    ['a negative length', 400, [`POST ${orders}/records HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n`]],
    ['no host', 400, ['GET /v1/health HTTP/1.1\r\nconnection: close\r\n\r\n']],
    ['a host that is none', 400, ['GET /v1/health HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n']],
    ['an unknown method', 400, [head('SEND', `${orders}/records`)]],
  ] as const)('%s answers %i', async (_what, status, pieces) => {
    const answer = await exchange(door.port, ...pieces);
    expect(answer.status).toBe(status);
    if (answer.body !== '') {
      expect(JSON.parse(answer.body)).toMatchObject({ status, code: 'INVALID_REQUEST', effect: 'none' });
    }
  });

  it.each([
    '/v1/topics/../../etc/passwd',
    '/v1/topics/%2e%2e',
    '/v1/topics/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/v1/topics/..%5c..%5cwindows',
    '/v1/topics/orders%00',
    '/v1/topics/%ff',
    '/v1/topics/%',
    '/v1/topics/%252e%252e',
    '//v1/topics/orders',
    '/v1/topics//partitions/0/records',
    '\\v1\\topics',
  ])('the path %s leads nowhere', async (path) => {
    const answer = await exchange(door.port, head('GET', path));
    expect([400, 404]).toContain(answer.status);
    if (answer.body !== '') expect(JSON.parse(answer.body)).toMatchObject({ status: answer.status, effect: 'none' });
  });

  it.each(['../orders', '%2e%2e', '..', 'a/b', 'a\u0000b', 'ä', ' orders', ''])(
    'the topic name %j is refused',
    async (topic) => {
      const { status, json } = await door.call('POST', '/v1/topics', { topic });
      expect([status, json.code, json.effect]).toEqual([400, 'INVALID_TOPIC_EXCEPTION', 'none']);
    },
  );
});
