/** Latencies like those of AWS: lognormal, seeded. */

import { seededRandom } from '../support/random.ts';

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Within a region, small objects on S3 Standard and small items; the figures, of the order that AWS's users report. */
export const awsLatencies = {
  PutObject: { p50Ms: 20, p99Ms: 80 },
  GetObject: { p50Ms: 15, p99Ms: 60 },
  DynamoDB: { p50Ms: 4, p99Ms: 15 },
} as const satisfies Record<string, Latency>;

/** Standard deviations above the mean below which 99 % of a normal distribution lies. */
const z99 = 2.3263;

/** Draws one latency after another. A `stallShare` of them takes `stallMs` instead: a lost packet, a host that is ill. */
export function drawLatencies(
  seed: number,
  { p50Ms, p99Ms }: Latency,
  { stallShare = 0, stallMs = 0 } = {},
): () => number {
  const random = seededRandom(seed);
  const fraction = () => random.integer(1, 2 ** 31) / 2 ** 31;
  const sigma = Math.log(p99Ms / p50Ms) / z99;
  return () => {
    const normal = Math.sqrt(-2 * Math.log(fraction())) * Math.cos(2 * Math.PI * fraction());
    return fraction() <= stallShare ? stallMs : p50Ms * Math.exp(sigma * normal);
  };
}

/** The value below which `share` of `values` lies. */
export function quantileOf(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
