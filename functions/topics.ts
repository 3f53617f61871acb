/**
 * The topics function: create, list, describe, alter and delete topics, the OpenAPI document and the health check; and the
 * custom resource of the construct `Topic`.
 *
 * Plain form: `{"action":"create","topic":"orders","partitions":6}`.
 */

import { topicResource } from './custom-resource.ts';
import { openFunction } from './runtime.ts';

export const handler = openFunction('topics', topicResource);
