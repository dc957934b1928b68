import type { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import Srf from 'drachtio-srf';
import { attachInProcess } from '../../signaling/engine/control/mod.ts';
import {
  appGone,
  createCore,
  randomIds,
  receive,
  receiveCommand,
  type Core,
  type CorePolicy,
} from '../../signaling/engine/core/mod.ts';
import { Resolver, TransportError, type Flow, type Target } from '../../signaling/engine/io/mod.ts';
import { Message, parseCSeq, parseMessage } from '../../signaling/engine/message/mod.ts';

const OWN = { address: '192.0.2.1', port: 5060 };
const LISTENER = { protocol: 'udp', bound: OWN, external: OWN } as const;

/**
 * The core of an engine with a real drachtio-srf, in virtual time and without sockets: the test is the network. What the
 * engine sends lies in `sent`; what it is told comes by `hear`; `advance` lets time pass.
 */
export class VirtualEngine {
  readonly core: Core;
  readonly srf = new Srf();
  readonly sent: Message[] = [];
  now = 1_000_000;
  readonly #flow: Flow;
  #taken = 0;

  constructor(policy: Partial<CorePolicy> = {}) {
    const flow = (target: Pick<Target, 'address' | 'port'>): Flow => ({
      id: `v${target.port}`,
      protocol: 'udp',
      reliable: false,
      listener: LISTENER,
      local: OWN,
      remote: { address: target.address, port: target.port },
      closed: false,
    });
    this.#flow = flow({ address: '192.0.2.7', port: 5070 });
    const now = () => this.now;
    this.core = createCore({
      policy: { orphanRequests: 'reject', ...policy },
      transports: () => ({
        listeners: [LISTENER],
        connect: async (target) => {
          if (target.protocol !== 'udp') throw new TransportError('no-transport', 'only UDP here');
          return flow(target);
        },
        flow: () => undefined,
        token: () => '',
        byToken: () => 'gone' as const,
        send: async (_flow, bytes) => {
          const message = parseMessage(Buffer.from(bytes), 'datagram');
          if (message instanceof Message) this.sent.push(message);
        },
        closeFlow: () => undefined,
        close: async () => undefined,
      }),
      resolver: new Resolver({ now, listeners: () => [LISTENER] }),
      ids: randomIds,
      routeSecret: 'of this test',
      limits: { transactions: 1000, registeredFlows: 1000 },
      now,
      wall: () => 1_700_000_000_000 + this.now,
    });
  }

  async attach(): Promise<void> {
    await attachInProcess(
      this.srf,
      (link) => {
        this.core.apps.add(link);
        return (payload) =>
          receiveCommand(this.core, link, payload, () => 'udp/192.0.2.1:5060|v0.9.10|udp/192.0.2.1:5060');
      },
      (error) => {
        throw error;
      },
    ).ready;
  }

  on(event: string, handler: (...args: never[]) => void): void {
    (this.srf as unknown as EventEmitter).on(event, handler as (...args: unknown[]) => void);
  }

  /** A message of the peer at 192.0.2.7:5070; then everything that comes of it happens. */
  async hear(message: Message): Promise<void> {
    receive(this.core, message, this.#flow, this.now);
    await this.settle();
  }

  async advance(ms: number): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      const at = this.core.layer.timers.nextAt;
      if (at === undefined || at > until) break;
      this.now = Math.max(this.now, at);
      this.core.layer.timers.advance(this.now);
      await this.settle();
    }
    this.now = until;
    await this.settle();
  }

  /** What waits for the next turns of the event loop; none of it waits for a clock. */
  async settle(): Promise<void> {
    for (let i = 0; i < 12; i++) await turn();
  }

  /** Everything that was sent since the last call, as `INVITE` or `200 INVITE`. */
  said(): string[] {
    const fresh = this.sent.slice(this.#taken);
    this.#taken = this.sent.length;
    return fresh.map((message) =>
      message.type === 'request' ? message.method : `${message.status} ${parseCSeq(message.get('cseq') ?? '')?.method}`,
    );
  }

  /** The last one that was sent of this method or status. */
  last(what: string | number): Message {
    const found = this.sent.findLast((message) => message.method === what || message.status === what);
    if (!found) throw new Error(`nothing like ${what} was sent`);
    return found;
  }

  /** The application's process is gone. */
  async lose(): Promise<void> {
    for (const leg of this.core.legs.values()) {
      const { app } = leg;
      appGone(this.core, app, this.now);
      break;
    }
    await this.settle();
  }
}

export const PEER = '192.0.2.7:5070';
export const SDP =
  'v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';
let counter = 0;

/** A request of the peer. */
export function heard(
  method: string,
  headers: Readonly<Record<string, string>> = {},
  body = method === 'INVITE' ? SDP : '',
): Message {
  counter++;
  const all: Record<string, string> = {
    Via: `SIP/2.0/UDP ${PEER};branch=z9hG4bKv${counter}`,
    From: `<sip:peer@192.0.2.7>;tag=v${counter}`,
    To: '<sip:us@192.0.2.1>',
    'Call-ID': `virtual-${counter}`,
    CSeq: `1 ${method}`,
    Contact: `<sip:peer@${PEER}>`,
    'Max-Forwards': '70',
    ...(body === '' ? {} : { 'Content-Type': 'application/sdp' }),
    ...headers,
  };
  const list = Object.entries(all).map(([name, value]) => ({ name, value }));
  return Message.request(method, 'sip:us@192.0.2.1', list, Buffer.from(body));
}

/** A later request of the peer in the dialog that our answer has made of its INVITE. */
export function heardInside(method: string, invite: Message, answer: Message, cseq: number, headers = {}, body = '') {
  const dialog = {
    From: invite.get('from') ?? '',
    To: answer.get('to') ?? '',
    'Call-ID': invite.get('call-id') ?? '',
    CSeq: `${cseq} ${method}`,
  };
  return heard(method, { ...dialog, ...headers }, body);
}

/** The peer's answer to a request of ours. */
export function answered(request: Message, status: number, headers: Readonly<Record<string, string>> = {}, body = '') {
  const response = Message.response(status, undefined, [], Buffer.from(body));
  for (const name of ['Via', 'From', 'Call-ID', 'CSeq']) response.append(name, request.get(name) ?? '');
  const to = request.get('to') ?? '';
  response.append('To', /;tag=/.test(to) ? to : `${to};tag=peer`);
  response.append('Contact', `<sip:peer@${PEER}>`);
  if (body !== '') response.append('Content-Type', 'application/sdp');
  for (const [name, value] of Object.entries(headers)) response.append(name, value);
  return response;
}
