import type { Params } from './list.ts';

/**
 * A SIP or SIPS URI (RFC 3261 §19.1). `user` is unescaped; `host` is lower case, IPv6 in brackets.
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

const HOST = /^(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?$/;

/** `undefined` when the text is not a SIP or SIPS URI. */
export function parseUri(text: string): SipUri | undefined {
  const colon = text.indexOf(':');
  const scheme = text.slice(0, Math.max(colon, 0)).toLowerCase();
  if (scheme !== 'sip' && scheme !== 'sips') return undefined;
  let rest = text.slice(colon + 1);

  // The user part may hold ';', '?' and '/': what ends it is the '@'.
  const at = rest.lastIndexOf('@', endOfUserInfo(rest));
  let user: string | undefined;
  let password: string | undefined;
  if (at >= 0) {
    const info = rest.slice(0, at);
    rest = rest.slice(at + 1);
    const split = info.indexOf(':');
    user = unescape(split < 0 ? info : info.slice(0, split));
    password = split < 0 ? undefined : info.slice(split + 1);
    if (user === undefined || user === '') return undefined;
  }
  const question = rest.indexOf('?');
  const headers = question < 0 ? undefined : rest.slice(question + 1);
  const withoutHeaders = question < 0 ? rest : rest.slice(0, question);
  const semicolon = withoutHeaders.indexOf(';');
  const hostPort = semicolon < 0 ? withoutHeaders : withoutHeaders.slice(0, semicolon);
  const match = HOST.exec(hostPort);
  if (!match) return undefined;
  const port = match[2] === undefined ? undefined : Number(match[2]);
  if (port !== undefined && port > 65_535) return undefined;
  return {
    scheme,
    user,
    password,
    host: (match[1] as string).toLowerCase(),
    port,
    params: semicolon < 0 ? new Map() : uriParams(withoutHeaders.slice(semicolon + 1)),
    headers,
  };
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

/** An '@' after the headers' '?' belongs to them, unless the user part itself holds the '?'. */
function endOfUserInfo(rest: string): number {
  const first = rest.indexOf('@');
  if (first < 0) return -1;
  const question = rest.indexOf('?', first);
  return question < 0 ? rest.length : question;
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
