/**
 * What a durable log must never do, checked over a history: what was sent and how it was answered, and what was read.
 *
 * Pure. One named function per invariant; each returns sentences, one for every violation, and none when all is well.
 */

/** `refused`: the answer said `effect: none`, or there was no connection. `unknown`: the server died, or said so. */
export type Outcome = { readonly kind: 'acked'; readonly offset: number } | { readonly kind: 'refused' | 'unknown' };

export interface SentRecord {
  /** Different for every record, and found again in what is read: a name and a digest of the value. */
  readonly value: string;
  readonly partition: number;
  /** One that sends to this partition one request after another, each only when the one before it was answered. */
  readonly sender: string;
  /** Counts the sender's records in this partition from 0. */
  readonly sequence: number;
  /** The sender repeats what was not acknowledged until it is, so its sequences have no gap. */
  readonly isIdempotent: boolean;
  /** As far as it was known when this run of the checker began. */
  readonly outcome: Outcome;
}

/** One reading of a partition from `fromOffset` to its high watermark. */
export interface Reading {
  readonly partition: number;
  readonly fromOffset: number;
  readonly highWatermark: number;
  readonly records: readonly { readonly offset: number; readonly value: string }[];
}

/** `before`: earlier readings. `now`: a reading of each partition, made after everything in `sent` was answered. */
export interface History {
  readonly sent: readonly SentRecord[];
  readonly before: readonly Reading[];
  readonly now: readonly Reading[];
}

type Invariant = (history: History) => string[];

/** 1: an acked record is readable at its acked offset. */
export const ackedIsReadable: Invariant = ({ sent, now }) =>
  now.flatMap(({ partition, fromOffset, records }) => {
    const valueAt = new Map(records.map(({ offset, value }) => [offset, value]));
    return sent.flatMap(({ outcome, value, partition: sentTo }) => {
      if (sentTo !== partition || outcome.kind !== 'acked' || outcome.offset < fromOffset) return [];
      const found = valueAt.get(outcome.offset);
      return found === value ? [] : [`${value} was acked at ${partition}/${outcome.offset}, where ${found} is`];
    });
  });

/** 2: a (partition, offset) never shows two values. */
export const offsetHasOneValue: Invariant = ({ before, now }) => {
  const seen = new Map<string, string>();
  return [...before, ...now].flatMap(({ partition, records }) =>
    records.flatMap(({ offset, value }) => {
      const place = `${partition}/${offset}`;
      const first = seen.get(place) ?? value;
      seen.set(place, first);
      return first === value ? [] : [`${place} showed ${first} and then ${value}`];
    }),
  );
};

/** 3: offsets neither overlap nor leave a gap, from the one asked for to the high watermark. */
export const offsetsAreContiguous: Invariant = ({ now }) =>
  now.flatMap(({ partition, fromOffset, highWatermark, records }) => {
    const violations: string[] = [];
    let expected = fromOffset;
    for (const { offset } of records) {
      if (offset !== expected) violations.push(`${partition}/${offset} came where ${expected} was due`);
      expected = offset + 1;
    }
    if (expected !== highWatermark) violations.push(`${partition} ends at ${expected}, not at ${highWatermark}`);
    return violations;
  });

/** 4: a record whose produce failed with effect none is never read, nor is one that nobody sent. */
export const onlySentIsRead: Invariant = ({ sent, now }) => {
  const byValue = new Map(sent.map((record) => [record.value, record]));
  return now.flatMap(({ partition, records }) =>
    records.flatMap(({ offset, value }) => {
      const record = byValue.get(value);
      if (record === undefined) return [`${partition}/${offset} holds ${value}, which nobody sent`];
      if (record.partition !== partition) return [`${value} was sent to ${record.partition} and is in ${partition}`];
      return record.outcome.kind === 'refused' ? [`${value} was refused and is at ${partition}/${offset}`] : [];
    }),
  );
};

/** 5: what a sender sent appears once and in the order of its sequences; without a gap when it is idempotent. */
export const sequencesAppearOnceInOrder: Invariant = ({ sent, now }) => {
  const byValue = new Map(sent.map((record) => [record.value, record]));
  return now.flatMap(({ partition, fromOffset, records }) => {
    const lastOf = new Map<string, number>();
    return records.flatMap(({ offset, value }) => {
      const record = byValue.get(value);
      if (record === undefined) return [];
      const { sender, sequence, isIdempotent } = record;
      const last = lastOf.get(sender) ?? (fromOffset === 0 ? -1 : undefined);
      lastOf.set(sender, sequence);
      if (last === undefined || (isIdempotent ? sequence === last + 1 : sequence > last)) return [];
      return [`${sender}'s sequence ${sequence} is at ${partition}/${offset}, behind its sequence ${last}`];
    });
  });
};

/** 6: a high watermark never goes back. */
export const watermarkNeverFalls: Invariant = ({ before, now }) => {
  const highest = new Map<number, number>();
  return [...before, ...now].flatMap(({ partition, highWatermark }) => {
    const last = highest.get(partition) ?? 0;
    highest.set(partition, Math.max(last, highWatermark));
    return highWatermark < last ? [`the high watermark of ${partition} fell from ${last} to ${highWatermark}`] : [];
  });
};

const invariants = {
  ackedIsReadable,
  offsetHasOneValue,
  offsetsAreContiguous,
  onlySentIsRead,
  sequencesAppearOnceInOrder,
  watermarkNeverFalls,
};

/** All violations, each headed by the invariant's name. */
export function checkHistory(history: History): string[] {
  return Object.entries(invariants).flatMap(([name, find]) => find(history).map((text) => `${name}: ${text}`));
}
