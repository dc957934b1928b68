import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** A masked frame without payload. */
const CONTROL_BYTES = 6;

/**
 * Tells whether a WebSocket frame, or a message of several, is under way. The library only tells when one is complete;
 * so the bytes that came since are counted, without those of control frames, which may stand between the parts of a
 * message and prove nothing.
 */
export class FrameProgress {
  readonly #socket: Socket;
  readonly #before: (chunk: Buffer) => void;
  readonly #after: () => void;
  #open = 0;

  constructor(webSocket: WebSocket, socket: Socket, report: { began(): void; ended(): void }) {
    this.#socket = socket;
    const control = (data: Buffer) => {
      this.#open = Math.max(0, this.#open - CONTROL_BYTES - data.length);
    };
    this.#before = (chunk) => (this.#open += chunk.length);
    this.#after = () => {
      if (this.#open > 0) report.began();
      else report.ended();
    };
    // One before the library reads the chunk, one when it has.
    socket.prependListener('data', this.#before);
    socket.on('data', this.#after);
    webSocket.on('message', () => {
      this.#open = 0;
      report.ended();
    });
    webSocket.on('ping', control);
    webSocket.on('pong', control);
  }

  end(): void {
    this.#socket.off('data', this.#before);
    this.#socket.off('data', this.#after);
  }
}
