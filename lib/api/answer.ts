/** What a handler answers, before a door puts it into the words of its protocol. */

/** Plain data: a `Response` with its headers and its stream takes longer to make than most answers take to find. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
}

export const noContent: Answer = { status: 204, headers: {}, body: null };

export function toResponse({ status, headers, body }: Answer): Response {
  return new Response(body, { status, headers });
}
