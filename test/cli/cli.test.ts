import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listen } from '../client/http-server.ts';
import { compileCacheDir, type RunningCli, runCli, startCli } from './run-cli.ts';

let dev: RunningCli;
let dir: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-cli-'));
  dev = startCli(['dev', '--port', '0', '--memory', '--json']);
  env = { MILLRACE_ENDPOINT: await urlOf(dev) };
});

afterAll(async () => {
  dev.child.kill('SIGTERM');
  const { exitCode, stderr } = await dev.done;
  for (const folder of [dir, compileCacheDir]) await rm(folder, { recursive: true, force: true });
  expect(stderr).toContain('stopped');
  expect(exitCode).toBe(0);
});

/** What `dev --json` tells when it is ready. */
async function urlOf(running: RunningCli): Promise<string> {
  const { url, pid } = JSON.parse(await running.printed('\n')) as { url: string; pid: number };
  expect(pid).toBe(running.child.pid);
  return url;
}

const cli = (args: readonly string[], stdin = '') => runCli(args, env, stdin);

async function makeTopic(partitionCount = 1): Promise<string> {
  const topic = `topic-${randomUUID()}`;
  const created = await fetch(`${env.MILLRACE_ENDPOINT}/v1/topics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ topic, partitions: partitionCount }),
  });
  expect(created.status).toBe(201);
  return topic;
}

async function makeFile(name: string, text: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, text);
  return path;
}

describe('wrong use', () => {
  test.concurrent.each([
    [['consume'], "missing required argument 'topic'"],
    [['nope'], "unknown command 'nope'"],
    [['dev', '--memory', '--host', ''], "option '--host <host>' argument '' is invalid. it is empty"],
    [['dev', '--data', ''], "option '--data <dir>' argument '' is invalid. it is empty"],
    [['consume', 'no pe'], 'topic name "no pe" is not allowed'],
    [['consume', 'orders', '--format', '%y'], '%y is not known'],
    [['dev', '--memory', '--data', 'x'], 'give --data or --memory, not both'],
  ])('%j exits with 2 and says why', async (args, message) => {
    const { exitCode, stdout, stderr } = await cli(args);
    expect(stderr).toMatch(/^millrace: /);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
  });
});

describe('failures', () => {
  test('help and version are no failures', async () => {
    const help = await cli(['produce', '--help']);
    expect(help.stdout).toContain('Examples:');
    expect(help.exitCode).toBe(0);
    expect((await cli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+/);
  });

  test.each(['create', 'list', 'describe', 'alter', 'delete'])('help of topics %s has examples', async (name) => {
    const { exitCode, stdout } = await cli(['topics', name, '--help']);
    expect(stdout).toContain(`\nExamples:\n  millrace topics ${name}`);
    expect(exitCode).toBe(0);
  });

  test('an unknown topic exits with 1, the advice and the effect, and no stack', async () => {
    const { exitCode, stdout, stderr } = await cli(['consume', 'nowhere']);
    expect(stderr).toBe(
      [
        'millrace: topic nowhere does not exist',
        '  Create the topic, or check its name and partition count.',
        '  Nothing was changed by the call that failed. (UNKNOWN_TOPIC_OR_PARTITION, effect: none)',
        '',
      ].join('\n'),
    );
    expect(stdout).toBe('');
    expect(exitCode).toBe(1);
  });

  test('a log that is not there is said so, with a stack when asked', async () => {
    const { exitCode, stderr } = await runCli(['topics', 'list', '--endpoint', 'http://127.0.0.1:1'], {
      MILLRACE_DEBUG: '1',
    });
    expect(stderr).toContain('millrace: http://127.0.0.1:1 cannot be reached: ECONNREFUSED\n  Start a log with');
    expect(stderr).toMatch(/\n {4}at /);
    expect(exitCode).toBe(1);
  });

  test('a port in use is said so', async () => {
    const port = new URL(env.MILLRACE_ENDPOINT ?? '').port;
    const { exitCode, stderr } = await cli(['dev', '--memory', '--port', port]);
    expect(stderr).toContain(`millrace: port ${port} on 127.0.0.1 is in use`);
    expect(exitCode).toBe(1);
  });

  test('an address that is not of this machine is said so, with advice for who runs a log', async () => {
    // A name that nobody knows (ENOTFOUND) brought the advice to start a log. This one needs no name server.
    const { exitCode, stderr } = await cli(['dev', '--memory', '--host', '192.0.2.1']);
    expect(stderr).toContain('millrace: cannot listen on 192.0.2.1:8092: ');
    expect(stderr).toContain('\n  Choose an address of this machine with --host');
    expect(exitCode).toBe(1);
  });

  test('a data folder in use is said so, and what it holds survives a restart', async () => {
    const data = join(dir, 'data');
    const args = ['dev', '--port', '0', '--json', '--data', data];
    const first = startCli(args);
    await urlOf(first);
    const { exitCode, stderr } = await cli(args);
    expect(stderr).toContain(`millrace: data folder ${data} is in use`);
    expect(exitCode).toBe(1);
    await cli(['topics', 'create', 'kept', '--endpoint', await urlOf(first)]);
    first.child.kill('SIGINT');
    expect((await first.done).exitCode).toBe(0);

    const second = startCli(args);
    const list = await cli(['topics', 'list', '--json', '--endpoint', await urlOf(second)]);
    expect(list.stdout).toContain('"topic":"kept"');
    second.child.kill('SIGINT');
    expect((await second.done).exitCode).toBe(0);
  });
});

// Nothing was written: who was told that the server's log has the details looked for it in vain.
test('a server tells of what somebody has to act on, one JSON object a line', async () => {
  const data = join(dir, 'damaged');
  const server = startCli(['dev', '--port', '0', '--json', '--data', data]);
  const endpoint = await urlOf(server);
  await cli(['topics', 'create', 'orders', '--endpoint', endpoint]);
  await cli(['produce', 'orders', '--endpoint', endpoint], 'a value to find\n');
  const volume = join(data, 'volumes', '0000000001.vol');
  const at = (await readFile(volume)).indexOf('a value to find');
  const file = await open(volume, 'r+');
  await file.write('A', at);
  await file.close();

  const read = await cli(['consume', 'orders', '--endpoint', endpoint]);
  expect(read.stderr).toMatch(/^millrace: stored batch at offset 0 is damaged/);
  expect(read.exitCode).toBe(1);
  server.child.kill('SIGINT');
  const { stderr, exitCode } = await server.done;
  const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      level: 'error',
      message: 'request failed',
      error: { name: 'LogError', message: expect.stringMatching(/^stored batch at offset 0 is damaged/) },
    });
  }
  expect(exitCode).toBe(0);
});

test('topics are created, listed, described, altered and deleted', async () => {
  const topic = `topic-${randomUUID()}`;
  const created = await cli(['topics', 'create', topic, '--partitions', '2', '--config', 'max.message.bytes=5000']);
  expect(created).toEqual({ exitCode: 0, stdout: '', stderr: `created topic ${topic} with 2 partitions\n` });
  const again = await cli(['topics', 'create', topic]);
  expect(again.stderr).toContain('TOPIC_ALREADY_EXISTS');
  expect(again.exitCode).toBe(1);

  const list = await cli(['topics', 'list']);
  expect(list.stdout).toMatch(new RegExp(`^TOPIC +PARTITIONS +CONFIG\n(.*\n)*${topic} +2 +max.message.bytes=5000\n`));

  const altered = await cli(['topics', 'alter', topic, '--partitions', '3', '--unset', 'max.message.bytes', '--json']);
  const { config, partitions } = JSON.parse(altered.stdout);
  expect(config['max.message.bytes']).toEqual({ value: '1048588', source: 'default' });
  expect(partitions).toHaveLength(3);

  const described = await cli(['topics', 'describe', topic]);
  expect(described.stdout).toContain(`topic     ${topic}\n`);
  expect(described.stdout).toMatch(/\n {8}2 +0 +0 +0\n$/);

  expect((await cli(['topics', 'delete', topic, '--yes'])).exitCode).toBe(0);
  expect((await cli(['topics', 'list', '--json'])).stdout).not.toContain(topic);
});

describe('what was produced is consumed', () => {
  test('lines with keys and headers, and back as text, by a format, and as JSON', async () => {
    const topic = await makeTopic();
    const produced = await cli(
      ['produce', topic, '-K', ':', '--header', 'source=test', '-H', 'flag', '-Z'],
      'a:1\nb:2:3\r\nno key\nc:',
    );
    expect(produced.stderr).toMatch(/^4 records stored: partition 0 offsets 0 to 3; \d+ B in \d+ ms, .*\/s\n$/);
    expect(produced).toMatchObject({ exitCode: 0, stdout: '' });

    expect(await cli(['consume', topic])).toEqual({ exitCode: 0, stderr: '', stdout: '1\n2:3\r\nno key\n\n' });
    const format = await cli(['consume', topic, '--from', '1', '--format', '%p:%o %k %K %S %h\\n']);
    expect(format.stdout).toBe(
      '0:1 b 1 4 source=test,flag=NULL\n0:2  -1 6 source=test,flag=NULL\n0:3 c 1 -1 source=test,flag=NULL\n',
    );

    const json = await cli(['consume', topic, '--from', '-1', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({
      partition: 0,
      offset: 3,
      timestamp: expect.any(Number),
      key: 'c',
      value: null,
      headers: [
        ['source', 'test'],
        ['flag', null],
      ],
    });
  });

  test('JSON lines, into the partitions they name, and a copy of them', async () => {
    const topic = await makeTopic(2);
    const lines = [
      {
        key: 'k',
        value: { a: [1, null] },
        headers: [['h', { base64: '/w==' }]],
        timestamp: 1_700_000_000_000,
        partition: 1,
      },
      { valueBase64: '/w==', partition: 0 },
    ];
    const text = lines.map((line) => JSON.stringify(line)).join('\n');
    expect((await cli(['produce', topic, '--json', '--compression', 'zstd'], text)).exitCode).toBe(0);
    const first = await cli(['consume', topic, '--json', '--partition', '1']);
    expect(JSON.parse(first.stdout)).toEqual({ ...lines[0], value: '{"a":[1,null]}', offset: 0 });

    const all = (await cli(['consume', topic, '--json'])).stdout;
    expect((await cli(['produce', topic, '--json'], all)).exitCode).toBe(0);
    const copies = await cli(['consume', topic, '--json', '--from', '1']);
    const withoutOffset = (stdout: string) =>
      stdout
        .replaceAll(/"offset":\d+/g, '')
        .split('\n')
        .sort();
    expect(withoutOffset(copies.stdout)).toEqual(withoutOffset(all));
  });

  test('files in their order, and their records by offset and by time', async () => {
    const topic = await makeTopic();
    const json = (time: number) => `${JSON.stringify({ value: `at ${time}`, timestamp: time })}\n`;
    const files = [await makeFile('one', json(1000) + json(2000)), await makeFile('two', json(3000))];
    expect((await cli(['produce', topic, '--json', ...files])).exitCode).toBe(0);
    expect((await cli(['consume', topic, '--from', '@1500'])).stdout).toBe('at 2000\nat 3000\n');
    const max = await cli(['consume', topic, '--max', '2']);
    expect(max).toEqual({ exitCode: 0, stdout: 'at 1000\nat 2000\n', stderr: 'partition 0: next offset 2\n' });

    const offsets = await cli(['offsets', topic, '--at', 'max']);
    expect(offsets.stdout).toBe(
      'PARTITION  EARLIEST  LATEST  COUNT  OFFSET  TIMESTAMP\n        0         0       3      3       2  1970-01-01T00:00:03.000Z\n',
    );
    expect(JSON.parse((await cli(['offsets', topic, '--json'])).stdout)).toEqual({
      topic,
      partitions: [{ partition: 0, earliest: 0, latest: 3, count: 3 }],
    });

    const beyond = await cli(['consume', topic, '--from', '4']);
    expect(beyond.stderr).toContain('offset 4 is not in partition 0, which has offsets from 0 to 3');
    expect(beyond.exitCode).toBe(1);
  });
});

describe('a line that cannot be stored', () => {
  test('is named with its file, and so is how much was stored before it', async () => {
    const topic = await makeTopic();
    const file = await makeFile('bad', '{"value":"1"}\n{"value":"2"}\n{bad\n{"value":"4"}\n');
    const { exitCode, stderr } = await cli(['produce', topic, '--json', file]);
    expect(stderr).toBe(
      [
        `millrace: ${file} line 3: it is not JSON: "{bad"; 2 records stored: partition 0 offsets 0 to 1`,
        '  Correct the line and go on from it; every line before it is stored.',
        '',
      ].join('\n'),
    );
    expect(exitCode).toBe(1);
    expect((await cli(['consume', topic])).stdout).toBe('1\n2\n');
  });

  test('because it is too long is not read to its end', async () => {
    const topic = await makeTopic();
    const { exitCode, stderr } = await cli(['produce', topic], `short\n${'x'.repeat(1_100_000)}\n`);
    expect(stderr).toContain('standard input line 2: line is longer than 1048588 bytes; 1 record stored');
    expect(exitCode).toBe(1);
  });

  test('because the log refuses it is named too', async () => {
    const topic = await makeTopic();
    const { exitCode, stderr } = await cli(['produce', topic], `short\n${'x'.repeat(1_048_580)}\n`);
    expect(stderr).toContain('standard input line 2: ');
    expect(stderr).toContain('MESSAGE_TOO_LARGE, effect: none');
    expect(exitCode).toBe(1);
  });

  test('because its file is missing stops before anything is stored', async () => {
    const topic = await makeTopic();
    const { exitCode, stderr } = await cli(['produce', topic, await makeFile('there', 'x\n'), join(dir, 'missing')]);
    expect(stderr).toBe(`millrace: cannot read ${join(dir, 'missing')}: there is no such file\n`);
    expect(exitCode).toBe(1);
    expect((await cli(['consume', topic])).stdout).toBe('');
  });
});

describe('an end before the end', () => {
  test('a follower prints what comes, and says on Ctrl-C where to go on', async () => {
    const topic = await makeTopic();
    await cli(['produce', topic], 'before\n');
    const follower = startCli(['consume', topic, '--follow', '--json'], env);
    await follower.printed('"before"');
    await cli(['produce', topic], 'after\n');
    await follower.printed('"after"');
    follower.child.kill('SIGINT');
    const { exitCode, stdout, stderr } = await follower.done;
    expect(stdout.split('\n')).toHaveLength(3);
    expect(stderr).toBe('partition 0: next offset 2\n');
    expect(exitCode).toBe(0);
  });

  test('Ctrl-C ends a consumer that looks for where to begin', async () => {
    // The look-up of offsets did not hear of it, and ended after its 30 s.
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const partitions = [{ partition: 0, logStartOffset: 0, highWatermark: 1 }];
    const endpoint = await listen((request, response) => {
      if (request.url?.includes('/offsets?') === true) asked();
      else response.end(JSON.stringify({ topic: 'orders', partitions }));
    });
    const consumer = startCli(['consume', 'orders', '--from', '-1h', '--endpoint', endpoint]);
    await isAsked;
    consumer.child.kill('SIGINT');
    expect(await consumer.done).toEqual({ exitCode: 1, stdout: '', stderr: 'millrace: interrupted\n' });
  });

  test('an interrupted producer stores what it took, and says how far it came', async () => {
    const topic = await makeTopic();
    const producer = startCli(['produce', topic], env);
    const follower = startCli(['consume', topic, '--follow'], env);
    producer.child.stdin?.write('one\ntwo\nthr');
    await follower.printed('two');
    producer.child.kill('SIGINT');
    const { exitCode, stderr } = await producer.done;
    expect(stderr).toBe(
      'millrace: interrupted in standard input after line 2; 2 records stored: partition 0 offsets 0 to 1\n',
    );
    expect(exitCode).toBe(1);
    follower.child.kill('SIGINT');
    expect((await follower.done).stdout).toBe('one\ntwo\n');
  });

  test('a reader that goes away, like head, ends a consumer quietly', async () => {
    const topic = await makeTopic();
    await cli(['produce', topic], 'some value of some length\n'.repeat(20_000));
    const consumer = startCli(['consume', topic], env);
    const { stdout } = consumer.child;
    if (stdout !== null) await once(stdout, 'data');
    stdout?.destroy();
    const { exitCode, stderr } = await consumer.done;
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
  });
});

test('a large file runs both ways in bounded memory', async () => {
  const topic = await makeTopic(4);
  const path = join(dir, 'large');
  const file = await open(path, 'w');
  const lineCount = 25_000;
  const block = `${'x'.repeat(1999)}\n`.repeat(1000);
  for (let written = 0; written < lineCount; written += 1000) await file.write(block);
  await file.close();

  // Tells its peak resident memory, in KiB, as the last thing it does.
  const tellPeak = encodeURIComponent(
    'process.on("exit",()=>process.stderr.write("peak "+process.resourceUsage().maxRSS))',
  ).replaceAll("'", '%27');
  const small = { ...env, NODE_OPTIONS: `--max-old-space-size=64 --import=data:text/javascript,${tellPeak}` };
  const { exitCode, stderr } = await runCli(['produce', topic, path, '--progress'], small);
  expect(stderr).toContain('25,000 records stored');
  expect(exitCode).toBe(0);
  const peakKiB = Number(/peak (\d+)/.exec(stderr)?.[1]);
  // Node alone takes some 60 MiB, and the heap may have 64; the file has 50 MB.
  expect(peakKiB).toBeGreaterThan(0);
  expect(peakKiB).toBeLessThan(220 * 1024);

  const consumed = await runCli(['consume', topic, '--format', '%S\\n', '--progress'], small);
  expect(consumed.stdout).toBe('1999\n'.repeat(lineCount));
  expect(Number(/peak (\d+)/.exec(consumed.stderr)?.[1])).toBeLessThan(220 * 1024);
});
