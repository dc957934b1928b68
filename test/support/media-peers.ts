import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { decodeBencode, encodeBencode, type Bencode } from '../../vocabulary/mod.ts';
import { RoleProcess } from '../roles/process.ts';
import { until } from './until.ts';

type Dictionary = Readonly<Record<string, Bencode>>;

/** A media node as a process, spoken to by ng alone. */
export interface MediaPeer extends AsyncDisposable {
  readonly name: string;
  /** `127.0.0.1:PORT`, UDP. */
  readonly ng: string;
  /** What it logged, for the message of a failing test. */
  readonly log: string;
}

export interface MediaPorts {
  readonly ng: number;
  /** 400 ports from here on, and one more of ours for WebRTC in front of them. */
  readonly rtp: number;
}

/** Ours as it is run beside a proxy of somebody else: nothing but ng, no registry. What is deleted is gone at once. */
export async function startOurs(ports: MediaPorts): Promise<MediaPeer> {
  const ng = `127.0.0.1:${ports.ng}`;
  const role = new RoleProcess([
    ...['media', '--listen-ng', ng, '--interface', '127.0.0.1', '--public-address', '127.0.0.1'],
    ...['--port-min', String(ports.rtp), '--port-max', String(ports.rtp + 399), '--webrtc-port', String(ports.rtp - 1)],
    ...['--metrics', `127.0.0.1:${ports.ng + 1}`, '--log-level', 'debug', '--drain-seconds', '0.3'],
    ...['--delete-delay', '0'],
  ]);
  try {
    await role.ready('media-1');
  } catch (error) {
    await role[Symbol.asyncDispose]();
    throw error;
  }
  return {
    name: 'our media node',
    ng,
    get log() {
      return role.errors.slice(-8000);
    },
    [Symbol.asyncDispose]: () => role[Symbol.asyncDispose](),
  };
}

/** Debian's rtpengine in user space (`--table=-1`), without a configuration file; what is deleted is gone at once. */
export async function startRtpengine(ports: MediaPorts): Promise<MediaPeer> {
  const ng = `127.0.0.1:${ports.ng}`;
  const child = spawn(
    'rtpengine',
    [
      ...['--config-file=none', '--foreground', '--log-stderr', '--log-level=6', '--table=-1', '--interface=127.0.0.1'],
      ...[
        `--listen-ng=${ng}`,
        `--port-min=${ports.rtp}`,
        `--port-max=${ports.rtp + 399}`,
        '--num-threads=2',
        '--delete-delay=0',
      ],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-8000)));
  const stop = () => ended(child);
  try {
    await until('rtpengine answers a ping', () => pinged(ports.ng, () => child.exitCode === null), 10_000);
  } catch (error) {
    await stop();
    throw new Error(`rtpengine has not started: ${log}`, { cause: error });
  }
  return {
    name: 'rtpengine',
    ng,
    get log() {
      return log;
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** Whoever passes with both has shown that one can stand in for the other. */
export const MEDIA = [
  { name: 'our media node', start: startOurs },
  { name: 'rtpengine', start: startRtpengine },
] as const;

/** The call-ids that a node knows. */
export async function ngList(ng: string): Promise<readonly Bencode[]> {
  const reply = await ask(Number(ng.split(':')[1]), { command: 'list', limit: 100 });
  const calls = reply?.['calls'];
  if (!Array.isArray(calls)) throw new Error(`no list: ${JSON.stringify(reply)}`);
  return calls;
}

async function pinged(port: number, alive: () => boolean): Promise<boolean> {
  if (!alive()) throw new Error('it has ended');
  return (await ask(port, { command: 'ping' }))?.['result'] === 'pong';
}

/** One ng request, once; undefined when nobody answers within 200 ms. */
async function ask(port: number, command: Dictionary): Promise<Dictionary | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<Dictionary | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), 200);
      socket.once('message', (reply) => {
        clearTimeout(timer);
        resolve(decodeBencode(reply.subarray(reply.indexOf(0x20) + 1)) as Dictionary);
      });
      socket.on('error', () => undefined);
      socket.send(`${randomUUID()} ${encodeBencode(command)}`, port, '127.0.0.1');
    });
  } finally {
    socket.close();
  }
}

/** SIGTERM, and SIGKILL two seconds later. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 2000);
  await over;
  clearTimeout(timer);
}
