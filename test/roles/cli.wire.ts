// budget: 40 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { until } from '../support/until.ts';
import { RoleProcess } from './process.ts';

/** This file's ports: 17,700 to 17,799. */
const TAKEN = 17_790;
const folder = mkdtempSync(join(tmpdir(), 'causeway-cli-'));
const secret = join(folder, 'secret');
const dataDir = join(folder, 'data');
writeFileSync(secret, 'a secret\n');

const ROLES = {
  registry: ['--listen', '127.0.0.1:17700'],
  signaling: ['--sip', 'udp:127.0.0.1:17710,wss:127.0.0.1:17711', '--metrics', '127.0.0.1:17712'],
  media: [
    ...['--listen-ng', '127.0.0.1:17720', '--interface', '127.0.0.1', '--floor', 'auto', '--webrtc-port', '17721'],
    ...['--port-min', '17730', '--port-max', '17749', '--metrics', '127.0.0.1:17722'],
  ],
  engine: ['--sip', 'udp:127.0.0.1:17750,tcp:127.0.0.1:17750', '--control', '127.0.0.1:17751', '--secret-file', secret],
  'gateway-sim': ['--sip', '127.0.0.1:17760'],
} as const;

/** The same, with one of its ports taken by someone else. */
const COLLISIONS: readonly (readonly [string, readonly string[]])[] = [
  ['registry', ['--listen', `127.0.0.1:${TAKEN}`]],
  ['signaling', ['--sip', `udp:127.0.0.1:${TAKEN}`, '--metrics', '127.0.0.1:17712']],
  ['signaling', ['--sip', `udp:127.0.0.1:17710,tcp:127.0.0.1:${TAKEN}`, '--metrics', '127.0.0.1:17712']],
  ['signaling', ['--sip', 'udp:127.0.0.1:17710', '--metrics', `127.0.0.1:${TAKEN}`]],
  ['media', [...ROLES.media, '--listen-ng', `127.0.0.1:${TAKEN}`]],
  ['media', [...ROLES.media, '--webrtc-port', String(TAKEN)]],
  ['engine', [...ROLES.engine, '--control', `127.0.0.1:${TAKEN}`]],
  ['gateway-sim', ['--sip', `127.0.0.1:${TAKEN}`]],
];

describe('causeway ROLE', function () {
  this.timeout(20_000);
  const udp = createSocket('udp4');
  const tcp = createServer();

  before(async () => {
    await new Promise<void>((resolve) => udp.bind(TAKEN, '127.0.0.1', resolve));
    await new Promise<void>((resolve) => tcp.listen(TAKEN, '127.0.0.1', resolve));
  });

  after(async () => {
    await new Promise<void>((resolve) => udp.close(() => resolve()));
    await new Promise((resolve) => tcp.close(resolve));
    rmSync(folder, { recursive: true });
  });

  for (const [role, args] of Object.entries(ROLES)) {
    it(`${role} says where it serves under its own pid, and ends with 0 on SIGTERM`, async () => {
      await using child = new RoleProcess([role, ...args, '--data-dir', dataDir, '--log-level', 'error']);
      const ready = await child.ready(role === 'signaling' || role === 'media' ? `${role}-1` : role);
      assert.equal(ready.role, role);
      assert.equal(ready.pid, child.pid);
      assert.match(Object.values(ready.listen).join(' '), /127\.0\.0\.1:177\d\d/);
      const metrics = ready.listen['metrics'];
      if (metrics !== undefined) assert.match(await (await fetch(metrics)).text(), /^process_cpu_seconds_total/m);
      child.kill('SIGTERM');
      assert.deepEqual(await child.ended, { status: 0, signal: null }, child.errors);
      assert.equal(child.lines.length, 1);
      assert.equal(child.output.split('\n').length, 2, 'one line and no more');
    });
  }

  for (const [role, args] of COLLISIONS) {
    const which = args[args.findLastIndex((text) => text.includes(String(TAKEN))) - 1];
    it(`${role} says in one line that the port of ${which} is taken`, async () => {
      await using child = new RoleProcess([role, ...args, '--data-dir', dataDir, '--log-level', 'error']);
      const { status } = await child.ended;
      assert.equal(status, 1);
      const [line = '', ...more] = child.errors.trimEnd().split('\n');
      assert.match(line, new RegExp(`^causeway: cannot listen on .*127\\.0\\.0\\.1:${TAKEN}: .*(taken|in use)`));
      assert.deepEqual(more, []);
      assert.equal(child.output, '');
    });
  }

  for (const [what, args, line] of [
    ['no such role', ['sigalling'], /^causeway: there is no role "sigalling"; causeway --help lists them$/],
    ['no such flag', ['media', '--ports', '1'], /^causeway: Unknown option '--ports'; causeway media --help lists/],
    ['no such file', ['media', '--config', '/does/not/exist'], /^causeway: --config: cannot read "\/does\/not\/exist"/],
    ['the kernel floor', ['media', ...ROLES.media, '--floor', 'kernel'], /^causeway: media\.floor: found "kernel"/],
    ['no secret', ['engine', '--sip', 'udp:127.0.0.1:17750'], /^causeway: engine\.secretFile: found nothing/],
  ] as const) {
    it(`ends with a clear line when there is ${what}`, async () => {
      await using child = new RoleProcess([...args]);
      const { status } = await child.ended;
      assert.notEqual(status, 0);
      assert.match(child.errors.trimEnd(), line);
      assert.equal(child.errors.trimEnd().split('\n').length, 1);
    });
  }
});

describe('causeway up', function () {
  this.timeout(30_000);
  const ports = [17_770, 17_771, 17_772, 17_773, 17_774, 17_775];
  const home = mkdtempSync(join(tmpdir(), 'causeway-up-'));
  const config = join(home, 'pop.yaml');
  const up = ['up', '--config', config, '--data-dir', join(home, 'data')];

  before(() => {
    const registry = `http://127.0.0.1:${ports[0]}`;
    writeFileSync(
      config,
      JSON.stringify({
        publicAddress: '127.0.0.1',
        registry: { listen: `127.0.0.1:${ports[0]}` },
        signaling: [{ id: 's1', sip: [`udp:127.0.0.1:${ports[1]}`], metrics: `127.0.0.1:${ports[2]}`, registry }],
        media: [
          {
            ...{ id: 'm1', listenNg: `127.0.0.1:${ports[3]}`, webrtcPort: ports[4], portMin: 17_730, portMax: 17_749 },
            ...{ metrics: `127.0.0.1:${ports[5]}`, registry },
          },
        ],
      }),
    );
  });

  after(() => rmSync(home, { recursive: true }));

  it('starts a role again that dies, says so, and ends everything within two seconds', async () => {
    await using child = new RoleProcess(up);
    const { listen } = await child.ready('up');
    assert.equal(listen['registry.http'], `http://127.0.0.1:${ports[0]}`);
    const died = (await child.ready('m1')).pid;
    process.kill(died, 'SIGKILL');
    const again = await child.ready('m1', 2);
    assert.notEqual(again.pid, died);
    assert.match(child.errors, /m1 was ended by SIGKILL; starting it again/);
    const pids = new Set(child.lines.map(({ pid }) => pid));
    const asked = performance.now();
    child.kill('SIGINT');
    assert.deepEqual(await child.ended, { status: 0, signal: null });
    const took = performance.now() - asked;
    assert.ok(took < 2000, `${took.toFixed(0)} ms`);
    for (const pid of pids) assert.ok(!alive(pid), `${pid} is still there`);
  });

  it('is not ready when it was stopped while it started', async () => {
    await using child = new RoleProcess(up);
    await child.ready('registry');
    child.kill('SIGTERM');
    assert.deepEqual(await child.ended, { status: 0, signal: null });
    assert.ok(!child.lines.some(({ id }) => id === 'up'), child.output);
  });

  it('leaves nothing behind when it is killed', async () => {
    await using child = new RoleProcess(up);
    await child.ready('up');
    child.kill('SIGKILL');
    await child.ended;
    for (const { pid, id } of child.lines) await until(`${id} is gone`, () => !alive(pid));
  });

  it('ends with the line of the role that cannot start', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(ports[5], '127.0.0.1', resolve));
    try {
      await using child = new RoleProcess(up);
      assert.equal((await child.ended).status, 1);
      assert.match(child.errors, new RegExp(`cannot listen on metrics 127\\.0\\.0\\.1:${ports[5]}: the port is taken`));
      assert.match(child.errors, /m1 ended with status 1 before it served/);
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
