import type { Flow } from '../io/mod.ts';

/** What stands before the SIP text in a frame to an application. */
export interface FrameMeta {
  readonly source: 'network' | 'application';
  readonly bytes: number;
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  /** `HH:MM:SS.uuuuuu`, UTC. */
  readonly time: string;
}

export function metaOf(
  flow: Flow | undefined,
  side: 'local' | 'remote',
  source: FrameMeta['source'],
  bytes: number,
  time: string,
): FrameMeta {
  const end = side === 'local' ? flow?.local : flow?.remote;
  return { source, bytes, protocol: flow?.protocol ?? '', address: end?.address ?? '', port: end?.port ?? 0, time };
}

function meta({ source, bytes, protocol, address, port, time }: FrameMeta): string {
  return `${source}|${bytes}|${protocol}|${address}|${port}|${time}`;
}

/** A message from the network, or a request that the engine sent by itself. `receivedOn`: only outside of dialogs. */
export function sipFrame(
  id: string,
  about: FrameMeta,
  transactionId: string,
  dialogId: string,
  text: string,
  receivedOn?: { readonly address: string; readonly port: number },
): string {
  const on = receivedOn ? `${receivedOn.address}|${receivedOn.port}|` : '';
  return `${id}|sip|${meta(about)}|${transactionId}|${dialogId}|${on}\r\n${text}`;
}

/** The request as it went out. */
export function requestEcho(
  id: string,
  command: string,
  about: FrameMeta,
  transactionId: string,
  text: string,
): string {
  return `${id}|response|${command}|OK|${meta(about)}|${transactionId}|Msg sent:|\r\n${text}`;
}

/** The response as it went out; here the peer's address is told. */
export function responseEcho(
  id: string,
  command: string,
  about: FrameMeta,
  transactionId: string,
  dialogId: string,
  text: string,
): string {
  return `${id}|response|${command}|OK|${meta(about)}|${transactionId}|${dialogId}||Msg sent:|\r\n${text}`;
}

export function reply(id: string, command: string, ...fields: string[]): string {
  return `${id}|response|${command}|${fields.join('|')}`;
}
