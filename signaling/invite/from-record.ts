import { bracketed } from '../../vocabulary/mod.ts';
import { parseCSeq, parseNameAddr } from '../engine/mod.ts';
import type { Req, Res } from '../srf.ts';
import { endCall } from './end.ts';
import { passOnHeaders } from './headers.ts';
import type { B2buaParts } from './parts.ts';
import type { CallRecord, LegRecord } from './record.ts';

/**
 * In-dialog requests whose dialog drachtio-srf does not hold, as after a take-over: served from the record alone.
 * @returns false when no record knows the dialog.
 */
export function serveFromRecord(parts: B2buaParts, req: Req, res: Res): boolean {
  const localTag = parseNameAddr(req.get('to') ?? '')?.params.get('tag');
  const remoteTag = parseNameAddr(req.get('from') ?? '')?.params.get('tag');
  if (localTag === undefined || remoteTag === undefined) return false;
  const found = parts.calls.find(req.get('call-id') ?? '', localTag, remoteTag);
  if (!found) return false;
  const { call, side } = found;
  const from = side === 'a' ? call.a : call.b;
  const to = side === 'a' ? call.b : call.a;
  if (!from || !to) {
    res.send(481);
    return true;
  }
  from.remoteCSeq = parseCSeq(req.get('cseq') ?? '')?.number ?? from.remoteCSeq;
  if (req.method === 'BYE') {
    res.send(200);
    const cause = req.get('reason');
    void ask(parts, to, 'BYE', cause === undefined ? {} : { Reason: cause });
    endCall(parts, call, side === 'a' ? 'caller' : 'callee', 'normal release');
  } else if (req.method === 'INVITE') void reInvite(parts, call, from, to, req, res);
  else if (req.method === 'INFO' || req.method === 'MESSAGE') void relay(parts, to, req, res);
  else if (req.method === 'OPTIONS' || (req.method === 'UPDATE' && !req.body)) res.send(200);
  else res.send(501);
  return true;
}

/** Ends both sides of a call by its record: when its views are gone, or its media is. */
export function hangUpFromRecord(parts: B2buaParts, call: CallRecord, reason: string): void {
  for (const leg of [call.a, call.b]) if (leg) void ask(parts, leg, 'BYE', { Reason: reason });
}

async function reInvite(
  parts: B2buaParts,
  call: CallRecord,
  from: LegRecord,
  to: LegRecord,
  req: Req,
  res: Res,
): Promise<void> {
  if (!call.media || !req.body) {
    res.send(488);
    return;
  }
  const tags = { fromTag: from.remoteTag, toTag: to.remoteTag };
  try {
    const offered = await parts.media.offer(call.media, { ...tags, sdp: req.body, from: from.kind, to: to.kind });
    const answer = await ask(parts, to, 'INVITE', {}, offered);
    if (!answer || answer.status >= 300) {
      res.send(answer?.status ?? 408);
      return;
    }
    from.sdpVersion++;
    const body = await parts.media.answer(call.media, { ...tags, sdp: answer.body, from: to.kind, to: from.kind });
    res.send(200, { body });
  } catch (error) {
    parts.log.warn({ call: call.id, err: error }, 're-INVITE failed');
    res.send(488);
  }
}

async function relay(parts: B2buaParts, to: LegRecord, req: Req, res: Res): Promise<void> {
  const answer = await ask(parts, to, req.method, passOnHeaders(req), req.body);
  res.send(answer?.status ?? 408);
}

/** A request in a dialog that exists only as a record. Numbers may be skipped (RFC 3261 §12.2.1.1), never used twice. */
function ask(
  parts: B2buaParts,
  leg: LegRecord,
  method: string,
  headers: Record<string, string>,
  body?: string,
): Promise<Res | undefined> {
  leg.localCSeq += 100;
  const { protocol, address, port } = leg.flow;
  const options = {
    method,
    proxy: `sip:${bracketed(address)}:${port};transport=${protocol}`,
    headers: {
      ...headers,
      From: `<${leg.localUri}>;tag=${leg.localTag}`,
      To: `<${leg.remoteUri}>;tag=${leg.remoteTag}`,
      'Call-ID': leg.callId,
      CSeq: `${leg.localCSeq} ${method}`,
      ...(leg.routes.length > 0 ? { Route: leg.routes.join(', ') } : {}),
    },
    ...(body === undefined ? {} : { body }),
  };
  return new Promise((resolve) => {
    parts.app.request(leg.remoteTarget, options, (error, request) => {
      if (error || !request) {
        resolve(undefined);
        return;
      }
      request.on('response', (response: Res, ack: () => void) => {
        if (response.status < 200) return;
        if (method === 'INVITE' && response.status < 300) ack();
        resolve(response);
      });
    });
  });
}
