import { createSocket, type Socket } from 'node:dgram';
import { RtpLog } from './rtp-log.ts';

/** So that nobody hears of its own SSRC from somebody else (RFC 3550 §8.2). */
const OTHER = 0x5a5a5a5a;

/**
 * A plain RTP party that sends back whatever it gets, and takes the RTCP about what it sent for RTCP about what it got:
 * reports, losses and requests come back to who can answer them. It speaks for one media line, with a port for RTP and
 * one for RTCP.
 */
export class RtpMirror implements AsyncDisposable {
  readonly rtp: Socket;
  readonly rtcp: Socket;
  /** What came, by SSRC. */
  readonly streams = new Map<number, RtpLog & { pt: number }>();
  /** RTCP that came, by what it is: `200`, or `206.1` for feedback (RFC 4585 §6.1); how often. */
  readonly control = new Map<string, number>();
  /** Looked at before a packet is sent back; false: it is lost. */
  passes: (packet: Buffer) => boolean = () => true;

  private constructor(rtp: Socket, rtcp: Socket) {
    this.rtp = rtp;
    this.rtcp = rtcp;
    rtp.on('message', (packet, from) => {
      if (packet.length < 12) return;
      const ssrc = packet.readUInt32BE(8);
      const log = this.streams.get(ssrc) ?? Object.assign(new RtpLog(), { pt: 0 });
      this.streams.set(ssrc, log);
      log.pt = (packet[1] ?? 0) % 128;
      log.take(packet, performance.now());
      if (!this.passes(packet)) return;
      turn(packet, 8);
      rtp.send(packet, from.port, from.address);
    });
    rtcp.on('message', (packet, from) => {
      const answer = Buffer.concat(parts(packet).filter((part) => this.#reflect(part)));
      if (answer.length > 0) rtcp.send(answer, from.port, from.address);
    });
  }

  static async open(): Promise<RtpMirror> {
    const sockets = [createSocket({ type: 'udp4', recvBufferSize: 1 << 20 }), createSocket('udp4')] as const;
    for (const socket of sockets) await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
    return new RtpMirror(...sockets);
  }

  /** Those of one payload type, the latest last. */
  of(pt: number): readonly RtpLog[] {
    return [...this.streams.values()].filter((stream) => stream.pt === pt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.rtp, this.rtcp]) await new Promise<void>((resolve) => socket.close(() => resolve()));
  }

  /** Names others in it; false: it says nothing about a stream. */
  #reflect(part: Buffer): boolean {
    const [first = 0, type = 0] = part;
    const feedback = type === 205 || type === 206;
    const name = feedback ? `${type}.${first & 31}` : String(type);
    this.control.set(name, (this.control.get(name) ?? 0) + 1);
    if (!feedback && type !== 200 && type !== 201) return false;
    turn(part, 4);
    if (feedback) turn(part, 8);
    else for (let at = type === 200 ? 28 : 8; at + 24 <= part.length; at += 24) turn(part, at);
    // Full intra requests name the stream behind (RFC 5104 §4.3.1).
    if (name === '206.4') for (let at = 12; at + 8 <= part.length; at += 8) turn(part, at);
    return true;
  }
}

/**
 * An SDP of these parties from one that they got: all that was offered is taken, or offered back. A line without a party is refused.
 */
export function mirrored(sdp: string, parties: readonly (RtpMirror | undefined)[]): string {
  let index = -1;
  return sdp
    .split('\r\n')
    .map((line) => {
      if (line.startsWith('m=')) index++;
      const party = parties[index];
      if (line.startsWith('m=')) return line.replace(/ \d+ /, ` ${party?.rtp.address().port ?? 0} `);
      if (line.startsWith('a=rtcp:')) return `a=rtcp:${party?.rtcp.address().port ?? 0}`;
      if (!/^a=ssrc(-group)?:/.test(line)) return line;
      return line.replace(/(?<=[: ])\d{5,}/g, (ssrc) => String((Number(ssrc) ^ OTHER) >>> 0));
    })
    .join('\r\n');
}

function turn(packet: Buffer, at: number): void {
  if (packet.length >= at + 4) packet.writeUInt32BE((packet.readUInt32BE(at) ^ OTHER) >>> 0, at);
}

/** Of a compound packet (RFC 3550 §6.1). */
function parts(packet: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 4 <= packet.length;) {
    const length = 4 * (packet.readUInt16BE(at + 2) + 1);
    found.push(packet.subarray(at, at + length));
    at += length;
  }
  return found;
}
