/** The version of this package, from the package.json above this file: two levels up in the sources, three when built. */

import { readFileSync } from 'node:fs';

export function packageVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'name' in parsed && parsed.name === 'millrace') {
        return 'version' in parsed && typeof parsed.version === 'string' ? parsed.version : 'unknown';
      }
    } catch {
      // Not there: the other layout.
    }
  }
  return 'unknown';
}
