import { expect, test } from 'vitest';
import { dynamoDbMissing } from '../support/dynoxide.ts';
import { readme } from '../support/readme.ts';
import { batchCountOf, costTable, countCosts } from './cost.ts';

const [, shown = ''] = /<!-- cost: [^>]+-->\s+```text\n(.*?)```\s+<!-- end of cost -->/s.exec(readme) ?? [];
/** Cells by row, whatever the widths of the columns. */
const cellsOf = (text: string) => text.split('\n').map((line) => line.trim().split(/\s{2,}/));

// The rows of small batches take ten seconds to count; they come from the same code.
test.skipIf(dynamoDbMissing)(
  `README shows what npm run cost prints of large batches${dynamoDbMissing ?? ''}`,
  async () => {
    const large = new Map([...batchCountOf].filter(([recordsPerBatch]) => recordsPerBatch >= 100));
    const costs = await countCosts(large);
    expect(costs).toHaveLength(6);
    const [title, , header, , ...rows] = cellsOf(costTable(costs));
    const [shownTitle, , shownHeader, , ...shownRows] = cellsOf(shown);
    expect([shownTitle, shownHeader]).toEqual([title, header]);
    expect(shownRows).toHaveLength(3 * batchCountOf.size + 1);
    expect(shownRows).toEqual(expect.arrayContaining(rows));
  },
);
