/**
 * An environment (a thread, or a process) that ends with its socket of requests open, in the way that it is told: run as
 * the main module of either, with the port and the way.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { openRequestSocket } from '../../../media/dataplane/mod.ts';

export interface Told {
  readonly port: number;
  /** `exit`: by itself when it is asked; `throw`: in a request; `spin`: it never comes back from a request; `wait`: no end. */
  readonly way: 'exit' | 'throw' | 'spin' | 'wait';
}

const { port, way } = (workerData ?? { port: Number(process.argv[2]), way: process.argv[3] }) as Told;
// A port of messages to another thread has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
const tell = (text: string) => (parentPort ? parentPort.postMessage(text) : process.stdout.write(`${text}\n`));

const socket = openRequestSocket({ address: '127.0.0.1', port }, (bytes, from, at) => {
  socket.reply(bytes, from, at);
  tell('asked');
  if (way === 'exit') process.exit(0);
  if (way === 'throw') throw new Error('in a request');
  if (way === 'spin') for (;;);
});
tell('open');
