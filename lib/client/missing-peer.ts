/** Packages that only some users need are imported when they are needed; who has not installed them is told which. */

import { LogError } from '../errors.ts';

/**
 * What to do with a failed `import()` of `packages`, as in `import('p').catch(missingPeer('to do this', 'p'))`. Bundlers
 * take the `catch` for leave to do without the package.
 */
export function missingPeer(purpose: string, ...packages: readonly string[]): (cause: unknown) => never {
  return (cause) => {
    const isMissing = cause instanceof Error && 'code' in cause && /MODULE_NOT_FOUND$/.test(String(cause.code));
    if (!isMissing) throw cause;
    throw new LogError('INVALID_REQUEST', `${purpose}, install ${packages.join(' and ')}`, {
      details: { reason: 'missing-package' },
      cause,
    });
  };
}
