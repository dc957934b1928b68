import { bracketed } from '../../../vocabulary/mod.ts';
import { spellName } from '../control/mod.ts';
import type { Flow, Listener } from '../io/mod.ts';
import { canonicalName, keyOf, Message, noteSource, parseNameAddr, tagOf, type SipMessage } from '../message/mod.ts';
import { withTag } from '../dialog/mod.ts';

/** What the engine itself writes; an application's value for them is not sent. */
const IMMUTABLE = new Set(['via', 'route', 'record-route', 'rseq', 'content-length', 'call-id', 'cseq', 'from', 'to']);
/** Requests and responses that say where the next request of the dialog goes (RFC 3261 table 2). */
const CONTACT_REQUESTS = new Set(['INVITE', 'SUBSCRIBE', 'REFER', 'UPDATE']);

/** `host[:port]` of one of our addresses, as Via and Contact show it. */
export function sentBy(listener: Listener): string {
  const { address, port } = listener.external;
  const usual = listener.protocol === 'tls' ? 5061 : 5060;
  const plain = (listener.protocol === 'udp' || listener.protocol === 'tcp') && port === usual;
  return plain ? bracketed(address) : `${bracketed(address)}:${port}`;
}

/** Where peers reach us by this flow. */
export function contactUri(flow: Flow, user?: string): string {
  const { protocol } = flow;
  const { address, port } = flow.listener.external;
  const transport = protocol === 'udp' ? '' : `;transport=${protocol}`;
  return `sip:${user === undefined ? '' : `${user}@`}${bracketed(address)}:${port}${transport}`;
}

export function viaFor(flow: Flow, branch: string): string {
  // By a TLS connection of ours the peer may send its requests back (RFC 5923 §8.1).
  const alias = flow.protocol === 'tls' && flow.outgoing === true ? ';alias' : '';
  return `SIP/2.0/${flow.protocol.toUpperCase()} ${sentBy(flow.listener)};rport;branch=${branch}${alias}`;
}

/**
 * Applications write `user@localhost` where they mean this server. The value becomes a name-addr with our address.
 * In a Contact the transport is named too, so that the peer comes back the same way.
 */
export function ownAddress(value: string, flow: Flow, contact: boolean): string {
  if (!/@localhost(:\d+)?(?=[;>?\s]|$)/i.test(value)) return value;
  const { protocol, listener } = flow;
  const { address, port } = listener.external;
  const named = nameAddr(value).replace(/@localhost(:\d+)?(?=[;>?\s]|$)/i, `@${bracketed(address)}:${port}`);
  if (!contact || protocol === 'udp' || /;transport=/i.test(named)) return named;
  return named.replace('>', `;transport=${protocol}>`);
}

/** `sip:a@b;tag=x` → `<sip:a@b>;tag=x`; values in brackets, and what is no address at all, stay as they are. */
export function nameAddr(value: string): string {
  if (value.includes('<')) return value;
  const parsed = parseNameAddr(value);
  if (!parsed) return value;
  const params = value.indexOf(';');
  return `<${parsed.uri}>${params < 0 ? '' : value.slice(params)}`;
}

/** Takes over what the application may decide: everything but the headers that the engine writes. */
export function copyAppHeaders(from: SipMessage, to: Message, flow: Flow, skip: ReadonlySet<string>): void {
  for (const { name, value } of from.headers) {
    const canonical = canonicalName(name);
    if (IMMUTABLE.has(canonical) || skip.has(canonical)) continue;
    if (canonical === 'contact') to.append('Contact', nameAddr(ownAddress(value, flow, true)));
    else if (canonical === 'www-authenticate' || canonical === 'proxy-authenticate') {
      // An application's headers are joined by commas; these are never to share a line (RFC 3261 §7.3.1).
      for (const part of value.split(/,\s*(?=(?:Digest|Bearer)\s)/i)) to.append(spellName(name), part);
    } else if (canonical === 'p-asserted-identity') to.append('P-Asserted-Identity', ownAddress(value, flow, false));
    else to.append(spellName(name), value);
  }
}

/** A body without a type is SDP if it looks like it; `false` when nobody can tell what it is. */
export function typeBody(message: Message, body: Uint8Array): boolean {
  message.body = body;
  if (body.length === 0) {
    message.remove('content-type');
    return true;
  }
  if (message.get('content-type') !== undefined) return true;
  if (body[0] !== 0x76 || body[1] !== 0x3d) return false;
  message.append('Content-Type', 'application/sdp');
  return true;
}

/**
 * The response to a request (RFC 3261 §8.2.6). `app` is what the application wrote, if it did;
 * the tag goes into To unless the request has one.
 */
export function buildResponse(
  request: SipMessage,
  status: number,
  reason: string | undefined,
  tag: string | undefined,
  flow: Flow,
  app?: SipMessage,
): Message {
  const response = Message.response(status, reason);
  for (const via of request.getAll('via')) response.append('Via', via);
  const dialogForming = request.method === 'INVITE' || request.method === 'SUBSCRIBE';
  if (dialogForming && status > 100 && status < 300) {
    for (const route of request.getAll('record-route')) response.append('Record-Route', route);
  }
  if (status === 100 && request.get('timestamp') !== undefined) {
    response.append('Timestamp', request.get('timestamp') as string);
  }
  const to = request.get('to');
  // What a malformed request lacks its answer lacks too.
  const copy = (name: string, value: string | undefined) => value !== undefined && response.append(name, value);
  copy('From', request.get('from'));
  copy('To', to === undefined || tag === undefined || tagOf(to) !== undefined ? to : withTag(nameAddr(to), tag));
  copy('Call-ID', request.get('call-id'));
  copy('CSeq', request.get('cseq'));
  if (app) {
    copyAppHeaders(app, response, flow, NOTHING);
    typeBody(response, app.body);
  }
  const needsContact =
    (request.method === 'INVITE' && status > 100 && status < 300) ||
    (request.method === 'SUBSCRIBE' && status >= 200 && status < 300) ||
    (request.method === 'UPDATE' && status >= 200 && status < 300);
  if (needsContact && response.get('contact') === undefined) response.append('Contact', `<${contactUri(flow)}>`);
  return response;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Contact for the requests that need one, when the application did not write it. */
export function addContact(message: Message, contact: string): void {
  if (CONTACT_REQUESTS.has(message.method) && message.get('contact') === undefined) message.append('Contact', contact);
}

/** Notes in the top Via where the request really came from. */
export function markVia(message: Message, flow: Flow): void {
  const index = message.headers.findIndex((header) => keyOf(header) === 'via');
  const header = message.headers[index];
  if (!header) return;
  const value = noteSource(header.value, flow.remote.address, flow.remote.port);
  if (value !== undefined) message.headers[index] = { ...header, value };
}

/** CANCEL for a request of ours (§9.1): same R-URI, branch, CSeq number and route. */
export function buildCancel(request: SipMessage, extra: readonly { name: string; value: string }[]): Message {
  const cancel = Message.request('CANCEL', request.uri);
  cancel.append('Via', request.get('via') ?? '');
  for (const route of request.getAll('route')) cancel.append('Route', route);
  cancel.append('Max-Forwards', '70');
  for (const name of ['From', 'To', 'Call-ID'] as const) cancel.append(name, request.get(name) ?? '');
  cancel.append('CSeq', `${(request.get('cseq') ?? '1').split(/\s+/)[0]} CANCEL`);
  for (const { name, value } of extra) {
    const canonical = canonicalName(name);
    if (!IMMUTABLE.has(canonical) && canonical !== 'max-forwards') cancel.append(spellName(name), value);
  }
  return cancel;
}
