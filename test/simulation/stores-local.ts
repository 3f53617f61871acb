/** The family of one machine: objects in memory and SQLite, as if they were services behind a network. */

import { LogError } from '../../lib/errors.ts';
import type { TopicName } from '../../lib/ids.ts';
import type { MetadataStore } from '../../lib/store/metadata-store.ts';
import { openSqliteMetadataStore } from '../../lib/store/metadata-store-sqlite.ts';
import type { ObjectStore } from '../../lib/store/object-store.ts';
import { createMemoryObjectStore } from '../../lib/store/object-store-memory.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Instants } from '../../lib/verify/instants.ts';
import type { Environment } from './environment.ts';
import type { Scheduler } from './scheduler.ts';
import { damaged, type StoreNetwork } from './store-network.ts';
import { type SharedStores, TopicLives } from './stores.ts';

export function openLocalStores(deps: {
  readonly scheduler: Scheduler;
  readonly network: StoreNetwork;
  readonly chance: Chance;
  readonly instants: Instants;
}): SharedStores {
  const { scheduler, network, chance, instants } = deps;
  const objects = createMemoryObjectStore({ clock: scheduler.clock, randomBytes: chance.bytes });
  const metadata = openSqliteMetadataStore(':memory:');
  const { groupStore: groups } = metadata;
  if (groups === undefined) throw new Error('the store keeps groups');
  const lives = new TopicLives(instants);
  /** Whether readers hear of commits, as in one process, or have to look again and again, as on DynamoDB. */
  const wakesReaders = chance.happens(0.5);
  // What comes in one turn is written in one transaction.
  network.grainMs = chance.fork('grain').pick([0, 0, 1, 5]);

  /** A COMMIT that failed may have been carried out: the store says whether. */
  const looked = async <T>(topic: TopicName, change: () => Promise<T>): Promise<T> => {
    try {
      return await change();
    } catch (error) {
      lives.seen(topic, await metadata.getTopic(topic));
      throw error;
    }
  };

  const open = (environment: Environment): { objectStore: ObjectStore; metadataStore: MetadataStore } => {
    let isClosed = false;
    const close = async () => {
      isClosed = true;
    };
    const through = async <T>(
      step: string,
      apply: () => Promise<T>,
      { applyDamaged, neverLate = false }: { applyDamaged?: () => Promise<T>; neverLate?: boolean } = {},
    ): Promise<T> => {
      if (isClosed) throw new LogError('KAFKA_STORAGE_ERROR', 'the store is closed', { retriable: false });
      return await network.request({
        environment,
        step,
        apply,
        neverLate,
        ...(applyDamaged === undefined ? {} : { applyDamaged }),
        noAnswer: () => failed(`${step} was not answered`, readSteps.has(step) ? 'none' : 'unknown'),
        throttled: () => failed(`${step} was throttled`, 'none'),
        denied: () => denied(step),
      });
    };
    const objectStore: ObjectStore = {
      put: (parts) => {
        // What is under way has left the caller: later changes to its bytes cannot reach it.
        const body = Buffer.concat(parts);
        return network.request({
          environment,
          step: 'put',
          apply: () => objects.put([body]),
          applyHalf: () => objects.put([body.subarray(0, body.length >> 1)]),
          noAnswer: () => failed('put was not answered', 'none'),
          throttled: () => failed('put was throttled', 'none'),
          denied: () => denied('put'),
        });
      },
      read: (...range) => {
        const read = () => objects.read(...range);
        return through('read', read, { applyDamaged: async () => damaged(await read(), environment.chance) });
      },
      close,
    };
    const { nextCommit } = metadata;
    const metadataStore: MetadataStore = {
      createTopic: (item) =>
        through('createTopic', async () => {
          const created = await looked(item.topic, () => metadata.createTopic(item));
          if (created.outcome === 'created') lives.created(item);
          return created;
        }),
      alterTopic: (change) =>
        through('alterTopic', async () => {
          const outcome = await looked(change.topic, () => metadata.alterTopic(change));
          if (outcome === 'altered') lives.altered(change.topicId, change.partitionCount);
          return outcome;
        }),
      deleteTopic: (topic, topicId) =>
        through('deleteTopic', async () => {
          const isDeleted = await looked(topic, () => metadata.deleteTopic(topic, topicId));
          if (isDeleted) lives.unlisted(topicId);
          return isDeleted;
        }),
      getTopic: (topic) => through('getTopic', () => metadata.getTopic(topic)),
      listTopics: (page) => through('listTopics', () => metadata.listTopics(page)),
      commitBatches: (commit) => through('commitBatches', () => metadata.commitBatches(commit)),
      getHeads: (...heads) => through('getHeads', () => metadata.getHeads(...heads)),
      rollTail: (seen) => through('rollTail', () => metadata.rollTail(seen)),
      findPages: (...pages) => through('findPages', () => metadata.findPages(...pages)),
      nextProducerId: () => through('nextProducerId', () => metadata.nextProducerId()),
      groupStore: throughTo(groups, (step, apply) =>
        // In one process nothing comes late. Here it would undo a later commit, which the adapter for DynamoDB prevents.
        through(step, apply, { neverLate: step === 'commitOffsets' }),
      ),
      ...(wakesReaders && nextCommit !== undefined
        ? {
            nextCommit: (...wanted: Parameters<typeof nextCommit>) =>
              new Promise<boolean>((resolve) => {
                void nextCommit(...wanted).then((isCommit) => scheduler.after(0, () => resolve(isCommit), environment));
              }),
          }
        : {}),
      close,
    };
    return { objectStore, metadataStore };
  };

  const close = async () => {
    await objects.close();
    await metadata.close();
  };
  return { open, lives, close };
}

/** They change nothing, whatever becomes of them. */
const readSteps: ReadonlySet<string> = new Set([
  'read',
  'getGroup',
  'getGroupHead',
  'listGroups',
  'getOffsets',
  'listOffsets',
]);

/** Every method of `store` by way of `through`, under its own name. */
function throughTo<Store extends object>(
  store: Store,
  through: <T>(step: string, apply: () => Promise<T>) => Promise<T>,
): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return (...args: unknown[]) => through(String(name), () => method.apply(target, args));
    },
  });
}

function denied(step: string): LogError {
  return new LogError('KAFKA_STORAGE_ERROR', `${step} was denied`, { retriable: false, effect: 'none' });
}

function failed(message: string, effect: 'none' | 'unknown'): LogError {
  return new LogError('KAFKA_STORAGE_ERROR', message, { effect });
}
