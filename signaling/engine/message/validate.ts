import { addressFault, parseAddressList } from './address.ts';
import { parseCSeq, parseMaxForwards } from './headers.ts';
import { LIMITS } from './limits.ts';
import type { Message } from './message.ts';
import type { Limit } from './sip-message.ts';
import { parseUri } from './uri.ts';
import { topVia } from './via.ts';

/** A refusal in the making: status and a reason phrase that names the fault. */
export interface Fault {
  readonly status: number;
  readonly reason: string;
  readonly limit?: Limit;
}

/** The methods that have an RFC (IANA's registry). */
const METHODS = new Set(
  'ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE'.split(' '),
);
/** Their Contact is where the next request of the dialog goes. REGISTER's is the registrar's to read. */
const TARGETED = new Set(['INVITE', 'SUBSCRIBE', 'UPDATE']);

const bad = (reason: string): Fault => ({ status: 400, reason });

/** True for methods that this engine can tell from a mistake. */
export function isKnownMethod(method: string): boolean {
  return METHODS.has(method);
}

/** What most of them look like. Longer ports are left to the parser. */
const USUAL_URI = /^sips?:(?:[\w.!~*'()&=+$,;/%-]+@)?[A-Za-z0-9.-]+(?::\d{1,4})?(?:;[\w.!~*'()&+$:/%=;-]*)?$/;

/** What is wrong with a Request-URI (RFC 3261 §8.1.1.1, §19.1.1). Other schemes than SIP's are opaque here. */
export function requestUriFault(uri: string): Fault | undefined {
  if (uri.length > LIMITS.uriBytes) return { status: 414, reason: 'Request-URI Too Long', limit: 'uri' };
  if (USUAL_URI.test(uri)) return undefined;
  if (uri === '' || /[\s<>"]/.test(uri)) return bad('Malformed Request-URI');
  if (!/^sips?:/i.test(uri))
    return /^[A-Za-z][A-Za-z0-9+.-]*:./.test(uri) ? undefined : bad('Request-URI Without Scheme');
  const parsed = parseUri(uri);
  if (!parsed) return bad('Malformed Request-URI');
  return parsed.headers === undefined ? undefined : bad('Headers In Request-URI');
}

/** What is wrong with the headers that no element can do without (RFC 3261 §8.1.1, §8.1.3); nobody else's are looked at. */
export function headerFault(message: Message): Fault | undefined {
  const via = message.get('via');
  const from = message.get('from');
  const to = message.get('to');
  const cseq = message.get('cseq');
  if (!via) return bad('Missing Via Header');
  if (!from) return bad('Missing From Header');
  if (!to) return bad('Missing To Header');
  if (!message.get('call-id')) return bad('Missing Call-ID Header');
  if (!cseq) return bad('Missing CSeq Header');
  if (!topVia(via).via) return bad('Malformed Via Header');
  if (addressFault(from) !== undefined) return bad('Malformed From Header');
  if (addressFault(to) !== undefined) return bad('Malformed To Header');
  const parsed = parseCSeq(cseq);
  if (!parsed) return bad('Malformed CSeq Header');
  if (message.type === 'response') return undefined;
  const { method } = message;
  // A method that nobody knows is the better thing to say (RFC 4475 §3.1.2.18).
  if (parsed.method !== method)
    return METHODS.has(method) ? bad('CSeq Method Mismatch') : { status: 501, reason: 'Method Not Implemented' };
  const hops = message.get('max-forwards');
  if (hops !== undefined && parseMaxForwards(hops) === undefined) return bad('Malformed Max-Forwards Header');
  if (!TARGETED.has(method)) return undefined;
  const fault = message.getAll('contact').some((value) => {
    return value.includes(',') ? parseAddressList([value]) === undefined : addressFault(value) !== undefined;
  });
  return fault ? bad('Malformed Contact Header') : undefined;
}
