/**
 * The fetch function: records of one partition or of several, event streams, and offsets by time.
 *
 * A long poll ends while there is time to read what it found. An answer takes at most 6 MB, which is 4.4 MiB of record
 * batches: more is cut, and `nextOffset` says where to go on. With response streaming an answer may take 200 MB and an
 * event stream last as long as the function; without it an event stream is what there is, and the reader comes back.
 *
 * Plain form: `{"topic":"orders","partition":0,"offset":41}`.
 */

import { openFunction } from './runtime.ts';

export const handler = openFunction('fetch');
