import { isIPv6 } from 'node:net';

const MAGIC = 0x2112_a442;

export const STUN_HEADER = 20;

/** STUN shares the SIP port (RFC 5626 §8): first two bits zero and the magic cookie. */
export function isStun(bytes: Buffer): boolean {
  return bytes.length >= STUN_HEADER && (bytes[0] as number) < 4 && bytes.readUInt32BE(4) === MAGIC;
}

/** How long the STUN message is that begins here; `undefined` when none does. Wants a whole header. */
export function stunLength(bytes: Buffer): number | undefined {
  const length = bytes.readUInt16BE(2);
  return isStun(bytes) && length % 4 === 0 ? STUN_HEADER + length : undefined;
}

/** The answer to a Binding request (RFC 8489 §7.3.1): where it came from, XORed. Nothing else is answered. */
export function answerStunBinding(request: Buffer, address: string, port: number): Buffer | undefined {
  if (request.readUInt16BE(0) !== 0x0001) return undefined;
  const ip = addressBytes(address);
  const answer = Buffer.alloc(20 + 8 + ip.length);
  answer.writeUInt16BE(0x0101, 0);
  answer.writeUInt16BE(8 + ip.length, 2);
  request.copy(answer, 4, 4, 20);
  answer.writeUInt16BE(0x0020, 20);
  answer.writeUInt16BE(4 + ip.length, 22);
  answer[25] = ip.length === 4 ? 1 : 2;
  answer.writeUInt16BE(port ^ (MAGIC >>> 16), 26);
  for (let i = 0; i < ip.length; i++) answer[28 + i] = (ip[i] as number) ^ (request[4 + i] as number);
  return answer;
}

function addressBytes(address: string): Uint8Array {
  if (!isIPv6(address)) return Uint8Array.from(address.split('.'), Number);
  const [head = '', tail] = (address.split('%')[0] as string).split('::');
  const groups = (text: string | undefined) => (text ? text.split(':') : []);
  const left = groups(head);
  const right = groups(tail);
  const all = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}
