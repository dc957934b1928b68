// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Dataplane, Endpoint, RemoteSpec } from '../../../media/dataplane/mod.ts';
import { IcePeer } from '../../support/ice-peer.ts';
import { bindingSuccess } from '../../support/stun.ts';
import { closePlane, openPlane } from '../../support/planes.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';

const OURS = { ufrag: 'ourname1', pwd: 'our-password-0123456789ab' };
const THEIRS = { ufrag: 'them', pwd: 'their-password-0123456789' };
const ANEW = { ufrag: 'anew', pwd: 'a-later-password-0123456789' };
const ICE: RemoteSpec = { learning: 'off', strictSource: true, rtcpMux: true, crypto: { type: 'none' }, ice: THEIRS };
const LEAST = Buffer.alloc(8);
const MOST = Buffer.alloc(8, 0xff);

const said = (sequence: number, text: string) => rtp({ sequence, ssrc: 99, payload: Buffer.from(text) });

describe('an endpoint that is a full ICE agent', () => {
  let plane: Dataplane;
  let peers: IcePeer[];
  let endpoints: Endpoint[];

  before(() => {
    plane = openPlane(17_540, 17_579, 17_580);
  });

  after(() => closePlane(plane));

  beforeEach(() => {
    peers = [];
    endpoints = [];
  });

  afterEach(() => {
    for (const endpoint of endpoints) endpoint.close();
    for (const { socket } of peers) socket.close();
    const { nativeBytes, portsInUse, endpoints: left } = plane.totals();
    assert.deepEqual({ nativeBytes, portsInUse, left }, { nativeBytes: 0, portsInUse: 0, left: 0 });
  });

  async function peer(own = THEIRS, theirs = OURS): Promise<IcePeer> {
    const opened = await IcePeer.open(own, theirs);
    peers.push(opened);
    return opened;
  }

  function open(remote: Partial<RemoteSpec>, socket: 'shared' | 'pair' = 'shared'): Endpoint {
    const endpoint = plane.openEndpoint({ socket, interface: 'lo', affinity: 'c', ice: OURS });
    endpoint.configure({ ...ICE, ...remote });
    endpoints.push(endpoint);
    return endpoint;
  }

  /** A phone whose packets leave by `to`; it sends one every 20 ms until the test is over. */
  async function speaker(to: Endpoint): Promise<(text: string) => void> {
    const phone = await peer();
    const plain = plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'c' });
    endpoints.push(plain);
    plain.configure({
      ...{ rtp: { address: '127.0.0.1', port: phone.port }, learning: 'delayed', strictSource: false },
      ...{ rtcpMux: false, crypto: { type: 'none' } },
    });
    plane.setPath(plain, to, { mode: 'relay' });
    let sequence = 0;
    return (text) => phone.send(plain.rtp.port, said(++sequence, text));
  }

  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const state = (endpoint: Endpoint) => endpoint.stats().ice?.state;

  it('nominates for a peer that waits for it, and sends no media before its check is answered', async () => {
    const browser = await peer();
    browser.reaction = 'ignore';
    const ice = open({ iceRole: 'controlling', candidates: [browser.candidate()] });
    const speak = await speaker(ice);
    browser.check(ice.rtp.port, { role: 'controlled' });
    await until('its own check is answered', () => browser.succeeded && browser.checks.length > 0);
    speak('too early');
    await until('a packet without a way', () => ice.stats().dropped['no-remote'] === 1);
    browser.reaction = 'answer';
    await until('a nomination', () => state(ice) === 'completed');
    assert.ok(browser.checks.some(({ useCandidate }) => useCandidate));
    assert.ok(browser.checks.every(({ role }) => role === 'controlling'));
    // Type preference 110 of a peer-reflexive candidate (RFC 8445 §7.1.1).
    assert.equal(browser.checks[0]?.priority, 110 * 2 ** 24 + 65_535 * 2 ** 8 + 255);
    speak('now');
    await until('media', () => browser.media.length > 0);
    assert.deepEqual(browser.media, ['now']);
    assert.equal(ice.stats().source?.frozen, true);
  });

  it('checks and nominates for a lite peer, which only answers', async () => {
    const lite = await peer();
    const ice = open({ iceRole: 'controlling', litePeer: true, candidates: [lite.candidate()] });
    const speak = await speaker(ice);
    await until('a nomination', () => state(ice) === 'completed');
    assert.equal(lite.checks.filter(({ useCandidate }) => useCandidate).length, 1);
    speak('sound');
    await until('media', () => lite.media.length === 1);
    lite.send(ice.rtp.port, said(1, 'back'));
    await until('its media is taken', () => ice.stats().received.packets === 1);
  });

  it('waits for the nomination of a controlling peer, and takes the pair that it names', async () => {
    const [first, second] = [await peer(), await peer()];
    const ice = open({ iceRole: 'controlled', candidates: [first.candidate(2_000), second.candidate(1_000)] });
    await until('both checked', () => ice.stats().ice?.answers === 2);
    assert.equal(state(ice), 'connected');
    await pause(400);
    assert.ok(
      [...first.checks, ...second.checks].every(({ useCandidate, role }) => !useCandidate && role === 'controlled'),
    );
    second.check(ice.rtp.port, { useCandidate: true });
    await until('its nomination counts', () => state(ice) === 'completed');
    assert.equal(ice.stats().remoteRtp?.port, second.port);
    assert.deepEqual(
      ice.stats().ice?.candidates.map(({ at, chosen }) => [at.port, chosen]),
      [
        [first.port, false],
        [second.port, true],
      ],
    );
  });

  it('gives way in a conflict of roles, or does not, by the tie-breaker', async () => {
    const browser = await peer();
    const ice = open({ iceRole: 'controlling', candidates: [] });
    browser.check(ice.rtp.port, { role: 'controlling', tieBreaker: LEAST });
    await until('a 487', () => browser.refused);
    assert.equal(ice.stats().ice?.role, 'controlling');
    browser.check(ice.rtp.port, { role: 'controlling', tieBreaker: MOST });
    await until('an answer', () => browser.succeeded);
    await until('a check in the other role', () => browser.checks.some(({ role }) => role === 'controlled'));
    assert.equal(ice.stats().ice?.role, 'controlled');
  });

  it('takes the other role when the peer answers with 487', async () => {
    const browser = await peer();
    browser.reaction = 'conflict';
    const ice = open({ iceRole: 'controlled', candidates: [browser.candidate()] });
    await until('a nomination', () => state(ice) === 'completed');
    assert.equal(browser.checks[0]?.role, 'controlled');
    assert.ok(browser.checks.slice(1).every(({ role }) => role === 'controlling'));
  });

  it('sends checks again that are lost', async () => {
    const browser = await peer();
    browser.loses = 2;
    const ice = open({ iceRole: 'controlling', candidates: [browser.candidate()] });
    await until('a nomination', () => state(ice) === 'completed', 4000);
    const [one, two, three] = browser.checks;
    assert.ok(
      one && two && three && one.transaction.equals(two.transaction) && two.transaction.equals(three.transaction),
    );
  });

  it('is not taken in by answers with a wrong password, nor by answers of others', async () => {
    const [browser, stranger] = [await peer(), await peer()];
    browser.reaction = 'wrong-password';
    const ice = open({ iceRole: 'controlling', candidates: [browser.candidate()] });
    const speak = await speaker(ice);
    await until('a check', () => browser.checks.length > 0);
    // It answers for the peer, but from elsewhere.
    browser.reaction = 'ignore';
    stranger.check(ice.rtp.port, { role: 'controlled', useCandidate: true });
    stranger.reaction = 'wrong-password';
    await until('the wrong answer is counted', () => (ice.stats().dropped['ice'] ?? 0) > 0);
    speak('secret');
    await until('a packet without a way', () => ice.stats().dropped['no-remote'] === 1);
    assert.ok(['checking', undefined].includes(state(ice)));
    assert.deepEqual([...browser.media, ...stranger.media], []);
  });

  it('takes no answers to what it has not asked, whoever sends them', async () => {
    const [browser, stranger] = [await peer(), await peer()];
    browser.reaction = 'ignore';
    const ice = open({ iceRole: 'controlling', candidates: [browser.candidate()] });
    await until('a check', () => browser.checks.length > 0);
    const [asked] = browser.checks;
    assert.ok(asked);
    const dropped = plane.totals().dropped['ice'] ?? 0;
    for (let i = 0; i < 100; i++) {
      const guessed = Buffer.from(asked.transaction);
      randomBytes(6).copy(guessed, i % 2 === 0 ? 0 : 6);
      for (const from of [browser, stranger])
        from.send(ice.rtp.port, bindingSuccess({ ...asked, transaction: guessed }, THEIRS.pwd, from.socket.address()));
    }
    // The right answer, from elsewhere than it was asked.
    stranger.send(ice.rtp.port, bindingSuccess(asked, THEIRS.pwd, stranger.socket.address()));
    await until('all are dropped', () => (plane.totals().dropped['ice'] ?? 0) === dropped + 200);
    await until('the pair has failed', () => ice.stats().ice?.candidates[0]?.state === 'failed');
    assert.deepEqual([state(ice), ice.stats().iceConnected], ['checking', false]);
  });

  it('does not flood whom SDP names: 20 candidates, one check in 50 ms, no media', async () => {
    const victim = await peer();
    victim.reaction = 'ignore';
    const nobody = Array.from({ length: 40 }, (_, index) => ({
      ...victim.candidate(3000 - index),
      ...(index === 0 ? {} : { at: { address: '127.0.0.1', port: 17_581 + index } }),
    }));
    const earlier = plane.totals().ice;
    const started = performance.now();
    const ice = open({ iceRole: 'controlling', candidates: nobody });
    const speak = await speaker(ice);
    for (let i = 0; i < 50; i++) {
      speak('noise');
      await pause(20);
    }
    const { checksSent, candidatesRefused } = plane.totals().ice;
    const allowed = (performance.now() - started) / 50 + 1;
    assert.ok(checksSent - earlier.checksSent <= allowed, `${checksSent - earlier.checksSent} checks`);
    assert.equal(candidatesRefused - earlier.candidatesRefused, 20);
    assert.equal(ice.stats().ice?.candidates.length, 20);
    assert.ok(victim.checks.length <= 3 && victim.media.length === 0);
  });

  it('holds back when many calls name one place that never answers', async () => {
    const victim = createSocket('udp4');
    let seen = 0;
    victim.on('message', () => seen++);
    victim.bind(0, '127.0.0.9');
    await once(victim, 'listening');
    const at = { address: '127.0.0.9', port: victim.address().port };
    const held = plane.totals().ice.checksHeld;
    for (let call = 0; call < 700; call++) {
      const ice = { ...OURS, ufrag: `call-${call}` };
      const endpoint = plane.openEndpoint({ socket: 'shared', interface: 'lo', affinity: `v${call}`, ice });
      endpoints.push(endpoint);
      const candidates = [{ component: 1, type: 'host', priority: 1, at } as const];
      endpoint.configure({ ...ICE, iceRole: 'controlling', candidates });
      // Its socket is to have room.
      if (call % 50 === 0) await pause(5);
    }
    await pause(1000);
    victim.close();
    // 400 at once and 50 a second.
    assert.ok(seen >= 400 && seen < 600, `${seen} of 1400`);
    assert.ok(plane.totals().ice.checksHeld > held);
  });

  it('checks candidates that trickle in', async () => {
    const browser = await peer();
    const ice = open({ iceRole: 'controlling', candidates: [] });
    await pause(100);
    assert.equal(browser.checks.length, 0);
    ice.configure({ ...ICE, iceRole: 'controlling', candidates: [browser.candidate()] });
    await until('a nomination', () => state(ice) === 'completed');
  });

  it('finds a peer whose checks come before its answer does', async () => {
    const browser = await peer();
    const ice = plane.openEndpoint({
      ...{ socket: 'shared', interface: 'lo', affinity: 'c', ice: OURS, iceRole: 'controlling' },
    });
    endpoints.push(ice);
    browser.check(ice.rtp.port, { role: 'controlled' });
    await until('an answer', () => browser.succeeded);
    assert.ok(!browser.refused && browser.checks.length === 0);
    ice.configure({ ...ICE, iceRole: 'controlling', candidates: [] });
    await until('a nomination', () => state(ice) === 'completed');
  });

  it('restarts without a gap, in the role that it has', async () => {
    const [old, later] = [await peer(), await peer(ANEW, { ...OURS, ufrag: 'ourname2' })];
    const ice = open({ iceRole: 'controlling', candidates: [old.candidate()] });
    const speak = await speaker(ice);
    await until('a nomination', () => state(ice) === 'completed');
    later.reaction = 'ignore';
    const localIce = { ...OURS, ufrag: 'ourname2' };
    ice.configure({ ...ICE, iceRole: 'controlling', ice: ANEW, localIce, candidates: [later.candidate()] });
    await until('a check of the new pair', () => later.checks.length > 0);
    // It has not seen our answer: its own name is new, ours is not.
    const hasty = await peer(ANEW);
    hasty.check(ice.rtp.port, { useCandidate: true });
    old.check(ice.rtp.port, { role: 'controlled' });
    await until('the old pair is kept alive', () => old.succeeded);
    assert.equal(hasty.answers.length, 0);
    speak('meanwhile');
    await until('media on the old pair', () => old.media.includes('meanwhile'));
    assert.equal(state(ice), 'restarting');
    later.reaction = 'answer';
    await until('a nomination of the new pair', () => state(ice) === 'completed');
    speak('afterwards');
    await until('media on the new pair', () => later.media.includes('afterwards'));
    assert.ok(!old.media.includes('afterwards') && later.checks.every(({ role }) => role === 'controlling'));
  });

  it('with a pair of ports checks each, and sends nothing to a party whose place another has taken', async () => {
    const [one, oneRtcp, other] = [await peer(), await peer(), await peer(ANEW)];
    const candidates = [one.candidate(2_000), oneRtcp.candidate(1_999, 2)];
    const ice = open({ rtcpMux: false, iceRole: 'controlling', candidates }, 'pair');
    const speak = await speaker(ice);
    await until(
      'both nominated',
      () => state(ice) === 'completed' && oneRtcp.checks.some((check) => check.useCandidate),
    );
    const { remoteRtp } = ice.stats();
    assert.equal(remoteRtp?.port, one.port);
    other.reaction = 'ignore';
    const spec = { ...ICE, rtcpMux: false, iceRole: 'controlling', newParty: true, ice: ANEW } as const;
    ice.configure({ ...spec, candidates: [other.candidate()] });
    speak('not for the first');
    await until('a packet without a way', () => ice.stats().dropped['no-remote'] === 1);
    other.reaction = 'answer';
    await until('the other one', () => ice.stats().remoteRtp?.port === other.port);
    assert.deepEqual(one.media, []);
  });

  it('without checks of either side speaks with the address of SDP, and that alone', async () => {
    const [lite, stranger] = [await peer(), await peer()];
    const rtpAt = { address: '127.0.0.1', port: lite.port };
    const ice = open({ iceRole: 'unchecked', litePeer: true, rtp: rtpAt });
    const speak = await speaker(ice);
    speak('sound');
    await until('media', () => lite.media.length === 1);
    lite.send(ice.rtp.port, said(1, 'back'));
    await until('its media is taken', () => ice.stats().received.packets === 1);
    stranger.send(ice.rtp.port, said(2, 'noise'));
    await until('a refusal', () => (plane.totals().dropped['unknown-source'] ?? 0) > 0);
    assert.equal(ice.stats().received.packets, 1);
    assert.deepEqual([lite.checks.length, stranger.media.length], [0, 0]);
  });
});
