/** The groups of a log at the other end of a transport: see `remote-log.ts`. */

import { callJson, errorOf, parseBody, requestTimeoutMs } from '../client/api-calls.ts';
import { groupPath } from '../client/group-member.ts';
import type { Transport } from '../client/transport.ts';
import type { CommitOffsetsResult, GroupDescription, GroupOffset, GroupSummary, HeartbeatAnswer } from '../log.ts';
import { jsonContentType, problemToError } from '../wire.ts';
import type { CalledLog } from './recorder.ts';

export function openRemoteGroups(transport: Transport): CalledLog['groups'] {
  const heartbeat = (groupId: string, json: object) =>
    callJson<HeartbeatAnswer>(transport, 'POST', groupPath(groupId, '/heartbeat'), { json, role: 'consumer' });
  return {
    join: ({ groupId, ...request }) => heartbeat(groupId, { ...request, memberEpoch: 0 }),
    heartbeat: ({ groupId, ...request }) => heartbeat(groupId, request),
    leave: async ({ groupId, isTemporary, ...request }) => {
      await heartbeat(groupId, { ...request, memberEpoch: isTemporary ? -2 : -1 });
    },
    commitOffsets: async ({ groupId, member, offsets }) => {
      const response = await transport({
        method: 'POST',
        path: groupPath(groupId, '/offsets'),
        headers: { 'content-type': jsonContentType, accept: jsonContentType },
        body: [Buffer.from(JSON.stringify({ ...member, offsets }))],
        role: 'consumer',
        timeoutMs: requestTimeoutMs,
      });
      // Where all failed the answer is a problem, and beside it stand the results.
      const { results } = parseBody(response) as { readonly results?: readonly CommitOffsetsResult[] };
      if (results === undefined) throw errorOf(response);
      return results.map((result, index) => {
        const { topic, partition } = offsets[index] ?? result;
        return { topic, partition, ...('code' in result && { error: problemToError(result, response.status) }) };
      });
    },
    fetchOffsets: async ({ groupId, topics }) => {
      const query = topics === undefined ? {} : { topic: topics.join(',') };
      const path = groupPath(groupId, '/offsets');
      const { offsets } = await callJson<{ offsets: GroupOffset[] }>(transport, 'GET', path, {
        query,
        role: 'consumer',
      });
      return offsets;
    },
    resetOffsets: async ({ groupId, ...json }) => {
      const path = groupPath(groupId, '/offsets/reset');
      const { offsets } = await callJson<{ offsets: GroupOffset[] }>(transport, 'POST', path, { json });
      return offsets;
    },
    list: async ({ after, limit }) => {
      const query = { limit: String(limit), ...(after === undefined ? {} : { after }) };
      const { groups } = await callJson<{ groups: GroupSummary[] }>(transport, 'GET', '/v1/groups', { query });
      return groups;
    },
    describe: (groupId) => callJson<GroupDescription>(transport, 'GET', groupPath(groupId)),
    delete: async (groupId) => {
      await callJson(transport, 'DELETE', groupPath(groupId));
    },
  };
}
