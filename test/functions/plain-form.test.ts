import { expect, test } from 'vitest';
import { openMemoryFunctions, readEvent } from './memory-function.ts';

test('topics, records and offsets by hand, as from a Step Function', async () => {
  await using functions = openMemoryFunctions();
  expect(await functions.invoke('topics', readEvent('plain-create'))).toMatchObject({
    topic: 'orders',
    partitionCount: 2,
  });
  const altered = await functions.invoke('topics', readEvent('plain-alter'));
  expect(altered.config['max.message.bytes']).toEqual({ value: '200000', source: 'topic' });

  const produced = await functions.invoke('produce', readEvent('plain-produce'));
  expect(produced).toMatchObject({ results: [{ partition: 0, baseOffset: 0, recordCount: 2 }] });
  const one = await functions.invoke('fetch', readEvent('plain-fetch'));
  expect(one.records.map(({ value }: { value: string }) => value)).toEqual(['plain', '{"total":12}']);
  const many = await functions.invoke('fetch', readEvent('plain-fetch-many'));
  expect(many.partitions).toMatchObject([
    { partition: 0, nextOffset: 2 },
    { partition: 1, nextOffset: 0 },
  ]);
  expect(await functions.invoke('fetch', readEvent('plain-offsets'))).toEqual({ offset: 2, timestamp: null });

  const described = await functions.invoke('topics', readEvent('plain-describe'));
  expect(described.partitions[0]).toEqual({ partition: 0, logStartOffset: 0, highWatermark: 2 });
  expect((await functions.invoke('topics', readEvent('plain-list'))).topics).toHaveLength(1);
  expect(await functions.invoke('topics', readEvent('plain-delete'))).toBeNull();
  expect((await functions.invoke('topics', readEvent('plain-list'))).topics).toEqual([]);
});

test('a failure is thrown under the name of its code, with what a retry may do', async () => {
  await using functions = openMemoryFunctions();
  await expect(functions.invoke('produce', readEvent('plain-produce'))).rejects.toMatchObject({
    name: 'UNKNOWN_TOPIC_OR_PARTITION',
    message: 'topic orders does not exist (retriable: true, effect: none)',
  });
  await functions.invoke('topics', readEvent('plain-create'));
  await expect(functions.invoke('fetch', { topic: 'orders', partition: 0, offset: 5 })).rejects.toMatchObject({
    name: 'OFFSET_OUT_OF_RANGE',
    message: expect.stringMatching(/offset 5 .*\(retriable: false, effect: none\)$/),
  });
  await expect(functions.invoke('topics', readEvent('plain-create'))).rejects.toMatchObject({
    name: 'TOPIC_ALREADY_EXISTS',
  });
});

test('a produce that failed in part is thrown, and says that a retry would append the rest again', async () => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', readEvent('plain-create'));
  const records = [
    { partition: 0, value: 'stored' },
    { partition: 7, value: 'refused' },
  ];
  await expect(functions.invoke('produce', { topic: 'orders', records })).rejects.toMatchObject({
    name: 'UNKNOWN_TOPIC_OR_PARTITION',
    message: expect.stringMatching(/^1 of 2 partitions failed, the first: .*\(retriable: true, effect: unknown\)$/),
  });
  const partitions = [
    { partition: 0, offset: 0 },
    { partition: 1, offset: 9 },
  ];
  await expect(functions.invoke('fetch', { topic: 'orders', partitions })).rejects.toMatchObject({
    name: 'OFFSET_OUT_OF_RANGE',
    message: expect.stringMatching(/^1 of 2 partitions failed, .*effect: none\)$/),
  });
});

test('an event of no form is refused with what the function takes', async () => {
  await using functions = openMemoryFunctions();
  const cases = [
    ['produce', readEvent('sqs'), '"Records"', '{"topic","records"}'],
    ['produce', { topic: 'orders' }, '"topic"', '{"topic","records"}'],
    ['fetch', { topic: 'orders' }, '"topic"', '{"topic","partition","offset"}'],
    ['topics', { action: 'drop', topic: 'orders' }, '"action"', 'create, list, describe, alter, delete'],
    ['topics', { topic: 'orders' }, '"topic"', '{"action"}'],
  ] as const;
  for (const [name, event, seen, allowed] of cases) {
    const refused = await functions.invoke(name, event).catch((error: Error) => error);
    expect(refused, JSON.stringify(event)).toMatchObject({ name: 'INVALID_REQUEST' });
    expect(refused.message).toContain(seen);
    expect(refused.message).toContain(allowed);
  }
  for (const [event, seen] of [
    [null, 'null'],
    ['text', 'a string'],
    [[1], 'an array'],
  ] as const) {
    await expect(functions.invoke('produce', event)).rejects.toThrow(`event is ${seen}; it must be an object`);
  }
});

test('a wrong member is named, and none is dropped in silence', async () => {
  await using functions = openMemoryFunctions();
  await functions.invoke('topics', readEvent('plain-create'));
  const refusal = async (name: 'produce' | 'fetch' | 'topics' | 'group', event: unknown) =>
    await functions.invoke(name, event).catch((error: Error) => `${error.name}: ${error.message}`);
  expect(await refusal('produce', { topic: 'a/b', records: [] })).toMatch(/^INVALID_TOPIC_EXCEPTION.*"a\/b"/);
  expect(await refusal('produce', { topic: 'orders', records: [{ valeu: 1 }] })).toMatch(/^INVALID_REQUEST.*valeu/);
  expect(await refusal('fetch', { topic: 'orders', partition: 0, ofset: 1 })).toMatch(/^INVALID_REQUEST.*ofset/);
  expect(await refusal('fetch', { topic: 'orders', partition: 1.5 })).toMatch(/^INVALID_REQUEST.*1\.5/);
  expect(await refusal('fetch', { topic: 'orders', partition: {} })).toMatch(/^INVALID_REQUEST: partition is {}/);
  expect(await refusal('fetch', { topic: 'orders', partition: 0, partitions: [] })).toMatch(/^INVALID_REQUEST/);
  expect(await refusal('topics', { action: 'alter', topic: 'orders', config: {}, force: true })).toMatch(/force/);
  expect(await refusal('topics', { action: 'list', limit: 0 })).toMatch(/^INVALID_REQUEST: limit/);
  const notKnown = /^INVALID_REQUEST: query parameter "topic" is not known here; the path takes none/;
  const ofGroup = { group: 'billing', topic: 'orders' };
  await functions.invoke('group', {
    action: 'commit',
    group: 'billing',
    offsets: [{ topic: 'orders', partition: 0, offset: 0 }],
  });
  expect(await refusal('group', { action: 'delete', ...ofGroup })).toMatch(notKnown);
  expect(await refusal('group', { action: 'delete', group: 'billing', topic: '' })).toMatch(notKnown);
  expect(await refusal('group', { action: 'describe', ...ofGroup })).toMatch(notKnown);
  expect((await functions.invoke('group', { action: 'offsets', ...ofGroup })).offsets).toHaveLength(1);
});
