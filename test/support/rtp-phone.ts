import { createSocket, type Socket } from 'node:dgram';
import { fromMuLaw, muLaw, sine, toneOverRest } from './tone.ts';

const FRAME = 160;

/** The audio of a phone whose signalling is SIPp's: answers the first packet with a tone, and keeps what it hears. */
export class RtpPhone implements AsyncDisposable {
  readonly port: number;
  readonly #socket: Socket;
  readonly #heard: Buffer[] = [];
  #timer: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, hz: number) {
    this.#socket = socket;
    this.port = socket.address().port;
    const samples = muLaw(sine(hz, 1, 8000));
    socket.on('message', (packet, from) => {
      if ((packet[1] ?? 0) % 128 === 0) this.#heard.push(packet.subarray(12));
      this.#timer ??= this.#talk(samples, from);
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

  /** Of the last second heard. */
  toneOverRest(hz: number): number {
    const audio = Buffer.concat(this.#heard.slice(-50));
    return audio.length < 7200 ? -Infinity : toneOverRest(fromMuLaw(audio), hz, 8000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #talk(samples: Uint8Array, to: { address: string; port: number }): NodeJS.Timeout {
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
