/**
 * The stores under a race, behind a network: what is asked takes time, is lost on the way there or back, or comes late.
 * SQLite is asked step by step, as if it were a service; DynamoDB request by request, below its adapter.
 */

import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Clock } from '../../lib/clock.ts';
import { LogError } from '../../lib/errors.ts';
import type { GroupStore } from '../../lib/store/group-store.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openDynamoDbMetadataStore } from '../../lib/store/metadata-store-dynamodb.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import type { Operation } from '../../lib/store/requests-dynamodb.ts';
import { DynamoDbDouble } from '../simulation/aws/dynamodb.ts';
import type { Random } from '../support/random.ts';

export type Family = 'SQLite' | 'DynamoDB';

export interface RaceStores {
  /** Without the network: what is there. */
  readonly there: GroupStore;
  /** As one machine has it, with a clock of its own. */
  open(clock: Clock): MetadataStore & { readonly groupStore: GroupStore };
  close(): Promise<void>;
}

export interface Network {
  readonly clock: Clock;
  readonly random: Random;
  readonly count: (name: string) => void;
  readonly isCalm: () => boolean;
  /** After each write. */
  readonly look: () => Promise<void>;
}

export function openRaceStores(family: Family, network: Network): RaceStores {
  return family === 'SQLite' ? sqliteStores(network) : dynamoDbStores(network);
}

const latencyMsMax = 30;
const lateMsMax = 60_000;

/** `unanswered`: an error for the caller, or a promise that never ends. */
async function overNetwork<T>(
  { clock, random, count, isCalm, look }: Network,
  kind: 'read' | 'write' | 'never late',
  carryOut: () => Promise<T>,
  unanswered: () => Promise<never>,
): Promise<T> {
  const done = async () => {
    const answer = await carryOut();
    if (kind !== 'read') await look();
    return answer;
  };
  await clock.sleep(random.integer(1, latencyMsMax));
  const fault = isCalm() ? 100 : random.integer(1, 100);
  if (fault <= 3) return await unanswered();
  if (fault <= 5 && kind === 'write') {
    count('late');
    void clock.sleep(random.integer(100, lateMsMax)).then(() => done().catch(() => undefined));
    return await unanswered();
  }
  const answer = await done();
  await clock.sleep(random.integer(1, latencyMsMax));
  if (fault > 8) return answer;
  count('lost answer');
  return await unanswered();
}

function sqliteStores(network: Network): RaceStores {
  const metadata = openSqliteMetadataStore(':memory:');
  const there = groupsOf(metadata);
  const groupStore = new Proxy(there, {
    get: (target, property) => {
      const name = String(property);
      const isRead = name.startsWith('get') || name.startsWith('list');
      // A commit that was given up and comes late undoes later ones: in one process nothing is late, and the adapter for
      // DynamoDB holds it back.
      const kind = isRead ? 'read' : name === 'commitOffsets' ? 'never late' : 'write';
      const unanswered = () => Promise.reject(new LogError('KAFKA_STORAGE_ERROR', `${name} was not answered`));
      return (...args: unknown[]) =>
        overNetwork(network, kind, () => Reflect.get(target, property).apply(target, args), unanswered);
    },
  });
  return { there, open: () => ({ ...metadata, groupStore, close: async () => {} }), close: () => metadata.close() };
}

function dynamoDbStores(network: Network): RaceStores {
  const table = new DynamoDbDouble({ nowMs: network.clock.nowMs });
  const { random } = network;
  const randomBytes = (bytes: Uint8Array) => bytes.map(() => random.integer(0, 255));
  const open = (clock: Clock, isDirect: boolean) => {
    const send = async (command: { readonly constructor: { readonly name: string }; readonly input: object }) => {
      const operation = command.constructor.name.slice(0, -'Command'.length) as Operation;
      const carryOut = async () => table.request(operation, command.input as never);
      if (isDirect) return await carryOut();
      const kind = ['GetItem', 'BatchGetItem', 'Query'].includes(operation) ? 'read' : 'write';
      const broken = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
      // Either the connection breaks, or nothing is heard any more.
      const unanswered = () => (random.integer(0, 1) === 0 ? Promise.reject(broken) : new Promise<never>(() => {}));
      return await overNetwork(network, kind, carryOut, unanswered);
    };
    const client = { send, config: { region: async () => 'us-east-1' }, destroy() {} } as unknown as DynamoDBClient;
    const store = openDynamoDbMetadataStore({ table: 'table', client, clock, randomBytes });
    return { ...store, groupStore: groupsOf(store) };
  };
  return {
    there: open(network.clock, true).groupStore,
    open: (clock) => ({ ...open(clock, false), close: async () => {} }),
    close: async () => {},
  };
}

function groupsOf({ groupStore }: MetadataStore): GroupStore {
  if (groupStore === undefined) throw new Error('the store keeps groups');
  return groupStore;
}
