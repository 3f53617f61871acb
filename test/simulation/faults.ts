/**
 * What can become of a request to a store, and how likely each is: drawn anew for every seed, so that some seeds have one
 * fault alone, some many, and some none.
 */

import type { Chance } from '../../lib/verify/chance.ts';

export const storeFaults = [
  /** Never arrives; the caller gives up. */
  'lostRequest',
  /** Is carried out, and the caller gives up. */
  'lostReply',
  /** Is carried out long after its caller gave up. */
  'late',
  /** Takes seconds to get there, or its answer to come back. */
  'slow',
  /** Is turned away at once, without effect. */
  'throttled',
  /** Is turned away with an error that trying again does not help against: rights, credentials, names. */
  'denied',
  /** A put that stores half of its bytes, or all of them, and says that it failed. */
  'halfDone',
  /** A read whose bytes are not those that were stored. */
  'damaged',
] as const;
export const callerFaults = [
  /** The request, or its answer, is lost between a client and an environment. */
  'lostCall',
  /** A request is delivered twice, as Lambda delivers asynchronous invokes: at least once. */
  'deliveredTwice',
] as const;
export const diskFaults = [
  /** A write to the disk under SQLite fails, or a COMMIT, carried out or not. */
  'diskFails',
] as const;
export const nemeses = ['crash', 'freeze', 'clockJump', 'shutdown'] as const;

export type StoreFault = (typeof storeFaults)[number];
export type Fault = StoreFault | (typeof callerFaults)[number] | (typeof nemeses)[number] | (typeof diskFaults)[number];
export const allFaults: readonly Fault[] = [...storeFaults, ...callerFaults, ...nemeses, ...diskFaults];

type SickFaults = readonly [StoreFault, ...StoreFault[]];

export interface FaultPlan {
  /** For faults: of one request. For nemeses: of one beat of theirs. */
  readonly probability: Readonly<Record<Fault, number>>;
  /** A step of the stores that fails far more often than the others, with one of these faults. */
  readonly sick:
    | {
        readonly step: string;
        readonly probability: number;
        readonly faults: SickFaults;
        readonly slowMsMax: number;
      }
    | undefined;
}

/** Steps of the stores that can be sick; some are of one family alone. */
const sickSteps = {
  mixed: ['commitBatches', 'rollTail', 'getHeads', 'findPages', 'put', 'read', 'getTopic'],
  long: ['commitBatches', 'rollTail', 'rollTail', 'findPages', 'findPages'],
  stuck: ['rollTail'],
  crowd: ['commitBatches', 'commitBatches', 'rollTail'],
  heavy: ['put', 'put', 'read'],
  endless: ['findPages'],
  churn: ['deleteContents', 'deleteContents', 'changeTopic', 'changeTopic', 'changeTopic', 'commitBatches'],
  groups: ['renewSession', 'getGroup', 'changeGroup', 'handOver', 'handOver', 'commitOffsets', 'getOffsets'],
} as const;

const sickness = {
  mixed: 0.15,
  long: 0.5,
  churn: 0.6,
  groups: 0.5,
  stuck: 1,
  crowd: 0.8,
  heavy: 0.5,
  endless: 0,
} as const;

/** Of themes that do not draw it. A part of a commit goes well here, and the next one fails. */
const probabilityOf: Partial<Record<keyof typeof sickSteps, number>> = { stuck: 1, crowd: 0.3 };

const anyFault: SickFaults = ['lostRequest', 'lostReply', 'late', 'slow', 'throttled'];
const faultsOfTheme: Partial<Record<keyof typeof sickSteps, SickFaults>> = {
  // What is stuck is never carried out.
  stuck: ['lostRequest', 'throttled'],
  // A commit that is done in part goes wrong with the rest.
  crowd: ['denied', 'throttled', 'lostReply', 'late'],
};
const faultsOfStep: Readonly<Record<string, SickFaults>> = {
  // A read that takes its time meets what was written meanwhile.
  findPages: ['slow'],
  commitBatches: ['lostReply', 'lostReply', 'lostRequest', 'late', 'slow'],
  changeTopic: ['lostReply', 'lostReply', 'late', 'slow'],
  // A roll that comes late meets the tail after the next one.
  rollTail: ['late', 'late', 'lostRequest', 'lostReply', 'throttled'],
  // What a member is given was seen to be free some time before it is claimed.
  getOffsets: ['slow'],
  handOver: ['slow', 'slow', 'slow', 'late', 'lostReply'],
};
/** A step that is sick is slow all the time, and mostly little enough for its callers to wait. */
const sickSlowMsMax = { usual: 500, groups: 5_000 };

export function drawFaults(chance: Chance, theme: keyof typeof sickSteps, without: readonly string[] = []): FaultPlan {
  // Many faults keep topics from coming and going and logs from growing: there one sick step tells more.
  const levels = {
    mixed: [0, 0, 0, 0, 0.01, 0.03, 0.1, 0.25],
    long: [0, 0, 0, 0, 0, 0.01, 0.03, 0.06],
    churn: [0, 0, 0, 0.01],
    groups: [0, 0, 0, 0, 0.01, 0.03, 0.1],
    stuck: [0, 0, 0, 0.01],
    crowd: [0, 0, 0, 0.01, 0.03],
    heavy: [0, 0, 0, 0.01, 0.03],
    endless: [0],
  } as const;
  const drawLevel = () => chance.pick<number>(levels[theme]);
  // Drawn for all, used for some: leaving one out must not change the others.
  const disk = chance.fork('disk');
  const drawn = allFaults.map(
    (fault) => [fault, fault === 'diskFails' ? disk.pick<number>([0, 0, 0, 0.01, 0.05]) : drawLevel()] as const,
  );
  const probability = probabilityOf[theme] ?? chance.pick([0.3, 0.6, 1]);
  const step = chance.pick<string>(sickSteps[theme]);
  const faults = faultsOfTheme[theme] ?? faultsOfStep[step] ?? anyFault;
  const isSick = chance.happens(sickness[theme]);
  const slowMsMax = theme === 'groups' ? sickSlowMsMax.groups : sickSlowMsMax.usual;
  return {
    probability: Object.fromEntries(
      drawn.map(([fault, level]) => [fault, without.includes(fault) ? 0 : level]),
    ) as FaultPlan['probability'],
    sick: isSick && !without.includes('sick') ? { step, probability, faults, slowMsMax } : undefined,
  };
}
