import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { parseHostPort } from '../../../vocabulary/mod.ts';
import { TransportError, type Listener, type Protocol, type TransportEvents } from './flow.ts';

export interface TransportOptions {
  /** `udp:127.0.0.1:5060`, and tcp, tls, ws, wss. Port 0 takes any. */
  readonly listen: readonly string[];
  /** Written into Via, Contact and Record-Route in place of the bound address. */
  readonly publicAddress?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /** PEM of CAs that are trusted beside the system's when we connect by TLS, and for certificates of clients. */
  readonly ca?: string | undefined;
  readonly limits?: Partial<TransportLimits>;
  /** Addresses and networks that the limits of one address do not hold for: edge proxies. `192.0.2.1`, `2001:db8::/64`. */
  readonly exempt?: readonly string[] | undefined;
  readonly events: TransportEvents;
  /** Requests on ws and wss listeners that are not WebSocket upgrades. Without it they get 404. */
  readonly onHttpRequest?: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** Flow tokens (RFC 5626 §5.2) are signed with it; random when absent: then they end with the process. */
  readonly flowTokenKey?: Uint8Array | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface TlsOptions {
  /** PEM; required for tls and wss. */
  readonly cert: string;
  readonly key: string;
  /** Certificates for further domains of ours, chosen by the name that the client says (RFC 6066 §3). */
  readonly domains?: readonly { readonly domain: string; readonly cert: string; readonly key: string }[] | undefined;
  /** Ask tls clients for a certificate: who shows one of a trusted CA can have its connection reused (RFC 5923). Default false. */
  readonly askClients?: boolean | undefined;
  /** Trust `ca` alone, not the system's. Default false. */
  readonly ownCaOnly?: boolean | undefined;
}

export interface TransportLimits {
  /** Open connections over all listeners; a further one is closed at once. */
  readonly connections: number;
  /** Of one IPv4 address or IPv6 /64. An office behind one address may have thousands of softphones. */
  readonly connectionsPerAddress: number;
  /** New TLS connections, with four seconds' worth at once. */
  readonly handshakesPerSecond: number;
  /** The same of one address, with ten seconds' worth at once. */
  readonly handshakesPerSecondPerAddress: number;
  /** For the TLS handshake, and again for the HTTP upgrade. */
  readonly handshakeMs: number;
  /** UDP flows that are remembered; the least recently used one goes. */
  readonly udpFlows: number;
  /** Bytes that may wait on one connection before it is given up. */
  readonly queueBytes: number;
  /** Bytes that may wait on one UDP socket; beyond them datagrams are dropped. */
  readonly udpQueueBytes: number;
  /** A connection that has not said anything valid for this long is closed. */
  readonly firstMessageMs: number;
  /** From the first byte of a message or WebSocket frame to its last. */
  readonly messageMs: number;
  /** A TCP or TLS peer that has sent a keep-alive, and then nothing for this long, is gone: longer than any Flow-Timer it is told. */
  readonly keepAliveMs: number;
  readonly connectMs: number;
  /** For what is still to be sent on a connection that is being closed. */
  readonly closeMs: number;
  /** Between WebSocket pings; a peer that misses two is gone. */
  readonly wsPingMs: number;
}

export const DEFAULT_LIMITS: TransportLimits = {
  connections: 15_000,
  connectionsPerAddress: 2_000,
  handshakesPerSecond: 1_000,
  handshakesPerSecondPerAddress: 200,
  handshakeMs: 5_000,
  udpFlows: 100_000,
  queueBytes: 262_144,
  udpQueueBytes: 8 << 20,
  firstMessageMs: 60_000,
  messageMs: 10_000,
  keepAliveMs: 240_000,
  connectMs: 4_000,
  closeMs: 2_000,
  wsPingMs: 25_000,
};

export function parseListen(text: string): { protocol: Protocol; address: string; port: number } {
  const match = /^(udp|tcp|tls|ws|wss):(.+)$/.exec(text);
  const at = match && parseHostPort(match[2] as string);
  if (!match || !at || isIP(at.address) === 0) {
    throw new TransportError(
      'no-transport',
      `listen address "${text}" is not PROTOCOL:ADDRESS:PORT, e.g. udp:127.0.0.1:5060`,
    );
  }
  return { protocol: match[1] as Protocol, address: at.address, port: at.port };
}

export function listenerOf(
  protocol: Protocol,
  address: string,
  port: number,
  publicAddress: string | undefined,
): Listener {
  const wildcard = address === '0.0.0.0' || address === '::';
  const external = publicAddress ?? (wildcard ? (address === '::' ? '::1' : '127.0.0.1') : address);
  return { protocol, bound: { address, port }, external: { address: external, port } };
}

/** What a failed bind says to a person. */
export function bindError(what: string, error: NodeJS.ErrnoException): TransportError {
  const why =
    error.code === 'EADDRINUSE'
      ? 'the port is taken by another process'
      : error.code === 'EACCES'
        ? 'no permission for this port'
        : error.code === 'EADDRNOTAVAIL'
          ? 'this machine does not have that address'
          : error.message;
  return new TransportError('no-transport', `cannot listen on ${what}: ${why}`, { cause: error });
}

export function connectError(error: NodeJS.ErrnoException): TransportError {
  if (error instanceof TransportError) return error;
  const code =
    error.code === 'ECONNREFUSED'
      ? 'refused'
      : error.code === 'EHOSTUNREACH' || error.code === 'ENETUNREACH'
        ? 'unreachable'
        : error.code?.startsWith('ERR_TLS') === true || /certificate|self-signed|altname/i.test(error.message)
          ? 'tls'
          : 'closed';
  return new TransportError(code, error.message, { cause: error });
}
