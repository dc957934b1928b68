import { parseAddressList, parseContacts, parseCSeq, parseUri, type NameAddr } from '../engine/mod.ts';
import { bindingKey } from './binding.ts';
import { readPush, type Push } from './push.ts';

/** Headers of a request, the engine's or drachtio-srf's: several lines of one header are joined by commas there. */
export interface Headers {
  get(name: string): string | undefined;
  getAll?(name: string): string[];
}

/** One Contact of a REGISTER. */
export interface ContactRequest {
  readonly key: string;
  readonly contact: string;
  readonly instance: string | undefined;
  readonly regId: number | undefined;
  /** 0 to 1000. */
  readonly q: number;
  /** 0: to be removed. `undefined`: it says nothing itself, and neither does Expires. */
  readonly seconds: number | undefined;
  readonly push: Push | undefined;
}

/** A REGISTER as the registrar sees it; nothing is decided yet. */
export interface RegisterRequest {
  readonly callId: string;
  readonly cseq: number;
  readonly contacts: readonly ContactRequest[] | 'all' | 'none';
  /** Routes of Path, in their order (RFC 3327). */
  readonly path: readonly string[];
  readonly supported: ReadonlySet<string>;
  /** RFC 5626 §6: applied, or the first hop cannot. */
  readonly outbound: 'yes' | 'no' | 'first-hop-lacks';
  readonly userAgent: string;
}

export interface Refusal {
  readonly type: 'refusal';
  readonly status: number;
  readonly reason?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a REGISTER may require of us; everything else is 420 (RFC 3261 §8.2.2.3). */
const KNOWN = new Set(['path', 'gruu', 'outbound', 'pref']);
/** RFC 3261 §20.19: what cannot be read is an hour. */
const MALFORMED_EXPIRES = 3600;
const MAX_EXPIRES = 0xffff_ffff;
const MAX_CONTACTS = 20;
const MAX_PATH = 10;

export function refusal(status: number, reason?: string, headers: Record<string, string> = {}): Refusal {
  return { type: 'refusal', status, reason, headers };
}

/** `wanted`: option tags that this registrar insists on; who does not support them gets 421. */
export function readRegister(request: Headers, wanted: readonly string[] = []): RegisterRequest | Refusal {
  const unknown = [...tags(listed(request, 'require')), ...tags(listed(request, 'proxy-require'))].filter(
    (tag) => !KNOWN.has(tag),
  );
  if (unknown.length > 0) return refusal(420, undefined, { Unsupported: unknown.join(', ') });
  const supported = new Set([...tags(listed(request, 'supported')), ...tags(listed(request, 'require'))]);
  const missing = wanted.filter((tag) => !supported.has(tag));
  if (missing.length > 0) return refusal(421, undefined, { Require: missing.join(', ') });
  const cseq = parseCSeq(request.get('cseq') ?? '')?.number;
  const callId = request.get('call-id');
  if (cseq === undefined || callId === undefined) return refusal(400, 'Malformed CSeq or Call-ID');
  const path = readPath(request);
  if (!path) return refusal(400, 'Malformed Path');
  // RFC 3327 §5.3: a UA that does not know of its path could not be told of it.
  if (path.length > 0 && !supported.has('path')) return refusal(420, 'Path Needs Support', { Unsupported: 'path' });
  const header = readExpires(request.get('expires'));
  const written = listed(request, 'contact');
  const contacts = parseContacts(written === undefined ? [] : [written]);
  if (!contacts) return refusal(400, 'Malformed Contact');
  const outbound = outboundOf(request, path);
  const about = { callId, cseq, path, supported, userAgent: (request.get('user-agent') ?? '').slice(0, 128) };
  if (contacts.type === 'all') {
    if (header !== 0) return refusal(400, 'Contact * Needs Expires 0');
    return { ...about, contacts: 'all', outbound: 'no' };
  }
  if (contacts.contacts.length > MAX_CONTACTS) return refusal(403, 'Too Many Contacts');
  if (contacts.contacts.length === 0) return { ...about, contacts: 'none', outbound: 'no' };
  const read = contacts.contacts.map((contact) => readContact(contact, header, true));
  const flows = read.filter(({ regId, seconds }) => regId !== undefined && seconds !== 0);
  if (flows.length > 0 && outbound === 'first-hop-lacks') {
    if (supported.has('outbound')) return refusal(439);
    const plain = contacts.contacts.map((contact) => readContact(contact, header, false));
    return { ...about, contacts: plain, outbound: 'no' };
  }
  // RFC 5626 §6: one flow cannot be two.
  if (flows.length > 1) return refusal(400, 'Several Flows In One REGISTER');
  return { ...about, contacts: read, outbound: flows.length > 0 && supported.has('outbound') ? 'yes' : 'no' };
}

function readContact(contact: NameAddr, expires: number | undefined, flows: boolean): ContactRequest {
  const { uri, params } = contact;
  const instance = params.get('+sip.instance') || undefined;
  const number = Number(params.get('reg-id') ?? '');
  const valid = instance !== undefined && Number.isInteger(number) && number >= 1 && number < 2 ** 31;
  const regId = flows && valid ? number : undefined;
  const q = Number(params.get('q') ?? '1');
  return {
    key: bindingKey(uri, instance, regId),
    contact: uri,
    instance,
    regId,
    q: q >= 0 && q <= 1 ? Math.round(q * 1000) : 1000,
    seconds: readExpires(params.get('expires')) ?? expires,
    push: readPush(parseUri(uri), params.get('+sip.pnsreg')),
  };
}

function readExpires(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\s*\d+\s*$/.test(text) ? Math.min(Number(text), MAX_EXPIRES) : MALFORMED_EXPIRES;
}

function readPath(request: Headers): readonly string[] | undefined {
  const value = listed(request, 'path');
  if (value === undefined) return [];
  const hops = parseAddressList([value]);
  if (!hops || hops.length > MAX_PATH || hops.some(({ uri }) => parseUri(uri) === undefined)) return undefined;
  return hops.map(({ uri }) => `<${uri}>`);
}

/**
 * Whether flows can be told apart (RFC 5626 §6): we are the first hop, or the first hop has written a Path with `ob`.
 * A lone Via is that of the UA itself.
 */
function outboundOf(request: Headers, path: readonly string[]): 'yes' | 'first-hop-lacks' {
  const vias = (listed(request, 'via') ?? '').match(/SIP\s*\/\s*2\.0\s*\//gi)?.length ?? 0;
  const marked = [path[0], path.at(-1)].some((hop) => hop !== undefined && /;ob[;=>]/i.test(hop));
  return vias <= 1 || marked ? 'yes' : 'first-hop-lacks';
}

/** All lines of a header as one: the engine's messages keep them apart. */
function listed(request: Headers, name: string): string | undefined {
  const lines = request.getAll?.(name);
  return lines === undefined || lines.length < 2 ? request.get(name) : lines.join(', ');
}

function tags(value: string | undefined): string[] {
  if (value === undefined) return [];
  return value
    .split(',')
    .map((tag) => tag.trim().toLowerCase())
    .filter((tag) => tag !== '');
}
