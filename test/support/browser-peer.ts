import assert from 'node:assert/strict';
import { Softphone } from './browser.ts';
import { MediaNode } from './media-node.ts';
import { TO_BROWSER, TO_PLAIN, type NgCall } from './ng-call.ts';
import { mirrored, type RtpMirror } from './rtp-mirror.ts';
import { ServedPage } from './served-page.ts';
import { until } from './until.ts';

/** A media node, and browsers on test/support/peer-page.ts. Disposing of it ends them all. */
export class BrowserBench implements AsyncDisposable {
  readonly node: MediaNode;
  readonly #page: ServedPage;
  readonly #stack = new AsyncDisposableStack();

  private constructor(node: MediaNode, page: ServedPage) {
    this.node = this.#stack.use(node);
    this.#page = this.#stack.use(page);
  }

  /** `base`: the first of a hundred ports. */
  static async open(base: number): Promise<BrowserBench> {
    const [node, page] = await Promise.all([MediaNode.start(base, base + 99), ServedPage.open('peer-page.ts')]);
    return new BrowserBench(node, page);
  }

  async chromium(microphoneHz: number): Promise<Softphone> {
    return this.#stack.use(await Softphone.open(this.#page.url, microphoneHz));
  }

  async firefox(): Promise<Softphone> {
    return this.#stack.use(await Softphone.firefox(this.#page.url));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** What a phone with Opus and PCMU offers. */
export const PLAIN_OFFER = [
  ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
  ...['m=audio 9 RTP/AVP 111 0', 'a=rtpmap:111 opus/48000/2', 'a=rtcp:9', ''],
].join('\r\n');

// Of a browser on test/support/peer-page.ts.

/** It offers, and the mirrors take it, line by line; without a mirror a line is refused. Our answer to it. */
export async function offerTo(
  mirrors: readonly (RtpMirror | undefined)[],
  browser: Softphone,
  call: NgCall,
  by: 'a' | 'b' = 'a',
  restart = false,
): Promise<string> {
  const offer = await browser.page.evaluate((iceRestart) => window.peer.offer({ iceRestart }), restart);
  const toMirrors = await call.offer(by, offer, TO_PLAIN);
  const answer = await call.answer(by, mirrored(toMirrors, mirrors), TO_BROWSER);
  await browser.page.evaluate((sdp) => window.peer.accept(sdp), answer);
  return answer;
}

/** The mirror calls it. */
export async function offeredBy(mirror: RtpMirror, browser: Softphone, call: NgCall): Promise<void> {
  const offer = await call.offer('a', mirrored(PLAIN_OFFER, [mirror]), TO_BROWSER);
  const answer = await browser.page.evaluate((sdp) => window.peer.answer(sdp), offer);
  await call.answer('a', answer, TO_PLAIN);
}

/**
 * It restarts ICE towards the mirror while they talk: one stream, every packet of it, both ways, and no silence of more
 * than 200 ms. A busy machine is given three tries for the latter.
 */
export async function assertRestarts(mirror: RtpMirror, browser: Softphone, call: NgCall, by: 'a' | 'b') {
  const [stream] = mirror.streams.values();
  assert.ok(stream);
  let gap = Infinity;
  for (let i = 0; i < 3 && gap > 200; i++) {
    const former = await ourName(browser);
    stream.longestGapMs = 0;
    const answer = await offerTo([mirror], browser, call, by, true);
    const name = /^a=ice-ufrag:(.*)$/m.exec(answer)?.[1];
    assert.notEqual(name, former);
    await until('the new pair is in use', async () => (await ourName(browser)) === name, 5000, 20);
    const { packets } = stream;
    await until('audio goes on', () => stream.packets >= packets + 25, 5000, 20);
    gap = stream.longestGapMs;
  }
  assert.ok(gap <= 200, `silent for ${gap.toFixed(0)} ms`);
  assert.deepEqual([stream.lost, mirror.streams.size], [0, 1]);
  assert.equal((await browser.stats()).lost, 0);
}

/** What it calls our end of the pair in use. */
function ourName(browser: Softphone): Promise<string> {
  return browser.page.evaluate(async () => {
    const report = await window.peer.connection.getStats();
    const all = [...report.values()] as Record<string, unknown>[];
    const pair = report.get(String(all.find(({ type }) => type === 'transport')?.['selectedCandidatePairId']));
    return String(report.get(String(pair?.remoteCandidateId))?.usernameFragment);
  });
}
