// budget: 25 s
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'mocha';
import { assertRestarts, BrowserBench, offeredBy, offerTo } from '../support/browser-peer.ts';
import { FIREFOX_HZ, type Softphone } from '../support/browser.ts';
import { NgCall } from '../support/ng-call.ts';
import { RtpMirror } from '../support/rtp-mirror.ts';
import { until } from '../support/until.ts';

const BASE = 15_000;

describe('Firefox and a plain RTP party', function () {
  this.timeout(20_000);
  let bench: BrowserBench;
  let browser: Softphone;

  before(async () => {
    bench = await BrowserBench.open(BASE);
    browser = await bench.firefox();
  });

  beforeEach(() => browser.page.evaluate(() => window.peer.open({})));

  after(() => bench?.[Symbol.asyncDispose]());

  const flows = (mirror: RtpMirror) =>
    until('audio flows', () => [...mirror.streams.values()].some(({ packets }) => packets >= 25));

  it('offers: it hears itself, and restarts ICE without a gap', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await offerTo([mirror], browser, call);
    await flows(mirror);
    await assertRestarts(mirror, browser, call, 'a');
    await browser.assertTone(FIREFOX_HZ);
  });

  it('answers: it hears itself', async () => {
    await using mirror = await RtpMirror.open();
    await using call = new NgCall(bench.node);
    await offeredBy(mirror, browser, call);
    await flows(mirror);
    await browser.assertTone(FIREFOX_HZ);
    assert.equal((await browser.stats()).codec, 'audio/opus');
    assert.equal([...mirror.streams.values()][0]?.lost, 0);
  });
});
