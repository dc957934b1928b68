// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import {
  type Dataplane,
  type DataplaneEvent,
  type PathSpec,
  type RemoteSpec,
  SRTP_SUITES,
  type SrtpKey,
  type SrtpSuite,
} from '../../../media/dataplane/mod.ts';
import { closePlane, LOCAL, openPlane, UdpPeers } from '../../support/planes.ts';
import { until } from '../../support/until.ts';
import { rtp } from '../../support/rtp.ts';

const PLAIN: RemoteSpec = { learning: 'delayed', strictSource: false, rtcpMux: false, crypto: { type: 'none' } };

describe('who is heard on the packet path, and what passes', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  const peers = new UdpPeers();
  const events: DataplaneEvent[] = [];

  before(() => {
    plane = openPlane(18_200, 18_299, 17_997, 2);
    plane.onEvent((event) => events.push(event));
  });

  after(async () => {
    peers.close();
    await closePlane(plane);
  });

  const peer = () => peers.open();

  /** a → ea → eb → b. */
  async function call(path: PathSpec, remote: Partial<RemoteSpec> = {}) {
    const [a, b, stranger] = [await peer(), await peer(), await peer()];
    const open = () => plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: 'x' });
    const [ea, eb] = [open(), open()];
    ea.configure({ ...PLAIN, rtp: { address: LOCAL, port: 9 }, ...remote });
    eb.configure({ ...PLAIN, rtp: b.at });
    plane.setPath(ea, eb, path);
    const close = () => {
      ea.close();
      eb.close();
    };
    return { a, b, stranger, ea, eb, [Symbol.dispose]: close };
  }

  it('tells whom it has taken to and whom it refuses, and remembers it', async () => {
    using c = await call({ mode: 'relay' }, { learning: 'immediate' });
    c.a.send(rtp({ sequence: 1 }), c.ea.rtp);
    await until('the first packet', () => c.b.heard.length === 1, 2000);
    for (let i = 0; i < 50; i++) c.stranger.send(rtp({ sequence: 100 + i, ssrc: 99 }), c.ea.rtp);
    await until('50 drops', () => c.ea.stats().dropped['unknown-source'] === 50, 2000);
    await until('both events', () => events.filter(({ endpoint }) => endpoint === c.ea.id).length >= 3, 2000);
    const mine = events.filter(({ endpoint }) => endpoint === c.ea.id);
    assert.deepEqual(
      mine.find(({ type }) => type === 'learned'),
      { type: 'learned', endpoint: c.ea.id, component: 'rtp', how: 'first', remote: c.a.at },
    );
    // Fifty packets, one event.
    assert.deepEqual(
      mine.filter(({ type }) => type === 'refused'),
      [
        {
          type: 'refused',
          endpoint: c.ea.id,
          component: 'rtp',
          reason: 'unknown-source',
          remote: c.stranger.at,
          packets: 1,
        },
      ],
    );
    const { source } = c.ea.stats();
    assert.ok(source?.frozen);
    assert.deepEqual(
      source.learned.map(({ from, how }) => [from.port, how]),
      [[c.a.at.port, 'first']],
    );
    assert.deepEqual(
      source.refused.map(({ from, reason, packets }) => [from.port, reason, packets]),
      [[c.stranger.at.port, 'unknown-source', 50]],
    );
    assert.ok(
      (source.lastReceivedMs ?? 1e9) < 5000 && source.lastSentMs === undefined && source.signalledMs !== undefined,
    );
    assert.ok((c.eb.stats().source?.lastSentMs ?? 1e9) < 5000);
    assert.equal(c.b.heard.length, 1);
  });

  it('does not let a crowd of strangers fill its memory', async () => {
    using c = await call({ mode: 'relay' }, { learning: 'immediate' });
    c.a.send(rtp({ sequence: 1 }), c.ea.rtp);
    await until('the first packet', () => c.b.heard.length === 1, 2000);
    for (let i = 0; i < 12; i++) (await peer()).send(rtp({ sequence: i, ssrc: i }), c.ea.rtp);
    await until('12 drops', () => c.ea.stats().dropped['unknown-source'] === 12, 2000);
    const { source } = c.ea.stats();
    assert.equal(source?.refused.length, 8);
    assert.equal(source?.refusedElsewhere, 4);
  });

  it('delayed: a stranger that speaks first makes room for the host that signaling comes from', async () => {
    using c = await call({ mode: 'relay' }, { signaling: '127.0.0.2', rtp: { address: '127.0.0.3', port: 9 } });
    c.stranger.send(rtp({ sequence: 1, ssrc: 99 }), c.ea.rtp);
    await until('the stranger', () => c.b.heard.length === 1, 2000);
    const party = await peers.open('127.0.0.2', LOCAL);
    party.send(rtp({ sequence: 1 }), c.ea.rtp);
    await until('the party', () => c.b.heard.length === 2, 2000);
    c.stranger.send(rtp({ sequence: 2, ssrc: 99 }), c.ea.rtp);
    await until('a drop', () => c.ea.stats().dropped['unknown-source'] === 1, 2000);
    assert.equal(c.ea.stats().remoteRtp?.address, '127.0.0.2');
    assert.deepEqual(
      c.ea.stats().source?.learned.map(({ how }) => how),
      ['first', 'better'],
    );
    assert.throws(
      () => c.ea.configure({ ...PLAIN, signaling: 'proxy.example.com' }),
      /signaling must be an IP address/,
    );
  });

  it('asymmetric: hears one address and sends to the one of SDP', async () => {
    using c = await call({ mode: 'relay' }, { learning: 'asymmetric' });
    const listens = await peer();
    c.ea.configure({ ...PLAIN, learning: 'asymmetric', rtp: listens.at });
    plane.setPath(c.eb, c.ea, { mode: 'relay' });
    c.a.send(rtp({ sequence: 1 }), c.ea.rtp);
    await until('what a sends', () => c.b.heard.length === 1, 2000);
    c.b.send(rtp({ sequence: 5 }), c.eb.rtp);
    await until('what b sends', () => listens.heard.length === 1, 2000);
    assert.equal(c.a.heard.length, 0);
  });

  it('blocks, silences and opens again without touching the stream', async () => {
    const formats = [{ pt: 101, clockRate: 8000 }];
    using c = await call({ mode: 'relay' });
    let sequence = 0;
    const send = (pt: number) =>
      c.a.send(rtp({ pt, sequence: ++sequence, payload: Buffer.from([5, 0x8a, 3, 32]) }), c.ea.rtp);
    const next = async (what: string) => {
      const already = c.b.heard.length;
      await until(what, () => c.b.heard.length > already, 2000);
      return c.b.heard[already] as Buffer;
    };
    const gated = () => c.ea.stats().dropped['gated'] ?? 0;
    plane.setPath(c.ea, c.eb, { mode: 'relay', gate: 'blocked', events: { formats, detect: false, block: false } });
    send(0);
    await until('a packet held back', () => gated() === 1, 2000);
    const [event] = await Promise.all([next('a telephone-event'), send(101)]);
    assert.equal((event[1] ?? 0) & 0x7f, 101);
    plane.setPath(c.ea, c.eb, { mode: 'relay', gate: 'silent', events: { formats, detect: false, block: true } });
    const [quiet] = await Promise.all([next('silence'), send(8)]);
    assert.deepEqual([...quiet.subarray(12)], [0xd5, 0xd5, 0xd5, 0xd5]);
    assert.equal(quiet.readUInt16BE(2), sequence);
    send(101);
    await until('an event held back', () => gated() === 2, 2000);
    plane.setPath(c.ea, c.eb, { mode: 'relay' });
    const [open] = await Promise.all([next('sound'), send(0)]);
    assert.deepEqual([...open.subarray(12)], [5, 0x8a, 3, 32]);
    assert.equal(c.ea.stats().received.packets, sequence);
  });

  it('tells of each digit once, on a relay path', async () => {
    const formats = [{ pt: 96, clockRate: 8000 }];
    using c = await call({ mode: 'relay', events: { formats, detect: true, block: false } });
    for (const [digit, timestamp] of [
      [1, 1000],
      [11, 9000],
    ] as const) {
      for (let i = 1; i <= 6; i++) {
        const end = i > 3 ? 0x80 : 0;
        const payload = Buffer.from([digit, end | 10, (i * 160) >> 8, (i * 160) & 255]);
        c.a.send(rtp({ pt: 96, sequence: timestamp + i, timestamp, payload }), c.ea.rtp);
      }
    }
    await until('all packets', () => c.b.heard.length === 12, 2000);
    await until('two digits', () => events.filter(({ type }) => type === 'dtmf').length === 2, 2000);
    assert.deepEqual(
      events.filter(({ type }) => type === 'dtmf'),
      [1, 11].map((event) => ({ type: 'dtmf', endpoint: c.ea.id, event, durationMs: 80, volume: 10 })),
    );
  });

  it('speaks every SDES suite, and says which of a bad key is wrong', async () => {
    const key = (suite: SrtpSuite, fill: number): SrtpKey => {
      const { key: size, salt } = SRTP_SUITES[suite];
      return { suite, keySalt: Buffer.alloc(size + salt, fill) };
    };
    for (const suite of Object.keys(SRTP_SUITES) as SrtpSuite[]) {
      using plain = await call({ mode: 'relay' });
      using secret = await call({ mode: 'relay' });
      const sdes = (send: number, receive: number) => ({
        type: 'sdes' as const,
        send: key(suite, send),
        receive: key(suite, receive),
      });
      // a → ea → eb (SRTP) → the other call's ea (SRTP) → eb → b
      plain.eb.configure({ ...PLAIN, rtp: secret.ea.rtp, crypto: sdes(1, 2) });
      secret.ea.configure({ ...PLAIN, rtp: plain.eb.rtp, crypto: sdes(2, 1) });
      const packet = rtp({ sequence: 3, payload: Buffer.from('a secret of twenty..') });
      plain.a.send(packet, plain.ea.rtp);
      await until(suite, () => secret.b.heard.length === 1, 2000);
      assert.deepEqual(secret.b.heard[0], packet);
      assert.throws(
        () => plain.eb.configure({ ...PLAIN, crypto: { ...sdes(1, 2), send: { suite, keySalt: Buffer.alloc(5) } } }),
        /keySalt/,
      );
    }
  });
});
