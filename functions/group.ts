/**
 * The group function: heartbeats of members, offsets that groups commit, read and reset, and groups themselves, listed,
 * described and deleted. It writes what belongs to groups and nothing else; of topics it reads names and ends, and to reset
 * a group to a time the records around it.
 *
 * Plain form: `{"action":"describe","group":"billing"}`.
 */

import { openFunction } from './runtime.ts';

export const handler = openFunction('group');
