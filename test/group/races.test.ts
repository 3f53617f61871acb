import { describe, expect, test } from 'vitest';
import { noPartitions } from '../../lib/store/assignment.ts';
import type { GroupStore, SeenGroup } from '../../lib/store/group-store.ts';
import type { MemberSession } from '../../lib/store/items.ts';
import { billing } from './group-fixture.ts';
import { race } from './races.ts';

const seeds = Number(process.env.MILLRACE_TEST_SEEDS ?? 8);

test.each(['SQLite', 'DynamoDB'] as const)(
  `on %s no partition is ever with two members, no commit of a fenced one is taken, and all settles (${seeds} seeds)`,
  async (family) => {
    const seen: Record<string, number> = {};
    for (let seed = 1; seed <= seeds; seed++) {
      const { violations, counts } = await race(seed, { family });
      expect(violations, `seed ${seed}`).toEqual([]);
      for (const [name, count] of Object.entries(counts)) seen[name] = (seen[name] ?? 0) + count;
    }
    // That the trouble was there.
    for (const name of ['committed', 'late', 'lost answer', 'frozen', 'died', 'left', 'UNKNOWN_MEMBER_ID']) {
      expect(seen[name], name).toBeGreaterThan(0);
    }
  },
  120_000,
);

type Change = (store: GroupStore) => Partial<GroupStore>;

const eachSession = (store: GroupStore, change: (session: MemberSession) => MemberSession) => ({
  getGroup: async (...args: Parameters<GroupStore['getGroup']>): Promise<SeenGroup | undefined> => {
    const seen = await store.getGroup(...args);
    return seen && { ...seen, sessions: seen.sessions.map(change) };
  },
});

/** Bugs that a group could have, each of them one lie between the log and its store. */
const bugs: Readonly<Record<string, Change>> = {
  'gives partitions away before they are given up': (store) =>
    eachSession(store, (session) => ({ ...session, partitionsPendingRevocation: noPartitions })),
  'takes what an owner still has': (store) =>
    eachSession(store, (session) => ({ ...session, currentAssignment: noPartitions })),
  'claims whatever the item says by now': (store) => ({
    handOver: async (step) => {
      const items = await store.getOffsets(billing, step.claims);
      const claims = step.claims.map((claim, index) => {
        const version = items[index]?.version;
        return { ...claim, seenVersion: version };
      });
      return await store.handOver({ ...step, claims });
    },
    getOffsets: async (_, places) => places.map(() => undefined),
  }),
  'takes commits of whoever sends them': (store) => ({
    commitOffsets: async (groupId, committer, commits, at) => {
      const items = await store.getOffsets(groupId, commits);
      const outcomes = [];
      for (const [index, commit] of commits.entries()) {
        const owner = items[index]?.owner ?? committer;
        outcomes.push(...(await store.commitOffsets(groupId, { ...owner }, [commit], at)));
      }
      return outcomes;
    },
  }),
  'forgets that sessions end': (store) => eachSession(store, (session) => ({ ...session, sessionTimeoutMs: 1e12 })),
  'gives one partition to two': (store) => ({
    changeGroup: (change) => {
      const all = change.group.members[0]?.targetAssignment ?? noPartitions;
      const members = change.group.members.map((member) => ({ ...member, targetAssignment: all }));
      return store.changeGroup({ ...change, group: { ...change.group, members } });
    },
  }),
  'ends memberships and leaves the sessions': (store) => ({
    changeGroup: (change) => store.changeGroup({ ...change, removes: [] }),
  }),
};

describe('a group that', () => {
  test.each(Object.entries(bugs))(
    '%s is found out',
    async (_, change) => {
      const found: number[] = [];
      for (let seed = 1; seed <= 20 && found.length === 0; seed++) {
        const methods = (store: GroupStore): GroupStore => {
          const changed = change(store);
          return new Proxy(store, { get: (target, name) => Reflect.get(changed, name) ?? Reflect.get(target, name) });
        };
        const { violations } = await race(seed, { change: methods });
        if (violations.length > 0) found.push(seed);
      }
      expect(found.length).toBe(1);
    },
    120_000,
  );
});
