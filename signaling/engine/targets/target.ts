import type { SipUri } from '../message/mod.ts';

export type Protocol = 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';

/** Where a request is to go, after RFC 3263 has been applied. */
export interface Target {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  /** For TLS: the domain that the certificate must be for: that of the URI, whatever DNS has made of it (RFC 5922 §7). */
  readonly serverName?: string;
}

/** One name for one place: the same however it was found. */
export function targetKey(target: Pick<Target, 'protocol' | 'address' | 'port'>): string {
  return `${target.protocol} ${target.address} ${target.port}`;
}

export function protocolOf(uri: SipUri): Protocol {
  const transport = uri.params.get('transport')?.toLowerCase();
  if (uri.scheme === 'sips') return transport === 'ws' || transport === 'wss' ? 'wss' : 'tls';
  if (transport === 'tcp' || transport === 'tls' || transport === 'ws' || transport === 'wss') return transport;
  return 'udp';
}

export function defaultPort(protocol: Protocol): number {
  if (protocol === 'tls') return 5061;
  if (protocol === 'ws') return 80;
  return protocol === 'wss' ? 443 : 5060;
}
