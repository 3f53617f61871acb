/**
 * Bundles the functions into `dist/functions/{produce,fetch,topics,group}`: `index.mjs` with the AWS SDK inside, so that a cold
 * start reads one file and the version that was tested is the one that runs; `native.wasm`, the checksum and the codecs;
 * and a source map. Neutral to the processor.
 *
 * Run by `npm run build`; users get the bundles in the package and need no esbuild.
 */

import { readFileSync } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const functionNames = ['produce', 'fetch', 'topics', 'group'] as const;
export type BundleName = (typeof functionNames)[number];

const root = join(import.meta.dirname, '..');

/** Empties `folder` and puts a folder for each function there. Gives the bytes of each `index.mjs`. */
export async function bundleFunctions(folder = join(root, 'dist/functions')): Promise<Record<BundleName, number>> {
  await rm(folder, { recursive: true, force: true });
  const sizes = functionNames.map(async (name) => [name, await bundleFunction(name, join(folder, name))] as const);
  return Object.fromEntries(await Promise.all(sizes)) as Record<BundleName, number>;
}

async function bundleFunction(name: BundleName, folder: string): Promise<number> {
  const outfile = join(folder, 'index.mjs');
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`functions/${name}.ts`],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Packages of CommonJS inside an ES module look for `require`, if only for what Node has built in.
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    mainFields: ['module', 'main'],
    minify: true,
    charset: 'utf8',
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    plugins: [trimPlugin([...trims, ...trimsOf[name]])],
  });
  await copyFile(
    fileURLToPath(import.meta.resolve('@platformatic/wasm-utils')).replace(/index\.js$/, 'native.wasm'),
    join(folder, 'native.wasm'),
  );
  return Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint !== undefined)?.bytes ?? 0;
}

/** Something in a package that functions never use, or that a bundle needs otherwise. */
interface Trim {
  /** Matches paths of files; the build fails when there is no such file any more. */
  readonly filter: RegExp;
  readonly replace: (source: string, path: string) => string;
}

/** Exceptions of which more than the name is read: the item as it is, the reasons. */
const readMembers = new Set(['ConditionalCheckFailedException', 'TransactionCanceledException']);

const trims: readonly Trim[] = [
  {
    // Lambda gives credentials in the environment, as emulators do. The rest of the chain (profiles, single sign-on,
    // instances) is 130 KB with clients of its own.
    filter: /@aws-sdk\/credential-provider-node\/dist-es\/index\.js$/,
    replace: () => "export { fromEnv as defaultProvider } from '@aws-sdk/credential-provider-env';",
  },
  {
    // Schemas name their members by constants, `[_hC]: …`. As a key of an object that might run code, so esbuild keeps
    // the schemas of all operations; with the constant's value it drops those never used. And every exception is
    // registered, while its name alone tells most of them: that comes with an unregistered one as well. 75 KB.
    filter: /@aws-sdk\/client-(s3|dynamodb)\/dist-es\/schemas\/schemas_0\.js$/,
    replace: (source) => {
      const constants = new Map(
        [...source.matchAll(/^const (_\w+) = ("[^"]*");$/gm)].map(([, name, value]) => [name, value]),
      );
      return source
        .replaceAll(/\[(_\w+)\]: /g, (key, name) => `${constants.get(name) ?? key}: `)
        .replaceAll(/^n0_registry\.registerError\((\w+)\$.*$/gm, (line, name) => (readMembers.has(name) ? line : ''));
    },
  },
  {
    // Event streams are SelectObjectContent's. Imported when one is met, which keeps whole the packages it needs. 35 KB.
    filter: /@smithy\/core\/dist-es\/submodules\/event-streams\/index\.js$/,
    replace: () =>
      'export const eventStreamSerdeProvider = () => ({});' +
      'export const resolveEventStreamSerdeConfig = (config) => config;' +
      'export const EventStreamSerde = undefined;',
  },
  {
    // DynamoDB's endpoints are found by their names; the discovery brings a cache that is CommonJS. 9 KB.
    filter: /@aws-sdk\/middleware-endpoint-discovery\/dist-es\/index\.js$/,
    replace: () =>
      'export const resolveEndpointDiscoveryConfig = (config) => config;' +
      'export const NODE_ENDPOINT_DISCOVERY_CONFIG_OPTIONS = { environmentVariableSelector: () => false, default: false };',
  },
  {
    // Of its own package file a client wants the version. 5 KB.
    filter: /@aws-sdk\/client-(s3|dynamodb)\/package\.json$/,
    replace: (source) => JSON.stringify({ version: JSON.parse(source).version }),
  },
  {
    // Never reached: hashes in JavaScript for a Node without OpenSSL, streams of browsers, retries (ours are the stores'),
    // the region by asking an instance, signed events, directory buckets. 20 KB.
    filter: new RegExp(
      '/(Sha256Js|Sha1Js|Md5Js|sdk-stream-mixin\\.browser|AdaptiveRetryStrategy|getInstanceMetadataRegion|' +
        'HeaderFormatter|S3ExpressIdentityProviderImpl|CreateSessionCommand|DescribeEndpointsCommand)\\.js$',
    ),
    replace: emptied,
  },
  {
    // A body of XML is what deletes objects; no function does, and those of records are bytes. 7 KB.
    filter: /\/XmlShapeSerializer\.js$/,
    replace: () => 'export class XmlShapeSerializer { setSerdeContext() {} }',
  },
  {
    // Signatures for several regions at once are those of access points. 3 KB.
    filter: /SignatureV4MultiRegion\.js$/,
    replace: () =>
      "import { SignatureV4SignWithCredentials } from './SignatureV4SignWithCredentials';" +
      'export class SignatureV4MultiRegion extends SignatureV4SignWithCredentials {' +
      "static sigv4aDependency() { return 'none'; } }",
  },
  {
    // A dozen routes need no router that is made for hundreds. 6 KB.
    filter: /\/hono\/dist\/index\.js$/,
    replace: () => "export { Hono } from './preset/tiny.js';",
  },
  {
    // For other bundlers the library has the WebAssembly in a module, as Base64. Here it lies beside the bundle. 76 KB.
    filter: /@platformatic\/wasm-utils\/dist\/bundled\.js$/,
    replace: (_, path) =>
      readFileSync(path.replace(/bundled\.js$/, 'index.js'), 'utf8').replace('../dist/native.wasm', './native.wasm'),
  },
  {
    // The codecs ask whether it was given one. 7 KB.
    filter: /@platformatic\/dynamic-buffer\/dist\/index\.js$/,
    replace: () => 'export const DynamicBuffer = { isDynamicBuffer: () => false };',
  },
];

/** Schemas make the OpenAPI document in the topics function; elsewhere they only check. 19 KB. */
const documentTrim: Trim = {
  filter: /zod\/v4\/classic\/schemas\.js$/,
  replace: (source) =>
    source
      .replace(/^import \* as processors from .*$/m, 'const processors = {};')
      .replace(
        /^import \{ createStandardJSONSchemaMethod, createToJSONSchemaMethod \} from .*$/m,
        'const createStandardJSONSchemaMethod = () => undefined, createToJSONSchemaMethod = () => undefined;',
      ),
};

/** Groups are behind routes of the group function alone. 40 KB. */
const groupTrims: readonly Trim[] = [
  { filter: /\/lib\/api\/groups\.ts$/, replace: emptied },
  { filter: /\/lib\/group\/groups\.ts$/, replace: () => 'export const createGroups = () => ({});' },
  {
    filter: /\/lib\/store\/group-store-dynamodb\.ts$/,
    replace: () => 'export const openDynamoDbGroupStore = () => undefined;',
  },
];

/**
 * What appends, fetches batches, and puts and removes objects: the group function reads no more than the records in which it
 * looks for an offset by its time. 35 KB.
 */
const readOnlyTrims: readonly Trim[] = [
  {
    filter: /\/lib\/produce\/produce\.ts$/,
    replace: () => 'export const createProduce = () => ({ settled: async () => {} });',
  },
  { filter: /\/lib\/fetch\/fetch\.ts$/, replace: () => 'export const createFetch = () => undefined;' },
  { filter: /\/lib\/store\/(append|roll)-dynamodb\.ts$/, replace: emptied },
  { filter: /\/(Put|Head|Delete)Objects?Command\.js$/, replace: emptied },
  { filter: /\/ListObjectsV2Command\.js$/, replace: emptied },
];

/** Event streams are the fetch function's. 1 KB. */
const eventStreamTrim: Trim = { filter: /\/functions\/event-stream\.ts$/, replace: emptied };

/** Behind routes that the function refuses before their handlers are asked. */
const trimsOf: Readonly<Record<BundleName, readonly Trim[]>> = {
  produce: [
    documentTrim,
    eventStreamTrim,
    ...groupTrims,
    { filter: /\/lib\/api\/(openapi|fetch-records)\.ts$/, replace: emptied },
  ],
  fetch: [
    documentTrim,
    ...groupTrims,
    { filter: /\/lib\/api\/(openapi|produce-records|produce-batches)\.ts$/, replace: emptied },
  ],
  topics: [eventStreamTrim, ...groupTrims],
  group: [
    documentTrim,
    eventStreamTrim,
    { filter: /\/lib\/api\/(openapi|topics|produce-records|produce-batches|fetch-records)\.ts$/, replace: emptied },
    ...readOnlyTrims,
  ],
};

/** The module's names without what they stand for. */
function emptied(source: string): string {
  return [...source.matchAll(/^export (const|class|function|async function) (\w+)/gm)]
    .map(([, kind, name]) => (kind === 'class' ? `export class ${name} {}` : `export const ${name} = undefined;`))
    .join('');
}

function trimPlugin(wanted: readonly Trim[]): Plugin {
  return {
    name: 'trim',
    setup({ onLoad, onEnd }) {
      const met = new Set<Trim>();
      for (const trim of wanted) {
        onLoad({ filter: trim.filter }, ({ path }) => {
          met.add(trim);
          const contents = trim.replace(readFileSync(path, 'utf8'), path);
          return { contents, loader: path.endsWith('.json') ? 'json' : path.endsWith('.ts') ? 'ts' : 'js' };
        });
      }
      onEnd(() => {
        const missed = wanted.filter((trim) => !met.has(trim));
        return {
          errors: missed.map(({ filter }) => ({ text: `no file matches ${filter}: has the package changed?` })),
        };
      });
    },
  };
}

if (import.meta.main) {
  const sizes = await bundleFunctions();
  for (const [name, bytes] of Object.entries(sizes)) console.log(`${name} ${(bytes / 1000).toFixed(0)} KB`);
}
