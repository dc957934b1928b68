// budget: 30 s
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { Softphone } from '../support/browser.ts';
import { MediaNode } from '../support/media-node.ts';
import { NgCall, TO_BROWSER, TO_PLAIN } from '../support/ng-call.ts';
import { mirrored, RtpMirror } from '../support/rtp-mirror.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { ServedPage } from '../support/served-page.ts';
import { until } from '../support/until.ts';

const BASE = 14_800;
const OPUS = 111;
const PCMU = 0;
/** What a phone with Opus offers. */
const PLAIN_OFFER = [
  ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
  ...['m=audio 9 RTP/AVP 111 0', 'a=rtpmap:111 opus/48000/2', 'a=rtcp:9', ''],
].join('\r\n');

describe('Chromium and a plain RTP party, while they talk', function () {
  this.timeout(20_000);
  let node: MediaNode;
  let page: ServedPage;
  let browser: Softphone;

  before(async () => {
    [node, page] = await Promise.all([MediaNode.start(BASE, BASE + 99), ServedPage.open('peer-page.ts')]);
    browser = await Softphone.open(page.url, 880);
  });

  beforeEach(() => browser.page.evaluate(() => window.peer.open({})));

  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await page?.[Symbol.asyncDispose]();
    await node?.[Symbol.asyncDispose]();
  });

  /** The browser offers, and the mirrors take it, line by line. Our answer to the browser. */
  async function offered(call: NgCall, by: 'a' | 'b', mirrors: readonly (RtpMirror | undefined)[], restart = false) {
    const offer = await browser.page.evaluate((iceRestart) => window.peer.offer({ iceRestart }), restart);
    const toMirrors = await call.offer(by, offer, TO_PLAIN);
    const answer = await call.answer(by, mirrored(toMirrors, mirrors), TO_BROWSER);
    await browser.page.evaluate((sdp) => window.peer.accept(sdp), answer);
    return answer;
  }

  /** Of the pair in use: the name that the browser has for our end. */
  const ourName = () =>
    browser.page.evaluate(async () => {
      const report = await window.peer.connection.getStats();
      const all = [...report.values()] as Record<string, unknown>[];
      const pair = report.get(String(all.find(({ type }) => type === 'transport')?.['selectedCandidatePairId']));
      return String(report.get(String(pair?.remoteCandidateId))?.usernameFragment);
    });

  const nameIn = (sdp: string) => /^a=ice-ufrag:(.*)$/m.exec(sdp)?.[1];

  async function assertTone(hz: number): Promise<void> {
    const decibels = await browser.tone(hz);
    assert.ok(decibels > 20, `${hz} Hz is ${decibels.toFixed(1)} dB over the rest`);
  }

  /** One stream, every packet of it, and no silence of more than 200 ms. A busy machine is given three tries for the latter. */
  async function assertRestarts(call: NgCall, by: 'a' | 'b', mirror: RtpMirror): Promise<void> {
    const [stream] = mirror.of(OPUS);
    assert.ok(stream);
    let gap = Infinity;
    for (let i = 0; i < 3 && gap > 200; i++) {
      const former = await ourName();
      stream.longestGapMs = 0;
      const answer = await offered(call, by, [mirror], true);
      assert.notEqual(nameIn(answer), former);
      await until('the new pair is in use', async () => (await ourName()) === nameIn(answer), 5000, 20);
      const { packets } = stream;
      await until('audio goes on', () => stream.packets >= packets + 25, 5000, 20);
      gap = stream.longestGapMs;
    }
    assert.ok(gap <= 200, `silent for ${gap.toFixed(0)} ms`);
    assert.deepEqual([stream.lost, mirror.streams.size], [0, 1]);
    assert.equal((await browser.stats()).lost, 0);
    await assertTone(880);
  }

  it('restarts ICE without a gap', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(node);
    await offered(call, 'a', [mirror]);
    await until('audio flows', () => (mirror.of(OPUS)[0]?.packets ?? 0) >= 50);
    await assertRestarts(call, 'a', mirror);
  });

  it('restarts ICE when it was the one that was called', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(node);
    const offer = await call.offer('a', mirrored(PLAIN_OFFER, [mirror]), TO_BROWSER);
    const answer = await browser.page.evaluate((sdp) => window.peer.answer(sdp), offer);
    await call.answer('a', answer, TO_PLAIN);
    await until('audio flows', () => (mirror.of(OPUS)[0]?.packets ?? 0) >= 50);
    await assertRestarts(call, 'b', mirror);
  });

  it('turns a camera on, off and on again', async () => {
    await using voice = await RtpMirror.open();
    await using picture = await RtpMirror.open();
    await using call = new NgCall(node);
    await offered(call, 'a', [voice]);
    await until('audio flows', () => (voice.of(OPUS)[0]?.packets ?? 0) >= 50);
    for (let i = 0; i < 2; i++) {
      await browser.page.evaluate(() => window.peer.addCamera({ width: 320, height: 240, frameRate: 15 }));
      const on = await offered(call, 'a', [voice, picture]);
      assert.match(on, /^m=video [1-9]/m);
      const seen = await browser.video();
      await until('its picture comes back', async () => (await browser.video()).decoded >= seen.decoded + 5);
      await browser.page.evaluate(() => window.peer.connection.getTransceivers()[1]?.stop());
      const off = await offered(call, 'a', [voice, undefined]);
      assert.match(off, /^m=video 0 /m);
    }
    const [stream] = voice.of(OPUS);
    assert.deepEqual([stream?.lost, voice.streams.size], [0, 1]);
    await assertTone(880);
  });

  it('changes from Opus to PCMU', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(node);
    await offered(call, 'a', [mirror]);
    await until('Opus flows', () => (mirror.of(OPUS)[0]?.packets ?? 0) >= 50);
    await browser.page.evaluate(() => {
      const codecs = RTCRtpReceiver.getCapabilities('audio')?.codecs ?? [];
      window.peer.connection
        .getTransceivers()[0]
        ?.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === 'audio/PCMU'));
    });
    await offered(call, 'a', [mirror]);
    await until('PCMU flows', () => mirror.of(PCMU)[0]);
    const { packets = 0 } = mirror.of(PCMU)[0] ?? {};
    await until('and goes on', () => (mirror.of(PCMU)[0]?.packets ?? 0) >= packets + 50);
    await assertTone(880);
    assert.equal((await browser.stats()).codec, 'audio/PCMU');
    assert.deepEqual([mirror.of(PCMU)[0]?.lost, mirror.streams.size], [0, 1]);
  });

  describe('mutes', () => {
    let phone: RtpPhone;
    let call: NgCall;

    beforeEach(async () => {
      phone = await RtpPhone.open(440);
      call = new NgCall(node);
      await direct('sendrecv');
      await until('both are heard', () => phone.toneOverRest(880) > 20);
    });

    afterEach(async () => {
      await call[Symbol.asyncDispose]();
      await phone[Symbol.asyncDispose]();
    });

    /** Negotiates with a phone that has PCMU alone: we code. */
    async function direct(direction: RTCRtpTransceiverDirection): Promise<void> {
      const offer = await browser.page.evaluate((wanted) => {
        const [transceiver] = window.peer.connection.getTransceivers();
        if (transceiver) transceiver.direction = wanted;
        return window.peer.offer();
      }, direction);
      const toPhone = await call.offer('a', offer, {
        ...TO_PLAIN,
        codec: { mask: ['opus'], consume: ['opus'], strip: ['all'], transcode: ['PCMU'] },
      });
      const [, port] = /^m=audio (\d+) /m.exec(toPhone) ?? [];
      phone.talkTo({ address: '127.0.0.1', port: Number(port) });
      const back = {
        sendrecv: 'sendrecv',
        sendonly: 'recvonly',
        recvonly: 'sendonly',
        inactive: 'inactive',
        stopped: '',
      };
      const answer = PLAIN_OFFER.replace('audio 9 RTP/AVP 111 0', `audio ${phone.port} RTP/AVP 0`)
        .replace('a=rtpmap:111 opus/48000/2', `a=${back[direction]}`)
        .replace('a=rtcp:9\r\n', '');
      const toBrowser = await call.answer('a', answer, TO_BROWSER);
      await browser.page.evaluate((sdp) => window.peer.accept(sdp), toBrowser);
    }

    async function assertBack(): Promise<void> {
      await until('the browser is heard again', () => phone.toneOverRest(880) > 20);
      assert.deepEqual(phone.stream, { lost: 0, sources: 1 });
      await assertTone(440);
    }

    it('by its track: silence flows', async () => {
      await browser.page.evaluate(() => {
        for (const { track } of window.peer.connection.getSenders()) if (track) track.enabled = false;
      });
      await until('nothing is heard', () => phone.silent);
      const { packets } = phone;
      await until('packets flow', () => phone.packets >= packets + 25);
      await browser.page.evaluate(() => {
        for (const { track } of window.peer.connection.getSenders()) if (track) track.enabled = true;
      });
      await assertBack();
    });

    it('by taking its track away: nothing flows', async () => {
      await browser.page.evaluate(async () => {
        const [sender] = window.peer.connection.getSenders();
        const track = sender?.track;
        await sender?.replaceTrack(null);
        window.addEventListener('unmute', () => void sender?.replaceTrack(track ?? null), { once: true });
      });
      await assertQuiet();
      await browser.page.evaluate(() => void window.dispatchEvent(new Event('unmute')));
      await assertBack();
    });

    it('by a direction of inactive, and comes back', async () => {
      await direct('inactive');
      await assertQuiet();
      await direct('sendrecv');
      await assertBack();
    });

    /** What is still to be played out comes; then nothing. */
    async function assertQuiet(): Promise<void> {
      let packets = -1;
      const stopped = () => {
        const same = packets === phone.packets;
        packets = phone.packets;
        return same;
      };
      await until('nothing flows', stopped, 5000, 500);
    }
  });
});
