import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { AddressInfo } from 'node:net';

const COOKIE = 0x2112_a442;

export interface CheckOptions {
  /** `<theirs>:<ours>`, seen from whoever checks. */
  readonly username: string;
  /** Of the side that is checked. */
  readonly password: string;
  readonly useCandidate?: boolean;
  /** Default: controlling. */
  readonly role?: 'controlling' | 'controlled';
  /** 8 octets; random ones by default. */
  readonly tieBreaker?: Buffer;
}

/** A binding request as an ICE agent sends it (RFC 8445 §7.1). */
export function bindingRequest({
  username,
  password,
  useCandidate = false,
  role = 'controlling',
  tieBreaker = randomBytes(8),
}: CheckOptions): Buffer {
  return message(0x0001, randomBytes(12), password, [
    attribute(0x0006, Buffer.from(username)),
    attribute(0x0024, Buffer.from([0x6e, 0, 0x1e, 0xff])),
    attribute(role === 'controlling' ? 0x802a : 0x8029, tieBreaker),
    ...(useCandidate ? [attribute(0x0025, Buffer.alloc(0))] : []),
  ]);
}

/** A binding request of nobody in particular, as phones keep their ways open by (RFC 5626 §4.4.2). `id`: 12 octets. */
export function plainRequest(id: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(0x0001, 0);
  header.writeUInt32BE(COOKIE, 4);
  return Buffer.concat([header, id]);
}

/** XOR-MAPPED-ADDRESS of the answer to it, of IPv4 (RFC 8489 §14.2). */
export function mappedAddress(answer: Buffer, id: Buffer): { address: string; port: number } {
  assert.ok(isBindingSuccess(answer));
  assert.deepEqual(answer.subarray(8, 20), id);
  assert.equal(answer.readUInt16BE(20), 0x0020);
  const address = (answer.readUInt32BE(28) ^ COOKIE) >>> 0;
  const octets = [24, 16, 8, 0].map((bits) => (address >>> bits) & 0xff);
  return { address: octets.join('.'), port: answer.readUInt16BE(26) ^ (COOKIE >>> 16) };
}

/** What a check says. `undefined`: it is none. */
export interface Check {
  readonly transaction: Buffer;
  readonly username: string;
  readonly useCandidate: boolean;
  readonly role: 'controlling' | 'controlled' | undefined;
  readonly priority: number | undefined;
  /** Its MESSAGE-INTEGRITY is of this password. */
  proven(password: string): boolean;
}

export function readCheck(packet: Buffer): Check | undefined {
  if (!isStun(packet) || packet.readUInt16BE(0) !== 0x0001) return undefined;
  const found = new Map<number, { readonly value: Buffer; readonly at: number }>();
  for (let at = 20; at + 4 <= packet.length;) {
    const size = packet.readUInt16BE(at + 2);
    found.set(packet.readUInt16BE(at), { value: packet.subarray(at + 4, at + 4 + size), at });
    at += 4 + Math.ceil(size / 4) * 4;
  }
  const integrity = found.get(0x0008);
  return {
    transaction: packet.subarray(8, 20),
    username: found.get(0x0006)?.value.toString() ?? '',
    useCandidate: found.has(0x0025),
    role: found.has(0x802a) ? 'controlling' : found.has(0x8029) ? 'controlled' : undefined,
    priority: found.get(0x0024)?.value.readUInt32BE(0),
    proven(password) {
      if (!integrity) return false;
      const covered = Buffer.from(packet.subarray(0, integrity.at));
      covered.writeUInt16BE(integrity.at + 24 - 20, 2);
      return createHmac('sha1', password).update(covered).digest().equals(integrity.value);
    },
  };
}

/** The answer to a check from there, of IPv4. */
export function bindingSuccess(
  { transaction }: Check,
  password: string,
  from: Pick<AddressInfo, 'address' | 'port'>,
): Buffer {
  const mapped = Buffer.alloc(8);
  mapped[1] = 1;
  mapped.writeUInt16BE(from.port ^ (COOKIE >>> 16), 2);
  mapped.writeUInt32BE((Buffer.from(from.address.split('.').map(Number)).readUInt32BE() ^ COOKIE) >>> 0, 4);
  return message(0x0101, transaction, password, [attribute(0x0020, mapped)]);
}

/** RFC 8445 §7.3.1.1 */
export function roleConflict({ transaction }: Check, password: string): Buffer {
  return message(0x0111, transaction, password, [
    attribute(0x0009, Buffer.concat([Buffer.from([0, 0, 4, 87]), Buffer.from('Role Conflict')])),
  ]);
}

export function isBindingSuccess(packet: Buffer): boolean {
  return isStun(packet) && packet.readUInt16BE(0) === 0x0101;
}

export function isRoleConflict(packet: Buffer): boolean {
  return isStun(packet) && packet.readUInt16BE(0) === 0x0111 && packet.includes(Buffer.from([0, 0, 4, 87]));
}

export function isStun(packet: Buffer): boolean {
  return packet.length >= 20 && (packet[0] as number) < 4 && packet.readUInt32BE(4) === COOKIE;
}

function message(type: number, transaction: Buffer, password: string, attributes: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type, 0);
  header.writeUInt32BE(COOKIE, 4);
  transaction.copy(header, 8);
  let bytes = Buffer.concat([header, ...attributes]);
  bytes.writeUInt16BE(bytes.length + 24 - 20, 2);
  const integrity = createHmac('sha1', password).update(bytes).digest();
  bytes = Buffer.concat([bytes, attribute(0x0008, integrity)]);
  bytes.writeUInt16BE(bytes.length + 8 - 20, 2);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(bytes) ^ 0x5354_554e) >>> 0);
  return Buffer.concat([bytes, attribute(0x8028, fingerprint)]);
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}
