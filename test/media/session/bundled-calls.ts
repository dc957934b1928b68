import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Dataplane } from '../../../media/dataplane/mod.ts';
import { readFlags, SessionManager } from '../../../media/session/mod.ts';
import { openPlane } from '../../support/planes.ts';
import { rtp } from '../../support/rtp.ts';

const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
export const NOW = 1_700_000_000_000;

/** A packet with a one-byte header extension (RFC 8285 §4.2) 3, which names its line. */
export function named(mid: string, fields: Parameters<typeof rtp>[0]): Buffer {
  const packet = rtp({ payload: Buffer.from('voice'), ...fields });
  const element = Buffer.alloc(4 * Math.ceil((1 + mid.length) / 4));
  element[0] = (3 << 4) | (mid.length - 1);
  element.write(mid, 1);
  packet[0] = 0x90;
  return Buffer.concat([
    packet.subarray(0, 12),
    Buffer.from([0xbe, 0xde, 0, element.length / 4]),
    element,
    packet.subarray(12),
  ]);
}

/** A party on loopback, and what it hears. */
class Peer {
  readonly socket: Socket = createSocket('udp4');
  readonly heard: Buffer[] = [];

  async open(): Promise<this> {
    this.socket.on('message', (packet: Buffer) => this.heard.push(packet));
    this.socket.bind(0, '127.0.0.1');
    await once(this.socket, 'listening');
    return this;
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(packet: Uint8Array, port: number): void {
    this.socket.send(packet, port, '127.0.0.1');
  }

  readonly rtp = () => this.heard.filter((packet) => (packet[1] ?? 0) < 192 || (packet[1] ?? 0) > 223);
  readonly rtcp = () => this.heard.filter((packet) => (packet[1] ?? 0) >= 192 && (packet[1] ?? 0) <= 223);
}

/** What each line of a description has for its port. */
export const ports = (sdp: string) => [...sdp.matchAll(/m=\w+ (\d+)/g)].map(([, port]) => Number(port));

/** A description; `head`: attributes of the session. */
export const text = (head: readonly string[], ...lines: (readonly string[])[]) =>
  ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', ...head, ...lines.flat(), ''].join('\r\n');

/** Calls of a party whose lines are bundled, on a real packet path; whoever makes them ends them. */
export class BundledCalls {
  readonly plane: Dataplane;
  readonly manager: SessionManager;
  readonly #peers: Peer[] = [];

  constructor(portMin: number, portMax: number, webrtcPort: number) {
    this.plane = openPlane(portMin, portMax, webrtcPort);
    this.manager = new SessionManager({
      dataplane: this.plane,
      interfaces: ['lo'],
      maxSessions: 10,
      timeoutSeconds: 60,
    });
  }

  /** Nothing of what was opened may still stand. */
  end(): void {
    for (const { socket } of this.#peers.splice(0)) socket.close();
    this.manager.close();
    const { endpoints, paths, portsInUse, nativeBytes } = this.plane.totals();
    assert.deepEqual(
      { endpoints, paths, portsInUse, nativeBytes },
      { endpoints: 0, paths: 0, portsInUse: 0, nativeBytes: 0 },
    );
  }

  async peer(): Promise<Peer> {
    const one = await new Peer().open();
    this.#peers.push(one);
    return one;
  }

  offer(sdp: string, keys: Parameters<typeof readFlags>[0] = {}): string {
    return this.manager.offer({ ...ask(sdp, keys), toTag: undefined }, NOW);
  }

  answer(sdp: string, keys: Parameters<typeof readFlags>[0] = {}): string {
    return this.manager.answer({ ...ask(sdp, keys), toTag: 'b' }, NOW);
  }

  statsOf(which: 'a' | 'b') {
    return this.manager.get('c')?.dialogues[0]?.lines.map((line) => line[which].endpoint?.stats());
  }

  /** Two lines of audio that look alike and one of video, bundled, towards three phones of their own. */
  async call(protocol = 'RTP/AVP', ...transport: string[]) {
    const bundled = await this.peer();
    const phones = [await this.peer(), await this.peer(), await this.peer()] as const;
    const line = (mid: number, kind: string, pt: number, ...more: string[]) => [
      ...[`m=${kind} ${bundled.port} ${protocol} ${pt}`, `a=mid:${mid}`, 'a=rtcp-mux', `a=extmap:3 ${MID}`, ...more],
    ];
    const offered = this.offer(
      text(
        ['a=group:BUNDLE 0 1 2'],
        line(0, 'audio', 0, ...transport),
        line(1, 'audio', 0, 'a=ssrc:2002 cname:x'),
        line(2, 'video', 96, 'a=rtpmap:96 VP8/90000'),
      ),
      { 'transport-protocol': 'RTP/AVP', sdes: ['off'], bundle: ['accept'] },
    );
    const at = ports(offered);
    const answered = this.answer(
      text(
        [],
        ...phones.map(({ port }, index) => [
          index < 2 ? `m=audio ${port} RTP/AVP 0` : `m=video ${port} RTP/AVP 96`,
          'a=rtpmap:96 VP8/90000',
          'a=rtcp-mux',
        ]),
      ),
    );
    const [ours = 0, ...others] = ports(answered);
    assert.deepEqual(others, [ours, ours]);
    return { bundled, phones, at, ours, answered };
  }
}

function ask(sdp: string, keys: Parameters<typeof readFlags>[0]) {
  return { callId: 'c', fromTag: 'a', viaBranch: undefined, sdp, flags: readFlags(keys) };
}
