import { createSocket, type Socket } from 'node:dgram';
import { connect, type Socket as TcpSocket } from 'node:net';
import { Message, parseCSeq, parseMessage, StreamFramer, tagOf } from '../../signaling/engine/message/mod.ts';

interface Waiter {
  readonly match: (message: Message) => boolean;
  readonly resolve: (message: Message) => void;
}

interface Extra {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** To's tag in responses. */
  readonly tag?: string;
}

let counter = 0;

/**
 * A user agent without any logic of its own, over UDP or one TCP connection: the test decides what it says, and sees every
 * message that comes, retransmissions included. Disposing of it closes its socket.
 */
export class SipPeer implements AsyncDisposable {
  readonly received: Message[] = [];
  readonly protocol: 'UDP' | 'TCP';
  readonly port: number;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #close: () => Promise<void>;
  readonly #waiters = new Set<Waiter>();
  /** What `next` has handed out is not handed out again. */
  readonly #taken = new Set<Message>();

  private constructor(
    protocol: 'UDP' | 'TCP',
    port: number,
    write: (bytes: Uint8Array) => void,
    close: () => Promise<void>,
  ) {
    this.protocol = protocol;
    this.port = port;
    this.#write = write;
    this.#close = close;
  }

  /** Sends to `engine`, `127.0.0.1:5060`. */
  static async udp(engine: string): Promise<SipPeer> {
    const socket: Socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
    const [host = '', port = ''] = engine.split(':');
    const peer = new SipPeer(
      'UDP',
      socket.address().port,
      (bytes) => socket.send(bytes, Number(port), host),
      () => new Promise((resolve) => socket.close(() => resolve())),
    );
    socket.on('message', (bytes) => {
      const message = parseMessage(bytes, 'datagram');
      if (message instanceof Message) peer.#took(message);
    });
    return peer;
  }

  static async tcp(engine: string): Promise<SipPeer> {
    const [host = '', port = ''] = engine.split(':');
    const socket: TcpSocket = connect(Number(port), host);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    socket.on('error', () => undefined);
    const peer = new SipPeer(
      'TCP',
      socket.localPort ?? 0,
      (bytes) => socket.write(bytes),
      () => new Promise((resolve) => socket.once('close', () => resolve()).destroy()),
    );
    const framer = new StreamFramer();
    socket.on('data', (chunk) => {
      for (const framed of framer.push(chunk)) if (framed.type === 'message') peer.#took(framed.message);
    });
    return peer;
  }

  uri(user: string): string {
    return `sip:${user}@127.0.0.1:${this.port}${this.protocol === 'TCP' ? ';transport=tcp' : ''}`;
  }

  /** A request outside of a dialog, sent at once; its headers may be replaced by `headers`. */
  request(method: string, uri: string, { headers = {}, body = '' }: Extra = {}): Message {
    counter++;
    const message = Message.request(method, uri, [], Buffer.from(body));
    const all: Record<string, string> = {
      Via: `SIP/2.0/${this.protocol} 127.0.0.1:${this.port};rport;branch=z9hG4bKpeer${counter}`,
      From: `<sip:peer@127.0.0.1>;tag=p${counter}`,
      To: `<${uri}>`,
      'Call-ID': `peer-${counter}-${process.pid}`,
      CSeq: `1 ${method}`,
      'Max-Forwards': '70',
      ...(method === 'INVITE' || method === 'SUBSCRIBE' || method === 'REGISTER'
        ? { Contact: `<${this.uri('peer')}>` }
        : {}),
      ...(body.startsWith('v=0') ? { 'Content-Type': 'application/sdp' } : {}),
      ...headers,
    };
    for (const [name, value] of Object.entries(all)) message.append(name, value);
    this.send(message);
    return message;
  }

  /** A request inside the dialog that `response` has made of `request`: its Routes, its target, its tags. */
  inside(method: string, request: Message, response: Message, cseq: number, { headers = {}, body = '' }: Extra = {}) {
    counter++;
    const target = /<([^>]+)>/.exec(response.get('contact') ?? '')?.[1] ?? request.uri;
    const message = Message.request(method, target, [], Buffer.from(body));
    message.append('Via', `SIP/2.0/${this.protocol} 127.0.0.1:${this.port};rport;branch=z9hG4bKpeer${counter}`);
    for (const route of response.getAll('record-route').toReversed()) message.append('Route', route);
    for (const name of ['From', 'Call-ID']) message.append(name, request.get(name) ?? '');
    message.append('To', response.get('to') ?? '');
    message.append('CSeq', `${cseq} ${method}`);
    message.append('Max-Forwards', '70');
    for (const [name, value] of Object.entries(headers)) message.append(name, value);
    this.send(message);
    return message;
  }

  /** CANCEL or the ACK to a failure: by the branch of `request`. */
  along(method: 'CANCEL' | 'ACK', request: Message, to: Message = request, headers: Extra['headers'] = {}): Message {
    const message = Message.request(method, request.uri);
    for (const name of ['Via', 'From', 'Call-ID']) message.append(name, request.get(name) ?? '');
    message.append('To', to.get('to') ?? '');
    message.append('CSeq', `${parseCSeq(request.get('cseq') ?? '')?.number} ${method}`);
    message.append('Max-Forwards', '70');
    for (const [name, value] of Object.entries(headers)) message.append(name, value);
    this.send(message);
    return message;
  }

  /** Answers a request; a Contact of its own goes into what makes or refreshes a dialog. */
  reply(request: Message, status: number, { headers = {}, body = '', tag = `t${this.port}` }: Extra = {}): Message {
    const response = Message.response(status, undefined, [], Buffer.from(body));
    for (const via of request.getAll('via')) response.append('Via', via);
    for (const route of request.getAll('record-route')) response.append('Record-Route', route);
    for (const name of ['From', 'Call-ID', 'CSeq']) response.append(name, request.get(name) ?? '');
    const to = request.get('to') ?? '';
    response.append('To', tagOf(to) === undefined && status > 100 ? `${to};tag=${tag}` : to);
    if (headers['Contact'] === undefined && status < 300) response.append('Contact', `<${this.uri('peer')}>`);
    if (body.startsWith('v=0')) response.append('Content-Type', 'application/sdp');
    for (const [name, value] of Object.entries(headers)) response.append(name, value);
    this.send(response);
    return response;
  }

  send(message: Message): void {
    this.#write(message.toBytes());
  }

  /** Bytes as they are. */
  raw(text: string): void {
    this.#write(Buffer.from(text));
  }

  /** The first message not yet taken that is a request of this method, or a response of this status and method. */
  next(method: string, status?: number, timeoutMs = 5000): Promise<Message> {
    const match = (message: Message) =>
      status === undefined
        ? message.type === 'request' && message.method === method
        : message.status === status && parseCSeq(message.get('cseq') ?? '')?.method === method;
    const known = this.received.find((message) => !this.#taken.has(message) && match(message));
    if (known) {
      this.#taken.add(known);
      return Promise.resolve(known);
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        match,
        resolve: (message) => {
          clearTimeout(timer);
          resolve(message);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        const seen = this.received.map((message) => message.toString().split('\r\n')[0]).join('; ');
        reject(new Error(`no ${status ?? ''} ${method} within ${timeoutMs} ms; seen: ${seen}`));
      }, timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  #took(message: Message): void {
    this.received.push(message);
    for (const waiter of this.#waiters) {
      if (!waiter.match(message)) continue;
      this.#waiters.delete(waiter);
      this.#taken.add(message);
      waiter.resolve(message);
      return;
    }
  }
}
