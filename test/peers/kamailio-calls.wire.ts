// budget: 150 s
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Softphone } from '../support/browser.ts';
import { Kamailio } from '../support/kamailio.ts';
import { MEDIA, ngList, type MediaPeer } from '../support/media-peers.ts';
import { scenario } from '../support/pop.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { Sipp } from '../support/sipp.ts';
import { until } from '../support/until.ts';
import { state, WebPhonePage } from '../support/web-phone.ts';

/** As the scenarios log it: address, port, protocol. */
const MEDIA_LINE = /media (\S+) (\d+) (\S+)/;
const PORTS = { sip: 14_600, webSocket: 14_601, gateway: 14_602, phone: 14_603, secondGateway: 14_604, echo: 26_800 };

/** A scenario of this folder. */
function own(name: string, mediaPort: number | string): string {
  const text = readFileSync(new URL(`scenarios/${name}.xml`, import.meta.url), 'utf8');
  return text.replaceAll('__MEDIA_PORT__', String(mediaPort));
}

for (const { name, start } of MEDIA) {
  describe(`Kamailio drives ${name}`, function () {
    this.timeout(30_000);
    let media: MediaPeer;
    let kamailio: Kamailio;
    let folder: string;
    let page: WebPhonePage;
    let alice: Softphone;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'causeway-kamailio-calls-'));
      page = await WebPhonePage.open();
      media = await start({ ng: 14_610, rtp: 26_002 });
      kamailio = await Kamailio.start(PORTS, media.ng);
      alice = await page.phone(kamailio.webSocket, 'sip:alice@127.0.0.1', 880);
    });

    after(async () => {
      await alice?.[Symbol.asyncDispose]();
      await kamailio?.[Symbol.asyncDispose]();
      await media?.[Symbol.asyncDispose]();
      await page?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    afterEach(async () => {
      await until('the node knows no call any more', async () => (await ngList(media.ng)).length === 0);
    });

    function file(text: string): string {
      const path = join(folder, `${Math.random().toString(36).slice(2)}.xml`);
      writeFileSync(path, text);
      return path;
    }

    const gateway = (args: readonly string[], text = scenario('gateway')) =>
      new Sipp(['-sf', file(text), '-i', '127.0.0.1', '-p', String(PORTS.gateway), ...args]);

    const phoneCall = (callee: string, mediaPort: number, talkMs: number) => {
      return new Sipp([
        ...['-sf', file(own('phone-call', mediaPort)), '-i', '127.0.0.1'],
        ...['-p', String(PORTS.phone), '-key', 'callee', callee, '-key', 'domain', '127.0.0.1'],
        ...['-m', '1', '-d', String(talkMs), kamailio.sip],
      ]);
    };

    const early = (mediaPort: number) =>
      new Sipp([
        ...['-sf', file(own('gateway-early', mediaPort)), '-i', '127.0.0.1'],
        ...['-p', String(PORTS.secondGateway), '-m', '1'],
      ]);

    const trouble = () => `${kamailio.log}\n${media.log}`;

    async function successful(...all: readonly Sipp[]): Promise<void> {
      for (const sipp of all) {
        const result = await sipp.finished;
        assert.deepEqual([result.status, result.failed], [0, 0], result.errors + trouble());
      }
    }

    it('a phone calls the gateway, which sends the audio back', async () => {
      await using there = gateway(['-mp', String(PORTS.echo), '-rtp_echo', '-m', '1']);
      await using audio = await RtpPhone.open(440);
      await using call = phoneCall('15551234', audio.port, 3000);
      const [, address, port, protocol] = await call.logged(MEDIA_LINE);
      assert.deepEqual([address, protocol], ['127.0.0.1', 'RTP/AVP']);
      const relayed = Number(port);
      assert.ok(relayed >= 26_002 && relayed < 26_402, `port ${relayed} is not the media node's`);
      audio.talkTo({ address: '127.0.0.1', port: relayed });
      await until('the echo is heard', () => audio.packets >= 100 && audio.toneOverRest(440) > 20);
      assert.deepEqual(audio.stream, { lost: 0, sources: 1 });
      await successful(call, there);
    });

    it('ten phones call at once: each hears itself and nobody else', async () => {
      await using there = gateway(['-mp', String(PORTS.echo), '-rtp_echo', '-m', '10']);
      await using open = new AsyncDisposableStack();
      const phones = await Promise.all(
        Array.from({ length: 10 }, async (_, i) => open.use(await RtpPhone.open(400 + i * 100))),
      );
      const fields = file(`SEQUENTIAL\n${phones.map(({ port }) => `${port};`).join('\n')}\n`);
      const text = own('phone-call', '[field0]').replace('<log message="media', '<log message="media [field0]');
      await using calls = new Sipp([
        ...['-sf', file(text), '-inf', fields, '-i', '127.0.0.1', '-p', String(PORTS.phone)],
        ...[
          '-key',
          'callee',
          '15551234',
          '-key',
          'domain',
          '127.0.0.1',
          '-m',
          '10',
          '-r',
          '50',
          '-d',
          '3000',
          kamailio.sip,
        ],
      ]);
      for (const phone of phones) {
        const [, address = '', port] = await calls.logged(new RegExp(`media ${phone.port} (\\S+) (\\d+) `));
        phone.talkTo({ address, port: Number(port) });
      }
      await until('each hears itself', () => phones.every((phone, i) => phone.toneOverRest(400 + i * 100) > 20));
      for (const { stream } of phones) assert.deepEqual(stream, { lost: 0, sources: 1 });
      assert.equal((await ngList(media.ng)).length, 10);
      await successful(calls, there);
    });

    it('two gateways ring: the early media of one is heard, then the other answers', async () => {
      await using here = await RtpPhone.open(440);
      await using first = await RtpPhone.open(600);
      await using second = await RtpPhone.open(880);
      await using ringing = early(first.port);
      const slowly = scenario('gateway').replace('<pause milliseconds="100"', '<pause milliseconds="2000"');
      await using there = gateway(['-m', '1'], slowly.replaceAll('[media_port]', String(second.port)));
      await using call = phoneCall('25551234', here.port, 4000);
      const [, address = '', port] = await ringing.logged(MEDIA_LINE);
      first.talkTo({ address, port: Number(port) });
      await until('early media is heard', () => here.toneOverRest(600) > 20);
      const [, answering = '', to] = await call.logged(MEDIA_LINE);
      // The first goes on until it is told to stop; its last packets must not draw the caller's audio back to it.
      const heard = here.packets;
      await until('packets after the answer', () => here.packets > heard + 10);
      first.stopTalking();
      here.talkTo({ address: answering, port: Number(to) });
      await until(
        'who has answered is heard, and hears',
        () => here.toneOverRest(880) > 20 && second.toneOverRest(440) > 20,
      );
      await successful(call, there, ringing);
    });

    it('a browser calls the gateway over WebSocket; each hears the other', async () => {
      await using audio = await RtpPhone.open(440);
      // The number that Chromium gives to telephone-event at 8 kHz.
      const answering = scenario('gateway').replaceAll('[media_port]', String(audio.port)).replaceAll('101', '126');
      await using there = gateway(['-m', '1'], answering);
      await alice.page.evaluate(() => window.phone.call('sip:15551234@127.0.0.1'));
      await state(alice, 'talking');
      await until('the browser is heard at the gateway', () => audio.toneOverRest(880) > 20);
      const decibels = await alice.tone(440);
      assert.ok(decibels > 20, `${decibels.toFixed(1)} dB ${trouble()}`);
      assert.equal((await alice.stats()).codec, 'audio/PCMU');
      await alice.page.evaluate(() => window.phone.press('5#'));
      await until('the keys arrive', () => audio.keys.join(' ') === '126:5 126:#');
      await alice.page.evaluate(() => window.phone.hangUp());
      await state(alice, 'ended');
      await successful(there);
    });

    it('a phone calls a browser; each hears the other', async () => {
      await using audio = await RtpPhone.open(440);
      await using call = phoneCall('alice', audio.port, 6000);
      await state(alice, 'incoming');
      await alice.page.evaluate(() => window.phone.answer());
      const [, address, port, protocol] = await call.logged(MEDIA_LINE);
      assert.deepEqual([address, protocol], ['127.0.0.1', 'RTP/AVP']);
      audio.talkTo({ address: '127.0.0.1', port: Number(port) });
      await state(alice, 'talking');
      await until('the browser is heard at the phone', () => audio.toneOverRest(880) > 20);
      const decibels = await alice.tone(440);
      assert.ok(decibels > 20, `${decibels.toFixed(1)} dB ${trouble()}`);
      await successful(call);
      await state(alice, 'ended');
    });

    it('a browser calls a browser; each hears the other', async () => {
      await using bob = await page.phone(kamailio.webSocket, 'sip:bob@127.0.0.1', 440);
      await alice.page.evaluate(() => window.phone.call('sip:bob@127.0.0.1'));
      await state(bob, 'incoming');
      await bob.page.evaluate(() => window.phone.answer());
      await state(alice, 'talking');
      const [atAlice, atBob] = [await alice.tone(440), await bob.tone(880)];
      assert.ok(atAlice > 20 && atBob > 20, `${atAlice.toFixed(1)} dB, ${atBob.toFixed(1)} dB ${trouble()}`);
      assert.equal((await alice.stats()).codec, 'audio/opus');
      await bob.page.evaluate(() => window.phone.hangUp());
      await state(alice, 'ended');
    });

    it('a browser puts the gateway on hold and takes it back: the ports stay, the audio comes back', async () => {
      await using audio = await RtpPhone.open(440);
      await using there = gateway(['-m', '1'], own('gateway-hold', audio.port));
      await alice.page.evaluate(() => window.phone.call('sip:15551234@127.0.0.1'));
      await state(alice, 'talking');
      await until('the browser is heard at the gateway', () => audio.toneOverRest(880) > 20);
      const [, port] = await there.logged(/call (\d+) sendrecv/);
      await alice.page.evaluate(() => window.phone.hold());
      assert.equal((await there.logged(/hold (\d+) sendonly/))[1], port);
      await alice.page.evaluate(() => window.phone.unhold());
      assert.equal((await there.logged(/back (\d+) sendrecv/))[1], port);
      const heard = audio.packets;
      await until('the browser is heard again', () => audio.packets > heard + 100 && audio.toneOverRest(880) > 20);
      const decibels = await alice.tone(440);
      assert.ok(decibels > 20, `${decibels.toFixed(1)} dB ${trouble()}`);
      await alice.page.evaluate(() => window.phone.hangUp());
      await successful(there);
    });

    it('a browser gives up while the gateway rings', async () => {
      await using there = gateway(['-m', '1'], own('gateway-early', 40_000));
      await alice.page.evaluate(() => window.phone.call('sip:15551234@127.0.0.1'));
      await there.logged(MEDIA_LINE);
      assert.equal((await ngList(media.ng)).length, 1);
      await alice.page.evaluate(() => window.phone.hangUp());
      await successful(there);
    });
  });
}
