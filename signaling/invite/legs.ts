import { parseCSeq, parseNameAddr } from '../engine/mod.ts';
import { FIRST_CSEQ } from '../register/mod.ts';
import type { LegKind } from '../media-port.ts';
import type { DialogView, Req } from '../srf.ts';
import type { LegRecord } from './record.ts';

/** The caller's leg, as its INVITE shows it; our tag comes with the answer. */
export function callerLeg(req: Req, kind: LegKind): LegRecord {
  const from = parseNameAddr(req.get('from') ?? '');
  const to = parseNameAddr(req.get('to') ?? '');
  const cseq = parseCSeq(req.get('cseq') ?? '')?.number ?? 0;
  return {
    role: 'uas',
    kind,
    callId: req.get('call-id') ?? '',
    localTag: '',
    remoteTag: from?.params.get('tag') ?? '',
    localUri: to?.uri ?? req.uri,
    remoteUri: from?.uri ?? '',
    remoteTarget: parseNameAddr(req.get('contact') ?? '')?.uri ?? from?.uri ?? '',
    routes: routesOf(req.get('record-route')),
    localCSeq: Math.max(cseq, FIRST_CSEQ),
    remoteCSeq: cseq,
    sdpVersion: 1,
    flow: { protocol: req.protocol, address: req.source_address, port: Number(req.source_port) },
    viaBranch: undefined,
  };
}

/** The leg of the party that answered. */
export function calleeLeg(dialog: DialogView, kind: LegKind, viaBranch: string): LegRecord {
  const { req, res } = dialog;
  const from = parseNameAddr(req.get('from') ?? '');
  const to = parseNameAddr(req.get('to') ?? '');
  const answered = res as unknown as { protocol: string; source_address: string; source_port: string | number };
  return {
    role: 'uac',
    kind,
    callId: dialog.sip.callId,
    localTag: dialog.sip.localTag,
    remoteTag: dialog.sip.remoteTag,
    localUri: from?.uri ?? '',
    remoteUri: to?.uri ?? req.uri,
    remoteTarget: dialog.remote.uri,
    routes: routesOf(res.get('record-route')).toReversed(),
    localCSeq: parseCSeq(req.get('cseq') ?? '')?.number ?? 0,
    remoteCSeq: 0,
    sdpVersion: 1,
    flow: {
      protocol: answered.protocol,
      address: answered.source_address,
      port: Number(answered.source_port),
    },
    viaBranch,
  };
}

function routesOf(value: string | undefined): string[] {
  if (value === undefined) return [];
  return value
    .split(/,(?=\s*[<"])/)
    .map((route) => route.trim())
    .filter((route) => route !== '');
}
