/** JSON records, one a line, as the HTTP door has them. Loaded only where `--json` asks for it. */

import * as z from 'zod';
import { decodeJson } from '../api/http.ts';
import { recordFromJson, recordToJson } from '../api/json-records.ts';
import { produceBody } from '../api/schemas.ts';
import type { ProducerRecord } from '../client/index.ts';
import { LogError } from '../errors.ts';
import { messageOf } from './failure.ts';
import type { Formatter } from './format.ts';

/** The record with its partition, offset and timestamp. */
export const formatJsonLine: Formatter = (record, sink) => {
  sink.text(`${JSON.stringify({ partition: record.partition, ...recordToJson(record) })}\n`);
};

/** Other clients write records without a timestamp (-1), or from before 1970. */
const jsonRecord = produceBody.shape.records.element.extend({ timestamp: z.int().optional() });

/**
 * The record of one line. `offset` and `topic`, which a consumed line has, are allowed and ignored, so that what
 * `consume --json` wrote can be produced again. Throws INVALID_REQUEST.
 */
export function parseJsonLine(line: Buffer, defaultTimestamp: number): ProducerRecord {
  let parsed: unknown;
  try {
    parsed = decodeJson(line, 'it');
  } catch (cause) {
    const seen = line.subarray(0, 40).toString('utf8');
    throw new LogError('INVALID_REQUEST', `${messageOf(cause)}: ${JSON.stringify(seen)}`, { cause });
  }
  if (typeof parsed === 'object' && parsed !== null) {
    const { offset: _offset, topic: _topic, ...rest } = parsed as Record<string, unknown>;
    if (!Array.isArray(parsed)) parsed = rest;
  }
  const checked = jsonRecord.safeParse(parsed);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const path = issue?.path.join('.') ?? '';
    throw new LogError('INVALID_REQUEST', `not a JSON record: ${path === '' ? '' : `${path}: `}${issue?.message}`);
  }
  const { partition } = checked.data;
  const { timestamp, ...record } = recordFromJson(checked.data, 'record', defaultTimestamp);
  return { ...record, timestamp: Number(timestamp), ...(partition !== undefined && { partition }) };
}
