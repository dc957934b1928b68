import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';

/** The source address of the default route: what a packet to the internet would carry. No packet is sent. */
export async function defaultRouteAddress(): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<string | undefined>((resolve) => {
      socket.once('error', () => resolve(undefined));
      socket.connect(9, '192.0.2.1', () => resolve(socket.address().address));
    });
  } finally {
    socket.close();
  }
}

/** True when the address stands on an interface of this machine: only then can it be bound. */
export function isLocalAddress(address: string): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address));
}
