import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    // Of two processors vitest would use one, and many tests wait most of their time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    globalSetup: 'test/support/bundles.ts',
    reporters: ['default'],
  },
});
