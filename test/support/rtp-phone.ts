import { createSocket, type Socket } from 'node:dgram';
import { RtpLog } from './rtp-log.ts';
import { fromMuLaw, muLaw, sine, toneOverRest } from './tone.ts';

const FRAME = 160;

/**
 * The audio of a phone whose signalling is SIPp's: talks in a tone to where it is told, or else to where the first packet
 * came from, and keeps what it hears.
 */
export class RtpPhone implements AsyncDisposable {
  readonly port: number;
  readonly #socket: Socket;
  readonly #samples: Uint8Array;
  readonly #heard: Buffer[] = [];
  readonly #keys = new Map<number, string>();
  /** Of the voice that it has heard. */
  readonly log = new RtpLog();
  #timer: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, hz: number) {
    this.#socket = socket;
    this.port = socket.address().port;
    this.#samples = muLaw(sine(hz, 1, 8000));
    socket.on('message', (packet, from) => {
      const payloadType = (packet[1] ?? 0) % 128;
      if (payloadType === 0) this.#hear(packet);
      else if (packet.length === 16) this.#press(payloadType, packet);
      this.#timer ??= this.#talk(from);
    });
  }

  static async open(hz: number): Promise<RtpPhone> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
    return new RtpPhone(socket, hz);
  }

  get packets(): number {
    return this.#heard.length;
  }

  /** Sequence numbers that never came, and how many SSRCs have been heard. */
  get stream(): { readonly lost: number; readonly sources: number } {
    return { lost: this.log.lost, sources: this.log.sources.size };
  }

  /** What has been dialled with telephone-event (RFC 4733), in order; each key with its payload type, `126:5`. */
  get keys(): readonly string[] {
    return [...this.#keys.values()];
  }

  talkTo(to: { readonly address: string; readonly port: number }): void {
    this.#timer ??= this.#talk(to);
  }

  /** It listens on. */
  stopTalking(): void {
    clearInterval(this.#timer);
  }

  /** Of the last second heard, or as long as is said. */
  toneOverRest(hz: number, seconds = 1): number {
    const audio = Buffer.concat(this.#heard.slice(-50 * seconds));
    return audio.length < 7200 * seconds ? -Infinity : toneOverRest(fromMuLaw(audio), hz, 8000);
  }

  /** Whether the last half second was silence. */
  get silent(): boolean {
    const audio = fromMuLaw(Buffer.concat(this.#heard.slice(-25)));
    return audio.length >= 4000 && audio.every((sample) => Math.abs(sample) < 100);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #hear(packet: Buffer): void {
    this.#heard.push(packet.subarray(12));
    this.log.take(packet, performance.now());
  }

  /** RFC 4733 §2.3; all packets of one event have the same timestamp. */
  #press(payloadType: number, packet: Buffer): void {
    const key = '0123456789*#ABCD'[packet[12] ?? 255];
    if (key !== undefined) this.#keys.set(packet.readUInt32BE(4), `${payloadType}:${key}`);
  }

  #talk(to: { readonly address: string; readonly port: number }): NodeJS.Timeout {
    const samples = this.#samples;
    const start = performance.now();
    let sent = 0;
    return setInterval(() => {
      for (const due = Math.floor((performance.now() - start) / 20); sent < due; sent++) {
        const packet = Buffer.alloc(12 + FRAME);
        packet[0] = 0x80;
        packet.writeUInt16BE(sent & 0xffff, 2);
        packet.writeUInt32BE((sent * FRAME) >>> 0, 4);
        packet.writeUInt32BE(0x70_68_6f_6e, 8);
        for (let i = 0; i < FRAME; i++) packet[12 + i] = samples[(sent * FRAME + i) % samples.length] ?? 0xff;
        this.#socket.send(packet, to.port, to.address);
      }
    }, 10);
  }
}
