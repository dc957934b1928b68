import { parseCSeq, tagOf, topVia, type SipMessage } from '../message/mod.ts';

const COOKIE = 'z9hG4bK';

/**
 * The same text as a string of its own: one that was put together only points at its parts, and these at the text of
 * the whole message, which a key in a table would hold for as long. Asking for a letter makes V8 copy it.
 */
function flat(text: string): string {
  return text.charCodeAt(0) > 0 ? text : '';
}

/**
 * What a server transaction is found by (RFC 3261 §17.2.3): branch, sent-by and method, where ACK counts as INVITE.
 * Peers of RFC 2543 have no cookie in the branch: the older rule with Call-ID, CSeq, tags and R-URI holds then.
 * `undefined` when the top Via cannot be read.
 */
export function serverKey(
  request: SipMessage,
  method = request.method === 'ACK' ? 'INVITE' : request.method,
): string | undefined {
  const value = request.get('via');
  if (value === undefined) return undefined;
  const { via } = topVia(value);
  if (!via) return undefined;
  const branch = via.params.get('branch') ?? '';
  const sentBy = `${via.host}:${via.port ?? ''}`;
  if (branch.startsWith(COOKIE) && branch.length > COOKIE.length) return flat(`${branch} ${sentBy} ${method}`);
  const number = parseCSeq(request.get('cseq') ?? '')?.number ?? '';
  return flat(
    `2543 ${request.uri} ${request.get('call-id')} ${number} ${tagOf(request.get('from')) ?? ''} ${sentBy} ${branch} ${method}`,
  );
}

/** What requests have in common that came from one by several ways (§8.2.2.2); `undefined` inside of a dialog. */
export function mergeKey(request: SipMessage): string | undefined {
  if (tagOf(request.get('to')) !== undefined) return undefined;
  const cseq = parseCSeq(request.get('cseq') ?? '');
  return flat(`${request.get('call-id')} ${tagOf(request.get('from')) ?? ''} ${cseq?.number ?? ''} ${request.method}`);
}

/** What a client transaction is found by (§17.1.3): branch and the method of CSeq. */
export function clientKey(branch: string, method: string): string {
  return `${branch} ${method}`;
}

export function responseKey(response: SipMessage): string | undefined {
  const value = response.get('via');
  const method = parseCSeq(response.get('cseq') ?? '')?.method;
  if (value === undefined || method === undefined) return undefined;
  const branch = topVia(value).via?.params.get('branch');
  return branch === undefined ? undefined : clientKey(branch, method);
}
