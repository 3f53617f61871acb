/** The log of the process itself: JSON lines, never a record's content. */

export type LogFields = Readonly<Record<string, unknown>>;

/** `error`: someone must act. `warn`: it healed itself. `info`: request lines and changes of state. */
export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLogger: Logger = { info: () => {}, warn: () => {}, error: () => {} };

/** One JSON object a line; `write` gets it with its line break. */
export function jsonLogger(write: (line: string) => void = (line) => process.stderr.write(line)): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }, plain)}\n`);
    };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** Errors and bigints have no JSON form of their own. */
function plain(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  return { name, message, stack, ...(cause === undefined ? {} : { cause }) };
}
