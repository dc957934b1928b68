import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { HostPort } from '../../vocabulary/mod.ts';

export interface CapturedPacket {
  /** Epoch ms. */
  readonly at: number;
  readonly from: HostPort;
  readonly to: HostPort;
  readonly payload: Buffer;
}

/** UDP packets of a classic pcap file of raw IP (link type 101), in the byte order of this machine. Fails on anything else. */
export function readPcap(file: string): CapturedPacket[] {
  const bytes = readFileSync(file);
  assert.equal(bytes.readUInt32LE(0), 0xa1b2c3d4, 'magic');
  assert.equal(bytes.readUInt32LE(20), 101, 'link type');
  const packets: CapturedPacket[] = [];
  for (let at = 24; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 8);
    assert.equal(bytes.readUInt32LE(at + 12), length);
    packets.push({
      at: bytes.readUInt32LE(at) * 1000 + bytes.readUInt32LE(at + 4) / 1000,
      ...readIp(bytes.subarray(at + 16, at + 16 + length)),
    });
    at += 16 + length;
  }
  return packets;
}

function readIp(packet: Buffer): Omit<CapturedPacket, 'at'> {
  const six = packet[0] === 0x60;
  const header = six ? 40 : 20;
  const length = six ? packet.readUInt16BE(4) + 40 : packet.readUInt16BE(2);
  assert.equal(length, packet.length);
  assert.equal(packet[six ? 6 : 9], 17, 'UDP');
  if (!six) assert.equal(checksum(packet.subarray(0, 20)), 0, 'IP checksum');
  const addresses = packet.subarray(six ? 8 : 12, header);
  const udp = packet.subarray(header);
  assert.equal(udp.readUInt16BE(4), udp.length);
  assert.equal(checksum(Buffer.concat([addresses, Buffer.from([0, 17, 0, 0]), udp]), udp.length), 0, 'UDP checksum');
  const half = addresses.length / 2;
  const host = (part: Buffer) =>
    six
      ? (part.toString('hex').match(/.{4}/g) ?? []).map((word) => word.replace(/^0+(?=.)/, '')).join(':')
      : part.join('.');
  return {
    from: { address: host(addresses.subarray(0, half)), port: udp.readUInt16BE(0) },
    to: { address: host(addresses.subarray(half)), port: udp.readUInt16BE(2) },
    payload: udp.subarray(8),
  };
}

/** RFC 1071: 0 when all is well. */
function checksum(bytes: Buffer, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return 0xffff - sum;
}
