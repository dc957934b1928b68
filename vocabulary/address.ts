import { isIP } from 'node:net';

/** A transport address. `address` is an IP literal without brackets; `port` is 1–65535 (0 = any, when binding). */
export interface HostPort {
  readonly address: string;
  readonly port: number;
}

/** `192.0.2.1:5060`, `[2001:db8::1]:5060`. */
export function formatHostPort(hostPort: HostPort): string {
  return `${bracketed(hostPort.address)}:${hostPort.port}`;
}

/** The form an IP literal has in a URI: IPv6 in brackets, everything else as it is. */
export function bracketed(address: string): string {
  return address.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
}

/** Reads `host:port` or `[v6]:port`; `undefined` when it is neither. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { address: (match[1] ?? match[2]) as string, port };
}

/** An IP literal as {@link HostPort} has it: no name, no brackets, no interface. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%');
}

/** 127.0.0.0/8, ::1 and their IPv4-mapped form. */
export function isLoopback(address: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(address) || address === '::1' || /^::ffff:127\./i.test(address);
}
