// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import Srf from 'drachtio-srf';
import { RoleProcess } from '../../roles/process.ts';
import { scrape, total } from '../../support/metrics.ts';
import { Sipp } from '../../support/sipp.ts';

const SIP = '127.0.0.1:17860';
const METRICS = '127.0.0.1:17865';
const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 17864 RTP/AVP 0\r\n';

describe('causeway engine', function () {
  this.timeout(20_000);
  let folder: string;
  let role: RoleProcess;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-engine-'));
    const control = ['--control', '127.0.0.1:17861', '--control-tls', '127.0.0.1:17862', '--secret', 'of this test'];
    const rest = ['--metrics', METRICS, '--data-dir', folder];
    role = new RoleProcess(['engine', '--sip', `udp:${SIP},tcp:${SIP}`, ...control, ...rest]);
    const { listen } = await role.ready('engine');
    assert.equal(listen['control'], 'tcp:127.0.0.1:17861');
    assert.equal(listen['controlTls'], 'tls:127.0.0.1:17862');
  });
  after(async () => {
    role.kill('SIGTERM');
    assert.deepEqual(await role.ended, { status: 0, signal: null });
    assert.equal(role.errors, '');
    await role[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [how, options] of [
    ['plainly', () => ({ port: 17861 })],
    ['by TLS', () => ({ port: 17862, tls: { ca: readFileSync(join(folder, 'tls/ca.pem')), servername: 'localhost' } })],
  ] as const) {
    it(`serves an application that connects ${how}: ten calls of SIPp, over UDP and TCP`, async () => {
      const srf = new Srf();
      try {
        let ended = 0;
        srf.invite((req, res) => {
          void srf.createUAS(req, res, { localSdp: SDP }).then((dialog) => dialog.on('destroy', () => ended++));
        });
        await new Promise<void>((resolve, reject) => {
          srf.on('connect', (error: Error | null) => (error ? reject(error) : resolve()));
          srf.on('error', reject);
          srf.connect({ host: '127.0.0.1', secret: 'of this test', ...options() } as never);
        });
        for (const transport of ['u1', 't1']) {
          const uac = ['-sn', 'uac', '-t', transport, '-i', '127.0.0.1', '-p', '17863', '-mp', '17864'];
          await using caller = new Sipp([...uac, '-m', '5', '-r', '10', '-d', '50', SIP]);
          const { status, successful, errors } = await caller.finished;
          assert.deepEqual([status, successful], [0, 5], errors);
        }
        assert.equal(ended, 10);
        const samples = await scrape(METRICS);
        assert.equal(total(samples, 'causeway_sip_apps'), 1);
        assert.equal(total(samples, 'causeway_sip_dialogs'), 0);
      } finally {
        srf.disconnect();
      }
    });
  }
});
