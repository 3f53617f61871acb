/** What a seed is about: how many of whom, how busy, and what goes wrong. Everything else is drawn as it happens. */

import { parseTopicName, type TopicName } from '../../lib/ids.ts';
import type { Chance } from '../../lib/verify/chance.ts';
import type { Workload } from '../../lib/verify/client.ts';
import { fillerBytes } from '../../lib/verify/records.ts';
import { drawFaults, type FaultPlan } from './faults.ts';

export type Profile = 'local' | 'aws';

export const clientKinds = [
  'plain',
  'idempotent',
  'consumer',
  'reader',
  'admin',
  'sender',
  'follower',
  'member',
  'sharer',
  'gateway',
] as const;
export type ClientKind = (typeof clientKinds)[number];

/** `long`: one log that grows long. `churn`: topics come and go. `groups`: consumers share topics. */
const themes = [
  ...(['mixed', 'mixed', 'mixed', 'mixed', 'long', 'long', 'long', 'churn', 'churn', 'churn'] as const),
  ...(['groups', 'groups', 'groups', 'groups'] as const),
] as const;
/**
 * What takes hundreds of operations, or megabytes, comes seldom. `stuck`: a tail cannot be rolled until it is full. `crowd`: more
 * producers send to a log at once than one condition holds. `heavy`: records of up to a megabyte. `endless`: a log of more pages
 * than one request brings.
 */
const rareThemes = [
  ['stuck', 0.015],
  ['crowd', 0.04],
  ['heavy', 0.015],
  ['endless', 0.003],
] as const;

export interface Plan {
  readonly profile: Profile;
  readonly theme: (typeof themes)[number] | (typeof rareThemes)[number][0];
  readonly serverCount: number;
  readonly lambdaCountMax: number;
  readonly topics: readonly { readonly topic: TopicName; readonly partitionCount: number }[];
  readonly clients: Readonly<Record<ClientKind, number>>;
  /** Operations of clients, all together; then they stop and the audit begins. */
  readonly operationsMax: number;
  /** Clients pause for this long on average. */
  readonly thinkMs: number;
  /** How the timestamps of records go as time goes on: with it, not at all, or back. */
  readonly timestampDrift: number;
  readonly skewMsMax: number;
  readonly recess: Workload['recess'];
  readonly fillerBytes: Workload['fillerBytes'];
  readonly faults: FaultPlan;
}

/** Of themes that do not draw them as all others do. */
const clientsOf: Partial<Record<Plan['theme'], Partial<Plan['clients']>>> = {
  stuck: { plain: 4 },
  heavy: { plain: 4 },
  // Whoever reads all of it reads a thousand objects.
  endless: { plain: 8, idempotent: 1, consumer: 1, reader: 0, sender: 0, follower: 0 },
};
/** Servers gather requests, and what is gathered is one entry of a tail. */
const styleOf: Partial<Record<Plan['theme'], 'servers' | 'lambdas'>> = { heavy: 'servers', endless: 'lambdas' };
const operationsOf: Partial<Record<Plan['theme'], number>> = { stuck: 600, crowd: 150, heavy: 40, endless: 1_900 };
const thinkMsOf: Partial<Record<Plan['theme'], readonly [number, ...number[]]>> = {
  stuck: [20],
  // Members need some time between two turns, for sessions to end and groups to settle.
  groups: [500, 2_000, 4_000],
  churn: [2, 20, 200],
  crowd: [20],
  heavy: [2],
  endless: [2],
};

/** A member has some dozens in a run. */
const recessThoughts = { every: 15, for: 6 };

export function drawPlan(
  chance: Chance,
  profile: Profile,
  given: { readonly operationsMax?: number; readonly without?: readonly string[] } = {},
): Plan {
  const without = given.without ?? [];
  const drawnStyle = chance.pick(['servers', 'lambdas', 'both'] as const);
  const drawnTheme = chance.pick(themes);
  const rare = chance.fork('rare');
  const theme = rareThemes.find(([, probability]) => rare.happens(probability))?.[0] ?? drawnTheme;
  const style = styleOf[theme] ?? drawnStyle;
  const isGroups = theme === 'groups';
  const isOneLog = theme !== 'mixed' && theme !== 'churn' && !isGroups;
  const topicCount = theme === 'mixed' ? chance.pick([1, 1, 2, 3]) : isGroups ? chance.pick([1, 1, 2]) : 1;
  const longAdmins = theme === 'long' && rare.happens(0.25) ? 1 : 0;
  const drawn = {
    serverCount: style === 'lambdas' ? 0 : chance.integer(theme === 'churn' ? 2 : 1, 3),
    lambdaCountMax: style === 'servers' ? 0 : chance.integer(isOneLog ? 5 : 2, 8),
    topics: ['orders', 'payments', 'audit.log'].slice(0, topicCount).map((name) => ({
      topic: parseTopicName(name),
      partitionCount: isOneLog ? 1 : chance.pick([1, 1, 2, 3, 4]),
    })),
    clients: {
      plain: chance.integer(0, isGroups ? 1 : 3),
      idempotent: isGroups ? 1 : chance.integer(1, 4),
      gateway: theme === 'crowd' ? rare.integer(1, 4) : 0,
      consumer: isGroups ? 0 : chance.integer(isOneLog ? 1 : 0, 3),
      reader: isGroups ? 0 : chance.integer(isOneLog ? 1 : 0, isOneLog ? 4 : 2),
      admin: theme === 'churn' ? rare.integer(1, 2) : isOneLog ? longAdmins : chance.integer(0, isGroups ? 1 : 2),
      // The client that users have, over the HTTP app.
      sender: chance.pick([0, 0, 1, 2]),
      follower: chance.pick([0, 0, 1]),
      // Members of a group by the calls of the protocol, and with the client that users have.
      member: isGroups ? chance.integer(1, 4) : theme === 'churn' ? chance.pick([0, 0, 2]) : 0,
      sharer: isGroups ? chance.pick([0, 0, 2, 3]) : 0,
      ...clientsOf[theme],
    },
    operations: operationsOf[theme] ?? (isOneLog || isGroups ? chance.integer(150, 350) : chance.integer(20, 120)),
    thinkMs: chance.pick(thinkMsOf[theme] ?? [2, 20, 200, 3_000]),
    fillerBytes: theme === 'heavy' ? ([20, 100_000, 400_000, 1_000_000] as const) : fillerBytes,
    timestampDrift: chance.pick([1, 1, 1, 0, -1]),
    skewMsMax: chance.pick([0, 0, 50, 5_000]),
  };
  return {
    profile,
    theme,
    ...drawn,
    clients: Object.fromEntries(
      clientKinds.map((kind) => [kind, without.includes(kind) ? 0 : drawn.clients[kind]]),
    ) as Plan['clients'],
    operationsMax: given.operationsMax ?? drawn.operations,
    recess: chance.fork('recess').happens(0.5)
      ? { everyMs: recessThoughts.every * drawn.thinkMs, forMs: recessThoughts.for * drawn.thinkMs }
      : undefined,
    faults: drawFaults(chance.fork('faults'), theme, without),
  };
}
