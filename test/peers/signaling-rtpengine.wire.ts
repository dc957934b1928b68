// budget: 120 s
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/** As the scenarios log it: address, port, protocol. */
const MEDIA_LINE = /media (\S+) (\d+) (\S+)/;

/** A scenario of this folder. */
const own = (name: string) => readFileSync(new URL(`scenarios/${name}.xml`, import.meta.url), 'utf8');

describe('our signaling drives rtpengine by configuration alone', function () {
  this.timeout(60_000);
  let rtpengine: MediaPeer;
  let pop: Pop;
  let folder: string;
  let alice: Softphone;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-rtpengine-calls-'));
    rtpengine = await startRtpengine({ ng: NG, rtp: RTP });
    pop = await Pop.start({
      ...{ base: 14_700, mediaBase: 27_000, gateway: 'external' },
      // Nobody stands at the second: calls that were sent there would fail.
      mediaNodes: [`udp:${rtpengine.ng}`, `udp:127.0.0.1:${NG + 1}`],
    });
    await nodesLost(1);
    alice = await Softphone.open(pop.origin(0), 880);
    await alice.signIn(ALICE.user, ALICE.password);
  });

  after(async () => {
    await alice?.[Symbol.asyncDispose]();
    await pop?.[Symbol.asyncDispose]();
    await rtpengine?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function file(name: string, text: string): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Until each signaling node says that so many media nodes do not answer. */
  async function nodesLost(count: number): Promise<void> {
    await until(`${count} media nodes are lost`, async () => {
      const lost = await Promise.all(
        pop.metrics('signaling').map(async (page) => total(await scrape(page), 'causeway_media_nodes_lost')),
      );
      return lost.every((nodes) => nodes === count);
    });
  }

  async function registered(account: typeof ALICE, port: number, expires = 600): Promise<void> {
    const { user, password } = account;
    const users = `SEQUENTIAL\n${user};[authentication username=${user} password=${password}]\n`;
    await using sipp = new Sipp([
      ...['-sf', file('register.xml', scenario('register')), '-inf', file('register.csv', users), '-i', '127.0.0.1'],
      ...['-p', String(port), '-key', 'domain', 'causeway.local', '-key', 'via', 'UDP'],
      ...['-key', 'contact_port', String(port), '-key', 'expires', String(expires), '-m', '1'],
      `127.0.0.1:${pop.ports.signaling[0]?.sip}`,
    ]);
    await successful(sipp);
  }

  const trouble = () => `${pop.log.slice(-4000)}\n${rtpengine.log}`;

  function phone(callee: string, mediaPort: number, talkMs: number, talk = ''): Sipp {
    const users = `SEQUENTIAL\n${BOB.user};[authentication username=${BOB.user} password=${BOB.password}]\n`;
    // The requests of `talk` come before the BYE.
    const text = scenario('phone-call').replace('<!--TALK-->', talk).replace('CSeq: 3 BYE', 'CSeq: 9 BYE');
    return new Sipp([
      ...['-sf', file('phone.xml', text.replaceAll('__MEDIA_PORT__', String(mediaPort)))],
      ...['-inf', file('users.csv', users), '-key', 'domain', 'causeway.local', '-key', 'callee', callee],
      ...['-key', 'via', 'UDP', '-i', '127.0.0.1', '-m', '1', '-d', String(talkMs)],
      `127.0.0.1:${pop.ports.signaling[0]?.sip}`,
    ]);
  }

  function gateway(mediaPort: number, text = scenario('gateway')): Sipp {
    const filled = text.replaceAll(/\[media_port\]|__MEDIA_PORT__/g, String(mediaPort));
    return new Sipp([
      ...['-sf', file('gateway.xml', filled), '-i', '127.0.0.1', '-p', String(pop.ports.gateway), '-m', '1'],
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
    const [, address, port, protocol] = await calling.logged(MEDIA_LINE);
    assert.deepEqual([address, protocol], ['127.0.0.1', 'RTP/AVP']);
    const relayed = Number(port);
    assert.ok(relayed >= RTP && relayed < RTP + 400, `port ${relayed} is not rtpengine's`);
    here.talkTo({ address: '127.0.0.1', port: relayed });
    await until('both are heard', () => here.toneOverRest(880) > 20 && there.toneOverRest(440) > 20);
    for (const { stream } of [here, there]) assert.deepEqual(stream, { lost: 0, sources: 1 });
    await successful(calling, answering);
  });

  it('a desk phone puts the gateway on hold and takes it back: the ports stay, the audio comes back', async () => {
    await using here = await RtpPhone.open(440);
    await using there = await RtpPhone.open(880);
    await using answering = gateway(there.port, own('gateway-hold'));
    await using calling = phone('+15551234', here.port, 3000, own('phone-holds.part'));
    const [, address = '', port = ''] = await calling.logged(MEDIA_LINE);
    here.talkTo({ address, port: Number(port) });
    const [, offered] = await answering.logged(/call (\d+) sendrecv/);
    assert.equal((await answering.logged(/hold (\d+) sendonly/))[1], offered);
    assert.equal((await calling.logged(/held (\d+) recvonly/))[1], port);
    assert.equal((await answering.logged(/back (\d+) sendrecv/))[1], offered);
    assert.equal((await calling.logged(/resumed (\d+) sendrecv/))[1], port);
    const [heard, understood] = [here.packets, there.packets];
    await until('both are heard again', () => here.packets > heard + 50 && there.packets > understood + 50);
    await until('as they are', () => here.toneOverRest(880) > 20 && there.toneOverRest(440) > 20);
    await successful(calling, answering);
  });

  it('an agent in a browser calls the gateway; each hears the other', async () => {
    await using there = await RtpPhone.open(440);
    await using answering = gateway(there.port, scenario('gateway').replaceAll('101', '126'));
    await alice.dial('+15551234');
    await alice.callState('talking');
    await until('the browser is heard at the gateway', () => there.toneOverRest(880) > 20);
    const decibels = await alice.tone(440);
    assert.ok(decibels > 20, `${decibels.toFixed(1)} dB ${trouble()}`);
    await alice.page.click('#dtmf-5');
    await until('the key arrives', () => there.keys.join(' ') === '126:5');
    assert.equal((await alice.stats()).codec, 'audio/opus');
    await alice.page.click('#hang-up');
    await successful(answering);
  });

  it('a desk phone calls an agent in a browser; each hears the other', async () => {
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

  it('one phone of two is busy: its branch is given up, the other is heard', async () => {
    const busy = 14_780;
    await registered(ALICE, busy);
    await using refusing = new Sipp([
      ...['-sf', file('busy.xml', own('busy'))],
      ...['-i', '127.0.0.1', '-p', String(busy), '-m', '1'],
    ]);
    await using audio = await RtpPhone.open(440);
    await using calling = phone('alice', audio.port, 6000);
    await alice.callState('incoming');
    await successful(refusing);
    await alice.page.click('#answer');
    await alice.callState('talking');
    await until('the browser is heard at the phone', () => audio.toneOverRest(880) > 20);
    await successful(calling);
    await alice.callState('ended');
    await registered(ALICE, busy, 0);
  });

  it('rtpengine dies: its calls are ended; it is back: calls go there again', async () => {
    await using there = await RtpPhone.open(440);
    await using answering = gateway(there.port);
    await alice.dial('+15551234');
    await alice.callState('talking');
    await rtpengine[Symbol.asyncDispose]();
    await alice.callState('ended');
    await successful(answering);
    await nodesLost(2);
    rtpengine = await startRtpengine({ ng: NG, rtp: RTP });
    await nodesLost(1);
    await using again = gateway(there.port);
    await alice.dial('+15551234');
    await alice.callState('talking');
    await until('the browser is heard at the gateway', () => there.toneOverRest(880) > 20);
    await alice.page.click('#hang-up');
    await successful(again);
  });
});
