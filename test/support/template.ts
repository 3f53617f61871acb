/** A synthesized CloudFormation template with its references resolved, as far as our stacks use them; the rest is refused. */

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
}

export interface Template {
  readonly Resources: Readonly<Record<string, { readonly Type: string; readonly Properties?: unknown }>>;
}

/** Attributes that only a deployment knows, by `LogicalId.Attribute`; `LogicalId` alone for what Ref gives. */
export type Attributes = Readonly<Record<string, string>>;

export const accountId = '123456789012';
export const region = 'us-east-1';

const pseudoParameters: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': region,
  'AWS::AccountId': accountId,
  'AWS::URLSuffix': 'amazonaws.com',
  'AWS::StackName': 'stack',
};

/** How the ARN of a resource ends, by type, for a resource whose Ref gives `name`. */
const arns: Readonly<Record<string, (name: string) => string>> = {
  'AWS::Lambda::Function': (name) => `arn:aws:lambda:${region}:${accountId}:function:${name}`,
  'AWS::S3::Bucket': (name) => `arn:aws:s3:::${name}`,
  'AWS::DynamoDB::Table': (name) => `arn:aws:dynamodb:${region}:${accountId}:table/${name}`,
  'AWS::IAM::Role': (name) => `arn:aws:iam::${accountId}:role/${name}`,
  'AWS::IAM::User': (name) => `arn:aws:iam::${accountId}:user/${name}`,
  'AWS::Logs::LogGroup': (name) => `arn:aws:logs:${region}:${accountId}:log-group:${name}:*`,
  'AWS::KMS::Key': (name) => `arn:aws:kms:${region}:${accountId}:key/${name}`,
};

export interface ResolvedTemplate {
  /** Every resource by its logical id, with all references resolved. */
  readonly resources: ReadonlyMap<string, Resource>;
  ofType(type: string): (Resource & { readonly logicalId: string })[];
  resolve(value: unknown): unknown;
}

/** Physical names are the logical ids, unless `attributes` says otherwise. Throws on a function it does not know. */
export function resolveTemplate(template: Template, attributes: Attributes = {}): ResolvedTemplate {
  const ref = (logicalId: string): string => {
    const pseudo = pseudoParameters[logicalId];
    if (pseudo !== undefined) return pseudo;
    const resource = template.Resources[logicalId];
    if (resource === undefined) throw new Error(`template: Ref to ${logicalId}, which is no resource`);
    // The name of a stage is what the template says, since it becomes part of addresses.
    const { StageName } = (resource.Properties ?? {}) as { StageName?: string };
    return attributes[logicalId] ?? StageName ?? logicalId;
  };
  const getAtt = (logicalId: string, attribute: string): string => {
    const given = attributes[`${logicalId}.${attribute}`];
    if (given !== undefined) return given;
    const type = template.Resources[logicalId]?.Type ?? 'nothing';
    if (type === 'AWS::ApiGateway::RestApi' && attribute === 'RootResourceId') return `${logicalId}/root`;
    const arn = attribute === 'Arn' ? arns[type] : undefined;
    if (arn === undefined) throw new Error(`template: attribute ${attribute} of ${logicalId} (${type}) is not known`);
    return arn(ref(logicalId));
  };
  const substitute = (text: string): string =>
    text.replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => {
      const [logicalId = '', attribute] = name.split('.');
      return attribute === undefined ? ref(logicalId) : getAtt(logicalId, attribute);
    });

  const resolve = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value !== 'object' || value === null) return value;
    const [[name, argument] = ['', undefined], ...others] = Object.entries(value);
    if (others.length > 0 || !(name === 'Ref' || name.startsWith('Fn::'))) {
      return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, resolve(member)]));
    }
    if (name === 'Ref' && typeof argument === 'string') return ref(argument);
    if (name === 'Fn::Sub' && typeof argument === 'string') return substitute(argument);
    if (name === 'Fn::GetAtt' && Array.isArray(argument)) return getAtt(String(argument[0]), String(argument[1]));
    if (name === 'Fn::Join' && Array.isArray(argument)) {
      return (resolve(argument[1]) as string[]).join(String(argument[0]));
    }
    throw new Error(`template: ${name} is not understood: ${JSON.stringify(argument)}`);
  };

  const resources = new Map(
    Object.entries(template.Resources).map(([logicalId, { Type, Properties = {} }]) => [
      logicalId,
      { Type, Properties: resolve(Properties) as Record<string, unknown> },
    ]),
  );
  return {
    resources,
    resolve,
    ofType: (type) =>
      [...resources].flatMap(([logicalId, resource]) => (resource.Type === type ? [{ ...resource, logicalId }] : [])),
  };
}
