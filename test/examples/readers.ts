/** Who reads a topic of the demo: one consumer in this process, or a group of several processes, of which one is killed. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Millrace } from '../../lib/client/index.ts';
import type { Told } from './member.ts';

export type OnRecord = (partition: number, offset: number, key: string, value: string) => void;

export interface Readers {
  /** Rejects when one ends before it should. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

const memberProgram = fileURLToPath(new URL('member.ts', import.meta.url));
const settleMsMax = 30_000;

export async function startConsumer(log: Millrace, topic: string, onRecord: OnRecord): Promise<Readers> {
  const stopping = new AbortController();
  const read = async () => {
    const consumer = log.consumer(topic, { from: 'earliest', signal: stopping.signal });
    for await (const { partition, offset, keyText, valueText } of consumer) {
      onRecord(partition, offset, keyText ?? '', valueText ?? '');
    }
  };
  const done = read();
  return {
    failed: done.then(() => Promise.reject(new Error('the consumer ended early'))),
    stop() {
      stopping.abort();
      return done;
    },
  };
}

export interface GroupReaders extends Readers {
  /** As a power failure would: nothing is committed, nobody is told. */
  killOne(): void;
}

/** Resolves when every member has its partitions. */
export async function startGroup(
  log: Millrace,
  { endpoint, topic, group, memberCount }: { endpoint: string; topic: string; group: string; memberCount: number },
  onRecord: OnRecord,
): Promise<GroupReaders> {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const members = new Set<ChildProcess>();
  const leaving = new Set<ChildProcess>();
  for (let index = 0; index < memberCount; index += 1) {
    const member = fork(memberProgram, [endpoint, topic, group], { serialization: 'advanced' });
    members.add(member);
    member.on('message', ({ partition, records }: Told) => {
      for (const [offset, key, value] of records) onRecord(partition, offset, key, value);
    });
    member.on('close', (exitCode, signal) => {
      members.delete(member);
      if (!leaving.has(member)) failed.reject(new Error(`a member ended early, with ${exitCode ?? signal}`));
      else if (exitCode !== 0 && signal !== 'SIGKILL') failed.reject(new Error(`a member ended with ${exitCode}`));
    });
  }
  const readers: GroupReaders = {
    failed: failed.promise,
    killOne() {
      const [member] = members;
      if (member === undefined) return;
      leaving.add(member);
      member.kill('SIGKILL');
    },
    async stop() {
      const closed = [...members].map((member) => once(member, 'close'));
      for (const member of members) {
        leaving.add(member);
        if (member.connected) member.send('stop');
      }
      await Promise.all(closed);
    },
  };
  try {
    await Promise.race([settled(log, group, memberCount), failed.promise]);
  } catch (error) {
    await readers.stop();
    throw error;
  }
  return readers;
}

async function settled(log: Millrace, group: string, memberCount: number): Promise<void> {
  for (const deadlineMs = performance.now() + settleMsMax; performance.now() < deadlineMs; await sleep(100)) {
    for await (const { groupId } of log.admin.listGroups()) {
      if (groupId !== group) continue;
      const { state, members } = await log.admin.describeGroup(group);
      if (state === 'STABLE' && members.length === memberCount) return;
    }
  }
  throw new Error(`group ${group} has not come to rest within ${settleMsMax} ms`);
}
