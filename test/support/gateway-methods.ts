/** The methods of a template's REST API, and which function each one calls. */

import type { ResolvedTemplate } from './template.ts';

export interface GatewayMethod {
  readonly method: string;
  /** With its parameters in braces. */
  readonly path: string;
  /** Matches a path as it came, the parameters being named groups. */
  readonly pattern: RegExp;
  readonly resourceId: string;
  /** AWS_IAM; the only other kind understood is NONE. */
  readonly isSigned: boolean;
  readonly isStreamed: boolean;
  readonly functionArn: string;
  /** Logical id. */
  readonly functionId: string;
}

/** Literal segments come before parameters, as API Gateway prefers them. */
export function methodsOf(template: ResolvedTemplate): GatewayMethod[] {
  const functions = template.ofType('AWS::Lambda::Function').map(({ logicalId }) => {
    return { logicalId, arn: template.resolve({ 'Fn::GetAtt': [logicalId, 'Arn'] }) as string };
  });
  return template
    .ofType('AWS::ApiGateway::Method')
    .map(({ logicalId, Properties }): GatewayMethod => {
      const { HttpMethod, ResourceId, AuthorizationType, Integration } = Properties as unknown as MethodProperties;
      if (AuthorizationType !== 'AWS_IAM' && AuthorizationType !== 'NONE') {
        throw new Error(`gateway: authorization ${AuthorizationType} of ${logicalId} is not understood`);
      }
      const [, functionArn = '', invocations] = /\/functions\/(arn:[^/]+)\/(.+)$/.exec(Integration.Uri) ?? [];
      const isStreamed = Integration.ResponseTransferMode === 'STREAM';
      const called = functions.find(({ arn }) => arn === functionArn);
      const isProxy = Integration.Type === 'AWS_PROXY' && Integration.IntegrationHttpMethod === 'POST';
      const expected = isStreamed ? 'response-streaming-invocations' : 'invocations';
      if (!isProxy || called === undefined || invocations !== expected) {
        throw new Error(`gateway: integration of ${logicalId} is not understood: ${JSON.stringify(Integration)}`);
      }
      const path = pathOf(template, ResourceId);
      const source = path.replaceAll('.', '\\.').replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)');
      return {
        method: HttpMethod,
        path,
        pattern: new RegExp(`^${source}$`),
        resourceId: ResourceId,
        isSigned: AuthorizationType === 'AWS_IAM',
        isStreamed,
        functionArn,
        functionId: called.logicalId,
      };
    })
    .sort((a, b) => Number(a.path.includes('{')) - Number(b.path.includes('{')));
}

interface MethodProperties {
  readonly HttpMethod: string;
  readonly ResourceId: string;
  readonly AuthorizationType: string;
  readonly Integration: Readonly<Record<'Type' | 'IntegrationHttpMethod' | 'Uri' | 'ResponseTransferMode', string>>;
}

function pathOf(template: ResolvedTemplate, resourceId: string): string {
  const resource = template.resources.get(resourceId);
  if (resource === undefined) return '';
  const { ParentId, PathPart } = resource.Properties as { ParentId: string; PathPart: string };
  return `${pathOf(template, ParentId)}/${PathPart}`;
}
