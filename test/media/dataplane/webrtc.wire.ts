// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, it } from 'mocha';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useOPUS } from 'werift';
import { createDataplane, type Dataplane, type DataplaneEvent } from '../../../media/dataplane/mod.ts';
import { until } from '../../support/until.ts';

const OURS = { ufrag: 'cwabcdef', pwd: 'cwpassword0123456789abcd' };

describe('a WebRTC leg against werift (ICE, DTLS-SRTP)', function () {
  this.timeout(20_000);
  let plane: Dataplane;
  const events: DataplaneEvent[] = [];

  before(() => {
    plane = createDataplane({
      interfaces: [{ name: 'lo', address: '127.0.0.1', advertised: '127.0.0.1' }],
      portMin: 18_100,
      portMax: 18_199,
      webrtcPort: 17_998,
      threads: 2,
    });
    plane.onEvent((event) => events.push(event));
  });

  after(() => plane.close());

  for (const role of ['server', 'client'] as const) {
    it(`connects and relays both ways; we are the DTLS ${role}`, async () => {
      const browser = new RTCPeerConnection({
        codecs: { audio: [useOPUS()], video: [] },
        iceUseIpv4: true,
        iceUseIpv6: false,
        iceAdditionalHostAddresses: ['127.0.0.1'],
        iceServers: [],
      });
      const phone = createSocket('udp4');
      phone.bind(0, '127.0.0.1');
      await once(phone, 'listening');
      const webrtc = plane.openEndpoint({
        socket: 'shared',
        interface: 'lo',
        affinity: `w-${role}`,
        ice: { ...OURS, ufrag: `${OURS.ufrag}${role}` },
      });
      const plain = plane.openEndpoint({ socket: 'pair', interface: 'lo', affinity: `w-${role}` });
      try {
        const track = new MediaStreamTrack({ kind: 'audio' });
        const transceiver = browser.addTransceiver(track, { direction: 'sendrecv' });
        const received: Buffer[] = [];
        transceiver.onTrack.subscribe((incoming) => {
          incoming.onReceiveRtp.subscribe((packet) => received.push(Buffer.from(packet.payload)));
        });
        await browser.setLocalDescription(await browser.createOffer());
        const offer = browser.localDescription?.sdp ?? '';
        const value = (name: string) => new RegExp(`a=${name}:(\\S+)(?: (\\S+))?`).exec(offer);
        const pt = Number(/a=rtpmap:(\d+) opus/i.exec(offer)?.[1]);
        webrtc.configure({
          learning: 'off',
          strictSource: true,
          rtcpMux: true,
          ice: { ufrag: value('ice-ufrag')?.[1] ?? '', pwd: value('ice-pwd')?.[1] ?? '' },
          crypto: {
            type: 'dtls',
            role,
            fingerprints: [{ algorithm: value('fingerprint')?.[1] ?? '', value: value('fingerprint')?.[2] ?? '' }],
          },
        });
        plain.configure({
          rtp: { address: '127.0.0.1', port: phone.address().port },
          learning: 'heuristic',
          strictSource: false,
          rtcpMux: false,
          crypto: { type: 'none' },
        });
        plane.setPath(webrtc, plain, { mode: 'relay' });
        plane.setPath(plain, webrtc, { mode: 'relay' });
        const mid = /a=mid:(\S+)/.exec(offer)?.[1] ?? '0';
        await browser.setRemoteDescription({
          type: 'answer',
          sdp: [
            'v=0',
            'o=- 1 1 IN IP4 127.0.0.1',
            's=-',
            't=0 0',
            `a=group:BUNDLE ${mid}`,
            'a=ice-lite',
            `m=audio ${webrtc.rtp.port} UDP/TLS/RTP/SAVPF ${pt}`,
            'c=IN IP4 127.0.0.1',
            `a=mid:${mid}`,
            'a=sendrecv',
            'a=rtcp-mux',
            `a=rtpmap:${pt} opus/48000/2`,
            `a=ice-ufrag:${OURS.ufrag}${role}`,
            `a=ice-pwd:${OURS.pwd}`,
            `a=fingerprint:sha-256 ${plane.dtls.fingerprint}`,
            `a=setup:${role === 'server' ? 'passive' : 'active'}`,
            `a=candidate:1 1 udp 2130706431 127.0.0.1 ${webrtc.rtp.port} typ host`,
            'a=ssrc:7 cname:phone',
            'a=ssrc:7 msid:phone audio',
            'a=end-of-candidates',
            '',
          ].join('\r\n'),
        });
        await until('DTLS', () => webrtc.stats().dtls === 'connected', 10_000);
        assert.match(webrtc.stats().suite ?? '', /^A[A-Z0-9_]+$/);
        const heard: Buffer[] = [];
        phone.on('message', (packet: Buffer) => heard.push(packet));
        for (let i = 0; i < 20; i++) {
          track.writeRtp(
            new RtpPacket(
              new RtpHeader({ payloadType: pt, sequenceNumber: i, timestamp: i * 960, ssrc: 1 }),
              Buffer.from('from the browser'),
            ),
          );
          const packet = Buffer.alloc(12);
          packet[0] = 0x80;
          packet[1] = pt;
          packet.writeUInt16BE(i, 2);
          packet.writeUInt32BE(7, 8);
          phone.send(Buffer.concat([packet, Buffer.from('from the phone')]), plain.rtp.port, '127.0.0.1');
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        await until('both directions', () => heard.length > 10 && received.length > 10, 5000);
        assert.equal(received[0]?.toString(), 'from the phone');
        assert.equal(heard[0]?.subarray(-16).toString(), 'from the browser');
        assert.ok(webrtc.stats().iceConnected);
        assert.deepEqual(webrtc.stats().dropped, {});
        assert.ok(
          events.some((event) => event.type === 'dtls' && event.endpoint === webrtc.id && event.state === 'connected'),
        );
      } finally {
        await browser.close();
        phone.close();
        webrtc.close();
        plain.close();
      }
      const totals = plane.totals();
      assert.equal(totals.endpoints, 0);
      assert.equal(totals.nativeBytes, 0);
    });
  }
});
