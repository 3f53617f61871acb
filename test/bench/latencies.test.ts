import { expect, test } from 'vitest';
import { awsLatencies, drawLatencies, quantileOf } from './latencies.ts';

test.each(Object.entries(awsLatencies))('latencies drawn for %s have the quantiles they say', (_, latency) => {
  const draw = drawLatencies(1, latency);
  const drawn = Array.from({ length: 100_000 }, draw);
  expect(quantileOf(drawn, 0.5) / latency.p50Ms).toBeCloseTo(1, 1);
  expect(quantileOf(drawn, 0.99) / latency.p99Ms).toBeCloseTo(1, 1);
});

test('the same seed draws the same latencies, another seed others, and stalls have their share', () => {
  const latency = awsLatencies.PutObject;
  const drawn = (seed: number) => Array.from({ length: 10 }, drawLatencies(seed, latency));
  expect(drawn(1)).toEqual(drawn(1));
  expect(drawn(2)).not.toEqual(drawn(1));
  const draw = drawLatencies(1, latency, { stallShare: 0.01, stallMs: 5_000 });
  const stalls = Array.from({ length: 100_000 }, draw).filter((ms) => ms === 5_000);
  expect(Math.abs(stalls.length - 1_000)).toBeLessThan(200);
});
