import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createDataplane, type Dataplane } from '../../media/dataplane/mod.ts';

export const LOCAL = '127.0.0.1';

/** A real packet path on loopback; `lo` is its interface. */
export function openPlane(portMin: number, portMax: number, webrtcPort: number, threads = 1): Dataplane {
  const interfaces = [{ name: 'lo', address: LOCAL, advertised: LOCAL }];
  return createDataplane({ interfaces, portMin, portMax, webrtcPort, threads });
}

/** Ends it, and nothing of what was opened there may still stand. */
export async function closePlane(plane: Dataplane): Promise<void> {
  const { endpoints, paths, transcoders, taps, portsInUse, nativeBytes } = plane.totals();
  await plane.close();
  assert.deepEqual(
    { endpoints, paths, transcoders, taps, portsInUse, nativeBytes },
    { endpoints: 0, paths: 0, transcoders: 0, taps: 0, portsInUse: 0, nativeBytes: 0 },
  );
}

/** A party's socket on loopback, and what it hears. */
export interface UdpPeer {
  readonly socket: Socket;
  readonly at: { readonly address: string; readonly port: number };
  readonly heard: Buffer[];
  send(packet: Uint8Array, to: { readonly port: number }): void;
}

/** Sockets of a test; whoever made them closes them all. */
export class UdpPeers {
  readonly #sockets: Socket[] = [];

  /** `own`: where it sends from; `to`: the node's address of the same family. */
  async open(own: string = LOCAL, to = own): Promise<UdpPeer> {
    const socket = createSocket(own.includes(':') ? 'udp6' : 'udp4');
    this.#sockets.push(socket);
    socket.bind(0, own);
    await once(socket, 'listening');
    const heard: Buffer[] = [];
    socket.on('message', (packet: Buffer) => heard.push(packet));
    const at = { address: own, port: socket.address().port };
    return { socket, at, heard, send: (packet, { port }) => socket.send(packet, port, to) };
  }

  close(): void {
    for (const socket of this.#sockets.splice(0)) socket.close();
  }
}
