import { StreamFramer } from '../message/mod.ts';
import type { ConnectionFlow } from './flow-handle.ts';
import type { Hub } from './hub.ts';
import { answerStunBinding, stunLength, STUN_HEADER } from './stun.ts';

/** More than a Binding request ever has. */
const MAX_STUN = 576;
const PONG = Buffer.from('\r\n');

/**
 * What comes in on a TCP or TLS connection: messages, keep-alives of CRLF (RFC 5626 §4.4.1) and of STUN between them
 * (RFC 5626 §8: told apart by the first byte). A message that has begun has a deadline.
 */
export class StreamReader {
  readonly #hub: Hub;
  readonly #flow: ConnectionFlow;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #framer = new StreamFramer();
  #stun: Buffer | undefined;
  /** One CRLF has come alone: with the next it is a ping, wherever the network has cut it. */
  #halfPing = false;
  /** It sends keep-alives: their end is its end. */
  #keepsAlive = false;

  constructor(hub: Hub, flow: ConnectionFlow, write: (bytes: Uint8Array) => void) {
    this.#hub = hub;
    this.#flow = flow;
    this.#write = write;
  }

  push(chunk: Buffer): void {
    const rest = this.#takeStun(chunk);
    if (rest.length > 0) this.#takeSip(rest);
    if (this.#framer.pendingBytes > 0 || this.#stun) this.#hub.incomplete.start(this.#flow);
    else this.#hub.incomplete.clear(this.#flow);
    if (this.#keepsAlive && !this.#flow.closed) this.#hub.quiet.restart(this.#flow);
  }

  #takeSip(chunk: Buffer): void {
    const { incomplete, silent } = this.#hub;
    let pinged = false;
    for (const frame of this.#framer.push(chunk)) {
      if (frame.type === 'ping' || (frame.type === 'pong' && this.#halfPing)) {
        this.#halfPing = false;
        pinged = true;
        continue;
      }
      this.#halfPing = frame.type === 'pong';
      if (frame.type === 'message') {
        silent.clear(this.#flow);
        // What follows has its own time.
        incomplete.clear(this.#flow);
        this.#hub.message(frame.message, this.#flow);
      } else if (frame.type === 'failure') {
        this.#hub.malformed(frame.failure, this.#flow);
        if (frame.fatal) this.#flow.destroy('unreadable', frame.failure.reason);
      }
    }
    // A keep-alive comes alone: for what comes by the thousand, one answer a piece of the stream is enough.
    if (!pinged) return;
    this.#keepsAlive = true;
    this.#write(PONG);
  }

  /** Answers Binding requests at the beginning of the bytes; gives back what is SIP. */
  #takeStun(chunk: Buffer): Buffer {
    if (this.#stun === undefined && (this.#framer.pendingBytes > 0 || (chunk[0] ?? 0xff) > 3)) return chunk;
    let bytes = this.#stun ? Buffer.concat([this.#stun, chunk]) : chunk;
    this.#stun = undefined;
    const answers: Buffer[] = [];
    while (bytes.length > 0 && (bytes[0] as number) <= 3) {
      const length = bytes.length < STUN_HEADER ? STUN_HEADER : stunLength(bytes);
      if (length === undefined || length > MAX_STUN) {
        this.#flow.destroy('unreadable', 'neither SIP nor STUN');
        return bytes.subarray(bytes.length);
      }
      if (bytes.length < length) {
        this.#stun = Buffer.from(bytes);
        bytes = bytes.subarray(bytes.length);
        break;
      }
      const { address, port } = this.#flow.remote;
      const answer = answerStunBinding(bytes.subarray(0, length), address, port);
      if (answer) answers.push(answer);
      bytes = bytes.subarray(length);
    }
    if (answers.length > 0) {
      this.#keepsAlive = true;
      this.#write(Buffer.concat(answers));
    }
    return bytes;
  }
}
