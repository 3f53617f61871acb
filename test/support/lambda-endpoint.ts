/** Lambda's `Invoke` over HTTP, as its SDK and the AWS CLI send it, in front of functions on this machine. Signatures are not checked. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LambdaFunction } from './lambda-runtime.ts';

export interface LambdaEndpoint {
  /** For AWS_ENDPOINT_URL_LAMBDA. */
  readonly url: string;
  close(): Promise<void>;
}

/** https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html */
export async function startLambdaEndpoint(functions: readonly LambdaFunction[]): Promise<LambdaEndpoint> {
  const server = createServer(async (request, response) => {
    const [, name = ''] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(request.url ?? '') ?? [];
    const called = functions.find((one) => one.name === decodeURIComponent(name));
    const body = Buffer.concat(await request.toArray()).toString();
    if (request.method !== 'POST' || called === undefined) {
      response.writeHead(404, { 'x-amzn-errortype': 'ResourceNotFoundException' });
      return response.end(JSON.stringify({ Message: `Function not found: ${name}` }));
    }
    const { payload, error } = await called.invoke(JSON.parse(body));
    response.writeHead(200, error === undefined ? {} : { 'x-amz-function-error': 'Unhandled' });
    return response.end(JSON.stringify(error ?? payload));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
