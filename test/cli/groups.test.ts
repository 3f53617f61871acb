import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileCacheDir, type RunningCli, runCli, startCli } from './run-cli.ts';

let dev: RunningCli;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  dev = startCli(['dev', '--port', '0', '--memory', '--json']);
  const { url } = JSON.parse(await dev.printed('\n')) as { url: string };
  env = { MILLRACE_ENDPOINT: url };
});

afterAll(async () => {
  dev.child.kill('SIGTERM');
  await dev.done;
  await rm(compileCacheDir, { recursive: true, force: true });
});

const cli = (args: readonly string[], stdin = '') => runCli(args, env, stdin);

/** A topic with the values a to j in one partition, and a group that nobody is in. */
async function makeTopic(): Promise<{ topic: string; group: string }> {
  const topic = `topic-${randomUUID()}`;
  await cli(['topics', 'create', topic, '--partitions', '1']);
  await cli(['produce', topic], 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n');
  return { topic, group: `group-${randomUUID()}` };
}

test('a member goes on where the one before it ended, and says what it was assigned', async () => {
  const { topic, group } = await makeTopic();
  const consume = (...args: string[]) => cli(['consume', topic, '--group', group, ...args]);
  const first = await consume('--max', '4', '--no-progress');
  expect(first).toMatchObject({ exitCode: 0, stdout: 'a\nb\nc\nd\n' });
  expect(first.stderr).toContain('assigned: 0\n');
  expect(first.stderr).toContain('revoked: 0\npartition 0: committed offset 4\n');
  expect((await consume('--format', '%o %s\n')).stdout).toBe('4 e\n5 f\n6 g\n7 h\n8 i\n9 j\n');
  expect(await consume()).toMatchObject({ exitCode: 0, stdout: '' });
});

test('a member that follows commits and leaves at Ctrl-C', async () => {
  const { topic, group } = await makeTopic();
  const running = startCli(['consume', topic, '--group', group, '--follow'], env);
  await running.printed('j\n');
  const busy = await cli(['groups', 'reset', group, '--topic', topic, '--to', 'earliest']);
  expect(busy.exitCode).toBe(1);
  expect(busy.stderr).toContain(
    'has 1 member, and can be reset only when it has none\n  Stop the members of the group first;',
  );
  const during = await cli(['groups', 'describe', group]);
  const uuid = '[0-9a-f-]{36}';
  expect(during.stdout).toMatch(
    new RegExp(
      [
        `^group     ${group}\nstate     STABLE\nassignor  uniform\nepoch     1\nlag       (0|0, and 1 partition without a committed offset)\n\n`,
        'MEMBER +INSTANCE +STATE +EPOCH +PARTITIONS +SEEN\n',
        `${uuid}  - +STABLE +1 +1  \\d{4}-\\S+Z\n\n`,
        'TOPIC +PARTITION +COMMITTED +HIGH WATERMARK +LAG +MEMBER\n',
        `${topic} +0 +(\\d+|-) +10 +(\\d+|-) +${uuid}\n$`,
      ].join(''),
    ),
  );
  running.child.kill('SIGINT');
  const ended = await running.done;
  expect(ended).toMatchObject({ exitCode: 0, stdout: 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n' });
  expect(ended.stderr).toContain('revoked: 0\npartition 0: committed offset 10\n');
  const { stdout } = await cli(['groups', 'describe', group, '--json']);
  const described = JSON.parse(stdout) as { state: string; members: object[]; partitions: object[] };
  expect(described).toMatchObject({ groupId: group, state: 'EMPTY', members: [] });
  expect(described.partitions).toMatchObject([{ topic, partition: 0, committedOffset: 10, lag: 0 }]);
});

test('groups are listed, described, watched, reset and deleted', async () => {
  const { topic, group } = await makeTopic();
  await cli(['consume', topic, '--group', group]);

  const listed = await cli(['groups', 'list', '--json']);
  const { groups } = JSON.parse(listed.stdout) as { groups: { groupId: string }[] };
  expect(groups.find(({ groupId }) => groupId === group)).toMatchObject({ memberCount: 0 });
  expect((await cli(['groups', 'list'])).stdout).toMatch(
    new RegExp(`^GROUP +MEMBERS +EPOCH\\n(.*\\n)*${group} +0 +\\d+\\n`),
  );

  const reset = await cli(['groups', 'reset', group, '--topic', topic, '--to', '-3']);
  expect(reset.stdout).toBe(
    `TOPIC${' '.repeat(topic.length - 3)}PARTITION  COMMITTED\n${topic}          0          7\n`,
  );
  const described = await cli(['groups', 'describe', group]);
  expect(described.stdout).toContain(`group     ${group}\nstate     EMPTY\n`);
  expect(described.stdout).toContain('\nlag       3\n');
  expect(described.stdout).toMatch(/TOPIC +PARTITION +COMMITTED +HIGH WATERMARK +LAG +MEMBER\n\S+ +0 +7 +10 +3 +-\n/);
  const asJson = await cli(['groups', 'reset', group, '--topic', topic, '--to', '-3', '--partition', '0', '--json']);
  expect(JSON.parse(asJson.stdout)).toMatchObject({ group, offsets: [{ topic, partition: 0, offset: 4 }] });
  await cli(['groups', 'reset', group, '--topic', topic, '--to', '+3']);
  expect((await cli(['consume', topic, '--group', group])).stdout).toBe('h\ni\nj\n');

  const watching = startCli(['groups', 'describe', group, '--watch', '--interval', '1', '--json'], env);
  await watching.printed('"lag":0');
  await cli(['produce', topic], 'k\n');
  await watching.printed('"lag":1');
  watching.child.kill('SIGINT');
  expect((await watching.done).exitCode).toBe(0);

  expect(await cli(['groups', 'delete', group])).toEqual({
    exitCode: 0,
    stdout: '',
    stderr: `deleted group ${group}\n`,
  });
  const gone = await cli(['groups', 'describe', group]);
  expect(gone).toMatchObject({ exitCode: 1, stdout: '' });
  expect(gone.stderr).toContain(`millrace: group ${group} does not exist`);
});

test.each([
  [['consume', 'orders', '--group', 'no pe'], 'group id "no pe" is not allowed'],
  [['consume', 'orders', '--group', 'g', '--from', '41'], 'with --group, --from takes earliest, latest or a time'],
  [['consume', 'orders', '--group', 'g', '--partition', '0'], "cannot be used with option '-p, --partition"],
  [['consume', 'orders', '--group', 'g', '--progress'], '--progress has no meaning with --group'],
  [['consume', 'orders', '--instance', 'one'], '--instance is for members; give --group too'],
  [['groups', 'describe', 'g', '--interval', '5'], '--interval is for --watch; give it too'],
  [['groups', 'list', '--interval', '5'], "unknown option '--interval'"],
  [['groups', 'reset', 'g', '--to', 'earliest'], "required option '--topic <topic>' not specified"],
  [['consume', 'orders', '--group', 'g', '--from', '@9000000000000000'], 'use milliseconds up to @8640000000000000'],
  [['groups', 'reset', 'g', '--topic', 'orders', '--to', '@9000000000000000'], 'use milliseconds up to @86400'],
  [['groups', 'reset', 'g', '--topic', 'orders', '--to', '41'], 'use earliest, latest, +10, -10, or a time'],
])('%j exits with 2 and says why', async (args, message) => {
  const { exitCode, stdout, stderr } = await cli(args);
  expect(stderr).toContain(message);
  expect(stdout).toBe('');
  expect(exitCode).toBe(2);
});

test('a member that left for a while is told of, and its group is deleted when its session is over', async () => {
  const { topic, group } = await makeTopic();
  const path = `${env.MILLRACE_ENDPOINT}/v1/groups/${group}/heartbeat`;
  const beat = async (body: object) => {
    const headers = { 'content-type': 'application/json' };
    const member = { memberId: 'm1', instanceId: 'one', topics: [topic], sessionTimeoutMs: 6_000 };
    const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify({ ...member, ...body }) });
    expect(answer.status).toBe(200);
  };
  await beat({ memberEpoch: 0 });
  await beat({ memberEpoch: -2 });
  const described = await cli(['groups', 'describe', group]);
  expect(described.stdout).toMatch(/\nm1 +one +AWAY +0 +0 {2}\S+Z\n/);
  const refused = await cli(['groups', 'delete', group]);
  expect(refused.stderr).toMatch(/ has 1 member, away until \S+Z, and can be deleted only when it has none\n/);
  await expect
    .poll(() => cli(['groups', 'delete', group, '--json']), { timeout: 15_000, interval: 1_000 })
    .toEqual({ exitCode: 0, stdout: `{"group":"${group}","deleted":true}\n`, stderr: '' });
}, 30_000);

test.each(['list', 'describe', 'reset', 'delete'])('help of groups %s says what it is for', async (name) => {
  const { exitCode, stdout } = await cli(['groups', name, '--help']);
  expect(exitCode).toBe(0);
  expect(stdout).toContain(`Usage: millrace groups ${name} [options]`);
  expect(stdout).toContain('\nExamples:\n');
  expect(stdout).toContain('--json');
});

test('an unknown topic exits with 1, and no group is made', async () => {
  const { exitCode, stderr } = await cli(['consume', 'nowhere', '--group', 'nobody']);
  expect(stderr).toContain('millrace: topic nowhere does not exist\n');
  expect(exitCode).toBe(1);
  expect((await cli(['groups', 'list', '--json'])).stdout).not.toContain('nobody');
});
