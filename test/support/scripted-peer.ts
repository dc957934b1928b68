import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { Message, parseMessage, StreamFramer, topVia } from '../../signaling/engine/message/mod.ts';
import { until } from './until.ts';

/** A status, with headers; or nothing at all. */
export type Answer =
  number | { readonly status: number; readonly headers: Readonly<Record<string, string>> } | 'silence';

/** A SIP peer that answers every request by script, at one port of UDP, TCP or TLS, or several of them. */
export class SipPeer implements AsyncDisposable {
  readonly requests: { readonly message: Message; readonly by: 'udp' | 'tcp' | 'tls' }[] = [];
  readonly responses: Message[] = [];
  answer: Answer = 200;
  port = 0;
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #sockets = new Set<Socket>();

  static async start(
    what: readonly ('udp' | 'tcp' | 'tls')[],
    { port = 0, address = '127.0.0.1', tls = {} as TlsOptions } = {},
  ): Promise<SipPeer> {
    for (let tries = 5; ; tries--) {
      const peer = new SipPeer();
      peer.port = port;
      try {
        for (const protocol of what) {
          if (protocol === 'udp') await peer.#udp(address);
          else await peer.#stream(protocol, address, tls);
        }
        return peer;
      } catch (error) {
        // A port that is free for UDP may be taken for TCP.
        await peer[Symbol.asyncDispose]();
        if (port !== 0 || tries === 1) throw error;
      }
    }
  }

  /** `METHOD protocol`, in the order in which they came, without repetitions. */
  get log(): readonly string[] {
    const seen = new Set<string>();
    return this.requests.flatMap(({ message, by }) => {
      const branch = `${message.method} ${message.get('via')}`;
      if (seen.has(branch)) return [];
      seen.add(branch);
      return [`${message.method} ${by}`];
    });
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  branch(index: number): string | undefined {
    const message = this.requests[index]?.message;
    return topVia(message?.get('via') ?? '').via?.params.get('branch');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const close of this.#closers) await close();
  }

  async #udp(address: string): Promise<void> {
    const socket: UdpSocket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(this.port, address, resolve));
    this.port = socket.address().port;
    socket.on('message', (bytes, from) => {
      const message = parseMessage(bytes, 'datagram');
      if (message instanceof Message)
        this.#received(message, 'udp', (text) => socket.send(text, from.port, from.address));
    });
    this.#closers.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  }

  async #stream(protocol: 'tcp' | 'tls', address: string, tls: TlsOptions): Promise<void> {
    const server: Server = protocol === 'tcp' ? createServer() : createTlsServer(tls);
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.port, address, resolve));
    this.port = (server.address() as AddressInfo).port;
    server.on('tlsClientError', () => undefined);
    server.on(protocol === 'tcp' ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      const framer = new StreamFramer();
      socket.on('data', (chunk: Buffer) => {
        for (const frame of framer.push(chunk)) {
          if (frame.type === 'message') this.#received(frame.message, protocol, (text) => void socket.write(text));
        }
      });
    });
    this.#closers.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
  }

  #received(message: Message, by: 'udp' | 'tcp' | 'tls', send: (text: string) => void): void {
    if (message.type === 'response') this.responses.push(message);
    if (message.type !== 'request') return;
    this.requests.push({ message, by });
    if (message.method === 'ACK' || this.answer === 'silence') return;
    const { status, headers } = typeof this.answer === 'number' ? { status: this.answer, headers: {} } : this.answer;
    const all = message.method === 'INVITE' && status === 200 ? { Contact: `<sip:peer@127.0.0.1:${this.port}>` } : {};
    send(responseTo(message, status, { ...all, ...headers }));
  }
}

export function responseTo(request: Message, status: number, headers: Readonly<Record<string, string>> = {}): string {
  const response = Message.response(status);
  for (const via of request.getAll('via')) response.append('Via', via);
  for (const name of ['From', 'Call-ID', 'CSeq']) response.append(name, request.get(name) ?? '');
  response.append('To', `${request.get('to')};tag=peer`);
  for (const [name, value] of Object.entries(headers)) response.append(name, value);
  return response.toString();
}

let count = 0;

/** A request outside of a dialog as text. `via`: `UDP host:port;params`, the branch is added. */
export function requestText(
  method: string,
  via: string,
  { uri = 'sip:service@causeway.test', headers = {} as Readonly<Record<string, string>>, body = '' } = {},
): string {
  const id = `${process.pid}-${++count}`;
  return (
    `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/${via};branch=z9hG4bK${id}\r\nMax-Forwards: 70\r\n` +
    `From: <sip:tester@causeway.test>;tag=t${id}\r\nTo: <${uri}>\r\nCall-ID: ${id}\r\nCSeq: 1 ${method}\r\n` +
    `${Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

/** A client's TCP connection that keeps what it has read. */
export class StreamClient implements AsyncDisposable {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => (this.received = Buffer.concat([this.received, chunk])));
    socket.on('close', () => (this.closed = true));
  }

  static async open(port: number, address = '127.0.0.1', localAddress = address): Promise<StreamClient> {
    const socket = connect({ port, host: address, localAddress });
    const client = new StreamClient(socket);
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve);
      socket.once('close', () => resolve());
    });
    return client;
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  async until(pattern: RegExp | string, timeoutMs = 5000): Promise<void> {
    const there = () => (typeof pattern === 'string' ? this.text === pattern : pattern.test(this.text));
    await until(`${String(pattern)} (there is: ${JSON.stringify(this.text.slice(0, 200))})`, there, timeoutMs, 10);
  }

  async untilClosed(timeoutMs = 5000): Promise<void> {
    await until('the connection is closed', () => this.closed, timeoutMs, 10);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.untilClosed();
  }
}
