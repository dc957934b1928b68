// budget: 90 s
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { Softphone } from '../support/browser.ts';
import { startRtpengine, type MediaPeer } from '../support/media-peers.ts';
import { scrape, total } from '../support/metrics.ts';
import { ACCOUNTS, Pop, scenario } from '../support/pop.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { Sipp } from '../support/sipp.ts';
import { until } from '../support/until.ts';

const [ALICE, BOB] = ACCOUNTS;
const NG = 14_790;
const RTP = 26_502;

describe('our signaling drives rtpengine by configuration alone', function () {
  this.timeout(60_000);
  let rtpengine: MediaPeer;
  let pop: Pop;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-rtpengine-calls-'));
    rtpengine = await startRtpengine({ ng: NG, rtp: RTP });
    pop = await Pop.start({
      ...{ base: 14_700, mediaBase: 27_000, gateway: 'external' },
      // Nobody stands at the second: calls that were sent there would fail.
      mediaNodes: [`udp:${rtpengine.ng}`, `udp:127.0.0.1:${NG + 1}`],
    });
    await until('the silent node is noticed', async () => {
      const lost = await Promise.all(
        pop.metrics('signaling').map(async (page) => total(await scrape(page), 'causeway_media_nodes_lost')),
      );
      return lost.every((nodes) => nodes === 1);
    });
  });

  after(async () => {
    await pop?.[Symbol.asyncDispose]();
    await rtpengine?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function file(name: string, text: string): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  const trouble = () => `${pop.log.slice(-4000)}\n${rtpengine.log}`;

  function phone(callee: string, mediaPort: number, talkMs: number): Sipp {
    const users = `SEQUENTIAL\n${BOB.user};[authentication username=${BOB.user} password=${BOB.password}]\n`;
    return new Sipp([
      ...['-sf', file('phone.xml', scenario('phone-call', { MEDIA_PORT: String(mediaPort) }))],
      ...['-inf', file('users.csv', users), '-key', 'domain', 'causeway.local', '-key', 'callee', callee],
      ...['-key', 'via', 'UDP', '-i', '127.0.0.1', '-m', '1', '-d', String(talkMs)],
      `127.0.0.1:${pop.ports.signaling[0]?.sip}`,
    ]);
  }

  function gateway(mediaPort: number): Sipp {
    const text = scenario('gateway').replaceAll('[media_port]', String(mediaPort));
    return new Sipp([
      ...['-sf', file('gateway.xml', text), '-i', '127.0.0.1', '-p', String(pop.ports.gateway), '-m', '1'],
    ]);
  }

  async function successful(...all: readonly Sipp[]): Promise<void> {
    for (const sipp of all) {
      const result = await sipp.finished;
      assert.deepEqual([result.status, result.successful, result.failed], [0, 1, 0], result.errors + trouble());
    }
  }

  it('a desk phone calls the gateway; each hears the other', async () => {
    await using here = await RtpPhone.open(440);
    await using there = await RtpPhone.open(880);
    await using answering = gateway(there.port);
    await using calling = phone('+15551234', here.port, 4000);
    const [, address, port, protocol] = await calling.logged(/media (\S+) (\d+) (\S+)/);
    assert.deepEqual([address, protocol], ['127.0.0.1', 'RTP/AVP']);
    const relayed = Number(port);
    assert.ok(relayed >= RTP && relayed < RTP + 400, `port ${relayed} is not rtpengine's`);
    here.talkTo({ address: '127.0.0.1', port: relayed });
    await until('both are heard', () => here.toneOverRest(880) > 20 && there.toneOverRest(440) > 20);
    for (const { stream } of [here, there]) assert.deepEqual(stream, { lost: 0, sources: 1 });
    await successful(calling, answering);
  });

  it('an agent in a browser calls the gateway; each hears the other', async () => {
    await using there = await RtpPhone.open(440);
    await using answering = gateway(there.port);
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await alice.dial('+15551234');
    await alice.callState('talking');
    await until('the browser is heard at the gateway', () => there.toneOverRest(880) > 20);
    const decibels = await alice.tone(440);
    assert.ok(decibels > 20, `${decibels.toFixed(1)} dB ${trouble()}`);
    await alice.page.click('#hang-up');
    await successful(answering);
  });

  it('a desk phone calls an agent in a browser; each hears the other', async () => {
    await using alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
    await using audio = await RtpPhone.open(440);
    await using calling = phone('alice', audio.port, 7000);
    await alice.callState('incoming');
    await alice.page.click('#answer');
    await alice.callState('talking');
    await until('the browser is heard at the phone', () => audio.toneOverRest(880) > 20);
    const decibels = await alice.tone(440);
    assert.ok(decibels > 20, `${decibels.toFixed(1)} dB ${trouble()}`);
    await successful(calling);
    await alice.callState('ended');
  });
});
