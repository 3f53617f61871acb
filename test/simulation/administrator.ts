/** A client that administers. */

import { parseTopicName, type TopicName } from '../../lib/ids.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import { Client, type ClientDeps } from '../../lib/verify/client.ts';
import type { Plan } from './plan.ts';

/** More partitions than one transaction of DynamoDB makes or deletes. */
export const wideTopic = parseTopicName('wide');
/** Pauses, in thoughts, between what is done to a log that grows long. */
const patience = 60;

/** Makes topics larger, changes what they do to batches, and now and then deletes one and makes it again. */
export class Administrator extends Client {
  readonly #theme: Plan['theme'];

  constructor(deps: ClientDeps, name: string, chance: Chance, theme: Plan['theme']) {
    super(deps, name, chance);
    this.#theme = theme;
  }

  override async run(): Promise<void> {
    const { chance, deps } = this;
    const theme = this.#theme;
    const wide = chance.fork('wide');
    const hasWide = wide.happens(0.1);
    while (await this.next()) {
      if (hasWide && wide.happens(0.4)) {
        await this.#changeWide(wide);
        continue;
      }
      // A log that is to grow long is left alone for most of the time.
      if (theme === 'long') await deps.clock.sleep(chance.fraction() * deps.workload.thinkMs * patience);
      const { topic, partitionCount } = this.anyTopicItem();
      const drawn = chance.pick([
        'alter',
        'alter',
        'grow',
        'grow',
        'create',
        theme === 'mixed' || theme === 'churn' ? 'delete' : 'create',
      ] as const);
      const action = (theme === 'churn' || theme === 'long') && chance.happens(0.7) ? 'delete' : drawn;
      if (action === 'delete') await this.#deleteAndCreate(topic, partitionCount);
      else if (action === 'create') {
        // Kafka takes "." and "_" for one letter in names.
        const name = chance.happens(0.3) ? parseTopicName(topic.replace('.', '_')) : topic;
        await deps.recorder.changeTopic(this, 'create', name, { partitionCount });
      } else {
        const grow = () => deps.recorder.changeTopic(this, 'alter', topic, { partitionCount: chance.integer(2, 6) });
        const config = () => deps.recorder.changeTopic(this, 'alter', topic, { config: this.#anyConfig() });
        // Both at once meet each other in the store.
        if (chance.happens(0.5)) await Promise.all([grow(), config()]);
        else await (action === 'grow' ? grow() : config());
      }
    }
  }

  /** A topic of which others do nothing. */
  async #changeWide(chance: Chance): Promise<void> {
    const { recorder } = this.deps;
    const partitionCount = chance.integer(97, 130);
    const action = chance.pick(['create', 'create', 'alter', 'delete'] as const);
    const change = () => recorder.changeTopic(this, action, wideTopic, action === 'delete' ? {} : { partitionCount });
    await Promise.all(chance.happens(0.5) ? [change(), change()] : [change()]);
  }

  #anyConfig(): Record<string, unknown> {
    const { chance } = this;
    return chance.pick<Record<string, unknown>>([
      { 'message.timestamp.type': chance.pick(['CreateTime', 'LogAppendTime', null]) },
      { 'compression.type': chance.pick(['producer', 'uncompressed', 'lz4', null]) },
      { 'max.message.bytes': chance.pick<string | number | null>(['1000', 100_000, null]) },
      { 'message.timestamp.before.max.ms': chance.pick(['10000', '9223372036854775807', null]) },
      // Refused: unknown, unsupported, out of range.
      {
        [chance.pick(['nonsense', 'retention.ms', 'compression.type', 'max.message.bytes'])]: chance.pick([
          'nonsense',
          '-1',
          true,
        ]),
      },
    ]);
  }

  async #deleteAndCreate(topic: TopicName, partitionCount: number): Promise<void> {
    const { chance, deps } = this;
    await deps.recorder.changeTopic(this, 'delete', topic);
    if (chance.happens(0.3)) await deps.clock.sleep(chance.integer(0, 10_000));
    for (let attempt = 0; attempt < 5; attempt++) {
      const { outcome } = await deps.recorder.changeTopic(this, 'create', topic, { partitionCount });
      if (outcome.kind === 'ok' || (outcome.kind === 'failed' && !outcome.isRetriable)) return;
    }
  }
}
