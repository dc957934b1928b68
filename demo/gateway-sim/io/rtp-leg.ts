import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import type { Samples } from '../audio.ts';

const FRAME = 160;
const FRAME_MS = 20;

/** The audio of one simulated telephone: sends samples, or sends back what it hears. It owns a socket and a timer. */
export class RtpLeg {
  readonly port: number;
  readonly #socket: Socket;
  readonly #closed: () => void;
  #timer: NodeJS.Timeout | undefined;
  #open = true;

  private constructor(socket: Socket, port: number, closed: () => void) {
    this.#socket = socket;
    this.port = port;
    this.#closed = closed;
  }

  /** Undefined when no even port of the range is free. */
  static async open(
    address: string,
    range: { min: number; max: number },
    closed: () => void,
  ): Promise<RtpLeg | undefined> {
    const first = range.min + 2 * Math.floor((Math.random() * (range.max - range.min)) / 2);
    for (let i = 0; i <= range.max - range.min; i += 2) {
      const port = range.min + ((first - range.min + i) % (range.max - range.min + 1));
      const even = port - (port % 2);
      const socket = createSocket('udp4');
      const bound = await new Promise<boolean>((resolve) => {
        socket.once('error', () => resolve(false));
        socket.bind(even, address, () => resolve(true));
      });
      if (bound) {
        socket.on('error', () => undefined);
        return new RtpLeg(socket, even, closed);
      }
      socket.close();
    }
    return undefined;
  }

  /** What comes in goes back to where the caller wants its media. */
  echo(remote: { address: string; port: number }): void {
    this.#socket.on('message', (packet) => {
      if (packet.length >= 12 && (packet[0] ?? 0) >> 6 === 2) this.#send(packet, remote);
    });
  }

  play(samples: Samples, remote: { address: string; port: number }): void {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    randomBytes(4).copy(header, 8);
    let sequence = randomBytes(2).readUInt16BE();
    let at = 0;
    let sent = 0;
    const start = performance.now();
    this.#timer = setInterval(() => {
      // What a late timer has missed follows at once, so that the clock of the stream is right.
      const due = Math.floor((performance.now() - start) / FRAME_MS);
      for (let burst = 0; sent < due && burst < 10; burst++, sent++) {
        header[1] = sent === 0 ? 0x80 : 0;
        header.writeUInt16BE(sequence, 2);
        header.writeUInt32BE((sent * FRAME) >>> 0, 4);
        sequence = (sequence + 1) & 0xffff;
        const payload = Buffer.alloc(FRAME);
        for (let i = 0; i < FRAME; i++) payload[i] = samples[(at + i) % samples.length] ?? 0xff;
        at = (at + FRAME) % samples.length;
        this.#send(Buffer.concat([header, payload]), remote);
      }
    }, FRAME_MS / 2);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    this.#socket.close();
    this.#closed();
  }

  #send(packet: Buffer, remote: { address: string; port: number }): void {
    if (this.#open) this.#socket.send(packet, remote.port, remote.address, () => undefined);
  }
}
