/**
 * A client from the variables that the construct `Millrace` gives a function with `connect`:
 *
 * | variables                                                                                   | door     |
 * |---------------------------------------------------------------------------------------------|----------|
 * | MILLRACE_BUCKET, MILLRACE_TABLE                                                             | `direct` |
 * | MILLRACE_PRODUCE_FUNCTION, MILLRACE_FETCH_FUNCTION, MILLRACE_TOPICS_FUNCTION,               | `invoke` |
 * | MILLRACE_GROUP_FUNCTION                                                                     |          |
 * | MILLRACE_ENDPOINT                                                                           | `http`   |
 *
 * The first door whose variables are there is taken; `direct` by `millrace/direct` alone.
 */

import { LogError } from '../errors.ts';
import { Millrace } from './millrace.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentOptions<Door extends string = 'invoke' | 'http'> {
  /** The door to take, for which the caller has the rights. @default the first in the table above that is there */
  readonly via?: Door;
}

const invokeNames =
  'MILLRACE_PRODUCE_FUNCTION, MILLRACE_FETCH_FUNCTION, MILLRACE_TOPICS_FUNCTION or MILLRACE_GROUP_FUNCTION';

/**
 * ```ts
 * const log = fromEnvironment(process.env);
 * ```
 * Throws INVALID_REQUEST when the variables are missing.
 */
export function fromEnvironment(environment: Environment, { via }: EnvironmentOptions = {}): Millrace {
  const {
    MILLRACE_ENDPOINT: endpoint,
    MILLRACE_PRODUCE_FUNCTION: produce,
    MILLRACE_FETCH_FUNCTION: fetch,
    MILLRACE_TOPICS_FUNCTION: topics,
    MILLRACE_GROUP_FUNCTION: group,
  } = environment;
  if (via !== 'http' && (produce || fetch || topics || group)) {
    return new Millrace({
      invoke: {
        ...(produce && { produce }),
        ...(fetch && { fetch }),
        ...(topics && { topics }),
        ...(group && { group }),
      },
    });
  }
  if (via !== 'invoke' && endpoint) return new Millrace({ endpoint });
  const names = [...(via === 'http' ? [] : [invokeNames]), ...(via === 'invoke' ? [] : ['MILLRACE_ENDPOINT'])].join(
    ', or ',
  );
  throw new LogError('INVALID_REQUEST', `the environment names no log; set ${names}`);
}

/** Undefined when there are none. Throws INVALID_REQUEST for one without the other. */
export function storesIn(environment: Environment): { readonly bucket: string; readonly table: string } | undefined {
  const { MILLRACE_BUCKET: bucket, MILLRACE_TABLE: table } = environment;
  if (bucket && table) return { bucket, table };
  if (!bucket && !table) return undefined;
  throw new LogError('INVALID_REQUEST', `${bucket ? 'MILLRACE_TABLE' : 'MILLRACE_BUCKET'} is missing beside the other`);
}
