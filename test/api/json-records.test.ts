import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { recordFromJson, recordToJson } from '../../lib/api/json-records.ts';
import { openApp } from './harness.ts';

function stored(json: object): { key: string | null; value: string | null } {
  const { key, value } = recordFromJson(json, 'record', 0);
  return { key: hex(key), value: hex(value) };
}

function hex(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('hex');
}

function read(value: Uint8Array | null) {
  return recordToJson({ key: null, value, headers: [], timestamp: 0, offset: 0 });
}

describe('a JSON record', () => {
  it.each([
    [{ value: 'text' }, Buffer.from('text')],
    [{ value: '' }, Buffer.alloc(0)],
    [{ value: '"quoted"' }, Buffer.from('"quoted"')],
    [{ value: 'žluťoučký 🐎' }, Buffer.from('žluťoučký 🐎')],
    [{ value: 12 }, Buffer.from('12')],
    [{ value: true }, Buffer.from('true')],
    [{ value: [1, { a: null }] }, Buffer.from('[1,{"a":null}]')],
    [{ value: { '\ud800': '\udc00' } }, Buffer.from('{"\\ud800":"\\udc00"}')],
    [{ value: null }, null],
    [{}, null],
    [{ valueBase64: '' }, Buffer.alloc(0)],
    [{ valueBase64: 'AP8=' }, Buffer.from([0, 255])],
  ])('%j is stored as its bytes', (json, bytes) => {
    expect(stored(json).value).toBe(hex(bytes));
    const asKey = Object.fromEntries(
      Object.entries(json).map(([name, value]) => [name.replace('value', 'key'), value]),
    );
    expect(stored(asKey).key).toBe(hex(bytes));
  });

  it('is read back as text where the bytes are UTF-8, else as Base64', () => {
    expect(read(Buffer.from('text'))).toMatchObject({ value: 'text' });
    expect(read(null)).toMatchObject({ value: null });
    expect(read(Buffer.from([0xff]))).toMatchObject({ valueBase64: '/w==' });
    expect(read(Buffer.from([0xed, 0xa0, 0x80]))).toMatchObject({ valueBase64: '7aCA' });
    expect(read(Buffer.from([0xff]))).not.toHaveProperty('value');
  });

  it('keeps a byte order mark, for it is part of the bytes', () => {
    expect(read(Buffer.from('\ufeffa'))).toMatchObject({ value: '\ufeffa' });
  });

  it('writes 64-bit numbers that JSON readers would round as text', () => {
    const json = recordToJson({ key: null, value: null, headers: [], timestamp: 2n ** 60n, offset: 2n ** 61n });
    expect(json).toMatchObject({ timestamp: '1152921504606846976', offset: '2305843009213693952' });
  });

  it('keeps header order, duplicates, nulls and bytes', () => {
    const headers = [
      ['b', 'x'],
      ['a', null],
      ['b', { base64: '/w==' }],
      ['', ''],
    ] as const;
    const record = recordFromJson({ headers: headers.map(([name, value]) => [name, value]) }, 'record', 0);
    expect(recordToJson({ ...record, offset: 0 }).headers).toEqual(headers);
  });

  it('comes back as it went in, whatever its bytes', () => {
    const bytes = fc.option(fc.uint8Array());
    const headers = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), bytes));
    fc.assert(
      fc.property(bytes, bytes, headers, (key, value, headers) => {
        const json = recordToJson({ key, value, headers, timestamp: 7, offset: 3 });
        const { offset: _, ...rest } = JSON.parse(JSON.stringify(json));
        const record = recordFromJson(rest, 'record', 0);
        expect([hex(record.key), hex(record.value)]).toEqual([hex(key), hex(value)]);
        const plain = (all: readonly (readonly [string, Uint8Array | null])[]) =>
          all.map(([name, one]) => [name, hex(one)]);
        expect(plain(record.headers)).toEqual(plain(headers));
      }),
    );
  });

  it('is stored as sent even where its numbers are more than a double holds', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const body = '{"records":[{"value":{"id":12345678901234567890,"x":0.12345678901234567891,"n":1700000000000000}}]}';
    const headers = { 'content-type': 'application/json' };
    await door.fetch('/v1/topics/orders/records', { method: 'POST', body, headers });
    const { json } = await door.call('GET', '/v1/topics/orders/partitions/0/records');
    expect(json.records[0].value).toBe('{"id":12345678901234567890,"x":0.12345678901234567891,"n":1700000000000000}');
  });

  it('is read as it is alone, however long a number in another one is', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
    const headers = { 'content-type': 'application/json' };
    const send = async (...records: string[]) => {
      const body = `{"records":[${records.join(',')}]}`;
      const response = await door.fetch('/v1/topics/orders/records', { method: 'POST', body, headers });
      expect(response.status, await response.text()).toBe(200);
    };
    const record = '{"value":[1.0,1E5],"timestamp":1.7e12,"partition":1.0}';
    await send(record);
    await send(record, '{"value":12345678901234567890,"partition":0}');
    const { json } = await door.call('GET', '/v1/topics/orders/partitions/1/records');
    const [alone, beside] = json.records;
    expect(beside).toEqual({ ...alone, offset: 1 });
    expect(alone).toMatchObject({ value: '[1,100000]', timestamp: 1.7e12 });
  });

  // One card number within a text made 28 MB of JSON several times slower to read.
  it.each([
    ['{"id":1234567890123456}', true],
    ['{"id": -1234567890123456}', true],
    ['[12345678.123456789]', true],
    ['[1,\n1234567890123456789]', true],
    ['1234567890123456', true],
    ['1e400', true],
    ['[1.5E-400]', true],
    ['"1234567890123456"', false],
    ['"card 1234567890123456"', false],
    ['[123456789012345,"1e400",1e99]', false],
  ])('%s is stored as sent, and its numbers looked at: %s', async (value, isLookedAt) => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const headers = { 'content-type': 'application/json' };
    const parse = vi.spyOn(JSON, 'parse');
    onTestFinished(() => parse.mockRestore());
    await door.fetch('/v1/topics/orders/records', {
      method: 'POST',
      body: `{"records":[{"value":${value}}]}`,
      headers,
    });
    expect(parse.mock.calls.some((given) => given.length > 1)).toBe(isLookedAt);
    const { json } = await door.call('GET', '/v1/topics/orders/partitions/0/records');
    const text = value.startsWith('"') ? JSON.parse(value) : value.replace('1e99', '1e+99').replaceAll(/\s/g, '');
    expect(json.records[0].value).toBe(text);
  });

  it('can have a member named __proto__ inside its value, and none beside it', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    const headers = { 'content-type': 'application/json' };
    const post = (body: string) => door.fetch('/v1/topics/orders/records', { method: 'POST', body, headers });
    expect((await post('{"records":[{"value":{"__proto__":{"a":1}}}]}')).status).toBe(200);
    expect((await post('{"records":[{"__proto__":{"value":"v"}}]}')).status).toBe(400);
    const { json } = await door.call('GET', '/v1/topics/orders/partitions/0/records');
    expect(json.records.map(({ value }: { value: string }) => value)).toEqual(['{"__proto__":{"a":1}}']);
  });
});
