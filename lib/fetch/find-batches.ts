/** Where the batches of a partition lie, from an offset on: pages first, then the tail of the head. */

import type { Offset } from '../ids.ts';
import { pagesPerRequestMax } from '../limits.ts';
import type { BatchCoordinates, Head, Page } from '../store/items.ts';
import type { MetadataStore } from '../store/metadata-store.ts';

/** A run of batches with the offset of its first record. */
export interface LocatedRun extends BatchCoordinates {
  readonly baseOffset: Offset;
}

/** A page that the head promises is not there: the topic was deleted since the head was read. */
export type Gone = 'gone';

/**
 * The runs that hold `offset` and what follows, in offset order without a gap, up to the high watermark of `head`.
 *
 * Not always up to it: far behind, one request brings `pagesPerRequestMax` pages, and the reader comes again. At the tail
 * the head is enough and nothing is asked for.
 */
export async function findRuns(metadataStore: MetadataStore, head: Head, offset: Offset): Promise<LocatedRun[] | Gone> {
  if (offset >= head.logEndOffset) return [];
  if (offset >= head.tailBase) return runsBehind(locate(head.tailBase, head.tail), offset);
  const found = await metadataStore.findPages(head.topicId, head.partition, offset, pagesPerRequestMax);
  // A roll since the head was read made pages of what is still the tail here.
  const pages = found.filter((page) => page.lastOffset < head.tailBase);
  const runs = pages.flatMap((page) => locate(page.baseOffset, page.entries));
  let due = offset;
  for (const page of pages) {
    if (page.baseOffset > due) return 'gone';
    due = page.lastOffset + 1;
  }
  if (pages.length === 0) return 'gone';
  const reachesTail = due === head.tailBase;
  return runsBehind(reachesTail ? [...runs, ...locate(head.tailBase, head.tail)] : runs, offset);
}

/**
 * The first run that can hold a record as young as `timestamp`: in offset order the first whose highest timestamp is not
 * below it. Pages carry the highest timestamp so far, which never falls, so they are searched by halves.
 */
export async function findRunByTimestamp(
  metadataStore: MetadataStore,
  head: Head,
  timestamp: number,
): Promise<LocatedRun | Gone | undefined> {
  let page: Page | undefined;
  if ((head.rolledMaxTimestamp ?? Number.NEGATIVE_INFINITY) >= timestamp) {
    let from = head.logStartOffset;
    let to = head.tailBase;
    while (from < to) {
      const middle = from + Math.floor((to - from) / 2);
      const [candidate] = await metadataStore.findPages(head.topicId, head.partition, middle, 1);
      // Before the tail pages follow each other without a gap, until their topic is deleted.
      if (candidate === undefined || candidate.baseOffset > middle) return 'gone';
      if (candidate.maxTimestampSoFar >= timestamp) {
        page = candidate;
        to = candidate.baseOffset;
      } else from = candidate.lastOffset + 1;
    }
    if (page === undefined) return 'gone';
  }
  const runs = page === undefined ? locate(head.tailBase, head.tail) : locate(page.baseOffset, page.entries);
  return runs.find((run) => run.maxTimestamp >= timestamp);
}

/** Highest timestamp of the partition; undefined when it is empty. */
export function maxTimestampOf(head: Head): number | undefined {
  const timestamps = head.tail.map((run) => run.maxTimestamp);
  if (head.rolledMaxTimestamp !== undefined) timestamps.push(head.rolledMaxTimestamp);
  return timestamps.length === 0 ? undefined : Math.max(...timestamps);
}

function locate(firstOffset: Offset, entries: readonly BatchCoordinates[]): LocatedRun[] {
  let baseOffset = firstOffset;
  return entries.map((entry) => {
    const run = { ...entry, baseOffset };
    baseOffset += entry.offsetCount;
    return run;
  });
}

function runsBehind(runs: readonly LocatedRun[], offset: Offset): LocatedRun[] {
  return runs.filter((run) => run.baseOffset + run.offsetCount > offset);
}
