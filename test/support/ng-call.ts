import type { Bencode } from '../../vocabulary/mod.ts';
import type { MediaNode } from './media-node.ts';

export type Keys = Readonly<Record<string, Bencode>>;

/** What a proxy asks for, by who is to get the SDP. */
export const TO_PLAIN: Keys = {
  replace: ['origin', 'session-connection'],
  'transport-protocol': 'RTP/AVP',
  ICE: 'remove',
  DTLS: 'off',
  SDES: ['off'],
  'rtcp-mux': ['demux'],
};
export const TO_BROWSER: Keys = {
  replace: ['origin', 'session-connection'],
  flags: ['generate-mid'],
  'transport-protocol': 'UDP/TLS/RTP/SAVPF',
  ICE: 'force',
  'ICE-lite': 'forward',
  SDES: ['off'],
  'rtcp-mux': ['offer', 'require'],
};

let calls = 0;

/** One call at a media node, as a proxy between its two parties drives it. Disposing of it deletes it at once. */
export class NgCall implements AsyncDisposable {
  readonly id = `call-${++calls}`;
  readonly #node: MediaNode;

  constructor(node: MediaNode) {
    this.#node = node;
  }

  /** An offer of `from`; the SDP for the other party. */
  offer(from: 'a' | 'b', sdp: string, keys: Keys): Promise<string> {
    return this.#sdp('offer', from, sdp, keys);
  }

  /** The answer to what `offerer` has offered; the SDP for it. */
  answer(offerer: 'a' | 'b', sdp: string, keys: Keys): Promise<string> {
    return this.#sdp('answer', offerer, sdp, keys);
  }

  /** Some other command, of what `a` sends. @throws when it is refused. */
  async ask(command: string): Promise<void> {
    const reply = await this.#node.ask({ command, 'call-id': this.id, 'from-tag': 'a' });
    if (reply['result'] !== 'ok') throw new Error(`${command}: ${JSON.stringify(reply)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node.ask({ command: 'delete', 'call-id': this.id, 'from-tag': 'a', 'delete-delay': 0 });
  }

  async #sdp(command: string, from: 'a' | 'b', sdp: string, keys: Keys): Promise<string> {
    const tags = { 'from-tag': from, 'to-tag': from === 'a' ? 'b' : 'a' };
    const reply = await this.#node.ask({ command, 'call-id': this.id, ...tags, sdp, ...keys });
    if (typeof reply['sdp'] !== 'string') throw new Error(`${command}: ${JSON.stringify(reply)}`);
    return reply['sdp'];
  }
}
