import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { connect, isIP } from 'node:net';
import { encode, RECURSION_DESIRED, TRUNCATED_RESPONSE, type DecodedPacket } from 'dns-packet';
import { parseHostPort, type HostPort } from '../../../vocabulary/mod.ts';
import type { Query } from '../targets/mod.ts';
import { answerTo, readAnswer, type DnsAnswer } from './dns-answer.ts';

/** For one question to one server. */
const TRY_MS = 1500;
const ROUNDS = 2;
/** Questions that may be open at once; a further one fails. */
const MAX_OPEN = 256;
/** What fits into a datagram without fragments on every path (as resolvers agree since 2020). */
const UDP_PAYLOAD = 1232;

/**
 * A stub resolver (RFC 1035 §5.3.1): one question, from a port and with a number that nobody can guess, to the configured
 * servers in turn; over TCP where the answer did not fit. Node's own does not tell how long SRV and NAPTR may be kept.
 * It owns its sockets, each for as long as its question.
 */
export class DnsClient {
  readonly #servers: readonly HostPort[];
  readonly #open = new Set<() => void>();
  readonly counters = { asked: 0, failed: 0 };

  /** `servers`: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`; those of the system when empty. */
  constructor(servers: readonly string[] = []) {
    const list = servers.length > 0 ? servers : getServers();
    this.#servers = list.map(serverOf).filter((server) => server !== undefined);
  }

  async ask(query: Query): Promise<DnsAnswer> {
    if (this.#open.size >= MAX_OPEN) {
      this.counters.failed++;
      return { type: 'failed', why: 'too many questions are open' };
    }
    this.counters.asked++;
    let why = 'no DNS server is known';
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of this.#servers) {
        const answer = await this.#askOne(query, server);
        if (answer.type === 'records') return answer;
        why = answer.why;
      }
    }
    this.counters.failed++;
    return { type: 'failed', why };
  }

  close(): void {
    for (const end of this.#open) end();
  }

  async #askOne(query: Query, server: HostPort): Promise<DnsAnswer> {
    const id = randomInt(65_536);
    const question = encode({
      type: 'query',
      id,
      flags: RECURSION_DESIRED,
      questions: [{ type: query.type, name: query.name }],
      additionals: [
        ...[{ type: 'OPT' as const, name: '.', udpPayloadSize: UDP_PAYLOAD, flags: 0, flag_do: false }],
      ].map((opt) => ({ ...opt, extendedRcode: 0, ednsVersion: 0, options: [] })),
    });
    try {
      const packet = await this.#overUdp(question, server, (bytes) => answerTo(bytes, id, query));
      if (((packet.flags ?? 0) & TRUNCATED_RESPONSE) === 0) return readAnswer(packet, query);
      return readAnswer(await this.#overTcp(question, server, (bytes) => answerTo(bytes, id, query)), query);
    } catch (error) {
      return { type: 'failed', why: error instanceof Error ? error.message : String(error) };
    }
  }

  #overUdp(question: Buffer, server: HostPort, read: Reader): Promise<DecodedPacket> {
    const socket = createSocket(isIP(server.address) === 6 ? 'udp6' : 'udp4');
    return this.#settled(
      (done, failed) => {
        socket.on('error', failed);
        socket.on('message', (bytes) => {
          const packet = read(bytes);
          // What does not fit was not for us: the right answer may still come.
          if (packet) done(packet);
        });
        // A connected socket hears its server alone, and learns at once that nobody listens there.
        socket.connect(server.port, server.address, (error?: Error) => {
          if (error) failed(error);
          else socket.send(question, (failure) => failure && failed(failure));
        });
      },
      () => socket.close(),
    );
  }

  #overTcp(question: Buffer, server: HostPort, read: Reader): Promise<DecodedPacket> {
    const socket = connect({ host: server.address, port: server.port });
    let pending = Buffer.alloc(0);
    return this.#settled(
      (done, failed) => {
        socket.on('error', failed);
        socket.on('close', () => failed(new Error('the DNS server closed the connection')));
        socket.on('data', (chunk: Buffer) => {
          pending = Buffer.concat([pending, chunk]);
          if (pending.length < 2 || pending.length < 2 + pending.readUInt16BE(0)) return;
          const packet = read(pending.subarray(2, 2 + pending.readUInt16BE(0)));
          if (packet) done(packet);
          else failed(new Error('the DNS server answered something else'));
        });
        const length = Buffer.alloc(2);
        length.writeUInt16BE(question.length);
        socket.write(Buffer.concat([length, question]));
      },
      () => socket.destroy(),
    );
  }

  #settled(
    begin: (done: (packet: DecodedPacket) => void, failed: (error: Error) => void) => void,
    end: () => void,
  ): Promise<DecodedPacket> {
    const { promise, resolve, reject } = Promise.withResolvers<DecodedPacket>();
    const cancel = () => reject(new Error('closed'));
    this.#open.add(cancel);
    const timer = setTimeout(() => reject(new Error(`no answer of the DNS server in ${TRY_MS} ms`)), TRY_MS);
    begin(resolve, reject);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#open.delete(cancel);
      end();
    });
  }
}

type Reader = (bytes: Buffer) => DecodedPacket | undefined;

function serverOf(text: string): HostPort | undefined {
  return isIP(text) === 0 ? parseHostPort(text) : { address: text, port: 53 };
}
