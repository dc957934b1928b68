import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const COOKIE = 0x2112_a442;

export interface CheckOptions {
  /** `<theirs>:<ours>`, seen from whoever checks. */
  readonly username: string;
  /** Of the side that is checked. */
  readonly password: string;
  readonly useCandidate?: boolean;
}

/** A binding request as a controlling ICE agent sends it (RFC 8445 §7.1). */
export function bindingRequest({ username, password, useCandidate = false }: CheckOptions): Buffer {
  const attributes = [
    attribute(0x0006, Buffer.from(username)),
    attribute(0x0024, Buffer.from([0x6e, 0, 0x1e, 0xff])),
    attribute(0x802a, randomBytes(8)),
    ...(useCandidate ? [attribute(0x0025, Buffer.alloc(0))] : []),
  ];
  const header = Buffer.alloc(20);
  header.writeUInt16BE(0x0001, 0);
  header.writeUInt32BE(COOKIE, 4);
  randomBytes(12).copy(header, 8);
  let message = Buffer.concat([header, ...attributes]);
  message.writeUInt16BE(message.length + 24 - 20, 2);
  const integrity = createHmac('sha1', password).update(message).digest();
  message = Buffer.concat([message, attribute(0x0008, integrity)]);
  message.writeUInt16BE(message.length + 8 - 20, 2);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(message) ^ 0x5354_554e) >>> 0);
  return Buffer.concat([message, attribute(0x8028, fingerprint)]);
}

export function isBindingSuccess(message: Buffer): boolean {
  return message.length >= 20 && message.readUInt16BE(0) === 0x0101 && message.readUInt32BE(4) === COOKIE;
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}
