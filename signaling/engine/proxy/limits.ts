import { createHash } from 'node:crypto';
import { parseCSeq, parseVia, splitHeaderList, tagOf, type SipMessage } from '../message/mod.ts';

/** How many copies of a request may be on their way at once when nobody has said it (RFC 5393 §5.3.3.2). */
export const MAX_BREADTH = 60;
const MAX_FORWARDS = 70;

/** How many hops are left; 70 when the request does not say (RFC 3261 §16.6 step 3). */
export function maxForwards(request: SipMessage): number {
  const text = request.get('max-forwards')?.trim() ?? '';
  return /^\d{1,3}$/.test(text) ? Math.min(Number(text), 255) : MAX_FORWARDS;
}

export function maxBreadth(request: SipMessage): number {
  const text = request.get('max-breadth')?.trim() ?? '';
  return /^\d{1,4}$/.test(text) ? Math.min(Number(text), MAX_BREADTH) : MAX_BREADTH;
}

/**
 * What decides where a request goes, as one short word that our Via carries in its branch (RFC 3261 §16.6 step 8 with
 * RFC 5393 §4.2.1: the top Via is not part of it, or a loop over another proxy would look like a spiral).
 */
export function loopHash(request: SipMessage): string {
  const parts = [
    request.uri,
    tagOf(request.get('from')),
    tagOf(request.get('to')),
    request.get('call-id'),
    parseCSeq(request.get('cseq') ?? '')?.number,
    ...request.getAll('route'),
    ...request.getAll('proxy-require'),
    ...request.getAll('proxy-authorization'),
  ];
  return createHash('sha1').update(parts.join('\n')).digest('hex').slice(0, 12);
}

/** Whether the same request was here before with nothing changed (RFC 5393 §4.2.2). `own`: our `host:port` in Via. */
export function loops(request: SipMessage, hash: string, own: (host: string, port: number | undefined) => boolean) {
  for (const line of request.getAll('via')) {
    for (const hop of splitHeaderList(line)) {
      const via = parseVia(hop);
      if (via && own(via.host, via.port) && via.params.get('branch')?.endsWith(`-${hash}`) === true) return true;
    }
  }
  return false;
}
