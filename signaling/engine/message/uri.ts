import { isIPv6 } from 'node:net';
import type { Params } from './list.ts';

/**
 * A SIP or SIPS URI (RFC 3261 §19.1). `user` is unescaped; `host` is lower case, IPv6 in brackets and in the form of RFC 5952.
 * `port` is undefined when it is not written: that is not the same as 5060 (§19.1.4).
 */
export interface SipUri {
  scheme: 'sip' | 'sips';
  user: string | undefined;
  password: string | undefined;
  host: string;
  port: number | undefined;
  params: Params;
  /** What stands after `?`, as it is. */
  headers: string | undefined;
}

/** Host, or IPv6 reference with an optional zone, and port. */
const HOST = /^(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?$/;

/** `undefined` when the text is not a SIP or SIPS URI. */
export function parseUri(text: string): SipUri | undefined {
  const start = schemeEnd(text);
  if (start === 0) return undefined;
  const scheme = start === 5 ? 'sips' : 'sip';

  // The user part may hold ';', '?' and '/': what ends it is the '@'.
  const at = userEnd(text, start);
  let user: string | undefined;
  let password: string | undefined;
  if (at >= 0) {
    const colon = text.indexOf(':', start);
    const split = colon < at && colon >= 0 ? colon : at;
    user = unescape(text.slice(start, split));
    password = split === at ? undefined : text.slice(split + 1, at);
    if (user === '') return undefined;
  }
  const hostStart = at < 0 ? start : at + 1;
  const question = text.indexOf('?', hostStart);
  const paramsEnd = question < 0 ? text.length : question;
  let semicolon = text.indexOf(';', hostStart);
  if (semicolon < 0 || semicolon > paramsEnd) semicolon = paramsEnd;
  const match = HOST.exec(text.slice(hostStart, semicolon));
  if (!match) return undefined;
  const host = hostOf(match[1] as string);
  const port = match[2] === undefined ? undefined : Number(match[2]);
  if (host === undefined || (port !== undefined && port > 65_535)) return undefined;
  return {
    scheme,
    user,
    password,
    host,
    port,
    params: semicolon === paramsEnd ? new Map() : uriParams(text.slice(semicolon + 1, paramsEnd)),
    headers: question < 0 ? undefined : text.slice(question + 1),
  };
}

/** Where the URI goes on after `sip:` or `sips:`; 0 when it begins otherwise. */
function schemeEnd(text: string): number {
  if (text.startsWith('sip:')) return 4;
  if (text.startsWith('sips:')) return 5;
  const colon = text.indexOf(':');
  if (colon !== 3 && colon !== 4) return 0;
  const scheme = text.slice(0, colon).toLowerCase();
  return scheme === 'sip' || scheme === 'sips' ? colon + 1 : 0;
}

/** In lower case; an IPv6 reference must hold an address. Three colons before an IPv4 tail count as two (RFC 5118 §4.10). */
function hostOf(written: string): string | undefined {
  if (!written.startsWith('[')) return written.toLowerCase();
  const address = written.slice(1, -1).replace(':::', '::');
  const zone = address.indexOf('%25');
  if (!isIPv6(zone < 0 ? address : address.slice(0, zone))) return undefined;
  // One text for one address (RFC 5952), so that hosts can be compared; what ends in IPv4 keeps its dots.
  return zone < 0 && !address.includes('.') ? new URL(`http://[${address}]`).hostname : `[${address.toLowerCase()}]`;
}

/** URI parameters know no quotes. */
function uriParams(text: string): Params {
  const params: Params = new Map();
  for (const part of text.split(';')) {
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).toLowerCase();
    if (name !== '' && !params.has(name)) params.set(name, equals < 0 ? '' : part.slice(equals + 1));
  }
  return params;
}

/** The '@' that ends the user part, -1 without one: an '@' after the headers' '?' belongs to them, unless the user part itself holds the '?'. */
function userEnd(text: string, start: number): number {
  const first = text.indexOf('@', start);
  if (first < 0) return -1;
  const question = text.indexOf('?', first);
  return text.lastIndexOf('@', question < 0 ? text.length : question);
}

export function formatUri(uri: SipUri): string {
  const user =
    uri.user === undefined ? '' : `${escapeUser(uri.user)}${uri.password === undefined ? '' : `:${uri.password}`}@`;
  const port = uri.port === undefined ? '' : `:${uri.port}`;
  const headers = uri.headers === undefined ? '' : `?${uri.headers}`;
  let params = '';
  for (const [name, value] of uri.params) params += value === '' ? `;${name}` : `;${name}=${value}`;
  return `${uri.scheme}:${user}${uri.host}${port}${params}${headers}`;
}

/** The host without the brackets that IPv6 has in a URI. */
export function bareHost(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

/** What may stand unescaped in a user part (§25.1: unreserved and user-unreserved). */
export function escapeUser(user: string): string {
  return user.replace(/[^A-Za-z0-9\-_.!~*'()&=+$,;?/]/gu, (char) => encodeURIComponent(char));
}

function unescape(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    // Escaped bytes that are not UTF-8 are legal (RFC 4475 §3.1.1.3): keep them as they stand.
    return text;
  }
}
