// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, it } from 'mocha';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, usePCMU } from 'werift';
import { createDataplane, type Dataplane } from '../../../media/dataplane/mod.ts';
import { runCommand } from '../../../media/ng/mod.ts';
import { SessionManager } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { until } from '../../support/until.ts';

/** As Kamailio asks for a browser, without a word of ICE-lite. */
const TO_BROWSER = {
  ...{ ICE: 'force', 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['offer', 'require'], SDES: ['off'] },
  flags: ['trickle-ICE', 'no-rtcp-attribute', 'generate-mid'],
};
const FROM_BROWSER = { ICE: 'remove', 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] };

const phoneAt = (port: number) =>
  [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...[`m=audio ${port} RTP/AVP 0`, 'a=rtpmap:0 PCMU/8000', 'a=sendrecv'],
    // werift hears no stream that SDP does not name.
    ...['a=ssrc:7 cname:phone', 'a=ssrc:7 msid:phone audio', ''],
  ].join('\r\n');

describe('a full ICE agent towards werift, which is one too', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  let manager: SessionManager;
  let phone: Socket;
  let browser: RTCPeerConnection;
  const heardByPhone: Buffer[] = [];

  before(() => {
    plane = createDataplane({
      interfaces: [{ name: 'default', address: '127.0.0.1', advertised: '127.0.0.1' }],
      portMin: 17_500,
      portMax: 17_529,
      webrtcPort: 17_530,
      threads: 1,
    });
    manager = new SessionManager({ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60 });
  });

  after(() => plane.close());

  function ng(command: Record<string, Bencode>): Record<string, Bencode> {
    const reply = runCommand(manager, command, Date.now()).reply as Record<string, Bencode>;
    assert.equal(reply['result'], 'ok', JSON.stringify(reply));
    return reply;
  }

  async function setUp(options: { readonly iceLite?: boolean } = {}) {
    phone = createSocket('udp4');
    phone.bind(0, '127.0.0.1');
    await once(phone, 'listening');
    heardByPhone.length = 0;
    phone.on('message', (packet: Buffer) => heardByPhone.push(packet));
    browser = new RTCPeerConnection({
      ...{ codecs: { audio: [usePCMU()], video: [] }, iceUseIpv4: true, iceUseIpv6: false, iceServers: [] },
      ...{ iceAdditionalHostAddresses: ['127.0.0.1'], ...options },
    });
    const track = new MediaStreamTrack({ kind: 'audio' });
    const transceiver = browser.addTransceiver(track, { direction: 'sendrecv' });
    const received: string[] = [];
    transceiver.onTrack.subscribe((incoming) => {
      incoming.onReceiveRtp.subscribe((packet) => received.push(packet.payload.toString()));
    });
    return { track, received };
  }

  /** Where a packet of the phone goes, from the SDP that it got. */
  const portIn = (sdp: Bencode | undefined) => Number(/m=audio (\d+)/.exec(String(sdp))?.[1]);
  const explained = (callId: string) =>
    (ng({ command: 'explain', 'call-id': callId })['explanation'] as string[]).join('\n');

  async function bothWays(track: MediaStreamTrack, received: string[], port: number): Promise<void> {
    for (let i = 0; i < 20; i++) {
      const header = new RtpHeader({ payloadType: 0, sequenceNumber: i, timestamp: i * 160, ssrc: 1 });
      track.writeRtp(new RtpPacket(header, Buffer.from('from the browser')));
      const packet = Buffer.alloc(12);
      packet[0] = 0x80;
      packet.writeUInt16BE(i, 2);
      packet.writeUInt32BE(7, 8);
      phone.send(Buffer.concat([packet, Buffer.from('from the phone')]), port, '127.0.0.1');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await until('both directions', () => heardByPhone.length > 5 && received.length > 5, 5000);
    assert.equal(received[0], 'from the phone');
    assert.equal(heardByPhone[0]?.subarray(-16).toString(), 'from the browser');
  }

  async function tearDown(callId: string): Promise<void> {
    await browser.close();
    phone.close();
    ng({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
    const { endpoints, nativeBytes } = plane.totals();
    assert.deepEqual({ endpoints, nativeBytes }, { endpoints: 0, nativeBytes: 0 });
  }

  for (const iceLite of [false, true]) {
    it(`offers to it${iceLite ? ', when it is lite' : ''}: we are controlling and nominate`, async () => {
      const { track, received } = await setUp({ iceLite });
      const ids = { 'call-id': `offered ${iceLite}`, 'from-tag': 'phone' };
      const offered = ng({ command: 'offer', ...ids, ...TO_BROWSER, sdp: phoneAt(phone.address().port) });
      assert.ok(!String(offered['sdp']).includes('ice-lite'));
      await browser.setRemoteDescription({ type: 'offer', sdp: String(offered['sdp']) });
      await browser.setLocalDescription(await browser.createAnswer());
      const sdp = browser.localDescription?.sdp ?? '';
      assert.equal(sdp.includes('a=ice-lite'), iceLite);
      const answered = ng({ command: 'answer', ...ids, 'to-tag': 'browser', ...FROM_BROWSER, sdp });
      await until('a nomination', () => /nominated by us/.test(explained(ids['call-id'])), 5000);
      await until('werift is connected', () => browser.connectionState === 'connected', 10_000);
      await bothWays(track, received, portIn(answered['sdp']));
      const text = explained(ids['call-id']);
      assert.match(text, iceLite ? /ICE: full, controlling \(the party is lite\)/ : /ICE: full, controlling;/);
      const medias = JSON.stringify(ng({ command: 'query', 'call-id': ids['call-id'] })['tags']);
      assert.match(medias, /"ICE","ICE controlling"/);
      await tearDown(ids['call-id']);
    });
  }

  it('answers it: it is controlling and nominates; candidates trickle in', async () => {
    const { track, received } = await setUp();
    const ids = { 'call-id': 'answered', 'from-tag': 'browser' };
    await browser.setLocalDescription(await browser.createOffer());
    const whole = browser.localDescription?.sdp ?? '';
    const trickled = whole.split('\r\n').filter((line) => line.startsWith('a=candidate'));
    assert.ok(trickled.length > 0);
    const sdp = whole.replaceAll(/a=(candidate|end-of-candidates).*\r\n/g, '');
    const offered = ng({ command: 'offer', ...ids, ...FROM_BROWSER, sdp });
    const answered = ng({
      ...{ command: 'answer', ...ids, 'to-tag': 'phone', ...TO_BROWSER },
      sdp: phoneAt(phone.address().port),
    });
    assert.match(explained('answered'), /pair: none yet/);
    const value = (name: string) => new RegExp(`a=${name}:(\\S+)`).exec(sdp)?.[1] ?? '';
    const fragment = [
      ...[`a=ice-ufrag:${value('ice-ufrag')}`, `a=ice-pwd:${value('ice-pwd')}`, 'm=audio 9 UDP/TLS/RTP/SAVPF 0'],
      ...[`a=mid:${value('mid')}`, ...trickled, 'a=end-of-candidates', ''],
    ].join('\r\n');
    const reply = ng({ command: 'offer', ...ids, 'to-tag': 'phone', flags: ['fragment'], sdp: fragment });
    assert.equal(reply['sdp'], undefined);
    await browser.setRemoteDescription({ type: 'answer', sdp: String(answered['sdp']) });
    await until('a nomination', () => /nominated by the party/.test(explained('answered')), 5000);
    await until('werift is connected', () => browser.connectionState === 'connected', 10_000);
    await bothWays(track, received, portIn(offered['sdp']));
    await tearDown('answered');
  });
});
