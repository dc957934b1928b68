import type { HostPort } from '../../vocabulary/mod.ts';
import { loadAddon } from './addon.ts';

/** What the add-on hands out (native/napi/request_socket.cc). */
interface Addon {
  openRequests(
    address: string,
    port: number,
    input: Uint8Array,
    onRequest: (offset: number, length: number, address: string, port: number) => void,
  ): number;
  replyTo(id: number, bytes: Uint8Array, address: string, port: number): void;
  requestCounters(id: number): RequestCounters | undefined;
  closeRequests(id: number): void;
}

/** 32 requests of a whole datagram each; the kernel gives memory only to the pages that are written. */
const INPUT_BYTES = 32 * 65_536;

export interface RequestCounters {
  readonly requests: number;
  /** Taken by the kernel. */
  readonly replies: number;
  /** Too long, to nowhere, or no room: the kernel did not take them. */
  readonly refused: number;
}

const NONE: RequestCounters = { requests: 0, replies: 0, refused: 0 };

/** A UDP socket of a control protocol. Whoever opened it closes it. */
export interface RequestSocket {
  /** Now, or with the other replies to the requests that were read together. Nothing when it is closed. */
  reply(bytes: Uint8Array, address: string, port: number): void;
  /** Zero when it is closed. */
  counters(): RequestCounters;
  close(): void;
}

/**
 * Requests and replies in batches: a quarter of what an offer or answer cost was the system call of its reply and the
 * waking of its sender. `bytes` is valid during the call only; port 0 at `at` is any.
 * @throws Error with the code of the system when it cannot be opened.
 */
export function openRequestSocket(
  at: HostPort,
  onRequest: (bytes: Buffer, address: string, port: number) => void,
): RequestSocket {
  const addon = loadAddon<Addon>();
  const input = Buffer.allocUnsafeSlow(INPUT_BYTES);
  const id = addon.openRequests(at.address, at.port, input, (offset, length, address, port) =>
    onRequest(input.subarray(offset, offset + length), address, port),
  );
  return {
    reply: (bytes, address, port) => addon.replyTo(id, bytes, address, port),
    counters: () => addon.requestCounters(id) ?? NONE,
    close: () => addon.closeRequests(id),
  };
}
