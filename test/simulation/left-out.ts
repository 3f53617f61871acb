/** What the simulation does not reach, and why: files that it leaves out, and branches of the others that it cannot take. */

const realDisk =
  'a real disk, of which the order of writes and syncs is the point: test/durability cuts them where it likes';

/** Not counted at all. */
export const filesLeftOut: Readonly<Record<string, string>> = {
  'lib/store/data-folder.ts': 'the folder of one machine and its lock; test/store/data-folder.test.ts',
  'lib/store/file-io.ts': realDisk,
  'lib/store/object-store-files.ts': realDisk,
  'lib/store/read-files.ts': realDisk,
  'lib/store/volume.ts': realDisk,
  'lib/store/volume-files.ts': realDisk,
  'lib/store/volume-writer.ts': realDisk,
};

export interface BranchLeftOut {
  readonly file: string;
  /** A piece of the source that is there once; branches that begin in it are meant. */
  readonly source: string;
  readonly reason: string;
}

/** Counted as not covered all the same. */
export const branchesLeftOut: readonly BranchLeftOut[] = [];
