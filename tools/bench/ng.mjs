// A client of the ng protocol for set-up work whose speed is not what is measured: bencode over UDP, cookies, repeats.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { decodeBencode, encodeBencode } from '../../vocabulary/mod.ts';

const TRIES = 6;
const PATIENCE_MS = 500;

/** The media node has said no, with this reason. */
export class Refused extends Error {}

export class NgClient {
  #socket;
  #waiting = new Map();
  #serial = 0;
  #prefix = `b${process.pid}_`;

  /** @param {{ address: string, port: number }} at */
  static async open({ address, port }) {
    const client = new NgClient();
    client.#socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    client.#socket.on('message', (bytes) => client.#receive(bytes));
    // A daemon that is not up yet is an ICMP error here: the next try goes out all the same.
    client.#socket.on('error', () => undefined);
    client.#socket.connect(port, address);
    await once(client.#socket, 'connect');
    return client;
  }

  /** The reply, whatever its result. @throws Error when none comes within three seconds. */
  request(message) {
    const cookie = `${this.#prefix}${++this.#serial}`;
    const bytes = Buffer.from(`${cookie} ${encodeBencode(message)}`);
    return new Promise((resolve, reject) => {
      let tries = 0;
      const send = () => {
        if (++tries > TRIES) {
          this.#finish(cookie);
          reject(new Error(`no ng reply to ${message.command}`));
        } else this.#socket.send(bytes, () => undefined);
      };
      this.#waiting.set(cookie, { resolve, timer: setInterval(send, PATIENCE_MS) });
      send();
    });
  }

  /** The SDP of an offer or answer. @throws Refused with the reason. */
  async sdp(message) {
    const reply = await this.request(message);
    if (reply?.result !== 'ok' || typeof reply.sdp !== 'string')
      throw new Refused(`${message.command} refused: ${reply?.['error-reason'] ?? JSON.stringify(reply)}`);
    return reply.sdp;
  }

  close() {
    for (const cookie of [...this.#waiting.keys()]) this.#finish(cookie);
    this.#socket.close();
  }

  #receive(bytes) {
    const space = bytes.indexOf(0x20);
    const entry = this.#finish(bytes.toString('latin1', 0, Math.max(space, 0)));
    entry?.resolve(decodeBencode(bytes.subarray(space + 1)));
  }

  #finish(cookie) {
    const entry = this.#waiting.get(cookie);
    this.#waiting.delete(cookie);
    if (entry) clearInterval(entry.timer);
    return entry;
  }
}

/** `work` for 0..count-1, at most `width` at a time; results in order. */
export async function inParallel(count, width, work) {
  const results = Array.from({ length: count });
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const index = next++;
      results[index] = await work(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
  return results;
}
