/**
 * Topic config by Kafka's names (`TopicConfig.java`): parsed here and nowhere else. A key is enforced or refused, never
 * just stored.
 */

import { LogError } from '../errors.ts';
import { messageBytesDefault, messageBytesMax } from '../limits.ts';
import type { StoredTopicConfig } from '../store/items.ts';

const timestampTypes = ['CreateTime', 'LogAppendTime'] as const;
const compressionTypes = ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/** The config in force, as the produce path uses it. */
export interface TopicConfig {
  /** Of a whole record batch, after compression. */
  readonly messageBytesMax: number;
  readonly timestampType: (typeof timestampTypes)[number];
  /** `producer`: as it came. Anything else is what is stored. */
  readonly compressionType: (typeof compressionTypes)[number];
  /** How much older than now a create time may be, and how much newer. `Infinity`: no limit. */
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
}

/** Kafka's Long.MAX_VALUE, the default of limits that do not limit. Not a safe integer, so it is compared as text. */
const longMax = '9223372036854775807';

const keys = {
  'max.message.bytes': { default: String(messageBytesDefault), check: integerIn(0, messageBytesMax) },
  'message.timestamp.type': { default: 'CreateTime', check: oneOf(timestampTypes) },
  'compression.type': { default: 'producer', check: oneOf(compressionTypes) },
  'message.timestamp.before.max.ms': { default: longMax, check: integerIn(0, Number.MAX_SAFE_INTEGER, longMax) },
  'message.timestamp.after.max.ms': { default: '3600000', check: integerIn(0, Number.MAX_SAFE_INTEGER, longMax) },
} as const satisfies Record<string, { default: string; check: (value: string) => string | undefined }>;

type ConfigKey = keyof typeof keys;
const configKeys = Object.keys(keys) as ConfigKey[];

/** Kafka has these for a topic; they are refused until they are enforced. */
const unsupportedKeys = new Set(
  (
    'cleanup.policy retention.ms retention.bytes segment.bytes segment.ms segment.jitter.ms delete.retention.ms ' +
    'min.compaction.lag.ms max.compaction.lag.ms min.cleanable.dirty.ratio compression.gzip.level compression.lz4.level ' +
    'compression.zstd.level min.insync.replicas index.interval.bytes segment.index.bytes flush.messages flush.ms ' +
    'file.delete.delay.ms preallocate unclean.leader.election.enable remote.storage.enable local.retention.ms ' +
    'local.retention.bytes'
  ).split(' '),
);

/**
 * Changes to a stored config: a string or a number sets a key, null takes it back to its default. Returns the whole new
 * config. Throws INVALID_CONFIG on the first key that is unknown, not supported yet, or has a value out of range.
 */
export function changeConfig(stored: StoredTopicConfig, changes: Readonly<Record<string, unknown>>): StoredTopicConfig {
  const config = new Map(Object.entries(stored));
  for (const [key, value] of Object.entries(changes)) {
    if (!isConfigKey(key)) throw unknownKey(key);
    if (value === null) config.delete(key);
    else config.set(key, parseValue(key, value));
  }
  return Object.fromEntries(config);
}

/** Every key with the value in force and where it comes from. */
export function describeConfig(
  stored: StoredTopicConfig,
): Record<ConfigKey, { readonly value: string; readonly source: 'topic' | 'default' }> {
  return Object.fromEntries(
    configKeys.map((key) => {
      const value = stored[key];
      return [key, value === undefined ? { value: keys[key].default, source: 'default' } : { value, source: 'topic' }];
    }),
  ) as ReturnType<typeof describeConfig>;
}

export function topicConfig(stored: StoredTopicConfig): TopicConfig {
  const described = describeConfig(stored);
  const milliseconds = (key: ConfigKey) => (described[key].value === longMax ? Infinity : Number(described[key].value));
  return {
    messageBytesMax: Number(described['max.message.bytes'].value),
    timestampType: described['message.timestamp.type'].value as TopicConfig['timestampType'],
    compressionType: described['compression.type'].value as TopicConfig['compressionType'],
    timestampBeforeMaxMs: milliseconds('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: milliseconds('message.timestamp.after.max.ms'),
  };
}

function isConfigKey(key: string): key is ConfigKey {
  return Object.hasOwn(keys, key);
}

function parseValue(key: ConfigKey, value: unknown): string {
  const text = typeof value === 'number' ? String(value) : value;
  const allowed = typeof text === 'string' ? keys[key].check(text) : 'a string or a number';
  if (typeof text === 'string' && allowed === undefined) return text;
  const seen = typeof text === 'string' ? JSON.stringify(text.slice(0, 80)) : typeof value;
  throw new LogError('INVALID_CONFIG', `config ${key} is ${seen}, allowed is ${allowed}`);
}

function unknownKey(key: string): LogError {
  const reason = unsupportedKeys.has(key) ? 'is not supported yet' : 'is no config of a topic';
  return new LogError(
    'INVALID_CONFIG',
    `config ${JSON.stringify(key.slice(0, 80))} ${reason}; allowed are ${configKeys.join(', ')}`,
  );
}

/** Checks answer with what is allowed when the value is not. */
function oneOf(allowed: readonly string[]) {
  return (value: string): string | undefined => (allowed.includes(value) ? undefined : allowed.join(', '));
}

function integerIn(min: number, max: number, also?: string) {
  return (value: string): string | undefined => {
    if (value === also) return undefined;
    const isInteger = /^(0|[1-9][0-9]{0,15})$/.test(value) && Number(value) >= min && Number(value) <= max;
    return isInteger ? undefined : `a whole number from ${min} to ${max}`;
  };
}
