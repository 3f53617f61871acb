import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Transport, type TransportRequest, wrapTransport } from '../../lib/client/transport.ts';
import { httpTransport } from '../../lib/client/transport-http.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { LogError } from '../../lib/errors.ts';
import { openEmbeddedLog } from '../../lib/server/embedded.ts';
import { type Server, startServer } from '../../lib/server/server.ts';
import { reportHtml } from '../../lib/verify/report-html.ts';
import { type VerifyOptions, type VerifyProgress, type VerifyReport, verifyLog } from '../../lib/verify/verify.ts';
import { type RunningCli, runCli, startCli } from '../cli/run-cli.ts';
import { type Fault, startBrokenServer } from './broken-server.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer({ log: await openEmbeddedLog({ memory: true }), port: 0 });
});
afterAll(() => server.close());

async function verifyThrough(
  fault: Fault,
  { isChaotic = false, hasGroups = false, durationMs = 1_000 } = {},
): Promise<{ report: VerifyReport; faultCount: number }> {
  const proxy = await startBrokenServer(server.url, fault);
  const transport = httpTransport({ endpoint: proxy.url });
  try {
    const report = await verifyLog({
      transport,
      clock: systemClock,
      seed: 1,
      durationMs,
      partitionCount: 2,
      isChaotic,
      hasGroups,
    });
    return { report, faultCount: proxy.faultCount() };
  } finally {
    await transport.close();
    await proxy.close();
  }
}

type Send = (request: TransportRequest) => ReturnType<Transport>;

/** Of the honest log, on a way there that `send` stands in, which knows how far the run is. */
async function verifyOver(
  send: (request: TransportRequest, inner: Send, phase: VerifyProgress['phase']) => ReturnType<Transport>,
  others: Partial<VerifyOptions> = {},
): Promise<VerifyReport> {
  let phase: VerifyProgress['phase'] = 'working';
  const inner = httpTransport({ endpoint: server.url });
  const transport = wrapTransport(inner, (request) => send(request, inner, phase));
  const work = { seed: 1, durationMs: 1_000, partitionCount: 2, isChaotic: false, hasGroups: false };
  const onProgress = (progress: VerifyProgress) => {
    phase = progress.phase;
  };
  try {
    return await verifyLog({ transport, clock: systemClock, ...work, onProgress, ...others });
  } finally {
    await inner.close();
  }
}

/** All that the server has of them. */
async function namesOf(what: 'topics' | 'groups'): Promise<string[]> {
  const transport = httpTransport({ endpoint: server.url });
  const { body } = await transport({ method: 'GET', path: `/v1/${what}`, headers: {}, timeoutMs: 5_000 });
  await transport.close();
  return JSON.parse(Buffer.from(body).toString())[what];
}

const invariantsOf = (report: VerifyReport) => new Set(report.violations.map(({ invariant }) => invariant));

describe('verify', () => {
  test('passes an honest log, groups and chaos and all, and leaves nothing behind', async () => {
    const { report } = await verifyThrough('none', { isChaotic: true, hasGroups: true, durationMs: 8_000 });
    expect(report).toMatchObject({ verdict: 'passed', doubts: [], violations: [], leftTopics: [], leftGroups: [] });
    expect(report.groups).toHaveLength(2);
    expect(report.evidence.ackedRecords).toBeGreaterThan(100);
    expect(report.evidence.readRecords).toBeGreaterThan(report.evidence.ackedRecords);
    expect(report.evidence.cutConnections).toBeGreaterThan(0);
    expect(await namesOf('topics')).toEqual([]);
    expect(await namesOf('groups')).toEqual([]);
  }, 60_000);

  test('finds an offset that was committed and forgotten', async () => {
    const { report, faultCount } = await verifyThrough('forget', { hasGroups: true });
    expect(faultCount).toBeGreaterThan(0);
    expect(report.verdict).toBe('failed');
    expect(invariantsOf(report)).toContain('committedOffsetsAreTheLast');
  }, 60_000);

  // It took every session for over at any time, since it had said nothing of the clocks.
  test('finds a partition that two members of a group have', async () => {
    const { report, faultCount } = await verifyThrough('share', { hasGroups: true });
    expect(faultCount).toBeGreaterThan(0);
    expect(report.verdict).toBe('failed');
    expect(invariantsOf(report)).toContain('partitionsAreHandedOver');
  }, 60_000);

  test('finds a batch that was acked and dropped', async () => {
    const { report, faultCount } = await verifyThrough('drop');
    expect(faultCount).toBeGreaterThan(0);
    expect(report.verdict).toBe('failed');
    expect(invariantsOf(report)).toContain('ackedIsReadable');
  });

  test('finds a batch that was appended twice', async () => {
    const { report, faultCount } = await verifyThrough('repeat');
    expect(faultCount).toBeGreaterThan(0);
    expect(report.verdict).toBe('failed');
    expect(invariantsOf(report)).toContain('nothingAppearsTwice');
    expect(await namesOf('topics')).toEqual([]);
  });

  test('finds batches that changed places', async () => {
    const { report, faultCount } = await verifyThrough('reorder');
    expect(faultCount).toBeGreaterThan(0);
    expect(report.verdict).toBe('failed');
    expect(invariantsOf(report)).toContain('ackedIsReadable');
    // Every anomaly is drawn, with those who took part in it.
    const html = reportHtml(report, 'http://example.invalid/<a>');
    expect(html).toContain('millrace verify: <b>failed</b>');
    expect(html).toContain('http://example.invalid/&lt;a&gt;');
    expect(html.match(/<svg/g)).toHaveLength(Math.min(20, report.violations.length));
  });

  // The read that must come to the end began anew in the session of the one that had failed, and so went back.
  test('passes an honest log that fails once while it is read to its end', async () => {
    let fetchCount = 0;
    const report = await verifyOver(
      async (request, inner, phase) => {
        if (phase !== 'reading' || !request.path.endsWith('/fetch')) return await inner(request);
        if (++fetchCount === 3) throw new LogError('REQUEST_TIMED_OUT', 'no answer');
        const asked = { ...JSON.parse(Buffer.concat(request.body ?? []).toString()), maxBytes: 10_000 };
        return await inner({ ...request, body: [Buffer.from(JSON.stringify(asked))] });
      },
      { durationMs: 3_000 },
    );
    expect(fetchCount).toBeGreaterThan(3);
    expect(report).toMatchObject({ verdict: 'passed', doubts: [], violations: [] });
  });

  // What it had acked was said to be lost, since nobody read it.
  test('proves nothing of a log that stops answering', async () => {
    const report = await verifyOver(async (request, inner, phase) => {
      if (phase === 'reading') throw new LogError('REQUEST_TIMED_OUT', 'no answer');
      return await inner(request);
    });
    expect(report.violations).toEqual([]);
    expect(report.verdict).toBe('unproven');
    expect(report.doubts[0]).toMatch(/could not be read to their ends, such as \S+: (failed|unknown) [A-Z_]+$/);
  }, 30_000);

  // All that was asked for were records that were acked.
  test('proves nothing of what a log never answered', async () => {
    const isByTime = ({ method, path }: TransportRequest) => method === 'GET' && path.endsWith('/offsets');
    const report = await verifyOver(
      async (request, inner) => {
        if (isByTime(request)) throw new LogError('KAFKA_STORAGE_ERROR', 'not now');
        return await inner(request);
      },
      { durationMs: 3_000 },
    );
    const doubts = ['only 0 offsets were found by time, and fewer than 3 tell little'];
    expect(report).toMatchObject({ verdict: 'unproven', doubts, violations: [] });
  });

  test('deletes its topics also where its groups cannot be deleted', async () => {
    const report = await verifyOver(
      async (request, inner) => {
        if (request.method !== 'DELETE' || request.path.startsWith('/v1/topics')) return await inner(request);
        throw new LogError('KAFKA_STORAGE_ERROR', 'not now');
      },
      { hasGroups: true, signal: AbortSignal.timeout(200) },
    );
    expect(report.leftTopics).toEqual([]);
    expect(report.leftGroups).toEqual(report.groups);
  }, 60_000);

  // It went on for minutes: requests of 30 s each, deliveries of 120 s, a hundred rounds of a group.
  test.each([
    ['that is silent from some time on', (_: TransportRequest, count: number) => count > 200],
    ['that gives nobody a producer id', ({ path }: TransportRequest) => path === '/v1/producers'],
  ])(
    'is over a minute after its work with a log %s',
    async (_, isSilent) => {
      const speed = 20;
      const startMs = Date.now();
      const nowMs = () => startMs + (Date.now() - startMs) * speed;
      const clock: Clock = { nowMs, sleep: (ms, signal) => systemClock.sleep(ms / speed, signal) };
      let count = 0;
      const report = await verifyOver(
        async (request, inner) => {
          if (!isSilent(request, count++)) return await inner(request);
          await clock.sleep(request.timeoutMs, request.signal);
          request.signal?.throwIfAborted();
          throw new LogError('REQUEST_TIMED_OUT', 'no answer');
        },
        { clock, durationMs: 20_000, hasGroups: true },
      );
      expect(report).toMatchObject({ verdict: 'unproven', violations: [] });
      // What the machine takes for itself counts twenty times.
      expect(nowMs() - startMs).toBeLessThan(20_000 + 60_000 + 20_000);
    },
    30_000,
  );

  // Its last members were there for 45 s more, and groups that have members cannot be deleted.
  test('leaves no group behind when it is interrupted while groups are read', async () => {
    const interrupt = new AbortController();
    const report = await verifyOver(
      async (request, inner, phase) => {
        if (phase === 'reading' && request.path.endsWith('/heartbeat')) interrupt.abort();
        return await inner(request);
      },
      { hasGroups: true, signal: interrupt.signal },
    );
    expect(report).toMatchObject({ verdict: 'unproven', leftTopics: [], leftGroups: [] });
  }, 60_000);

  test('proves nothing when it is interrupted', async () => {
    const transport = httpTransport({ endpoint: server.url });
    const work = { seed: 1, durationMs: 60_000, partitionCount: 1, isChaotic: false, hasGroups: false };
    const options = { transport, clock: systemClock, ...work };
    const report = await verifyLog({ ...options, signal: AbortSignal.timeout(500) });
    await transport.close();
    expect(report).toMatchObject({ verdict: 'unproven', doubts: expect.arrayContaining(['it was interrupted']) });
  });
});

describe('millrace verify', () => {
  test('ends with 0 for a log that kept its promises, and writes the reports asked for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-verify-'));
    try {
      const html = join(folder, 'report.html');
      const run = await runCli([
        'verify',
        '--endpoint',
        server.url,
        '--seconds',
        '8',
        '--seed',
        '7',
        '--json',
        '--html',
        html,
      ]);
      expect(run.stderr).toContain('kept every promise');
      expect(run.exitCode).toBe(0);
      expect(JSON.parse(run.stdout)).toMatchObject({ verdict: 'passed', seed: 7, violations: [], leftTopics: [] });
      expect(readFileSync(html, 'utf8')).toContain('millrace verify: <b>passed</b>');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 60_000);

  test('ends with 1 and tells what happened when a promise was broken, or nobody is there', async () => {
    const proxy = await startBrokenServer(server.url, 'repeat');
    const broken = await runCli(['verify', '--endpoint', proxy.url, '--seconds', '1']);
    await proxy.close();
    expect(broken.exitCode).toBe(1);
    expect(broken.stdout).toContain('nothingAppearsTwice');
    expect(broken.stderr).toContain('broke its promises');
    const nobody = await runCli(['verify', '--endpoint', proxy.url, '--seconds', '1']);
    expect(nobody.exitCode).toBe(1);
    expect(nobody.stderr).toContain('Start a log with "millrace dev"');
  });

  test('ends with 1 and names what it left behind', async () => {
    const proxy = await startBrokenServer(server.url, 'keep');
    const run = await runCli(['verify', '--endpoint', proxy.url, '--seconds', '3', '--no-groups']);
    await proxy.close();
    const left = /topic millrace-verify-\S+-0, topic millrace-verify-\S+-1/;
    expect(run.stdout).toMatch(left);
    expect(run.stderr).toMatch(left);
    expect(run.stderr).toContain('kept every promise');
    expect(run.exitCode).toBe(1);
  });

  /** Resolves when it has made its topics. */
  async function startVerify(...options: string[]): Promise<RunningCli> {
    const before = (await namesOf('topics')).length;
    const running = startCli(['verify', '--endpoint', server.url, ...options], {}, '');
    while ((await namesOf('topics')).length < before + 2) await systemClock.sleep(50);
    return running;
  }

  test('says that it cleans up when it is interrupted, and does', async () => {
    const before = await namesOf('topics');
    const { child, done } = await startVerify('--seconds', '60', '--no-groups');
    // As a terminal does that is closed.
    child.kill('SIGHUP');
    child.kill('SIGHUP');
    const { exitCode, stderr } = await done;
    expect(stderr).toContain('millrace: interrupted, cleaning up\n');
    expect(stderr).toContain('it was interrupted');
    expect(exitCode).toBe(1);
    expect(await namesOf('topics')).toEqual(before);
  }, 30_000);

  test('names what it may leave behind when it is interrupted once more', async () => {
    const { child, done } = await startVerify('--seconds', '60');
    child.kill('SIGINT');
    while (child.exitCode === null) {
      await systemClock.sleep(20);
      child.kill('SIGINT');
    }
    const { exitCode, stderr } = await done;
    expect(stderr).toMatch(
      /left behind, unless already deleted: topic \S+-0, topic \S+-1, group \S+-members, group \S+-consumers/,
    );
    expect(exitCode).toBe(130);
  }, 30_000);

  // It threw away all that it had found.
  test('prints what it found where its page cannot be written, and tries before it begins', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-verify-'));
    try {
      const nowhere = await runCli(['verify', '--endpoint', server.url, '--html', join(folder, 'none', 'report.html')]);
      expect(nowhere.stderr).toContain('cannot write');
      expect(nowhere).toMatchObject({ exitCode: 1, stdout: '' });
      const html = join(folder, 'report.html');
      const { done } = await startVerify('--seconds', '3', '--no-groups', '--html', html);
      rmSync(html);
      mkdirSync(html);
      const run = await done;
      expect(run.stdout).toContain('passed after');
      expect(run.stderr).toContain('cannot write');
      expect(run.exitCode).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 30_000);

  test('ends with 2 for what it cannot do', async () => {
    for (const seconds of ['long', '1801']) {
      const run = await runCli(['verify', '--seconds', seconds]);
      expect(run.exitCode).toBe(2);
    }
  });
});
