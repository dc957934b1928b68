// budget: 30 s
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'mocha';
import { assertRestarts, BrowserBench, offeredBy, offerTo, PLAIN_OFFER } from '../support/browser-peer.ts';
import type { Softphone } from '../support/browser.ts';
import { NgCall, TO_BROWSER, TO_PLAIN } from '../support/ng-call.ts';
import { RtpMirror } from '../support/rtp-mirror.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { until } from '../support/until.ts';

const BASE = 14_800;
const OPUS = 111;
const PCMU = 0;

describe('Chromium and a plain RTP party, while they talk', function () {
  this.timeout(20_000);
  let bench: BrowserBench;
  let browser: Softphone;

  before(async () => {
    bench = await BrowserBench.open(BASE);
    browser = await bench.chromium(880);
  });

  beforeEach(() => browser.page.evaluate(() => window.peer.open({})));

  after(() => bench?.[Symbol.asyncDispose]());

  const flows = (mirror: RtpMirror, pt: number, packets = 25) =>
    until(`payload type ${pt} flows`, () => (mirror.of(pt)[0]?.packets ?? 0) >= packets, 10_000, 20);

  it('restarts ICE without a gap', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await offerTo([mirror], browser, call);
    await flows(mirror, OPUS);
    await assertRestarts(mirror, browser, call, 'a');
    await browser.assertTone(880);
  });

  it('restarts ICE when it was the one that was called', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await offeredBy(mirror, browser, call);
    await flows(mirror, OPUS);
    await assertRestarts(mirror, browser, call, 'b');
  });

  it('turns a camera on, off and on again', async () => {
    await using voice = await RtpMirror.open();
    await using picture = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await offerTo([voice], browser, call);
    await flows(voice, OPUS);
    for (let i = 0; i < 2; i++) {
      await browser.page.evaluate(() => window.peer.addCamera({ width: 320, height: 240, frameRate: 15 }));
      const on = await offerTo([voice, picture], browser, call);
      assert.match(on, /^m=video [1-9]/m);
      const seen = await browser.video();
      await until('its picture comes back', async () => (await browser.video()).decoded >= seen.decoded + 5);
      await browser.page.evaluate(() => window.peer.connection.getTransceivers()[1]?.stop());
      const off = await offerTo([voice, undefined], browser, call);
      assert.match(off, /^m=video 0 /m);
    }
    const { packets = 0 } = voice.of(OPUS)[0] ?? {};
    await flows(voice, OPUS, packets + 25);
    assert.deepEqual([voice.of(OPUS)[0]?.lost, voice.streams.size], [0, 1]);
  });

  it('changes from Opus to PCMU', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await offerTo([mirror], browser, call);
    await flows(mirror, OPUS);
    await browser.page.evaluate(() => {
      const codecs = RTCRtpReceiver.getCapabilities('audio')?.codecs ?? [];
      const [voice] = window.peer.connection.getTransceivers();
      voice?.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === 'audio/PCMU'));
    });
    await offerTo([mirror], browser, call);
    await flows(mirror, PCMU);
    await browser.assertTone(880);
    assert.equal((await browser.stats()).codec, 'audio/PCMU');
    assert.deepEqual([mirror.of(PCMU)[0]?.lost, mirror.streams.size], [0, 1]);
  });

  it('mutes itself, takes its track away, and turns inactive; it is heard again each time', async () => {
    await using phone = await RtpPhone.open(440);
    await using call = new NgCall(bench.node);
    /** With a phone that has PCMU alone: we code. */
    const direct = async (direction: 'sendrecv' | 'inactive') => {
      const offer = await browser.page.evaluate((wanted) => {
        const [transceiver] = window.peer.connection.getTransceivers();
        if (transceiver) transceiver.direction = wanted;
        return window.peer.offer();
      }, direction);
      const codec = { mask: ['opus'], consume: ['opus'], strip: ['all'], transcode: ['PCMU'] };
      const toPhone = await call.offer('a', offer, { ...TO_PLAIN, codec });
      phone.talkTo({ address: '127.0.0.1', port: Number(/^m=audio (\d+) /m.exec(toPhone)?.[1]) });
      const answer = PLAIN_OFFER.replace('audio 9 RTP/AVP 111 0', `audio ${phone.port} RTP/AVP 0`)
        .replace('a=rtpmap:111 opus/48000/2', `a=${direction}`)
        .replace('a=rtcp:9\r\n', '');
      const toBrowser = await call.answer('a', answer, TO_BROWSER);
      await browser.page.evaluate((sdp) => window.peer.accept(sdp), toBrowser);
    };
    const heard = () => until('the browser is heard', () => phone.toneOverRest(880, 0.5) > 20);
    /** What is still to be played out comes; then nothing. */
    const nothingFlows = () => {
      let packets = -1;
      return until('nothing flows', () => packets === (packets = phone.packets), 5000, 300);
    };
    await direct('sendrecv');
    await heard();

    const enable = (on: boolean) =>
      browser.page.evaluate((enabled) => {
        const [sender] = window.peer.connection.getSenders();
        if (sender?.track) sender.track.enabled = enabled;
      }, on);
    await enable(false);
    await until('silence is heard', () => phone.silent);
    const { packets } = phone;
    await until('which flows', () => phone.packets >= packets + 10);
    await enable(true);
    await heard();

    await browser.page.evaluate(async () => {
      const [sender] = window.peer.connection.getSenders();
      const track = sender?.track ?? null;
      await sender?.replaceTrack(null);
      window.addEventListener('unmute', () => void sender?.replaceTrack(track), { once: true });
    });
    await nothingFlows();
    await browser.page.evaluate(() => void window.dispatchEvent(new Event('unmute')));
    await heard();

    await direct('inactive');
    await nothingFlows();
    await direct('sendrecv');
    await heard();
    await browser.assertTone(440);
    assert.deepEqual(phone.stream, { lost: 0, sources: 1 });
  });
});
