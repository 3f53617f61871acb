/** A bug on purpose: a small change of the source. */

import type { Profile } from './plan.ts';

export interface Mutation {
  readonly name: string;
  readonly profile: Profile;
  readonly edits: readonly { readonly file: string; readonly search: string; readonly replace: string }[];
}

export const edit = (file: string, search: string, replace: string) => ({ file, search, replace });
