/** What S3 does with its buckets, in memory: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html */

import { createHash, randomUUID } from 'node:crypto';
import { S3Error } from './s3-error.ts';

export interface StoredObject {
  readonly body: Buffer;
  readonly etag: string;
  readonly storedAt: Date;
  /** Header to value: content type, `x-amz-meta-*`, `x-amz-checksum-*`. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Upload {
  readonly key: string;
  readonly headers: StoredObject['headers'];
  readonly parts: Map<number, { readonly body: Buffer; readonly etag: string }>;
}

export interface Bucket {
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, Upload>;
}

/** A request whose signature and checksums have been found right. `body` is what is to be stored. */
export interface S3Call {
  readonly bucket: Bucket;
  readonly bucketName: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** Another conditional write of this key was under way when this one began, and the server is to say 409 then. */
  readonly isContended: boolean;
}

export interface S3Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

const keysPerPageMax = 1000;
const partBytesMin = 5 * 1024 * 1024;

export const operations: Readonly<Record<string, (call: S3Call) => S3Answer>> = {
  HeadBucket: () => ({}),

  PutObject({ bucket, key, headers, body, isContended }) {
    if (headers['content-length'] === undefined && headers['x-amz-decoded-content-length'] === undefined) {
      throw new S3Error('MissingContentLength', 'Content-Length is missing');
    }
    checkWrite(bucket, key, headers, isContended);
    const stored = store(bucket, key, body, etagOf(body), keptHeaders(headers));
    return { headers: { etag: stored.etag, ...checksumsOf(stored) } };
  },

  GetObject({ bucket, key, headers }) {
    const object = find(bucket, key);
    checkRead(object, headers);
    const described = { ...describe(object), 'accept-ranges': 'bytes' };
    const range = parseRange(headers.range, object.body.length);
    // The checksums are of the whole object, so a part of it goes without.
    if (range === undefined) return { headers: { ...described, ...checksumsOf(object) }, body: object.body };
    const [first, last] = range;
    return {
      status: 206,
      headers: { ...described, 'content-range': `bytes ${first}-${last}/${object.body.length}` },
      body: object.body.subarray(first, last + 1),
    };
  },

  HeadObject({ bucket, key, headers }) {
    const object = find(bucket, key);
    checkRead(object, headers);
    return { headers: { ...describe(object), ...checksumsOf(object), 'content-length': `${object.body.length}` } };
  },

  DeleteObject({ bucket, key }) {
    bucket.objects.delete(key);
    return { status: 204 };
  },

  DeleteObjects({ bucket, body, headers }) {
    if (!headers['content-md5'] && !Object.keys(headers).some((name) => name.startsWith('x-amz-checksum-'))) {
      throw new S3Error('InvalidRequest', 'Content-MD5 or a checksum is missing');
    }
    const text = body.toString();
    const keys = [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => unescapeXml(key));
    if (keys.length === 0 || keys.length > 1000) throw new S3Error('MalformedXML', `${keys.length} keys; 1 to 1000`);
    for (const key of keys) bucket.objects.delete(key);
    const isQuiet = text.includes('<Quiet>true</Quiet>');
    return xml('DeleteResult', isQuiet ? '' : keys.map((key) => tag('Deleted', tag('Key', escapeXml(key)))).join(''));
  },

  ListObjectsV2({ bucket, bucketName, query }) {
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') ?? '';
    const token = query.get('continuation-token');
    const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64').toString();
    const limit = Math.min(Number(query.get('max-keys') ?? keysPerPageMax), keysPerPageMax);
    if (!Number.isInteger(limit) || limit < 0)
      throw new S3Error('InvalidArgument', `max-keys ${query.get('max-keys')}`);
    const shown = new Map<string, StoredObject | undefined>();
    let isTruncated = false;
    let last = '';
    for (const key of [...bucket.objects.keys()].sort(byBytes)) {
      if (!key.startsWith(prefix) || byBytes(key, after) <= 0) continue;
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      const name = cut === -1 ? key : key.slice(0, cut + delimiter.length);
      if (after.startsWith(name) && name.endsWith(delimiter) && delimiter !== '') continue;
      if (shown.size === limit && !shown.has(name)) {
        isTruncated = limit > 0;
        break;
      }
      shown.set(name, cut === -1 ? bucket.objects.get(key) : undefined);
      last = key;
    }
    const contents = [...shown].map(([name, object]) =>
      object === undefined
        ? tag('CommonPrefixes', tag('Prefix', escapeXml(name)))
        : tag(
            'Contents',
            tag('Key', escapeXml(name)) +
              tag('LastModified', object.storedAt.toISOString()) +
              tag('ETag', escapeXml(object.etag)) +
              tag('Size', `${object.body.length}`) +
              tag('StorageClass', 'STANDARD'),
          ),
    );
    return xml(
      'ListBucketResult',
      tag('Name', bucketName) +
        tag('Prefix', escapeXml(prefix)) +
        tag('KeyCount', `${shown.size}`) +
        tag('MaxKeys', `${limit}`) +
        tag('IsTruncated', `${isTruncated}`) +
        (isTruncated ? tag('NextContinuationToken', Buffer.from(last).toString('base64')) : '') +
        contents.join(''),
    );
  },

  CreateMultipartUpload({ bucket, bucketName, key, headers }) {
    const uploadId = randomUUID();
    bucket.uploads.set(uploadId, { key, headers: keptHeaders(headers), parts: new Map() });
    return xml('InitiateMultipartUploadResult', named(bucketName, key) + tag('UploadId', uploadId));
  },

  UploadPart({ bucket, key, query, body }) {
    const partNumber = Number(query.get('partNumber'));
    if (!(partNumber >= 1 && partNumber <= 10_000)) throw new S3Error('InvalidArgument', `part number ${partNumber}`);
    const etag = etagOf(body);
    findUpload(bucket, key, query).parts.set(partNumber, { body, etag });
    return { headers: { etag } };
  },

  CompleteMultipartUpload({ bucket, bucketName, key, query, headers, body, isContended }) {
    const upload = findUpload(bucket, key, query);
    const wanted = [...body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: unescapeXml(/<ETag>([^<]*)</.exec(part)?.[1] ?? ''),
    }));
    if (wanted.length === 0) throw new S3Error('MalformedXML', 'no part is named');
    const parts = wanted.map(({ number, etag }, index) => {
      if (index > 0 && number <= (wanted[index - 1]?.number ?? 0)) {
        throw new S3Error('InvalidPartOrder', `part ${number} comes too late`);
      }
      const part = upload.parts.get(number);
      if (part === undefined || part.etag.replaceAll('"', '') !== etag.replaceAll('"', '')) {
        throw new S3Error('InvalidPart', `part ${number} is not there or has another ETag`);
      }
      if (index < wanted.length - 1 && part.body.length < partBytesMin) {
        throw new S3Error('InvalidRequest', `part ${number} has ${part.body.length} bytes; at least ${partBytesMin}`);
      }
      return part;
    });
    checkWrite(bucket, key, headers, isContended);
    const digests = parts.map((part) => Buffer.from(part.etag.replaceAll('"', ''), 'hex'));
    const etag = `"${md5(Buffer.concat(digests))}-${parts.length}"`;
    store(bucket, key, Buffer.concat(parts.map((part) => part.body)), etag, upload.headers);
    bucket.uploads.delete(query.get('uploadId') ?? '');
    return xml('CompleteMultipartUploadResult', named(bucketName, key) + tag('ETag', escapeXml(etag)));
  },

  AbortMultipartUpload({ bucket, key, query }) {
    findUpload(bucket, key, query);
    bucket.uploads.delete(query.get('uploadId') ?? '');
    return { status: 204 };
  },
};

function store(bucket: Bucket, key: string, body: Buffer, etag: string, headers: StoredObject['headers']) {
  // A copy: the body is a view of what the socket gave. S3 tells times by the second.
  const storedAt = new Date(Math.floor(Date.now() / 1000) * 1000);
  const object: StoredObject = { body: Buffer.from(body), etag, storedAt, headers };
  bucket.objects.set(key, object);
  return object;
}

function find(bucket: Bucket, key: string): StoredObject {
  const object = bucket.objects.get(key);
  if (object === undefined) throw new S3Error('NoSuchKey', 'the specified key does not exist');
  return object;
}

function findUpload(bucket: Bucket, key: string, query: URLSearchParams): Upload {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '');
  if (upload?.key !== key) throw new S3Error('NoSuchUpload', 'the upload is not there, was completed or aborted');
  return upload;
}

/** One thread and no await between this and `store`: of several conditional writes exactly one wins. */
function checkWrite(bucket: Bucket, key: string, headers: S3Call['headers'], isContended: boolean): void {
  const ifNoneMatch = headers['if-none-match'];
  const ifMatch = headers['if-match'];
  if (ifNoneMatch === undefined && ifMatch === undefined) return;
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new S3Error('NotImplemented', 'a write takes If-None-Match: * alone');
  }
  if (isContended) throw new S3Error('ConditionalRequestConflict', 'a conflicting conditional operation is under way');
  const object = bucket.objects.get(key);
  if (ifMatch !== undefined && object === undefined) throw new S3Error('NoSuchKey', 'the specified key does not exist');
  if (ifMatch === undefined ? object !== undefined : object?.etag !== ifMatch) {
    throw new S3Error('PreconditionFailed', 'at least one of the preconditions you specified did not hold');
  }
}

function checkRead(object: StoredObject, headers: S3Call['headers']): void {
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== object.etag) {
    throw new S3Error('PreconditionFailed', 'the object has another ETag');
  }
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch === '*' || ifNoneMatch === object.etag) throw new S3Error('NotModified', 'not modified');
}

/** First and last byte, both inclusive; undefined when the header is absent or to be ignored (RFC 9110, 14.2). */
function parseRange(header: string | undefined, byteLength: number): readonly [number, number] | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const suffix = match[1] === '' ? Number(match[2]) : undefined;
  const first = suffix === undefined ? Number(match[1]) : Math.max(0, byteLength - suffix);
  const last = suffix === undefined && match[2] !== '' ? Number(match[2]) : byteLength - 1;
  if (suffix === undefined && match[2] !== '' && last < first) return undefined;
  if (first >= byteLength || suffix === 0) {
    throw new S3Error('InvalidRange', 'the requested range is not satisfiable', {
      'content-range': `bytes */${byteLength}`,
    });
  }
  return [first, Math.min(last, byteLength - 1)];
}

function keptHeaders(headers: S3Call['headers']): Record<string, string> {
  const kept: Record<string, string> = { 'content-type': headers['content-type'] ?? 'binary/octet-stream' };
  for (const [name, value] of Object.entries(headers)) {
    if (/^x-amz-(meta|checksum)-/.test(name) && value !== undefined) kept[name] = value;
  }
  return kept;
}

function describe({ etag, storedAt, headers }: StoredObject): Record<string, string> {
  const shown = Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum-'));
  return { etag, 'last-modified': storedAt.toUTCString(), ...Object.fromEntries(shown) };
}

function checksumsOf({ headers }: StoredObject): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-amz-checksum-')));
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');
const etagOf = (body: Uint8Array) => `"${md5(body)}"`;
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

const tag = (name: string, content: string) => `<${name}>${content}</${name}>`;
const named = (bucketName: string, key: string) => tag('Bucket', bucketName) + tag('Key', escapeXml(key));
const xml = (name: string, content: string): S3Answer => ({
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`,
});

export function escapeXml(text: string): string {
  return text.replaceAll(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
  return text.replaceAll(/&(#x?[0-9a-f]+|\w+);/gi, (whole, name: string) =>
    name.startsWith('#')
      ? String.fromCodePoint(Number(name.replace(/^#(x?)/i, (_, hex) => (hex ? '0x' : ''))))
      : (named[name] ?? whole),
  );
}
