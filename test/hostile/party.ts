import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { RtpHeader, SrtpSession } from 'werift';

export interface SdesKeys {
  readonly ours: Buffer;
  theirs: Buffer | undefined;
}

/**
 * A phone of a call: RTP with its name in every packet, and everything that it gets. With `sdes` it speaks SRTP
 * (AES_CM_128_HMAC_SHA1_80).
 */
export class Party implements AsyncDisposable {
  readonly name: string;
  readonly host: string;
  readonly ssrc = randomBytes(4).readUInt32BE();
  /** Payloads that it could read, and datagrams that it could not. */
  readonly heard: string[] = [];
  unread = 0;
  /** What it has sent, as a stranger on the way sees it. */
  lastSent: Buffer = Buffer.alloc(0);
  readonly sdes: SdesKeys | undefined;
  #socket: Socket;
  #sequence = 1000;
  #srtp: SrtpSession | undefined;

  private constructor(name: string, host: string, socket: Socket, sdes: boolean) {
    this.name = name;
    this.host = host;
    this.#socket = socket;
    this.sdes = sdes ? { ours: randomBytes(30), theirs: undefined } : undefined;
    this.#listen(socket);
  }

  static async open(name: string, { host = '127.0.0.1', sdes = false } = {}): Promise<Party> {
    return new Party(name, host, await bound(host), sdes);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** SDP with `port`, which may be another than where it sends from. */
  sdp(port = this.port): string {
    return [
      'v=0',
      `o=- 1 1 IN IP4 ${this.host}`,
      's=-',
      `c=IN IP4 ${this.host}`,
      't=0 0',
      `m=audio ${port} RTP/${this.sdes ? 'SAVP' : 'AVP'} 0`,
      `a=ssrc:${this.ssrc} cname:${this.name}`,
      ...(this.sdes ? [`a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${this.sdes.ours.toString('base64')}`] : []),
      '',
    ].join('\r\n');
  }

  /** What the node has answered: the keys of the other direction. */
  learnKeys(sdp: string): void {
    const key = /a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:(\S+)/.exec(sdp)?.[1];
    if (!this.sdes || key === undefined) return;
    this.sdes.theirs = Buffer.from(key, 'base64');
    const cut = (bytes: Buffer) => [bytes.subarray(0, 16), bytes.subarray(16)] as const;
    const [localMasterKey, localMasterSalt] = cut(this.sdes.ours);
    const [remoteMasterKey, remoteMasterSalt] = cut(this.sdes.theirs);
    this.#srtp = new SrtpSession({
      keys: { localMasterKey, localMasterSalt, remoteMasterKey, remoteMasterSalt },
      profile: 1,
    });
  }

  /** One packet of PCMU by its number, though its payload is the party's name. */
  speak(port: number): void {
    const sequenceNumber = ++this.#sequence & 0xffff;
    const header = new RtpHeader({ payloadType: 0, sequenceNumber, timestamp: this.#sequence * 160, ssrc: this.ssrc });
    const payload = Buffer.from(`${this.name} speaks`);
    this.lastSent = this.#srtp
      ? this.#srtp.encrypt(payload, header)
      : Buffer.concat([header.serialize(header.serializeSize), payload]);
    this.#socket.send(this.lastSent, port, '127.0.0.1');
  }

  /** Another port for the same phone, as a NAT gives after a while. */
  async move(): Promise<void> {
    this.#socket.close();
    this.#socket = await bound(this.host);
    this.#listen(this.#socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #listen(socket: Socket): void {
    socket.on('message', (packet: Buffer) => {
      if ((packet[1] ?? 0) >= 192 && (packet[1] ?? 0) <= 223) return; // RTCP
      try {
        const plain = this.#srtp ? this.#srtp.decrypt(packet) : packet;
        this.heard.push(plain.subarray(12).toString('latin1'));
      } catch {
        this.unread++;
      }
    });
  }
}

/** Whoever has no business here. Everything that it gets is too much. */
export class Stranger implements AsyncDisposable {
  readonly got: Buffer[] = [];
  sent = 0;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (packet: Buffer) => this.got.push(packet));
  }

  static async open(host = '127.0.0.2'): Promise<Stranger> {
    return new Stranger(await bound(host));
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(bytes: Buffer, port: number): void {
    this.sent++;
    this.#socket.send(bytes, port, '127.0.0.1');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}

async function bound(host: string): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  return socket;
}

/** RTP of a stranger: with a source of its own, or with one that it has seen. */
export function rtp(ssrc: number, sequence: number, text = 'stranger speaks'): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header.writeUInt16BE(sequence & 0xffff, 2);
  header.writeUInt32BE((sequence * 160) >>> 0, 4);
  header.writeUInt32BE(ssrc >>> 0, 8);
  return Buffer.concat([header, Buffer.from(text)]);
}

/** SR and BYE (RFC 3550 §6.4.1, §6.6) in the name of `ssrc`. */
export function rtcp(ssrc: number): Buffer {
  const report = Buffer.alloc(28);
  report.set([0x80, 200, 0, 6]);
  report.writeUInt32BE(ssrc >>> 0, 4);
  const bye = Buffer.from([0x81, 203, 0, 1, 0, 0, 0, 0]);
  bye.writeUInt32BE(ssrc >>> 0, 4);
  return Buffer.concat([report, bye]);
}

/** A ClientHello that is cut short where the server would have begun to answer (RFC 6347 §4.2.1). */
export function clientHello(): Buffer {
  const hello = Buffer.from(
    `16feff00000000000000000036${'0100002a000000000000002a'}fefd${randomBytes(32).toString('hex')}00000002c02b0100`,
    'hex',
  );
  return hello;
}

/**
 * A binding request that nominates (RFC 8445 §7.2.4), with a right FINGERPRINT; without `password` its integrity is one
 * that no password gives.
 */
export function check(username: string, password?: string): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(1, 0);
  head.writeUInt32BE(0x2112_a442, 4);
  randomBytes(12).copy(head, 8);
  const covered = Buffer.concat([head, attribute(0x0006, Buffer.from(username)), attribute(0x0025, Buffer.alloc(0))]);
  // Both are computed with a length that ends behind themselves (RFC 8489 §14.5, §14.7).
  covered.writeUInt16BE(covered.length - 20 + 24, 2);
  const integrity = password === undefined ? randomBytes(20) : createHmac('sha1', password).update(covered).digest();
  const signed = Buffer.concat([covered, attribute(0x0008, integrity)]);
  signed.writeUInt16BE(signed.length - 20 + 8, 2);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(signed) ^ 0x5354_554e) >>> 0);
  return Buffer.concat([signed, attribute(0x8028, fingerprint)]);
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}
