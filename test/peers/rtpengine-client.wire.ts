// budget: 30 s
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'mocha';
import { MEDIA, type MediaPeer } from '../support/media-peers.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { until } from '../support/until.ts';

/** drachtio and jambonz use this package; it has no types. */
interface Client {
  on(event: 'listening' | 'error', listener: (error?: Error) => void): void;
  close(): void;
  ping(at: At): Promise<Reply>;
  offer(at: At, keys: object): Promise<Reply>;
  answer(at: At, keys: object): Promise<Reply>;
  query(at: At, keys: object): Promise<Reply>;
  list(at: At, keys: object): Promise<Reply>;
  statistics(at: At): Promise<Reply>;
  delete(at: At, keys: object): Promise<Reply>;
}
type At = { readonly host: string; readonly port: number };
type Stream = {
  readonly 'local port': number;
  readonly endpoint: { readonly address: string; readonly port: number };
  readonly stats: { readonly packets: number; readonly bytes: number };
};
interface Reply {
  readonly result: string;
  readonly sdp?: string;
  readonly 'error-reason'?: string;
  readonly calls?: readonly string[];
  readonly tags?: Readonly<
    Record<string, { readonly tag: string; readonly medias: readonly { readonly streams: readonly Stream[] }[] }>
  >;
  readonly totals?: { readonly RTP: { readonly packets: number; readonly bytes: number } };
  readonly statistics?: { readonly currentstatistics: { readonly sessionstotal: number } };
}
const { Client: ClientOf } = createRequire(import.meta.url)('rtpengine-client') as {
  Client: new (options: { timeout: number; rejectOnError: boolean }) => Client;
};

const AT: At = { host: '127.0.0.1', port: 14_680 };
const RTP = 26_002;
/** With spaces, as jambonz writes them; a proxy in front of a private network on the same host. */
const KEYS = {
  replace: ['origin', 'session-connection'],
  ICE: 'remove',
  DTLS: 'off',
  'transport protocol': 'RTP/AVP',
  'record call': 'no',
  'rtcp-mux': ['demux'],
  flags: ['trust address', 'port latching'],
};

const sdpOf = (port: number) =>
  [
    ...['v=0', 'o=phone 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...[`m=audio ${port} RTP/AVP 0 101`, 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:101 telephone-event/8000'],
    ...['a=fmtp:101 0-15', 'a=ptime:20', 'a=sendrecv', ''],
  ].join('\r\n');

function target(reply: Reply): { readonly address: string; readonly port: number } {
  assert.equal(reply.result, 'ok', reply['error-reason']);
  const sdp = reply.sdp ?? '';
  const port = Number(/^m=audio (\d+) RTP\/AVP 0 101\r$/m.exec(sdp)?.[1]);
  assert.ok(port >= RTP && port < RTP + 400, sdp);
  assert.match(sdp, /^o=phone 1 1 IN IP4 127\.0\.0\.1\r$/m);
  return { address: /^c=IN IP4 (\S+)\r$/m.exec(sdp)?.[1] ?? '', port };
}

for (const { name, start } of MEDIA) {
  describe(`npm rtpengine-client drives ${name}`, function () {
    this.timeout(15_000);
    let media: MediaPeer;
    let client: Client;

    before(async () => {
      media = await start({ ng: AT.port, rtp: RTP });
      client = new ClientOf({ timeout: 2000, rejectOnError: false });
      await new Promise<void>((resolve, reject) => {
        client.on('listening', () => resolve());
        client.on('error', reject);
      });
    });

    after(async () => {
      client?.close();
      await media?.[Symbol.asyncDispose]();
    });

    it('a whole call: offer, answer, audio both ways, query, delete', async () => {
      assert.equal((await client.ping(AT)).result, 'pong');
      await using a = await RtpPhone.open(440);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': `call ${name}`, 'from-tag': 'from-a' };
      const towardsA = target(await client.offer(AT, { ...KEYS, ...call, sdp: sdpOf(a.port) }));
      const towardsB = target(await client.answer(AT, { ...KEYS, ...call, 'to-tag': 'to-b', sdp: sdpOf(b.port) }));
      assert.notEqual(towardsA.port, towardsB.port);
      a.talkTo(towardsB);
      b.talkTo(towardsA);
      await until('each hears the other', () => a.toneOverRest(880) > 20 && b.toneOverRest(440) > 20);
      for (const { stream } of [a, b]) assert.deepEqual(stream, { lost: 0, sources: 1 });

      assert.deepEqual((await client.list(AT, { limit: 10 })).calls, [call['call-id']]);
      assert.equal((await client.statistics(AT)).statistics?.currentstatistics.sessionstotal, 1);
      const asked = await client.query(AT, { 'call-id': call['call-id'] });
      for (const [tag, phone, local] of [
        ['from-a', a, towardsB.port],
        ['to-b', b, towardsA.port],
      ] as const) {
        const stream = asked.tags?.[tag]?.medias[0]?.streams[0];
        assert.ok(stream, JSON.stringify(asked));
        assert.deepEqual([stream.endpoint.port, stream['local port']], [phone.port, local]);
        // What has been heard is 45 packets at least; the node counts the RTP header too.
        assert.ok(stream.stats.packets >= 45 && stream.stats.bytes >= 45 * 172, JSON.stringify(stream));
      }
      assert.ok((asked.totals?.RTP.packets ?? 0) >= 90);

      const ended = await client.delete(AT, { ...call, 'delete-delay': 0 });
      assert.equal(ended.result, 'ok');
      assert.ok((ended.totals?.RTP.packets ?? 0) >= (asked.totals?.RTP.packets ?? 0), JSON.stringify(ended));
      const gone = await client.query(AT, { 'call-id': call['call-id'] });
      assert.deepEqual([gone.result, gone['error-reason']], ['error', 'Unknown call-id']);
      assert.deepEqual((await client.list(AT, { limit: 10 })).calls, []);
    });

    it('an offer to a browser holds what a browser needs', async () => {
      const call = { 'call-id': `web ${name}`, 'from-tag': 'from-a' };
      const offered = await client.offer(AT, {
        ...{ ...KEYS, ...call, sdp: sdpOf(40_000), ICE: 'force', DTLS: 'passive', 'rtcp-mux': ['require'] },
        ...{ 'transport protocol': 'UDP/TLS/RTP/SAVPF', SDES: ['off'], flags: ['trust address', 'generate mid'] },
      });
      for (const line of [/^m=audio \d+ UDP\/TLS\/RTP\/SAVPF 0 101\r$/m, /^a=setup:actpass\r$/m, /^a=rtcp-mux\r$/m])
        assert.match(offered.sdp ?? '', line);
      for (const line of ['fingerprint:sha-256 ', 'ice-ufrag:', 'ice-pwd:', 'candidate:', 'mid:'])
        assert.ok(offered.sdp?.includes(`\r\na=${line}`), `${line} in ${offered.sdp}`);
      assert.doesNotMatch(offered.sdp ?? '', /a=crypto/);
      await client.delete(AT, { ...call, 'delete-delay': 0 });
    });

    for (const [what, command, keys, reason] of [
      ['an answer to nothing', 'answer', { 'to-tag': 'b', sdp: sdpOf(40_000) }, 'Unknown call-id'],
      ['an offer without SDP', 'offer', {}, 'No SDP body in message'],
      ['an offer that is no SDP', 'offer', { sdp: 'm=audio x RTP/AVP 0' }, 'Failed to parse SDP'],
      ['an offer with words for a port', 'offer', { sdp: sdpOf(40_000).replace('40000', 'x') }, 'Failed to parse SDP'],
    ] as const) {
      it(`refuses ${what} in rtpengine's words`, async () => {
        const reply = await client[command](AT, { ...KEYS, 'call-id': 'none', 'from-tag': 'a', ...keys });
        assert.deepEqual([reply.result, reply['error-reason']], ['error', reason]);
      });
    }
  });
}
