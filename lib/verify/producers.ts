/** Clients that send: without a producer id, and with one. */

import type { TopicName } from '../ids.ts';
import { producerBatchesMax } from '../limits.ts';
import type { Chance } from './chance.ts';
import { Client } from './client.ts';
import type { Outcome, ProduceOperation } from './history.ts';
import type { Caller, SentBatch } from './recorder.ts';

/** Sends one request after another, and never the same record twice; but what it sends may be delivered twice. */
export class PlainProducer extends Client {
  #twinCount = 0;

  override async run(): Promise<void> {
    while (await this.next()) {
      const { chance, deps } = this;
      const topic = this.anyTopic();
      const batchCount = chance.pick([1, 1, 1, 2, 5]);
      const batches = Array.from({ length: batchCount }, () => this.newBatch(this.anyPartition(topic)));
      if (chance.happens(deps.workload.deliveredTwice)) {
        const twin: Caller = {
          name: this.name,
          chance: chance.fork(`twin ${this.#twinCount++}`),
          timeoutMs: 10_000,
        };
        const delivery = deps.clock
          .sleep(chance.integer(0, deps.workload.secondDeliveryMsMax))
          .then(() => deps.recorder.produce(twin, topic, batches));
        deps.beside(delivery);
      }
      const sending = deps.recorder.produce(this, topic, batches);
      // Some send on without waiting; then their requests may overtake each other.
      if (chance.happens(0.3)) deps.beside(sending);
      else await sending;
    }
  }
}

/** Attempts for one batch, before its producer gives up on it. */
const attemptsMax = 12;
/** A partition that is not there may be on its way, but not for long. */
const unknownAttemptsMax = 3;
const takeoverMsMax = 500;
/** Kafka's: no more batches of a partition unanswered at once. */
const inFlightMax = 5;

/**
 * Sends batches to one partition, several on their way at once, each again until it is acked. Some go on with one producer
 * id for ever, some take a new one every few batches and come back to the old ones later.
 */
export class IdempotentProducer extends Client {
  /** The newest one of each producer id. */
  readonly #epochs = new Map<number, number>();

  override async run(): Promise<void> {
    const { chance, deps } = this;
    const topic = this.anyTopic();
    const partition = this.anyPartition(topic);
    const inFlight = chance.pick([1, 1, 2, inFlightMax]);
    const renewing = chance.pick([0.01, 0.01, 0.3, 0.6]);
    const attempts = chance.happens(0.2) ? 2 : attemptsMax;
    const lanes: Lane[] = [];
    const takeovers = chance.fork('takeovers');
    const resends = chance.fork('resends');
    while (await this.next()) {
      let lane = chance.any(lanes.filter(({ isBroken }) => !isBroken));
      if (lane === undefined || chance.happens(renewing)) {
        const identity = await this.#identity(chance.any(lanes));
        if (identity === undefined) continue;
        lane = new Lane(this, topic, partition, identity, attempts);
        lanes.push(lane);
      } else if (chance.happens(0.1)) {
        // Somebody else takes over; the lane that was there does not know, and may be taken once more.
        lane = new Lane(this, topic, partition, this.#nextEpoch(lane.identity), attempts);
        lanes.push(lane);
      }
      if (chance.happens(0.05)) {
        const resending = lane.resend(resends);
        deps.beside(resending);
        // The oldest that is remembered is so no longer when the next one is appended.
        if (resends.happens(0.5)) await resending;
      }
      deps.beside(lane.send(this.newBatch(partition), resends.happens(0.05)));
      if (takeovers.happens(0.08)) {
        // While it is on its way, or waits to be sent again.
        const next = new Lane(this, topic, partition, this.#nextEpoch(lane.identity), attempts);
        lanes.push(next);
        const pause = deps.clock.sleep(takeovers.fraction() * takeoverMsMax);
        deps.beside(pause.then(() => next.send(this.newBatch(partition))));
      }
      await lane.room(inFlight);
    }
  }

  /** A new producer id, or an old one with the next epoch, as a producer takes it that begins again. */
  async #identity(last: Lane | undefined): Promise<Identity | undefined> {
    if (last !== undefined && this.chance.happens(0.3)) return this.#nextEpoch(last.identity);
    const { outcome } = await this.deps.recorder.nextProducer(this);
    return outcome.kind === 'ok' ? { producerId: outcome.producerId, producerEpoch: 0 } : undefined;
  }

  #nextEpoch({ producerId }: Identity): Identity {
    const producerEpoch = (this.#epochs.get(producerId) ?? 0) + 1;
    this.#epochs.set(producerId, producerEpoch);
    return { producerId, producerEpoch };
  }

  /** `copies`: as many in one request. */
  produce(topic: TopicName, batch: SentBatch, copies = 1): Promise<ProduceOperation[]> {
    return this.deps.recorder.produce(this, topic, Array<SentBatch>(copies).fill(batch));
  }
  pause(attempt: number): Promise<void> {
    return this.deps.clock.sleep(this.chance.fraction() * Math.min(this.deps.workload.retryMsMax, 20 * 2 ** attempt));
  }
}

interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** One identity's batches to one partition. */
class Lane {
  readonly identity: Identity;
  isBroken = false;
  readonly #producer: IdempotentProducer;
  readonly #topic: TopicName;
  readonly #partition: number;
  readonly #attemptsMax: number;
  readonly #unsettled: Promise<void>[] = [];
  #nextSequence = 0;
  /** As many as the log remembers, the newest last. */
  readonly #acked: SentBatch[] = [];

  constructor(
    producer: IdempotentProducer,
    topic: TopicName,
    partition: number,
    identity: Identity,
    attemptsMax: number,
  ) {
    this.#producer = producer;
    this.#topic = topic;
    this.#partition = partition;
    this.identity = identity;
    this.#attemptsMax = attemptsMax;
  }

  /** Resolves when the batch is acked or given up, and then the lane is broken. `isTwice`: first with its resend beside it. */
  send(given: SentBatch, isTwice = false): Promise<void> {
    const baseSequence = this.#nextSequence;
    this.#nextSequence += given.values.length;
    const batch = { ...given, partition: this.#partition, producer: { ...this.identity, baseSequence } };
    const settled = this.#sendUntilAcked(batch, [...this.#unsettled], isTwice).finally(() => {
      this.#unsettled.splice(this.#unsettled.indexOf(settled), 1);
    });
    this.#unsettled.push(settled);
    return settled;
  }

  /** One of the batches acked last, once more; often the oldest of those that the log remembers. */
  async resend(chance: Chance): Promise<void> {
    const batch = chance.happens(0.5) ? this.#acked[0] : chance.any(this.#acked);
    if (batch !== undefined) await this.#producer.produce(this.#topic, batch);
  }

  /** Resolves when fewer than `count` batches are unsettled. */
  async room(count: number): Promise<void> {
    while (this.#unsettled.length >= count) await Promise.race(this.#unsettled);
  }

  async #sendUntilAcked(batch: SentBatch, ahead: readonly Promise<void>[], isTwice: boolean): Promise<void> {
    for (let attempt = 0; attempt < this.#attemptsMax && !this.isBroken; attempt++) {
      const [operation] = await this.#producer.produce(this.#topic, batch, attempt === 0 && isTwice ? 2 : 1);
      const outcome = operation?.outcome;
      if (outcome === undefined || outcome.kind === 'ok') {
        this.#acked.push(batch);
        if (this.#acked.length > producerBatchesMax) this.#acked.shift();
        return;
      }
      if (!canPass(outcome) || (isUnknown(outcome) && attempt + 1 >= unknownAttemptsMax)) break;
      // It may have overtaken the ones before it, and is sent again when those are settled.
      if (isOutOfOrder(outcome)) await Promise.all(ahead);
      await this.#producer.pause(attempt);
    }
    this.isBroken = true;
  }
}

function isOutOfOrder(outcome: Outcome<object>): boolean {
  return outcome.kind === 'failed' && outcome.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER';
}
function isUnknown(outcome: Outcome<object>): boolean {
  return outcome.kind === 'failed' && outcome.code === 'UNKNOWN_TOPIC_OR_PARTITION';
}
function canPass(outcome: Outcome<object>): boolean {
  return isOutOfOrder(outcome) || (outcome.kind !== 'ok' && outcome.kind !== 'bug' && outcome.isRetriable);
}
