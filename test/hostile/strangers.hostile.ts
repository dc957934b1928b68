// budget: 60 s, beside others
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, usePCMU } from 'werift';
import type { Bencode } from '../../vocabulary/mod.ts';
import { MediaNode } from '../support/media-node.ts';
import { until } from '../support/until.ts';
import { check, clientHello, Party, rtcp, rtp, Stranger } from './party.ts';

const BASE = 15_000;
const TICK_MS = 20;
const PLAIN = { ICE: 'remove', DTLS: 'off', 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'], SDES: ['off'] };
const REPLACE = ['origin', 'session-connection'];

type Keys = Readonly<Record<string, Bencode>>;

/** A stream as `query` tells it. */
interface Stream {
  readonly 'local port': number;
  readonly endpoint: { readonly address?: string; readonly port?: number };
  readonly stats?: { readonly packets: number; readonly errors: number };
}

describe('a stranger who sends RTP, RTCP, STUN and DTLS to every open port', function () {
  this.timeout(40_000);
  let node: MediaNode;
  let stranger: Stranger;
  let a: Party;
  let b: Party;
  let calls = 0;
  let id = '';

  before(async () => (node = await MediaNode.start(BASE, BASE + 199)));
  after(() => node[Symbol.asyncDispose]());

  beforeEach(async () => {
    id = `stranger-${++calls}`;
    stranger = await Stranger.open();
    [a, b] = [await Party.open('alice'), await Party.open('bob')];
  });

  afterEach(async () => {
    await node.ask({ command: 'delete', 'call-id': id, 'delete-delay': 0 });
    for (const thing of [a, b, stranger]) await thing[Symbol.asyncDispose]();
    for (const name of ['sessions', 'endpoints', 'ports_in_use', 'native_bytes'])
      await until(`${name} is 0`, async () => (await node.total(name)) === 0);
  });

  async function tell(command: 'offer' | 'answer', sdp: string, keys: Keys): Promise<string> {
    const tags = command === 'offer' ? { 'from-tag': 'a' } : { 'from-tag': 'a', 'to-tag': 'b' };
    const reply = await node.ask({ command, 'call-id': id, ...tags, replace: REPLACE, sdp, ...keys });
    assert.equal(reply['result'], 'ok', JSON.stringify(reply));
    return String(reply['sdp']);
  }

  /** Both are called by the SDP that they are given. Returns where each of them sends to. */
  async function call(keys: Keys = {}, aSdp = a.sdp(), bSdp = b.sdp()): Promise<{ a: number; b: number }> {
    const toB = await tell('offer', aSdp, { ...PLAIN, ...keys });
    const toA = await tell('answer', bSdp, keys);
    a.learnKeys(toA);
    return { a: portOf(toA), b: portOf(toB) };
  }

  /** By tag. */
  async function streams(tag: string): Promise<readonly Stream[]> {
    const reply = (await node.ask({ command: 'query', 'call-id': id })) as unknown as {
      tags: Record<string, { medias: { streams: Stream[] }[] }>;
    };
    return (reply.tags[tag]?.medias ?? []).flatMap((media) => media.streams);
  }

  /** For so many ticks the parties speak, and the stranger sends all that it knows to all that is open. */
  async function spray(ticks: number, ports: readonly number[], speak: () => void, seen: () => readonly Buffer[]) {
    const offer = `${id}x:theirs`;
    for (let tick = 0; tick < ticks; tick++) {
      speak();
      for (const port of ports) {
        for (const packet of seen()) {
          // What was seen on the way: again as it was, and as the next of its stream.
          stranger.send(packet, port);
          if (packet.length >= 12) stranger.send(rtp(packet.readUInt32BE(8), packet.readUInt16BE(2) + 1), port);
          if (packet.length >= 12) stranger.send(rtcp(packet.readUInt32BE(8)), port);
        }
        for (const packet of [rtp(0x5354_5247, tick), rtcp(0x5354_5247), check(offer), clientHello()])
          stranger.send(packet, port);
      }
      await sleep(TICK_MS);
    }
  }

  function assertUntouched(party: Party, peer: string, ticks: number): void {
    const wrong = party.heard.filter((text) => text !== `${peer} speaks`);
    assert.deepEqual(wrong, [], `${party.name} hears somebody else`);
    assert.equal(party.unread, 0);
    assert.ok(party.heard.length >= ticks * 0.95, `${party.name} has heard ${party.heard.length} of ${ticks}`);
  }

  /** Everything that it has sent is in the counters of the node. */
  async function assertCounted(atFirst: ReadonlyMap<string, number>): Promise<void> {
    const sum = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((x, y) => x + y, 0);
    await until(
      'all that the stranger has sent is counted',
      async () => sum(await node.dropped()) - sum(atFirst) >= stranger.sent * 0.98,
      3000,
    ).catch(async (error: unknown) => {
      assert.fail(`${String(error)}: ${stranger.sent} sent, ${JSON.stringify([...(await node.dropped())])}`);
    });
    const now = await node.dropped();
    const grown = (reason: string) => (now.get(reason) ?? 0) - (atFirst.get(reason) ?? 0);
    assert.ok(grown('unknown-source') > 100, `unknown-source has grown by ${grown('unknown-source')}`);
  }

  for (const kind of ['plain', 'sdes'] as const) {
    it(`cannot get into a call of ${kind} legs, nor hear it`, async () => {
      if (kind === 'sdes') {
        await a[Symbol.asyncDispose]();
        a = await Party.open('alice', { sdes: true });
      }
      // Alice sends from elsewhere than her SDP says: she is learnt.
      const to = await call({}, a.sdp(kind === 'plain' ? 9 : a.port));
      for (let i = 0; i < 5; i++) {
        a.speak(to.a);
        b.speak(to.b);
        await sleep(TICK_MS);
      }
      await until('both are heard', () => a.heard.length > 0 && b.heard.length > 0, 2000, 10);
      const atFirst = await node.dropped();
      const ticks = 100;
      [a.heard.length, b.heard.length] = [0, 0];
      const ports = [to.a, to.a + 1, to.b, to.b + 1, node.webrtcPort];
      await spray(
        ticks,
        ports,
        () => {
          a.speak(to.a);
          b.speak(to.b);
        },
        () => [a.lastSent, b.lastSent],
      );
      await sleep(50);
      assertUntouched(a, 'bob', ticks);
      assertUntouched(b, 'alice', ticks);
      assert.equal(stranger.got.length, 0, 'the stranger hears something');
      await assertCounted(atFirst);
      for (const [tag, party] of [
        ['a', a],
        ['b', b],
      ] as const) {
        const [stream] = await streams(tag);
        assert.deepEqual([stream?.endpoint.address, stream?.endpoint.port], ['127.0.0.1', party.port]);
        assert.ok((stream?.stats?.errors ?? 0) > 100, 'query tells of it');
      }
    });
  }

  it('cannot get into a call with a WebRTC leg, nor hear it', async () => {
    const browser = new RTCPeerConnection({
      codecs: { audio: [usePCMU()], video: [] },
      iceUseIpv4: true,
      iceUseIpv6: false,
      iceAdditionalHostAddresses: ['127.0.0.1'],
      iceServers: [],
    });
    try {
      const track = new MediaStreamTrack({ kind: 'audio' });
      const heard: string[] = [];
      browser.addTransceiver(track, { direction: 'sendrecv' }).onTrack.subscribe((incoming) => {
        incoming.onReceiveRtp.subscribe((packet) => heard.push(packet.payload.toString('latin1')));
      });
      await browser.setLocalDescription(await browser.createOffer());
      const toB = await tell('offer', browser.localDescription?.sdp ?? '', PLAIN);
      const answer = await tell('answer', b.sdp(), { ICE: 'force', flags: ['trust-address', 'no-rtcp-attribute'] });
      await browser.setRemoteDescription({ type: 'answer', sdp: answer });
      await until('DTLS', () => browser.connectionState === 'connected', 10_000);
      let sequence = 0;
      const speak = (): void => {
        const header = new RtpHeader({
          payloadType: 0,
          sequenceNumber: ++sequence,
          timestamp: sequence * 160,
          ssrc: 77,
        });
        track.writeRtp(new RtpPacket(header, Buffer.from('browser speaks')));
        b.speak(portOf(toB));
      };
      for (let i = 0; i < 5; i++) {
        speak();
        await sleep(TICK_MS);
      }
      await until('both are heard', () => heard.length > 0 && b.heard.length > 0, 3000, 10);
      const atFirst = await node.dropped();
      const ticks = 100;
      b.heard.length = 0;
      heard.length = 0;
      const ufrag = /a=ice-ufrag:(\S+)/.exec(answer)?.[1] ?? '';
      const theirs = /a=ice-ufrag:(\S+)/.exec(browser.localDescription?.sdp ?? '')?.[1] ?? '';
      // It even knows the user names, which stand in SDP, but no password.
      await spray(ticks, [node.webrtcPort, portOf(toB), portOf(toB) + 1], speak, () => [
        b.lastSent,
        check(`${ufrag}:${theirs}`),
      ]);
      await sleep(50);
      assertUntouched(b, 'browser', ticks);
      assert.deepEqual(new Set(heard), new Set(['bob speaks']));
      assert.ok(heard.length >= ticks * 0.95, `the browser has heard ${heard.length}`);
      assert.equal(stranger.got.length, 0, 'the stranger hears something');
      await assertCounted(atFirst);
      const grown = ((await node.dropped()).get('ice') ?? 0) - (atFirst.get('ice') ?? 0);
      assert.ok(grown >= ticks, `${grown} checks without the password`);
    } finally {
      await browser.close();
    }
  });

  describe('before the party itself has spoken', () => {
    const early = async (keys: Keys, aSdp = a.sdp()) => {
      const to = await call(keys, aSdp);
      for (let i = 0; i < 10; i++) {
        stranger.send(rtp(1, i), to.a);
        b.speak(to.b);
        await sleep(TICK_MS);
      }
      const stolen = stranger.got.length;
      const injected = b.heard.filter((text) => text === 'stranger speaks').length;
      [a.heard.length, b.heard.length, stranger.got.length] = [0, 0, 0];
      for (let i = 0; i < 50; i++) {
        stranger.send(rtp(1, 10 + i), to.a);
        a.speak(to.a);
        b.speak(to.b);
        await sleep(TICK_MS);
      }
      await sleep(50);
      return { stolen, injected };
    };

    it('is sent media until the party speaks, where the node learns; not one packet afterwards', async () => {
      const { stolen, injected } = await early({});
      assert.ok(stolen > 0 && injected > 0, 'this is what learning costs: SDP may be wrong about the address');
      assert.ok(stranger.got.length <= 2, `${stranger.got.length} packets after the party has spoken`);
      assert.ok(a.heard.length >= 45, `alice has heard ${a.heard.length}`);
      assert.ok(b.heard.filter((text) => text === 'alice speaks').length >= 45);
      assert.ok(b.heard.filter((text) => text === 'stranger speaks').length <= 2);
    });

    it('is left for a party behind a NAT by heuristic learning, which compares with SDP', async () => {
      await early({ 'endpoint-learning': 'heuristic' }, a.sdp(9));
      assert.ok(stranger.got.length <= 2, `${stranger.got.length} packets after the party has spoken`);
      assert.ok(a.heard.length >= 45, `alice has heard ${a.heard.length}`);
    });

    /** Of a party behind a NAT: its own address, that nobody can send to. */
    const behindNat = () => a.sdp(9).replaceAll(a.host, '192.0.2.9');

    for (const [what, keys, sdp] of [
      ["from SDP's host", {}, () => a.sdp(9)],
      ['from where its signaling comes from', { 'received-from': ['IP4', '127.0.0.1'] }, behindNat],
    ] as const)
      it(`is left for a party by delayed learning, too, that sends ${what}`, async () => {
        await early({ 'endpoint-learning': 'delayed', ...keys }, sdp());
        assert.ok(stranger.got.length <= 2, `${stranger.got.length} packets after the party has spoken`);
        assert.ok(a.heard.length >= 45, `alice has heard ${a.heard.length}`);
      });

    it('keeps its place from a party that sends from neither, as long as it sends itself', async () => {
      await early({ 'endpoint-learning': 'delayed' }, behindNat());
      assert.equal(a.heard.length, 0, 'docs/strangers.md says so');
    });

    it('gets nothing at all without learning', async () => {
      assert.deepEqual(await early({ 'endpoint-learning': 'off' }), { stolen: 0, injected: 0 });
      assert.equal(stranger.got.length, 0);
      assertUntouched(a, 'bob', 50);
      assertUntouched(b, 'alice', 50);
    });

    it('cannot be told from the party when the first one is believed', async () => {
      const { stolen } = await early({ 'endpoint-learning': 'immediate' });
      assert.ok(stolen > 0);
      assert.equal(a.heard.length, 0, 'docs/strangers.md says so');
    });

    it('gets nothing that is of use when the leg is encrypted', async () => {
      await a[Symbol.asyncDispose]();
      a = await Party.open('alice', { sdes: true });
      const { stolen, injected } = await early({});
      assert.deepEqual([stolen, injected, stranger.got.length], [0, 0, 0]);
      assertUntouched(a, 'bob', 50);
      assertUntouched(b, 'alice', 50);
    });
  });

  describe('when the party falls silent', () => {
    const silent = async (keys: Keys, ssrc: () => number) => {
      const to = await call(keys);
      const both = async (ticks: number) => {
        for (let i = 0; i < ticks; i++) {
          a.speak(to.a);
          b.speak(to.b);
          await sleep(TICK_MS);
        }
      };
      await both(20);
      for (let i = 0; i < 90; i++) {
        b.speak(to.b);
        stranger.send(rtp(ssrc(), 2000 + i), to.a);
        await sleep(TICK_MS);
      }
      return { to, both };
    };

    it('is not taken for it', async () => {
      const { both } = await silent({}, () => 0x5354_5247);
      assert.equal(stranger.got.length, 0);
      await both(10);
      assertUntouched(b, 'alice', 30);
    });

    it('is taken for it when it has seen the SSRC, but not with strict-source nor SRTP', async () => {
      await silent({}, () => a.ssrc);
      assert.ok(stranger.got.length > 0, 'a NAT that has moved looks the same');
      await node.ask({ command: 'delete', 'call-id': id, 'delete-delay': 0 });
      stranger.got.length = 0;
      const { both } = await silent({ flags: ['strict-source'] }, () => a.ssrc);
      assert.equal(stranger.got.length, 0, 'strict-source');
      await both(10);
      await node.ask({ command: 'delete', 'call-id': id, 'delete-delay': 0 });
      await a[Symbol.asyncDispose]();
      a = await Party.open('alice', { sdes: true });
      await silent({}, () => a.ssrc);
      assert.equal(stranger.got.length, 0, 'SRTP');
    });

    it('the party itself is known again from another port, by its SSRC; with strict-source it is not', async () => {
      for (const [keys, expected] of [
        [{}, true],
        [{ flags: ['strict-source'] }, false],
      ] as const) {
        const to = await call(keys);
        const both = async (ticks: number) => {
          for (let i = 0; i < ticks; i++) {
            a.speak(to.a);
            b.speak(to.b);
            await sleep(TICK_MS);
          }
        };
        await both(10);
        await sleep(1200);
        await a.move();
        [a.heard.length, b.heard.length] = [0, 0];
        await both(20);
        await sleep(50);
        assert.equal(a.heard.length > 15, expected, `alice has heard ${a.heard.length} with ${JSON.stringify(keys)}`);
        assert.equal(b.heard.length > 15, expected, `bob has heard ${b.heard.length} with ${JSON.stringify(keys)}`);
        await node.ask({ command: 'delete', 'call-id': id, 'delete-delay': 0 });
      }
    });
  });
});

function portOf(sdp: string): number {
  return Number(/^m=audio (\d+)/m.exec(sdp)?.[1]);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
