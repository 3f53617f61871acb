/**
 * The demo, `npm run demo`: 20,000 real flights and a week of real earthquakes through a real log on this machine.
 *
 * 1. A log opens in a temporary folder, with its HTTP server in front.
 * 2. Flights are published over HTTP, keyed by the airport they left from, while a group of three processes tails the topic
 *    and feeds a running table; one of the three is killed midway. Then the earthquakes, one at a time, which shows what a lone record takes.
 * 3. What was seen is proved against the files: nothing lost, nothing twice, nothing out of order, nothing miscounted.
 *
 * Exit code 0 when all of it holds, else 1. `feed.ts` publishes, `readers.ts` and `member.ts` read, `proof.ts` proves.
 */

import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Millrace } from '../../lib/client/index.ts';
import { openEmbeddedLog } from '../../lib/server/embedded.ts';
import { startServer } from '../../lib/server/server.ts';
import { readEarthquakes, readFlights } from './datasets.ts';
import { type FeedResult, runFeed } from './feed.ts';
import { prove } from './proof.ts';
import { type GroupReaders, startConsumer, startGroup } from './readers.ts';
import { createRunningTable, number } from './running-table.ts';

const dir = await mkdtemp(join(tmpdir(), 'millrace-demo-'));
const removeDir = () => rmSync(dir, { recursive: true, force: true });
process.once('SIGINT', () => {
  removeDir();
  process.exit(130);
});

let hasProved = false;
try {
  hasProved = await demo();
} catch (error) {
  console.error(error);
} finally {
  removeDir();
}
const seconds = (performance.now() / 1000).toFixed(1);
console.log(hasProved ? `\nproved, in ${seconds} s` : `\nFAILED, after ${seconds} s: what is above does not hold`);
process.exitCode = hasProved ? 0 : 1;

async function demo(): Promise<boolean> {
  const embedded = await openEmbeddedLog({ dir });
  const server = await startServer({ log: embedded, port: 0 });
  const log = new Millrace({ endpoint: server.url });
  console.log(`a log in ${dir}, served on ${server.url}\n`);
  try {
    const flights = readFlights();
    const table = createRunningTable(process.stdout, flights.length);
    console.log(`${number(flights.length)} flights, keyed by airport, to 6 partitions; a group of three tails them`);
    let group: GroupReaders | undefined;
    let killedAt = 0;
    const flightFeed = await runFeed(log, {
      topic: 'flights',
      partitionCount: 6,
      async startReaders(onRecord) {
        const options = { endpoint: server.url, topic: 'flights', group: 'departures', memberCount: 3 };
        group = await startGroup(log, options, onRecord);
        return group;
      },
      events: flights,
      callerCount: 1_000,
      keyOf: ({ origin }) => origin,
      amountOf: ({ delay }) => delay,
      onSeen(tallies, seenCount) {
        table.update(tallies, seenCount);
        if (killedAt > 0 || seenCount < flights.length / 2) return;
        killedAt = seenCount;
        group?.killOne();
      },
    });
    table.finish(flightFeed.tallies, flightFeed.seen.length);
    console.log(`  one of the three was killed at ${number(killedAt)} flights; the others took over its partitions,`);
    console.log(`  ${number(flightFeed.againCount)} flights came once more, and were known by their offsets`);
    printFigures(flightFeed, '1,000 on their way, the wait for the killed one included');

    const earthquakes = readEarthquakes();
    console.log(`\n${number(earthquakes.length)} earthquakes, keyed by network, one at a time`);
    const earthquakeFeed = await runFeed(log, {
      topic: 'earthquakes',
      partitionCount: 2,
      startReaders: (onRecord) => startConsumer(log, 'earthquakes', onRecord),
      events: earthquakes,
      callerCount: 1,
      keyOf: ({ network }) => network,
      amountOf: ({ magnitude }) => magnitude,
    });
    printFigures(earthquakeFeed, 'one on its way');

    const proved = [printProofs('flights', flightFeed), printProofs('earthquakes', earthquakeFeed)];
    return proved.every(Boolean);
  } finally {
    await log.close();
    await server.close();
    await embedded.close();
  }
}

function printFigures({ published, seen, publishMs, consumeMs, latenciesMs }: FeedResult, load: string): void {
  const rate = (count: number, ms: number) => `${number((count / ms) * 1000)} records/s`;
  const percentile = (share: number) => latenciesMs[Math.ceil(latenciesMs.length * share) - 1]?.toFixed(1);
  console.log(`  published, each one durable: ${rate(published.length, publishMs)}`);
  console.log(`  consumed: ${rate(seen.length, consumeMs)}`);
  console.log(`  from send to seen, ${load}: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms`);
}

function printProofs(topic: string, { published, seen, tallies }: FeedResult): boolean {
  console.log(`\nproof for ${topic}`);
  const proofs = prove(published, seen, tallies);
  for (const { claim, fault } of proofs) {
    console.log(fault === undefined ? `  holds: ${claim}` : `  FAILS: ${claim}\n         ${fault}`);
  }
  return proofs.every(({ fault }) => fault === undefined);
}
