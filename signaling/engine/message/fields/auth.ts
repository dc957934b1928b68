import { endOfQuoted, quote, unquote, type Params } from '../list.ts';

/** One challenge, or the credentials of one: scheme in lower case, names in lower case, values without quotes. */
export interface AuthValue {
  readonly scheme: string;
  readonly params: Params;
  /** `Bearer <token>`: what stands in place of parameters (RFC 6750 §2.1). */
  readonly token: string | undefined;
}

/** What nobody needs more of in one header. */
const MAX_CHALLENGES = 16;
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/;
const COMMA = 0x2c;
const EQUALS = 0x3d;
const QUOTE = 0x22;

/**
 * WWW-Authenticate or Proxy-Authenticate (RFC 7616 §3.3, RFC 8760 §2.3): several lines, and several challenges in a
 * line, whose commas are the same as those between parameters. In their order, which is the server's preference.
 */
export function parseChallenges(values: readonly string[]): AuthValue[] {
  const found: AuthValue[] = [];
  for (const value of values) {
    for (let at = skip(value, 0); at < value.length; at = skip(value, at)) {
      const end = tokenEnd(value, at);
      const after = skipSpaces(value, end);
      // A word without '=' behind it begins a challenge; what has none of it before it belongs to nothing.
      const begins = end > at && after > end && value.charCodeAt(after) !== EQUALS;
      if (begins && found.length >= MAX_CHALLENGES) return found;
      const current = begins ? begin(found, value.slice(at, end)) : found.at(-1);
      at = readParameter(value, begins ? after : at, current?.params ?? new Map());
    }
  }
  return found;
}

function begin(found: AuthValue[], scheme: string): AuthValue {
  const challenge: AuthValue = { scheme: scheme.toLowerCase(), params: new Map(), token: undefined };
  found.push(challenge);
  return challenge;
}

/** Authorization or Proxy-Authorization: one scheme. `undefined` when there is none to be read. */
export function parseAuth(value: string): AuthValue | undefined {
  const start = skipSpaces(value, 0);
  const end = tokenEnd(value, start);
  const from = skipSpaces(value, end);
  if (end === start || from === end) return undefined;
  const scheme = value.slice(start, end).toLowerCase();
  const params: Params = new Map();
  if (scheme !== 'digest') {
    const rest = value.slice(from).trim();
    if (TOKEN68.test(rest)) return { scheme, params, token: rest };
  }
  for (let at = skip(value, from); at < value.length; at = skip(value, at)) at = readParameter(value, at, params);
  return { scheme, params, token: undefined };
}

/**
 * One `name=value`, noted unless its name is there already; what is malformed is passed over, to the next comma
 * outside of quotes. @returns where it ends
 */
function readParameter(text: string, at: number, params: Params): number {
  const nameEnd = tokenEnd(text, at);
  const equals = skipSpaces(text, nameEnd);
  if (nameEnd === at || text.charCodeAt(equals) !== EQUALS) return partEnd(text, at);
  const from = skipSpaces(text, equals + 1);
  let to: number;
  let end: number;
  if (text.charCodeAt(from) === QUOTE) {
    to = endOfQuoted(text, from) + 1;
    end = skipSpaces(text, to);
    if (to > text.length || (end < text.length && text.charCodeAt(end) !== COMMA)) return partEnd(text, end);
  } else {
    to = from;
    for (; to < text.length; to++) {
      const char = text.charCodeAt(to);
      if (char === COMMA || char <= 0x20 || char === QUOTE) break;
    }
    end = skipSpaces(text, to);
    if (end < text.length && text.charCodeAt(end) !== COMMA) return partEnd(text, end);
  }
  const name = text.slice(at, nameEnd).toLowerCase();
  if (!params.has(name)) params.set(name, unquote(text.slice(from, to)));
  return end;
}

/** The next comma outside of quoted strings, or the end. */
function partEnd(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === COMMA) return i;
    if (char === QUOTE) i = endOfQuoted(text, i);
  }
  return text.length;
}

function tokenEnd(text: string, from: number): number {
  for (let i = from; ; i++) {
    const char = text.charCodeAt(i);
    const letter = char | 0x20;
    const token =
      (letter >= 0x61 && letter <= 0x7a) || (char >= 0x30 && char <= 0x39) || char === 0x2d || char === 0x5f;
    if (!token) return i;
  }
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** Over commas and white space. */
function skip(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) <= 0x20 || text.charCodeAt(at) === COMMA) at++;
  return at;
}

/** Digest credentials (RFC 7616 §3.4). `qop` undefined: the form of RFC 2069, without nc and cnonce. */
export interface DigestAuth {
  readonly username: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  /** Lower case hex. */
  readonly response: string;
  /** `MD5` when it is not said, as written otherwise. */
  readonly algorithm: string;
  readonly qop: 'auth' | 'auth-int' | undefined;
  readonly cnonce: string | undefined;
  /** How often the nonce was used, 1 at first; as number. */
  readonly nc: number | undefined;
  readonly opaque: string | undefined;
  /** The user name is hashed (§3.4.4). */
  readonly userhash: boolean;
}

/** Lengths of hex that the algorithms of RFC 8760 give. */
const RESPONSE = /^(?:[0-9a-f]{32}|[0-9a-f]{64})$/;

/** `undefined` when something is missing, or what is there contradicts itself. */
export function digestOf({ scheme, params }: AuthValue): DigestAuth | undefined {
  const get = (name: string) => params.get(name);
  const [username, realm, nonce, uri] = [get('username'), get('realm'), get('nonce'), get('uri')];
  const response = get('response')?.toLowerCase() ?? '';
  if (scheme !== 'digest' || username === undefined || realm === undefined || !nonce || !uri) return undefined;
  if (!RESPONSE.test(response)) return undefined;
  const qop = get('qop')?.toLowerCase();
  if (qop !== undefined && qop !== 'auth' && qop !== 'auth-int') return undefined;
  const nc = get('nc');
  const cnonce = get('cnonce');
  if (qop !== undefined && (!cnonce || nc === undefined || !/^[0-9a-f]{1,8}$/i.test(nc))) return undefined;
  return {
    username,
    realm,
    nonce,
    uri,
    response,
    algorithm: get('algorithm') ?? 'MD5',
    qop,
    cnonce,
    nc: qop === undefined ? undefined : Number.parseInt(nc as string, 16),
    opaque: get('opaque'),
    userhash: get('userhash')?.toLowerCase() === 'true',
  };
}

/** `auth,auth-int` of a challenge, in lower case; empty for the form of RFC 2069. */
export function qopsOf({ params }: AuthValue): string[] {
  return (params.get('qop') ?? '').split(',').flatMap((word) => word.trim().toLowerCase() || []);
}

/** One digest challenge (RFC 7616 §3.3, RFC 8760 §2.2): algorithm and stale are written without quotes, as clients want. */
export function formatDigestChallenge(challenge: {
  readonly realm: string;
  readonly nonce: string;
  readonly algorithm: string;
  readonly qop?: readonly string[];
  readonly stale?: boolean;
  readonly opaque?: string;
}): string {
  const { realm, nonce, algorithm, qop = ['auth'], stale = false, opaque } = challenge;
  return (
    `Digest realm=${quote(realm)}, nonce=${quote(nonce)}, algorithm=${algorithm}` +
    `${qop.length === 0 ? '' : `, qop=${quote(qop.join(','))}`}${stale ? ', stale=true' : ''}` +
    `${opaque === undefined ? '' : `, opaque=${quote(opaque)}`}`
  );
}

/** What a client is told that may bring a token instead of a password (RFC 8898 §4). */
export function formatBearerChallenge(challenge: {
  readonly realm: string;
  /** The authorization server's HTTPS URI. */
  readonly authzServer: string;
  readonly scope?: string;
  readonly error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope';
}): string {
  const { realm, authzServer, scope, error } = challenge;
  return (
    `Bearer realm=${quote(realm)}, authz_server=${quote(authzServer)}` +
    `${scope === undefined ? '' : `, scope=${quote(scope)}`}${error === undefined ? '' : `, error=${quote(error)}`}`
  );
}
