import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLogError, LogError } from '../lib/errors.ts';
import {
  decodeFrames,
  encodeFrames,
  errorToProblem,
  formatPartitions,
  isFetch,
  type PartitionEntry,
  parsePartitions,
  problemToError,
} from '../lib/wire.ts';

describe('frames', () => {
  it('come back as they went in, as views into the body', () => {
    const frame = fc.record({ partition: fc.nat({ max: 2 ** 31 - 1 }), batch: fc.uint8Array({ maxLength: 50 }) });
    fc.assert(
      fc.property(fc.array(frame), (frames) => {
        const body = new Uint8Array(Buffer.concat(encodeFrames(frames)));
        const decoded = decodeFrames(body);
        expect(decoded).toEqual(frames);
        expect(decoded.every(({ batch }) => batch.buffer === body.buffer)).toBe(true);
      }),
    );
  });

  it('are whole or refused, wherever the body is cut', () => {
    const body = Buffer.concat(
      encodeFrames([
        { partition: 1, batch: new Uint8Array(5) },
        { partition: 2, batch: new Uint8Array(3) },
      ]),
    );
    for (let end = 0; end < body.length; end += 1) {
      if (end === 0 || end === 13) expect(decodeFrames(body.subarray(0, end))).toHaveLength(end === 0 ? 0 : 1);
      else expect(() => decodeFrames(body.subarray(0, end))).toThrowError(/^frame/);
    }
  });
});

describe('the partitions header', () => {
  it('comes back as it went in', () => {
    const entries: PartitionEntry[] = [
      { partition: 0, nextOffset: 5, highWatermark: 9007199254740991, logStartOffset: 0 },
      { partition: 7, nextOffset: -1, highWatermark: -1, logStartOffset: -1, code: 'UNKNOWN_TOPIC_OR_PARTITION' },
    ];
    expect(formatPartitions(entries)).toBe('0:5:9007199254740991:0,7:-1:-1:-1:UNKNOWN_TOPIC_OR_PARTITION');
    expect(parsePartitions(formatPartitions(entries))).toEqual(entries);
    expect(parsePartitions('')).toEqual([]);
  });

  it.each(['0:1:2', 'x:1:2:3', '0:1:2:3:', '0:1:2:3,', '0:-2:0:0'])('refuses %s', (header) => {
    expect(() => parsePartitions(header)).toThrowError(/^header millrace-partitions/);
  });
});

describe('problems', () => {
  it('carry an error over the wire and back', () => {
    const details = { partition: 1, offset: 9, logStartOffset: 0, highWatermark: 5 };
    const error = new LogError('OFFSET_OUT_OF_RANGE', 'offset 9 is out of range', { details, effect: 'unknown' });
    const back = problemToError(JSON.parse(JSON.stringify(errorToProblem(error))), 500);
    expect(isLogError(back, 'OFFSET_OUT_OF_RANGE')).toBe(true);
    expect(back).toMatchObject({ message: error.message, details, effect: 'unknown', retriable: false });
  });

  it.each([
    [undefined, 502, 'KAFKA_STORAGE_ERROR', 'unknown', true],
    ['<html>', 503, 'KAFKA_STORAGE_ERROR', 'unknown', true],
    [{}, 504, 'REQUEST_TIMED_OUT', 'unknown', true],
    [null, 429, 'THROTTLING_QUOTA_EXCEEDED', 'none', true],
    [{ code: 'NEWER_CODE', retriable: true, effect: 'none' }, 500, 'UNKNOWN_SERVER_ERROR', 'none', true],
    [{ message: 'Forbidden' }, 403, 'TOPIC_AUTHORIZATION_FAILED', 'none', false],
    [{ code: 'toString' }, 400, 'INVALID_REQUEST', 'none', false],
  ])('%j with status %i is understood as %s', (problem, status, code, effect, retriable) => {
    expect(problemToError(problem, status)).toMatchObject({ code, effect, retriable });
  });
});

it.each([
  ['POST', '/v1/topics/orders/fetch', true],
  ['POST', '/v1/topics/fetch/fetch?x=1', true],
  ['DELETE', '/v1/topics/fetch', false],
  ['PATCH', '/v1/topics/fetch', false],
  ['POST', '/v1/topics/fetch/records', false],
  ['POST', '/v1/groups/fetch/offsets', false],
  [undefined, undefined, false],
])('%s %s is a fetch: %s', (method, target, isOne) => {
  expect(isFetch(method, target)).toBe(isOne);
});
