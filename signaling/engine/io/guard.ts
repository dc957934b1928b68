import type { Server, Socket } from 'node:net';
import type { Hub } from './hub.ts';

/**
 * Puts {@link Hub.admission} before a server: who is refused is reset before TLS or HTTP has seen a byte; who is let in is
 * counted until its socket has closed. With `secure`, the handshake has a deadline that a trickle of bytes does not move:
 * `secured` ends it.
 */
export function guard(server: Server, hub: Hub, secure: boolean): { secured(socket: Socket): void } {
  const inner = server.listeners('connection');
  const shaking = new Map<string, Socket>();
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const { remoteAddress: address, remotePort: port } = socket;
    socket.on('error', () => undefined);
    if (address === undefined || port === undefined) {
      socket.destroy();
      return;
    }
    const refusal = hub.admission.admit(address, secure, hub.options.now());
    if (refusal !== undefined) {
      hub.refused[refusal]++;
      socket.resetAndDestroy();
      return;
    }
    const name = `${address} ${port}`;
    socket.once('close', () => {
      hub.admission.release(address);
      hub.handshakes.clear(socket);
      if (shaking.get(name) === socket) shaking.delete(name);
    });
    if (secure) {
      shaking.set(name, socket);
      hub.handshakes.start(socket);
    }
    for (const listener of inner) listener.call(server, socket);
  });
  return {
    /** `socket` is the TLS socket; the deadline is on the one below it. */
    secured(socket) {
      const name = `${socket.remoteAddress} ${socket.remotePort}`;
      const below = shaking.get(name);
      if (below) hub.handshakes.clear(below);
      shaking.delete(name);
    },
  };
}
