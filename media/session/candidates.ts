import { isIP } from 'node:net';
import type { IceCandidate } from '../dataplane/mod.ts';
import type { SdpLine } from './sdp-text.ts';

/** A peer's part of an ICE association. */
export interface RemoteIce {
  readonly ufrag: string;
  readonly pwd: string;
  readonly lite: boolean;
  readonly candidates: readonly IceCandidate[];
}

/** Of a media line, kept at most; the packet path checks fewer still. */
const MAX_CANDIDATES = 40;
const TYPES: readonly string[] = ['host', 'srflx', 'prflx', 'relay'] satisfies IceCandidate['type'][];
const NONE: readonly never[] = [];

/** Of all a=candidate lines those that can be checked, in their order, the first 40. Never throws. */
export function candidatesOf(lines: readonly SdpLine[]): readonly IceCandidate[] {
  const found: IceCandidate[] = [];
  for (const { text } of lines) {
    const candidate = text.startsWith('a=candidate:') ? readCandidate(text) : undefined;
    if (candidate && found.length < MAX_CANDIDATES) found.push(candidate);
  }
  return found.length === 0 ? NONE : found;
}

/**
 * RFC 8839 §5.1. `undefined` for what cannot be checked: TCP, names (those of mDNS, RFC 8828 §5.2, are of no use outside
 * their network), components above 2, and what cannot be read.
 */
export function readCandidate(text: string): IceCandidate | undefined {
  const words = text.slice('a=candidate:'.length, 400).trim().split(/\s+/);
  const [, component, transport, priority, address = '', port, typ, type = ''] = words;
  if (transport?.toLowerCase() !== 'udp' || typ !== 'typ' || !TYPES.includes(type) || isIP(address) === 0)
    return undefined;
  if (component !== '1' && component !== '2') return undefined;
  const numbers = [Number(priority), Number(port)] as const;
  if (!numbers.every((number) => Number.isInteger(number) && number > 0)) return undefined;
  if (numbers[0] > 0xffff_ffff || numbers[1] > 65_535) return undefined;
  const at = { address, port: numbers[1] };
  return { component: component === '1' ? 1 : 2, type: type as IceCandidate['type'], priority: numbers[0], at };
}

/** The same association with what has come since; another one, or the first, as it is. */
export function followed(before: RemoteIce | undefined, now: RemoteIce | undefined): RemoteIce | undefined {
  if (!before || !now || before.ufrag !== now.ufrag || before.pwd !== now.pwd) return now;
  return { ...now, candidates: joined(now.candidates, before.candidates) };
}

export function joined(first: readonly IceCandidate[], more: readonly IceCandidate[]): readonly IceCandidate[] {
  const known = new Set(first.map((candidate) => placeOf(candidate)));
  const fresh = more.filter((candidate) => !known.has(placeOf(candidate)));
  return fresh.length === 0 ? first : [...first, ...fresh].slice(0, MAX_CANDIDATES);
}

function placeOf({ component, at }: IceCandidate): string {
  return `${component} ${at.address} ${at.port}`;
}
