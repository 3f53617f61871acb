/** An S3 bucket in memory, for the operations of the log's store: put if absent, and reads by range. */

interface Answer {
  readonly [name: string]: unknown;
}

export class S3Double {
  readonly #objects = new Map<string, Uint8Array>();

  /** Carries a request out at once. Throws what the SDK throws. */
  request(operation: string, input: Readonly<Record<string, unknown>>): Answer {
    const key = String(input.Key);
    if (operation === 'PutObject') return this.#put(key, input.Body as Uint8Array, input.IfNoneMatch === '*');
    const object = this.#objects.get(key);
    if (object === undefined) throw s3Error('NoSuchKey', 404);
    if (operation === 'HeadObject') return { ContentLength: object.length };
    if (operation === 'GetObject') return get(object, String(input.Range));
    throw new Error(`${operation} is not known here`);
  }

  #put(key: string, body: Uint8Array, isIfAbsent: boolean): Answer {
    if (isIfAbsent && this.#objects.has(key)) throw s3Error('PreconditionFailed', 412);
    this.#objects.set(key, body);
    return {};
  }
}

function get(object: Uint8Array, range: string): Answer {
  const [, first, last] = (/^bytes=(\d+)-(\d+)$/.exec(range) ?? []).map(Number);
  if (first === undefined || last === undefined) throw s3Error('InvalidArgument', 400);
  if (first >= object.length) throw s3Error('InvalidRange', 416);
  const end = Math.min(last + 1, object.length);
  const bytes = object.slice(first, end);
  return { Body: bodyOf(bytes), ContentRange: `bytes ${first}-${end - 1}/${object.length}` };
}

/** What the SDK gives as a body, as far as it is used: chunks, and a way to leave it. */
export function bodyOf(bytes: Uint8Array) {
  return {
    async *[Symbol.asyncIterator]() {
      const half = bytes.length >> 1;
      yield bytes.subarray(0, half);
      yield bytes.subarray(half);
    },
    destroy() {},
  };
}

export function s3Error(name: string, httpStatusCode: number): Error {
  return Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });
}
