/** What an assignor is given, and what it answers: pure, and the same for the same input whatever the order of members. */

import type { TopicId } from '../ids.ts';
import type { Assignment } from '../store/assignment.ts';

export interface AssignorMember {
  readonly memberId: string;
  /** Of a static member. */
  readonly instanceId: string | undefined;
  /** What it subscribes to; topics that are not in `partitionCounts` do not exist. */
  readonly topicIds: ReadonlySet<TopicId>;
  /** Its target so far. */
  readonly before: Assignment;
}

export interface AssignorInput {
  readonly partitionCounts: ReadonlyMap<TopicId, number>;
  readonly members: readonly AssignorMember[];
}

/** Every partition of a topic that someone subscribes to, given to exactly one of its subscribers; by member id. */
export type Assignor = (input: AssignorInput) => ReadonlyMap<string, Assignment>;
