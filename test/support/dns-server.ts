import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { AUTHORITATIVE_ANSWER, decode, encode, TRUNCATED_RESPONSE, type Answer, type Packet } from 'dns-packet';

/** `SRV _sip._udp.example.com` → its records; names lower case. */
export type Zone = Record<string, readonly Answer[]>;

export const a = (name: string, data: string, ttl = 300): Answer => ({ type: 'A', name, ttl, data });
export const aaaa = (name: string, data: string, ttl = 300): Answer => ({ type: 'AAAA', name, ttl, data });
export const srv = (name: string, target: string, port: number, priority = 0, weight = 0): Answer => ({
  type: 'SRV',
  name,
  ttl: 300,
  data: { target, port, priority, weight },
});
export const naptr = (name: string, preference: number, services: string, replacement: string): Answer => ({
  type: 'NAPTR',
  name,
  ttl: 300,
  data: { order: 10, preference, flags: 's', services, regexp: '', replacement },
});
export const cname = (name: string, data: string): Answer => ({ type: 'CNAME', name, ttl: 300, data });

/** A DNS server for one zone table, on a loopback port of its own, over UDP and TCP. */
export class DnsServer implements AsyncDisposable {
  readonly asked: string[] = [];
  /** Answers larger than this are cut off over UDP. */
  maxUdp = 1232;
  zone: Zone;
  /** Sent before each answer over UDP, made from the question. */
  forge: ((question: Packet) => Packet) | undefined;
  silent = false;
  readonly #udp: Socket;
  readonly #tcp: Server;
  readonly address: string;

  private constructor(zone: Zone, udp: Socket, tcp: Server) {
    this.zone = zone;
    this.#udp = udp;
    this.#tcp = tcp;
    this.address = `127.0.0.1:${udp.address().port}`;
    udp.on('message', (bytes, from) => {
      const question = decode(bytes);
      if (this.forge) udp.send(encode(this.forge(question)), from.port, from.address);
      const answer = this.#answer(question, 'udp');
      if (!answer) return;
      const whole = encode(answer);
      const cut = { ...answer, answers: [], flags: (answer.flags ?? 0) | TRUNCATED_RESPONSE };
      udp.send(whole.length > this.maxUdp ? encode(cut) : whole, from.port, from.address);
    });
    tcp.on('connection', (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        const answer = this.#answer(decode(bytes.subarray(2)), 'tcp');
        if (!answer) return;
        const packet = encode(answer);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(packet.length);
        // In two pieces, as a network may have it.
        socket.write(Buffer.concat([length, packet.subarray(0, 7)]));
        setTimeout(() => socket.end(packet.subarray(7)), 5);
      });
    });
  }

  static async start(zone: Zone): Promise<DnsServer> {
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(udp.address().port, '127.0.0.1', resolve));
    return new DnsServer(zone, udp, tcp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#udp.close(() => resolve()));
    await new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
  }

  #answer(question: Packet, by: string): Packet | undefined {
    const [asked] = question.questions ?? [];
    if (!asked) return undefined;
    const key = `${asked.type} ${asked.name.toLowerCase()}`;
    this.asked.push(by === 'udp' ? key : `${key} by TCP`);
    if (this.silent) return undefined;
    const answers = this.zone[key] ?? [];
    const known = Object.keys(this.zone).some((name) => name.endsWith(` ${asked.name.toLowerCase()}`));
    return {
      type: 'response',
      id: question.id ?? 0,
      flags: AUTHORITATIVE_ANSWER | (known ? 0 : 3),
      questions: [asked],
      answers: [...answers],
    };
  }
}
