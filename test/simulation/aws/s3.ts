/** An S3 bucket in memory, for the operations of the log's store: put if absent, reads by range, and lists. */

interface Answer {
  readonly [name: string]: unknown;
}

/** S3 puts up to 1,000 on a page, and may put fewer. */
const keysPerPageMax = 5;

export class S3Double {
  readonly #nowMs: () => number;
  readonly #objects = new Map<string, { readonly bytes: Uint8Array; readonly storedAtMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    // What others put into the bucket.
    this.#put('0/notes.txt', Buffer.from('keep'), true);
  }

  /** Carries a request out at once. Throws what the SDK throws. */
  request(operation: string, input: Readonly<Record<string, unknown>>): Answer {
    if (operation === 'ListObjectsV2')
      return this.#list(String(input.Prefix), input.ContinuationToken ?? input.StartAfter);
    const key = String(input.Key);
    if (operation === 'PutObject') return this.#put(key, input.Body as Uint8Array, input.IfNoneMatch === '*');
    const object = this.#objects.get(key)?.bytes;
    if (object === undefined) throw s3Error('NoSuchKey', 404);
    if (operation === 'HeadObject') return { ContentLength: object.length };
    if (operation === 'GetObject') return get(object, String(input.Range));
    throw new Error(`${operation} is not known here`);
  }

  #put(key: string, body: Uint8Array, isIfAbsent: boolean): Answer {
    if (isIfAbsent && this.#objects.has(key)) throw s3Error('PreconditionFailed', 412);
    this.#objects.set(key, { bytes: body, storedAtMs: this.#nowMs() });
    return {};
  }

  #list(prefix: string, after: unknown): Answer {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && key > String(after)).sort();
    const page = keys.slice(0, keysPerPageMax);
    const Contents = page.map((Key) => {
      const { bytes, storedAtMs } = this.#objects.get(Key) ?? { bytes: new Uint8Array(), storedAtMs: 0 };
      return { Key, Size: bytes.length, LastModified: new Date(storedAtMs) };
    });
    return { Contents, ...(page.length < keys.length ? { NextContinuationToken: page.at(-1) } : {}) };
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
