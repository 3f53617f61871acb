/** Options that are whole numbers. */

import { LogError } from '../errors.ts';

/** Timers take no more: what is above ends at once. */
export const timerMsMax = 2 ** 31 - 1;

/** `allowed` has the lowest and the highest of each; one that is absent is not looked at. */
export function checkWholeNumbers<Name extends string>(
  options: { readonly [Key in NoInfer<Name>]?: number | undefined },
  allowed: Readonly<Record<Name, readonly [min: number, max: number]>>,
): void {
  for (const name of Object.keys(allowed) as Name[]) {
    const [min, max] = allowed[name];
    const value = options[name];
    if (value === undefined || (Number.isSafeInteger(value) && value >= min && value <= max)) continue;
    const range = max === Number.POSITIVE_INFINITY ? `from ${min} on` : `from ${min} to ${max}`;
    throw new LogError('INVALID_REQUEST', `${name} is ${value}, allowed is a whole number ${range}`);
  }
}
