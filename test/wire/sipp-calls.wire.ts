// budget: 60 s
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { Softphone } from '../support/browser.ts';
import { ACCOUNTS, Pop, scenario } from '../support/pop.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { Sipp } from '../support/sipp.ts';
import { TlsForwarder } from '../support/tls-forwarder.ts';
import { until } from '../support/until.ts';

const [ALICE, BOB] = ACCOUNTS;

describe('calls with SIPp', function () {
  this.timeout(60_000);
  let pop: Pop;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-sipp-files-'));
    pop = await Pop.start({ base: 13_100, mediaBase: 22_100, gateway: 'external' });
  });

  after(async () => {
    await pop?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function file(name: string, text: string): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  it('a browser calls SIPp as the gateway, which sends the audio back', async () => {
    await using gateway = new Sipp([
      ...['-sf', file('gateway.xml', scenario('gateway')), '-i', '127.0.0.1', '-p', String(pop.ports.gateway)],
      ...['-mi', '127.0.0.1', '-mp', '30600', '-rtp_echo', '-m', '1'],
    ]);
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('+15551234');
    await alice.callState('talking');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const early = await alice.stats();
    const decibels = await alice.tone(880);
    assert.ok(decibels > 20, `${decibels.toFixed(1)} dB`);
    const late = await alice.stats();
    assert.ok((late.concealed - early.concealed) / (late.total - early.total) <= 0.01);
    await alice.page.click('#hang-up');
    const result = await gateway.finished;
    assert.deepEqual([result.status, result.successful, result.failed], [0, 1, 0], result.errors);
  });

  for (const transport of ['udp', 'tcp', 'tls'] as const) {
    it(`SIPp as a desk phone over ${transport} calls a browser; each hears the other`, async () => {
      await using alice = await Softphone.open(pop.origin(0), 880);
      await alice.signIn(ALICE.user, ALICE.password);
      await using phone = await RtpPhone.open(440);
      const node = pop.ports.signaling[0];
      assert.ok(node);
      const forwarder = transport === 'tls' ? await TlsForwarder.open(node.tls, pop.ca()) : undefined;
      try {
        const users = file(
          'users.csv',
          `SEQUENTIAL\n${BOB.user};[authentication username=${BOB.user} password=${BOB.password}]\n`,
        );
        const via = transport === 'udp' ? 'UDP' : 'TCP';
        await using sipp = new Sipp([
          ...['-sf', file('phone.xml', scenario('phone-call', { MEDIA_PORT: String(phone.port) })), '-inf', users],
          ...['-key', 'domain', 'causeway.local', '-key', 'callee', 'alice', '-key', 'via', via],
          ...['-i', '127.0.0.1', '-t', transport === 'udp' ? 'u1' : 't1', '-m', '1', '-d', '7000'],
          `127.0.0.1:${forwarder?.port ?? node.sip}`,
        ]);
        const early = sipp.finished.then(({ errors }) =>
          Promise.reject(new Error(`SIPp ended before the call: ${errors}`)),
        );
        await Promise.race([alice.callState('incoming'), early]);
        early.catch(() => undefined);
        await alice.page.click('#answer');
        await alice.callState('talking');
        await until('the browser is heard at the phone', () => phone.toneOverRest(880) > 20);
        const decibels = await alice.tone(440);
        assert.ok(decibels > 20, `${decibels.toFixed(1)} dB`);
        const result = await sipp.finished;
        assert.deepEqual([result.status, result.successful, result.failed], [0, 1, 0], result.errors);
        await alice.callState('ended');
      } finally {
        await forwarder?.[Symbol.asyncDispose]();
      }
    });
  }
});
