import type { Flow } from '../io/mod.ts';
import { Message, parseAddressList, parseCSeq, parseNameAddr, tagOf, type SipMessage } from '../message/mod.ts';

/** A dialog (RFC 3261 §12) as plain data; the functions here are pure. Only `flow` is a live handle. */
export interface Dialog {
  /** `<Call-ID>;from-tag=<tag of the From of the request that made it>`: what the control protocol calls it. */
  readonly id: string;
  readonly role: 'uac' | 'uas';
  /** INVITE or SUBSCRIBE. */
  readonly method: string;
  readonly callId: string;
  readonly localTag: string;
  remoteTag: string;
  /** From and To values for our requests, with their tags. */
  readonly localParty: string;
  remoteParty: string;
  localCSeq: number;
  remoteCSeq: number | undefined;
  /** In the order in which our requests carry them. */
  routeSet: string[];
  remoteTarget: string;
  localContact: string;
  state: 'early' | 'confirmed' | 'ended';
  /** CSeq number of the INVITE that the next ACK belongs to. */
  inviteCSeq: number;
  /** The way the peer came; requests go back by it. */
  flow: Flow;
}

/** What distinguishes dialogs on the wire (§12). */
export function dialogKey(callId: string, localTag: string, remoteTag: string): string {
  return `${callId}\u0000${localTag}\u0000${remoteTag}`;
}

/** The dialog that our response makes of a request (§12.1.1). */
export function uasDialog(request: SipMessage, localTag: string, localContact: string, flow: Flow): Dialog | undefined {
  const from = request.get('from') ?? '';
  const contact = parseNameAddr(request.get('contact') ?? '');
  const callId = request.get('call-id') ?? '';
  const remoteTag = tagOf(from) ?? '';
  const cseq = parseCSeq(request.get('cseq') ?? '')?.number ?? 0;
  return {
    id: `${callId};from-tag=${remoteTag}`,
    role: 'uas',
    method: request.method,
    callId,
    localTag,
    remoteTag,
    localParty: withTag(request.get('to') ?? '', localTag),
    remoteParty: from,
    localCSeq: cseq,
    remoteCSeq: cseq,
    routeSet: request.getAll('record-route').flatMap((value) => splitRoutes(value)),
    remoteTarget: contact?.uri ?? parseNameAddr(from)?.uri ?? '',
    localContact,
    state: 'early',
    inviteCSeq: cseq,
    flow,
  };
}

/** The dialog that a response makes of our request (§12.1.2). */
export function uacDialog(request: SipMessage, response: SipMessage, flow: Flow): Dialog | undefined {
  const callId = request.get('call-id') ?? '';
  const from = request.get('from') ?? '';
  const localTag = tagOf(from);
  const remoteTag = tagOf(response.get('to'));
  if (localTag === undefined || remoteTag === undefined) return undefined;
  const cseq = parseCSeq(request.get('cseq') ?? '')?.number ?? 0;
  return {
    id: `${callId};from-tag=${localTag}`,
    role: 'uac',
    method: request.method,
    callId,
    localTag,
    remoteTag,
    localParty: from,
    remoteParty: response.get('to') ?? '',
    localCSeq: cseq,
    remoteCSeq: undefined,
    routeSet: response
      .getAll('record-route')
      .flatMap((value) => splitRoutes(value))
      .toReversed(),
    remoteTarget: parseNameAddr(response.get('contact') ?? '')?.uri ?? request.uri,
    localContact: request.get('contact') ?? '',
    state: 'early',
    inviteCSeq: cseq,
    flow,
  };
}

/** A target refresh (§12.2): the Contact of a re-INVITE, UPDATE or SUBSCRIBE, or of the 2xx to one. */
export function refreshTarget(dialog: Dialog, message: SipMessage): void {
  const contact = parseNameAddr(message.get('contact') ?? '');
  if (contact) dialog.remoteTarget = contact.uri;
}

/** An in-dialog request (§12.2.1.1) without its Via. With strict routers the first route becomes the R-URI. */
export function dialogRequest(dialog: Dialog, method: string, cseq: number): Message {
  const routes = [...dialog.routeSet];
  let uri = dialog.remoteTarget;
  const first = routes[0];
  const firstUri = first === undefined ? undefined : parseNameAddr(first)?.uri;
  if (firstUri !== undefined && !/;lr\b/i.test(firstUri)) {
    routes.shift();
    routes.push(`<${dialog.remoteTarget}>`);
    uri = firstUri;
  }
  const message = Message.request(method, uri);
  for (const route of routes) message.append('Route', route);
  message.append('Max-Forwards', '70');
  message.append('From', dialog.localParty);
  message.append('To', dialog.remoteParty);
  message.append('Call-ID', dialog.callId);
  message.append('CSeq', `${cseq} ${method}`);
  return message;
}

/** Where the next hop of an in-dialog request is: the first route, or the target. */
export function nextHop(request: SipMessage): string {
  const route = request.get('route');
  return (route === undefined ? undefined : parseNameAddr(splitRoutes(route)[0] ?? '')?.uri) ?? request.uri;
}

/** Adds a tag to a From or To value, or replaces the one it has. */
export function withTag(value: string, tag: string): string {
  const without = value.replace(/;\s*tag=[^;,\s>]*(?=[^>]*$)/i, '');
  return `${without};tag=${tag}`;
}

function splitRoutes(value: string): string[] {
  return (parseAddressList([value]) ?? []).map((route) => {
    let params = '';
    for (const [name, text] of route.params) params += text === '' ? `;${name}` : `;${name}=${text}`;
    return `<${route.uri}>${params}`;
  });
}
