import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Flow } from './flow.ts';

/** 80 bits, as RFC 5626 §5.2 has it. */
const MAC_BYTES = 10;

/** What a token says: of which flow it was made. */
export interface FlowName {
  readonly id: string;
  readonly protocol: Flow['protocol'];
  readonly localPort: number;
  readonly address: string;
  readonly port: number;
}

/**
 * A flow as a user part (RFC 5626 §5.2): a MAC and what it covers, in characters that need no escape. It tells nothing
 * that the peer does not know, and nobody can make one up.
 */
export function tokenOf(flow: Flow, key: Uint8Array): string {
  const { id, protocol, listener, remote } = flow;
  const name = Buffer.from([id, protocol, listener.bound.port, remote.address, remote.port].join(' '));
  return Buffer.concat([mac(name, key), name]).toString('base64url');
}

/** `undefined`: it was not made with this key. */
export function readToken(token: string, key: Uint8Array): FlowName | undefined {
  if (token.length > 200 || !/^[\w-]+$/.test(token)) return undefined;
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length <= MAC_BYTES) return undefined;
  const name = bytes.subarray(MAC_BYTES);
  if (!timingSafeEqual(bytes.subarray(0, MAC_BYTES), mac(name, key))) return undefined;
  const [id = '', protocol = '', localPort, address = '', port] = name.toString().split(' ');
  return { id, protocol: protocol as Flow['protocol'], localPort: Number(localPort), address, port: Number(port) };
}

function mac(name: Uint8Array, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(name).digest().subarray(0, MAC_BYTES);
}
