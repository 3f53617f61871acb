import { describe, expect, it } from 'vitest';
import { openApp } from './harness.ts';

describe('topics', () => {
  it('creates, describes, lists, alters and deletes a topic', async () => {
    await using door = openApp();
    const created = await door.call('POST', '/v1/topics', {
      topic: 'orders',
      partitions: 2,
      config: { 'max.message.bytes': '5000' },
    });
    expect(created.status).toBe(201);
    expect(created.headers.get('location')).toBe('/v1/topics/orders');
    expect(created.json).toMatchObject({
      topic: 'orders',
      partitionCount: 2,
      partitions: [
        { partition: 0, logStartOffset: 0, highWatermark: 0 },
        { partition: 1, logStartOffset: 0, highWatermark: 0 },
      ],
    });
    expect(created.json.config['max.message.bytes']).toEqual({ value: '5000', source: 'topic' });
    expect(created.json.topicId).toMatch(/^[0-9a-f-]{36}$/);

    expect((await door.call('GET', '/v1/topics/orders')).json).toEqual(created.json);
    const altered = await door.call('PATCH', '/v1/topics/orders', {
      partitions: 3,
      config: { 'max.message.bytes': null },
    });
    expect(altered.status).toBe(200);
    expect(altered.json.partitions).toHaveLength(3);
    expect(altered.json.config['max.message.bytes'].source).toBe('default');

    const deleted = await door.call('DELETE', '/v1/topics/orders');
    expect([deleted.status, deleted.bytes.length]).toEqual([204, 0]);
    expect((await door.call('GET', '/v1/topics/orders')).status).toBe(404);
  });

  it('tells of a topic without its offsets, when these are not wanted', async () => {
    await using door = openApp();
    const created = await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
    const { partitions: _, ...summary } = created.json;
    expect((await door.call('GET', '/v1/topics/orders?offsets=false')).json).toEqual(summary);
    expect((await door.call('GET', '/v1/topics/orders?offsets=true')).json).toEqual(created.json);
    expect((await door.call('GET', '/v1/topics/none?offsets=false')).status).toBe(404);
    const refused = await door.call('GET', '/v1/topics/orders?offsets=no');
    expect([refused.status, refused.json.code]).toEqual([400, 'INVALID_REQUEST']);
  });

  it('lists topics by name in pages that go on where the last one ended', async () => {
    await using door = openApp();
    for (const topic of ['c', 'a', 'd', 'b', 'e']) await door.call('POST', '/v1/topics', { topic });
    const seen: string[] = [];
    let after = '';
    for (let page = 0; page < 3; page += 1) {
      const { json } = await door.call('GET', `/v1/topics?limit=2&after=${after}`);
      seen.push(...json.topics.map(({ topic }: { topic: string }) => topic));
      after = json.next;
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(after).toBeUndefined();
  });

  it.each([
    [{ topic: 'a b' }, 'INVALID_TOPIC_EXCEPTION'],
    [{ topic: '..' }, 'INVALID_TOPIC_EXCEPTION'],
    [{ topic: 'x'.repeat(250) }, 'INVALID_TOPIC_EXCEPTION'],
    [{ topic: 'ok', partitions: 0 }, 'INVALID_PARTITIONS'],
    [{ topic: 'ok', partitions: 10_001 }, 'INVALID_PARTITIONS'],
    [{ topic: 'ok', partitions: 1.5 }, 'INVALID_REQUEST'],
    [{ topic: 'ok', config: { 'retention.ms': '1' } }, 'INVALID_CONFIG'],
    [{ topic: 'ok', config: { 'max.message.bytes': 'many' } }, 'INVALID_CONFIG'],
    [{ topic: 'ok', config: JSON.parse('{"__proto__":"1"}') }, 'INVALID_REQUEST'],
    [{ topic: 'ok', replicas: 3 }, 'INVALID_REQUEST'],
    [{}, 'INVALID_REQUEST'],
  ])('refuses to create %j with %s', async (body, code) => {
    await using door = openApp();
    const { status, json } = await door.call('POST', '/v1/topics', body);
    expect([status, json.code, json.effect]).toEqual([400, code, 'none']);
    expect((await door.call('GET', '/v1/topics')).json.topics).toEqual([]);
  });

  it('refuses a second topic of the same name, fewer partitions, and an alter that changes nothing', async () => {
    await using door = openApp();
    await door.call('POST', '/v1/topics', { topic: 'orders', partitions: 2 });
    const again = await door.call('POST', '/v1/topics', { topic: 'orders' });
    expect([again.status, again.json.code]).toEqual([409, 'TOPIC_ALREADY_EXISTS']);
    const fewer = await door.call('PATCH', '/v1/topics/orders', { partitions: 1 });
    expect([fewer.status, fewer.json.code]).toEqual([400, 'INVALID_PARTITIONS']);
    expect((await door.call('PATCH', '/v1/topics/orders', {})).json.code).toBe('INVALID_REQUEST');
    expect((await door.call('PATCH', '/v1/topics/none', { partitions: 2 })).status).toBe(404);
    expect((await door.call('DELETE', '/v1/topics/none')).status).toBe(404);
  });
});
