import { describe, expect, it } from 'vitest';
import { batchOf, type Door, openApp, openLog } from './harness.ts';

const path = '/v1/topics/orders/partitions/0/records';
const accept = 'text/event-stream';

async function openOrders(options = {}): Promise<Door> {
  const door = openApp(options);
  await door.call('POST', '/v1/topics', { topic: 'orders' });
  await produce(door, 'a', 'b', 'c');
  return door;
}

function produce(door: Door, ...values: string[]) {
  return door.produceBatches('orders', [{ partition: 0, batch: batchOf(values) }]);
}

/** Reads events until `enough` says so, then leaves. */
async function readUntil(response: Response, enough: (text: string) => boolean): Promise<string> {
  let text = '';
  for await (const piece of response.body ?? []) {
    text += Buffer.from(piece).toString();
    if (enough(text)) break;
  }
  return text;
}

const idsOf = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
const hasIds = (count: number) => (text: string) => idsOf(text).length >= count;

describe('the event stream', () => {
  it('sends one event per record, with the offset as its id, and goes on as records come', async () => {
    await using door = await openOrders();
    const response = await door.fetch(`${path}?offset=1`, { headers: { accept } });
    expect(response.headers.get('content-type')).toBe(accept);
    setTimeout(() => void produce(door, 'd\nd'), 30);
    const text = await readUntil(response, hasIds(3));
    expect(idsOf(text)).toEqual([1, 2, 3]);
    const data = [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json ?? ''));
    expect(data.map(({ offset, value }) => [offset, value])).toEqual([
      [1, 'b'],
      [2, 'c'],
      [3, 'd\nd'],
    ]);
  });

  it('resumes behind Last-Event-ID, whatever the query says', async () => {
    await using door = await openOrders();
    const response = await door.fetch(`${path}?offset=earliest`, { headers: { accept, 'last-event-id': '1' } });
    expect(idsOf(await readUntil(response, hasIds(1)))).toEqual([2]);
  });

  it('sends comments while nothing happens, and ends after its time', async () => {
    await using door = await openOrders({ eventStreamKeepAliveMs: 20, eventStreamMsMax: 150 });
    const response = await door.fetch(`${path}?offset=latest`, { headers: { accept } });
    const text = await response.text();
    expect(text.match(/^: keep-alive$/gm)?.length).toBeGreaterThan(2);
    expect(text).not.toContain('data:');
  });

  it.each([
    [['a', 'b'], '1'],
    [[], '-1'],
  ])(
    'from latest, has a reader that was given no record come back to where it began (behind %j)',
    async (there, id) => {
      await using door = openApp({ eventStreamMsMax: 0 });
      await door.call('POST', '/v1/topics', { topic: 'orders' });
      if (there.length > 0) await produce(door, ...there);
      const latest = `${path}?offset=latest`;
      const silent = await (await door.fetch(latest, { headers: { accept } })).text();
      expect(silent).toBe(`retry: 1000\nid: ${id}\n\n`);
      await produce(door, 'in between');
      const again = await (await door.fetch(latest, { headers: { accept, 'last-event-id': id } })).text();
      expect(again).toContain(`id: ${Number(id) + 1}\ndata: `);
      expect(again).toContain('in between');
    },
  );

  it('ends when the process stops', async () => {
    const stopping = new AbortController();
    await using door = await openOrders({ stopping: stopping.signal });
    const response = await door.fetch(`${path}?offset=latest`, { headers: { accept } });
    setTimeout(() => stopping.abort(), 20);
    expect(await response.text()).toBe('retry: 1000\nid: 2\n\n');
  });

  it('fetches nothing that the reader has not asked for, and stops when the reader goes', async () => {
    const log = openLog();
    let fetchCount = 0;
    let isWaiting = false;
    const counting: typeof log = {
      ...log,
      async fetch(request) {
        fetchCount += 1;
        isWaiting = request.maxWaitMs > 0;
        const results = await log.fetch(request);
        isWaiting = false;
        return results;
      },
    };
    await using door = await openOrders({ log: counting });
    const response = await door.fetch(`${path}?offset=0`, { headers: { accept } });
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(fetchCount).toBe(1);
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.read();
    const silent = reader?.read();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([fetchCount, isWaiting]).toEqual([2, true]);
    await reader?.cancel();
    await silent;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([fetchCount, isWaiting]).toEqual([2, false]);
  });

  it('tells what is wrong from the start by status, and what goes wrong later by an error event', async () => {
    await using door = await openOrders();
    const headers = { accept };
    expect((await door.fetch(`${path}?offset=9`, { headers })).status).toBe(416);
    expect((await door.fetch('/v1/topics/none/partitions/0/records', { headers })).status).toBe(404);
    expect((await door.fetch(path, { headers: { accept, 'last-event-id': 'x' } })).status).toBe(400);

    const response = await door.fetch(`${path}?offset=latest`, { headers });
    const text = response.text();
    await door.call('DELETE', '/v1/topics/orders');
    await door.call('POST', '/v1/topics', { topic: 'orders' });
    expect(await text).toMatch(
      /event: error\ndata: \{.*"code":"(UNKNOWN_TOPIC_OR_PARTITION|OFFSET_OUT_OF_RANGE)".*\}\n\n$/,
    );
  });
});
