import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Private } from '../../../../vocabulary/mod.ts';
import type { AppLink } from '../app-link.ts';
import { encodeFrame, FrameReader, MAX_FRAME, parseCommand } from '../frame.ts';

/** Bytes that may wait for an application that does not read. */
const MAX_QUEUE = 8 << 20;
const AUTHENTICATE_MS = 5000;
/** Bytes of a frame before its sender has authenticated. */
const STRANGER_FRAME = 4096;

/** What a connection to an application needs of the engine. */
export interface LinkHost {
  readonly secret: Private<string>;
  /** Takes an application that has authenticated; what it returns gets its commands. */
  readonly accept: (link: AppLink) => (payload: string) => void;
  readonly closed: (link: AppLink) => void;
  /** What follows `OK` in the answer to `authenticate`. */
  readonly identity: () => string;
}

let nextId = 1;

/**
 * One connection to an application, whoever has opened it: the application authenticates first, and nothing else is heard
 * before. `ready`: it has; `ended`: the connection is gone. The socket ends with its peer, by `destroy`, or here.
 */
export function serveLink(
  socket: Socket,
  host: LinkHost,
  on: { readonly ready?: (link: AppLink) => void; readonly ended: () => void },
): void {
  const reader = new FrameReader();
  reader.limit = STRANGER_FRAME;
  let tags: readonly string[] = [];
  const send = (payload: string) => {
    if (socket.destroyed) return;
    if (socket.writableLength > MAX_QUEUE) socket.destroy();
    else socket.write(encodeFrame(payload));
  };
  const link: AppLink = {
    id: `app-${nextId++}`,
    embedded: false,
    verbs: new Set(),
    get tags() {
      return tags;
    },
    get closed() {
      return socket.destroyed || socket.writableEnded;
    },
    send,
    close: () => socket.destroy(),
  };
  let receive: ((payload: string) => void) | undefined;
  const timer = setTimeout(() => socket.destroy(), AUTHENTICATE_MS);
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    const { payloads, error } = reader.push(chunk);
    for (const payload of payloads) {
      if (socket.destroyed || socket.writableEnded) return;
      if (receive) {
        receive(payload);
        continue;
      }
      const command = parseCommand(payload);
      if (command?.type !== 'authenticate' || !sameSecret(command.fields[0] ?? '', host.secret.reveal())) {
        const text = command?.type === 'authenticate' ? 'incorrect secret' : 'not authenticated';
        send(`${randomUUID()}|response|${command?.id ?? ''}|NO|${text}`);
        socket.end();
        return;
      }
      clearTimeout(timer);
      reader.limit = MAX_FRAME;
      tags = (command.fields[1] ?? '').split(',').filter((tag) => tag !== '');
      send(`${randomUUID()}|response|${command.id}|OK|${host.identity()}`);
      receive = host.accept(link);
      on.ready?.(link);
    }
    if (error !== undefined) socket.destroy();
  });
  // A half-closed connection is of no use: the application has no way to say that it goes on.
  socket.on('end', () => socket.end());
  socket.on('close', () => {
    clearTimeout(timer);
    on.ended();
    if (receive) host.closed(link);
  });
}

function sameSecret(given: string, wanted: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(wanted));
}
