import { isIPv6 } from 'node:net';
import { findOutside, parseParams, type Params } from './list.ts';

/** One hop (RFC 3261 §20.42). `host` is lower case and keeps IPv6 brackets. */
export interface Via {
  readonly transport: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly params: Params;
}

const VIA =
  /^SIP\s*\/\s*2\.0\s*\/\s*([A-Za-z0-9-]+)\s+(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)\s*(?::\s*(\d{1,5})\s*)?(?=;|$)/i;

/** `undefined` for what is no Via: also for parameters without a name, as in `;;` (RFC 4475 §3.1.2.1). */
export function parseVia(value: string): Via | undefined {
  const usual = usualVia(value);
  if (usual !== undefined) return usual;
  const text = value.trim();
  const match = VIA.exec(text);
  if (!match) return undefined;
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && port > 65_535) return undefined;
  const host = match[2] as string;
  if (host.startsWith('[') && !isIPv6(host.slice(1, -1))) return undefined;
  const at = match[0].length;
  if (/;\s*;/.test(text.slice(at))) return undefined;
  const params: Params = at === text.length ? new Map() : parseParams(text, at);
  return { transport: (match[1] as string).toUpperCase(), host: host.toLowerCase(), port, params };
}

/** `SIP/2.0/UDP 192.0.2.1:5060;branch=…` without white space where none is needed: what nearly everybody writes. */
function usualVia(text: string): Via | undefined {
  if (!text.startsWith('SIP/2.0/') || text.includes(';;')) return undefined;
  const space = text.indexOf(' ', 8);
  if (space < 0 || text.indexOf(' ', space + 1) >= 0) return undefined;
  let transport = text.slice(8, space);
  if (!TRANSPORTS.has(transport)) {
    transport = transport.toUpperCase();
    if (!TRANSPORTS.has(transport)) return undefined;
  }
  let at = space + 1;
  for (let char = text.charCodeAt(at); isHostChar(char); char = text.charCodeAt(at)) at++;
  if (at === space + 1) return undefined;
  const host = text.slice(space + 1, at).toLowerCase();
  let port: number | undefined;
  if (text.charCodeAt(at) === 0x3a) {
    port = 0;
    const from = ++at;
    for (let digit = text.charCodeAt(at) - 0x30; digit >= 0 && digit <= 9; digit = text.charCodeAt(at) - 0x30) {
      port = port * 10 + digit;
      at++;
    }
    if (at === from || port > 65_535 || at - from > 5) return undefined;
  }
  if (at < text.length && text.charCodeAt(at) !== 0x3b) return undefined;
  return { transport, host, port, params: at === text.length ? new Map() : parseParams(text, at) };
}

const TRANSPORTS = new Set(['UDP', 'TCP', 'TLS', 'WS', 'WSS']);

function isHostChar(char: number): boolean {
  return (
    (char >= 0x30 && char <= 0x39) ||
    ((char | 0x20) >= 0x61 && (char | 0x20) <= 0x7a) ||
    char === 0x2e ||
    char === 0x2d ||
    char === 0x5f
  );
}

export interface TopVia {
  readonly via: Via | undefined;
  readonly first: string;
  readonly rest: string;
}

let lastText = '';
let last: TopVia = { via: undefined, first: '', rest: '' };

/**
 * The topmost Via of a message's first Via line, with what is left of that line. The last answer is kept: parser,
 * transactions and core ask for the same line one after the other.
 */
export function topVia(value: string): TopVia {
  if (value === lastText) return last;
  let comma = value.indexOf(',');
  if (comma >= 0) comma = findOutside(value, 0x2c, 0);
  const first = comma < 0 ? value : value.slice(0, comma).trim();
  lastText = value;
  last = { via: parseVia(first), first, rest: comma < 0 ? '' : value.slice(comma + 1).trim() };
  return last;
}

/**
 * The first Via line with a note in its topmost hop of where the request really came from (RFC 3261 §18.2.1, RFC 3581
 * §4). The port is noted even for clients that did not ask: answers go back by the flow in any case. `received` has no
 * brackets (§25.1). `undefined` when the line cannot be read.
 */
export function noteSource(value: string, address: string, port: number): string | undefined {
  const { via, first, rest } = topVia(value);
  if (!via) return undefined;
  let text = first;
  if (first.endsWith(';rport')) text = first.slice(0, -6);
  else if (first.includes(';rport;')) text = first.replace(';rport;', ';');
  if (via.params.has('received') || (via.params.has('rport') && text === first)) {
    text = first.replace(/;\s*(?:rport|received)(?:\s*=\s*[^;,\s]*)?(?=\s*[;,]|\s*$)/gi, '');
  }
  const params = new Map(via.params);
  if (via.host === address || via.host === `[${address}]`) params.delete('received');
  else {
    text += `;received=${address}`;
    params.set('received', address);
  }
  text += `;rport=${port}`;
  params.set('rport', String(port));
  lastText = rest === '' ? text : `${text}, ${rest}`;
  last = { via: { ...via, params }, first: text, rest };
  return lastText;
}

/**
 * Where a response goes by this hop (RFC 3261 §18.2.2, RFC 3581 §4): `received` and `rport` before what the hop says
 * of itself. Without brackets: RFC 5118 §4.5 has both forms of `received`.
 */
export function viaSource(via: Via): { readonly host: string; readonly port: number | undefined } {
  const named = via.params.get('maddr') || via.params.get('received') || via.host;
  const rport = via.params.get('rport');
  const host = named.startsWith('[') && named.endsWith(']') ? named.slice(1, -1) : named;
  return { host, port: rport !== undefined && /^\d{1,5}$/.test(rport) ? Number(rport) : via.port };
}

/** A hop that no response may be sent to: broadcast, multicast, nowhere (RFC 4475 §3.3.10). */
export function isNowhere(host: string): boolean {
  if (host === '255.255.255.255' || host === '0.0.0.0' || host === '::') return true;
  const first = /^(\d{1,3})(?:\.\d{1,3}){3}$/.exec(host)?.[1];
  return first === undefined ? /^ff[0-9a-f]{2}:/i.test(host) : Number(first) >= 224;
}
