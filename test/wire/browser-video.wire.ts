// budget: 30 s
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { BrowserBench } from '../support/browser-peer.ts';
import type { Softphone } from '../support/browser.ts';
import { NgCall, type Keys, TO_BROWSER, TO_PLAIN } from '../support/ng-call.ts';
import { mirrored, RtpMirror } from '../support/rtp-mirror.ts';
import { until } from '../support/until.ts';

const BASE = 14_900;
/** What a plain phone does not repeat. */
const NOT_SIMPLE = /a=(rtcp-fb|extmap|ssrc|ssrc-group|msid|mid|rtcp-rsize|rtcp-xr)\b.*\r\n/g;
const CAMERA = { video: { width: 640, height: 480, frameRate: 15 } };

describe('video of a browser', function () {
  this.timeout(30_000);
  let bench: BrowserBench;
  let alice: Softphone;
  let bob: Softphone;

  before(async () => {
    bench = await BrowserBench.open(BASE);
    [alice, bob] = await Promise.all([bench.chromium(880), bench.chromium(440)]);
  });

  after(() => bench?.[Symbol.asyncDispose]());

  const open = (phone: Softphone, devices: { video?: MediaTrackConstraints }) =>
    phone.page.evaluate((which) => window.peer.open(which), devices);

  /** Alice calls, or restarts ICE; `answer`: of the other party, to what it is offered. */
  async function connect(
    call: NgCall,
    keys: Keys,
    answer: (offer: string) => Promise<string> | string,
    restart = false,
  ): Promise<void> {
    const offer = await alice.page.evaluate((iceRestart) => window.peer.offer({ iceRestart }), restart);
    const toAlice = await call.answer('a', await answer(await call.offer('a', offer, keys)), TO_BROWSER);
    await alice.page.evaluate((sdp) => window.peer.accept(sdp), toAlice);
  }

  const bobAnswers = (offer: string) => bob.page.evaluate((sdp) => window.peer.answer(sdp), offer);

  async function sees(phone: Softphone, frames: number): Promise<void> {
    const { decoded } = await phone.video();
    await until(`${frames} more frames are seen`, async () => (await phone.video()).decoded >= decoded + frames);
  }

  it('reaches a browser, VP8 both ways: what was lost comes again, and ICE may restart', async () => {
    await Promise.all([open(alice, CAMERA), open(bob, CAMERA)]);
    await using call = new NgCall(bench.node);
    await connect(call, TO_BROWSER, bobAnswers);
    await sees(alice, 10);
    await call.ask('block media');
    const { encoded } = await alice.video();
    await until('some frames are lost', async () => (await alice.video()).encoded > encoded + 2);
    await call.ask('unblock media');
    // Asked for, or as padding before it is.
    await until('packets are sent again', async () => (await alice.video()).retransmitted > 0);
    await connect(call, TO_BROWSER, bobAnswers, true);
    await Promise.all([sees(alice, 10), sees(bob, 10)]);
    assert.equal((await alice.video()).codec, 'video/VP8');
  });

  it('is not throttled when the voice beside it is coded: H.264 one way, Opus and PCMU', async () => {
    await Promise.all([open(alice, CAMERA), open(bob, {})]);
    await alice.page.evaluate(() => {
      const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
      const [, video] = window.peer.connection.getTransceivers();
      video?.setCodecPreferences(codecs.filter(({ mimeType }) => /H264|rtx/.test(mimeType)));
    });
    const codec = { mask: ['opus'], consume: ['opus'], strip: ['red', 'G722', 'CN', 'PCMA'] };
    await using call = new NgCall(bench.node);
    await connect(call, { ...TO_BROWSER, codec }, bobAnswers);
    await sees(bob, 10);
    assert.deepEqual([(await alice.stats()).codec, (await bob.stats()).codec], ['audio/opus', 'audio/PCMU']);
    assert.equal((await bob.video()).codec, 'video/H264');
    // It begins at 300,000; without feedback it has never got beyond 352,000, and falls from there.
    await until('the way is found to carry more', async () => (await alice.video()).bitrate > 450_000);
  });

  it('passes a plain RTP party and back, with requests for packets and key frames and their answers', async () => {
    await open(alice, CAMERA);
    await using voice = await RtpMirror.open();
    await using picture = await RtpMirror.open();
    let packets = 0;
    picture.passes = () => ++packets > 20;
    await using call = new NgCall(bench.node);
    await connect(call, TO_PLAIN, (offer) => mirrored(offer, [voice, picture]));
    // Without the first one nothing can be seen.
    await until('a key frame is asked for', async () => {
      const { asked, wasAsked } = await alice.video();
      return asked.pli > 0 && wasAsked.pli > 0;
    });
    await sees(alice, 10);
    const first = await alice.video();
    assert.ok(first.keyFramesEncoded > 1);
    picture.passes = () => ++packets % 10 !== 0;
    await until('a packet is asked for, and sent again', async () => {
      const { asked, wasAsked, retransmitted } = await alice.video();
      return asked.nack > 0 && wasAsked.nack > 0 && retransmitted > 0;
    });
    await sees(alice, 10);
    // NACK, transport-wide feedback, PLI, and reports.
    await until('reports', () => ['205.1', '205.15', '206.1', '200'].every((kind) => picture.control.has(kind)));
  });

  it('passes a plain RTP party that knows nothing of feedback, retransmission and extensions', async () => {
    await open(alice, CAMERA);
    await using voice = await RtpMirror.open();
    await using picture = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await connect(call, TO_PLAIN, (offer) => mirrored(offer, [voice, picture]).replace(NOT_SIMPLE, ''));
    await sees(alice, 10);
    // What was not agreed is not used.
    assert.deepEqual(
      [...picture.control.keys()].filter((kind) => kind.startsWith('205')),
      [],
    );
  });
});
