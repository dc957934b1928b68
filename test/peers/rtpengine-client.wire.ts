// budget: 60 s, beside others
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import { MEDIA, type MediaPeer } from '../support/media-peers.ts';
import { mediaOf, openNgClient, phoneSdp, PLAIN_KEYS, type At, type NgClient, type Reply } from '../support/ng-peer.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { until } from '../support/until.ts';

const AT: At = { host: '127.0.0.1', port: 14_680 };
const RTP = 31_002;

for (const { name, start } of MEDIA) {
  describe(`npm rtpengine-client drives ${name}`, function () {
    this.timeout(15_000);
    let media: MediaPeer;
    let client: NgClient;

    before(async () => {
      media = await start({ ng: AT.port, rtp: RTP });
      client = await openNgClient();
    });

    after(async () => {
      client?.close();
      await media?.[Symbol.asyncDispose]();
    });

    afterEach(async () => {
      for (const id of (await client.list(AT, { limit: 10 })).calls ?? [])
        await client.delete(AT, { 'call-id': id, 'delete-delay': 0 });
    });

    const offer = (keys: object): Promise<Reply> => client.offer(AT, { ...PLAIN_KEYS, ...keys });
    const answer = (keys: object): Promise<Reply> => client.answer(AT, { ...PLAIN_KEYS, ...keys });
    const eachHears = (a: RtpPhone, b: RtpPhone) =>
      until('each hears the other', () => a.toneOverRest(880) > 20 && b.toneOverRest(440) > 20);

    it('a whole call: offer, answer, audio both ways, query, delete', async () => {
      assert.equal((await client.ping(AT)).result, 'pong');
      await using a = await RtpPhone.open(440);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': `call ${name}`, 'from-tag': 'from-a' };
      const towardsA = mediaOf(await offer({ ...call, sdp: phoneSdp(a.port) }));
      const towardsB = mediaOf(await answer({ ...call, 'to-tag': 'to-b', sdp: phoneSdp(b.port) }));
      assert.notEqual(towardsA.port, towardsB.port);
      for (const { port } of [towardsA, towardsB]) assert.ok(port >= RTP && port < RTP + 400);
      a.talkTo(towardsB);
      b.talkTo(towardsA);
      await eachHears(a, b);
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

    it('early media from one port, the answer from another: the audio follows', async () => {
      await using a = await RtpPhone.open(440);
      await using early = await RtpPhone.open(600);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': 'early', 'from-tag': 'from-a' };
      const towardsA = mediaOf(await offer({ ...call, sdp: phoneSdp(a.port) }));
      const ringing = mediaOf(await answer({ ...call, 'to-tag': 'to-b', sdp: phoneSdp(early.port) }));
      a.talkTo(ringing);
      early.talkTo(towardsA);
      await until('early media is heard', () => a.toneOverRest(600) > 20 && early.toneOverRest(440) > 20);
      early.stopTalking();
      const answered = mediaOf(await answer({ ...call, 'to-tag': 'to-b', sdp: phoneSdp(b.port, 'sendrecv', 2) }));
      assert.equal(answered.port, ringing.port);
      b.talkTo(towardsA);
      await eachHears(a, b);
    });

    it('a phone moves to another port in the call: the audio follows, the ports of the node stay', async () => {
      await using a = await RtpPhone.open(440);
      await using moved = await RtpPhone.open(440);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': 'moves', 'from-tag': 'from-a' };
      const towardsA = mediaOf(await offer({ ...call, sdp: phoneSdp(a.port) }));
      const tags = { ...call, 'to-tag': 'to-b' };
      const towardsB = mediaOf(await answer({ ...tags, sdp: phoneSdp(b.port) }));
      a.talkTo(towardsB);
      b.talkTo(towardsA);
      await eachHears(a, b);
      a.stopTalking();
      assert.equal(mediaOf(await offer({ ...tags, sdp: phoneSdp(moved.port, 'sendrecv', 2) })).port, towardsA.port);
      assert.equal(mediaOf(await answer({ ...tags, sdp: phoneSdp(b.port) })).port, towardsB.port);
      moved.talkTo(towardsB);
      const heard = b.packets;
      await eachHears(moved, b);
      assert.ok(b.packets > heard);
    });

    it('an INVITE without SDP: the callee offers in its answer, the caller answers in the ACK', async () => {
      await using a = await RtpPhone.open(440);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': 'late', 'from-tag': 'to-b', 'to-tag': 'from-a' };
      const towardsB = mediaOf(await offer({ ...call, sdp: phoneSdp(b.port) }));
      const towardsA = mediaOf(await answer({ ...call, sdp: phoneSdp(a.port) }));
      a.talkTo(towardsB);
      b.talkTo(towardsA);
      await eachHears(a, b);
    });

    it('two branches: one is given up, the other answers', async () => {
      await using a = await RtpPhone.open(440);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': 'fork', 'from-tag': 'from-a' };
      const first = mediaOf(await offer({ ...call, 'via-branch': 'one', sdp: phoneSdp(a.port) }));
      const second = mediaOf(await offer({ ...call, 'via-branch': 'two', sdp: phoneSdp(a.port) }));
      assert.notEqual(first.port, second.port);
      assert.equal((await client.delete(AT, { ...call, 'via-branch': 'one', 'delete-delay': 0 })).result, 'ok');
      const towardsB = mediaOf(await answer({ ...call, 'via-branch': 'two', 'to-tag': 'to-b', sdp: phoneSdp(b.port) }));
      a.talkTo(towardsB);
      b.talkTo(second);
      await eachHears(a, b);
    });

    it('two phones answer one offer: the last hears every packet, although the first still talks', async () => {
      await using a = await RtpPhone.open(440);
      await using first = await RtpPhone.open(600);
      await using b = await RtpPhone.open(880);
      const call = { 'call-id': 'two', 'from-tag': 'from-a' };
      const towardsA = mediaOf(await offer({ ...call, sdp: phoneSdp(a.port) }));
      mediaOf(await answer({ ...call, 'to-tag': 'to-first', sdp: phoneSdp(first.port) }));
      first.talkTo(towardsA);
      await until('the first is heard', () => a.toneOverRest(600) > 20);
      const towardsB = mediaOf(await answer({ ...call, 'to-tag': 'to-b', sdp: phoneSdp(b.port) }));
      a.talkTo(towardsB);
      b.talkTo(towardsA);
      await until('the second hears', () => b.toneOverRest(440) > 20, 3000);
      assert.equal(b.stream.lost, 0);
      first.stopTalking();
      await eachHears(a, b);
    });

    for (const [how, sdp] of [
      ['sendonly', (port: number) => phoneSdp(port, 'sendonly', 2)],
      ['inactive', (port: number) => phoneSdp(port, 'inactive', 2)],
      ['c=0.0.0.0', (port: number) => phoneSdp(port, 'sendrecv', 2).replace('c=IN IP4 127.0.0.1', 'c=IN IP4 0.0.0.0')],
    ] as const) {
      it(`hold by ${how}, and back`, async () => {
        await using a = await RtpPhone.open(440);
        await using b = await RtpPhone.open(880);
        const call = { 'call-id': how, 'from-tag': 'from-a' };
        const towardsA = mediaOf(await offer({ ...call, sdp: phoneSdp(a.port) }));
        const tags = { ...call, 'to-tag': 'to-b' };
        const towardsB = mediaOf(await answer({ ...tags, sdp: phoneSdp(b.port) }));
        a.talkTo(towardsB);
        b.talkTo(towardsA);
        await eachHears(a, b);
        const held = mediaOf(await offer({ ...tags, sdp: sdp(a.port) }));
        assert.equal(held.port, towardsA.port);
        assert.equal(held.direction, how === 'inactive' ? 'inactive' : 'sendonly');
        const back = how === 'inactive' ? 'inactive' : 'recvonly';
        assert.equal(mediaOf(await answer({ ...tags, sdp: phoneSdp(b.port, back, 2) })).direction, back);
        mediaOf(await offer({ ...tags, sdp: phoneSdp(a.port, 'sendrecv', 3) }));
        assert.equal(mediaOf(await answer({ ...tags, sdp: phoneSdp(b.port, 'sendrecv', 3) })).port, towardsB.port);
        const heard = [a.packets, b.packets] as const;
        await until('audio again', () => a.packets > heard[0] + 50 && b.packets > heard[1] + 50);
        await eachHears(a, b);
      });
    }

    it('an offer to a browser holds what a browser needs', async () => {
      const offered = await offer({
        ...{ 'call-id': 'web', 'from-tag': 'from-a', sdp: phoneSdp(40_000), ICE: 'force', DTLS: 'passive' },
        ...{ 'transport protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['require'], SDES: ['off'] },
        flags: ['trust address', 'generate mid'],
      });
      for (const line of [/^m=audio \d+ UDP\/TLS\/RTP\/SAVPF 0 101\r$/m, /^a=setup:actpass\r$/m, /^a=rtcp-mux\r$/m])
        assert.match(offered.sdp ?? '', line);
      for (const line of ['fingerprint:sha-256 ', 'ice-ufrag:', 'ice-pwd:', 'candidate:', 'mid:'])
        assert.ok(offered.sdp?.includes(`\r\na=${line}`), `${line} in ${offered.sdp}`);
      assert.doesNotMatch(offered.sdp ?? '', /a=crypto/);
    });

    for (const [what, command, keys, reason] of [
      ['an answer to nothing', answer, { 'to-tag': 'b', sdp: phoneSdp(40_000) }, 'Unknown call-id'],
      ['an offer without SDP', offer, {}, 'No SDP body in message'],
      ['an offer that is no SDP', offer, { sdp: 'm=audio x RTP/AVP 0' }, 'Failed to parse SDP'],
      [
        'an offer with words for a port',
        offer,
        { sdp: phoneSdp(1).replace('audio 1', 'audio x') },
        'Failed to parse SDP',
      ],
    ] as const) {
      it(`refuses ${what} in rtpengine's words`, async () => {
        const reply = await command({ 'call-id': 'none', 'from-tag': 'a', ...keys });
        assert.deepEqual([reply.result, reply['error-reason']], ['error', reason]);
      });
    }
  });
}
