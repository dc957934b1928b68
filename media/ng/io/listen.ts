import type { Server } from 'node:net';
import { parseHostPort } from '../../../vocabulary/mod.ts';

/** @throws Error in words when the address is none, or cannot be had. */
export async function listenOn(server: Server, what: string, listen: string): Promise<void> {
  const at = parseHostPort(listen);
  if (!at) throw new Error(`ng address "${listen}" is not HOST:PORT`);
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(cannotListen(what, listen, error));
    server.once('error', failed);
    server.listen(at.port, at.address, () => {
      server.removeListener('error', failed);
      // What happens to a listening socket later, e.g. no descriptors left, is not the end of the node.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

export function cannotListen(what: string, listen: string, error: NodeJS.ErrnoException): Error {
  const why = error.code === 'EADDRINUSE' ? 'the port is taken by another process' : error.message;
  return new Error(`cannot listen on ng ${what} ${listen}: ${why}`, { cause: error });
}

/** The address without the port, and IPv4 as such on a socket for both. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}
