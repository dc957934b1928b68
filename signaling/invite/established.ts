import { parseCSeq } from '../engine/mod.ts';
import { sipStatus, type DialogView, type Req, type Res } from '../srf.ts';
import type { B2buaParts } from './parts.ts';
import { endCall } from './end.ts';
import { passOnHeaders } from './headers.ts';
import type { CallRecord } from './record.ts';
import type { Established } from './attempt.ts';

/** The two views of a call that is up. Kept only to be told of its end; the record does without them. */
export class LiveCalls {
  readonly #views = new Map<string, Established>();

  get size(): number {
    return this.#views.size;
  }

  get(id: string): Established | undefined {
    return this.#views.get(id);
  }

  add(id: string, views: Established): void {
    this.#views.set(id, views);
  }

  /** The views are let go; their listeners with them. */
  take(id: string): Established | undefined {
    const views = this.#views.get(id);
    this.#views.delete(id);
    return views;
  }
}

/** Joins both dialogs: what one party asks within the call is asked of the other. */
export function join(parts: B2buaParts, live: LiveCalls, call: CallRecord, { a, b }: Established): void {
  live.add(call.id, { a, b });
  for (const [side, dialog, other] of [
    ['a', a, b],
    ['b', b, a],
  ] as const) {
    dialog.on('destroy', (bye: Req | undefined, reason?: string) => {
      const cause = bye?.get('reason');
      void other.destroy(cause === undefined ? {} : { headers: { Reason: cause } }).catch(() => undefined);
      live.take(call.id);
      endCall(parts, call, side === 'a' ? 'caller' : 'callee', reason ?? 'normal release');
    });
    dialog.on('modify', (req: Req, res: Res) => void reInvite(parts, call, side, other, req, res));
    for (const event of ['info', 'message'] as const) {
      dialog.on(event, (req: Req, res: Res) => void relay(call, side, other, req, res));
    }
    dialog.on('update', (req: Req, res: Res) => {
      note(call, side, req);
      // A refresh without SDP changes nothing; with SDP it would need an offer to the other side.
      if (req.body) res.send(488, 'Use re-INVITE to Change Media');
      else res.send(200);
    });
    dialog.on('options', (req: Req, res: Res) => {
      note(call, side, req);
      res.send(200);
    });
    for (const event of ['refer', 'notify'] as const) {
      dialog.on(event, (req: Req, res: Res) => {
        note(call, side, req);
        res.send(501);
      });
    }
  }
}

/** A new offer within the call: through media to the other side, and its answer back. */
async function reInvite(
  parts: B2buaParts,
  call: CallRecord,
  side: 'a' | 'b',
  other: DialogView,
  req: Req,
  res: Res,
): Promise<void> {
  note(call, side, req);
  const from = side === 'a' ? call.a : call.b;
  const to = side === 'a' ? call.b : call.a;
  if (!from || !to || !call.media) {
    res.send(481);
    return;
  }
  if (!req.body) {
    res.send(488, 'Offer Needed');
    return;
  }
  const tags = { fromTag: from.remoteTag, toTag: to.remoteTag };
  try {
    const offered = await parts.media.offer(call.media, { ...tags, sdp: req.body, from: from.kind, to: to.kind });
    const answered = await other.modify(offered);
    to.localCSeq++;
    from.sdpVersion++;
    const body = await parts.media.answer(call.media, { ...tags, sdp: answered, from: to.kind, to: from.kind });
    res.send(200, { body });
  } catch (error) {
    const sip = sipStatus(error);
    parts.log.warn({ call: call.id, err: error }, 're-INVITE failed');
    if (sip && sip.status >= 300) res.send(sip.status);
    else res.send(488);
  }
}

/** INFO and MESSAGE: the other party's answer is ours. */
async function relay(call: CallRecord, side: 'a' | 'b', other: DialogView, req: Req, res: Res): Promise<void> {
  note(call, side, req);
  const to = side === 'a' ? call.b : call.a;
  try {
    const answer = await other.request({ method: req.method, headers: passOnHeaders(req), body: req.body });
    if (to) to.localCSeq++;
    res.send(answer.status, answer.reason);
  } catch {
    res.send(500);
  }
}

function note(call: CallRecord, side: 'a' | 'b', req: Req): void {
  const leg = side === 'a' ? call.a : call.b;
  if (leg) leg.remoteCSeq = parseCSeq(req.get('cseq') ?? '')?.number ?? leg.remoteCSeq;
}
