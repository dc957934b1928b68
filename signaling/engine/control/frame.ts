/** Frames of the drachtio control protocol: `<bytes>#<payload>`, both ways. */
export const MAX_FRAME = 1 << 20;

export function encodeFrame(payload: string): Buffer {
  const bytes = Buffer.from(payload, 'utf8');
  return Buffer.concat([Buffer.from(`${bytes.length}#`, 'latin1'), bytes]);
}

/** One command of an application. `fields` are the parts of its first line; `sip` is what follows that line. */
export interface Command {
  readonly id: string;
  readonly type: string;
  readonly fields: readonly string[];
  readonly sip: string;
}

/** Reassembles frames from a byte stream, however it is cut. Holds at most one frame. */
export class FrameReader {
  /** Bytes of a payload; whoever is not trusted yet gets less. */
  limit: number = MAX_FRAME;
  #pending: Buffer = Buffer.alloc(0);

  /** @returns the complete payloads, or an error text after which the connection must be closed. */
  push(chunk: Uint8Array): { readonly payloads: string[]; readonly error?: string } {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const payloads: string[] = [];
    for (;;) {
      const hash = this.#pending.subarray(0, 9).indexOf(0x23);
      if (hash < 0) {
        return this.#pending.length >= 9 ? { payloads, error: 'no frame length' } : { payloads };
      }
      const text = this.#pending.toString('latin1', 0, hash);
      if (!/^\d{1,8}$/.test(text)) return { payloads, error: 'malformed frame length' };
      const length = Number(text);
      if (length === 0 || length > this.limit) return { payloads, error: `a frame of ${length} bytes` };
      const end = hash + 1 + length;
      if (this.#pending.length < end) return { payloads };
      payloads.push(this.#pending.toString('utf8', hash + 1, end));
      this.#pending = this.#pending.subarray(end);
    }
  }
}

export function parseCommand(payload: string): Command | undefined {
  const end = payload.indexOf('\r');
  const line = end < 0 ? payload : payload.slice(0, end);
  const [id, type, ...fields] = line.split('|');
  if (id === undefined || type === undefined) return undefined;
  return { id, type, fields, sip: end < 0 ? '' : payload.slice(end + 2) };
}
