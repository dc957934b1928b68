import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Bencode } from '../../vocabulary/mod.ts';
import { random } from '../support/mutate.ts';
import { planOf, type Plan, type Reply, type Step } from './plans.ts';

export interface ChurnOptions {
  readonly calls: number;
  readonly seed: number;
  /** At one time. */
  readonly live?: number;
  /** Sends an ng command. */
  readonly ask: (command: Readonly<Record<string, Bencode>>) => Promise<Reply> | Reply;
  /** After every so many calls; waits for it. */
  readonly every?: number;
  readonly pause?: (done: number) => Promise<void>;
}

export interface Churned {
  readonly calls: Readonly<Record<string, number>>;
  readonly commands: number;
  /** Commands that were refused because there was no port, or no room for a call, left. */
  readonly withoutPorts: number;
  readonly datagrams: number;
}

const SOCKETS = 16;
const TOGETHER = 8;

/**
 * Calls of every kind, set up and torn down in random order: of those that live some at a time take their next step.
 * The same seed gives the same order. @throws Error when a command has another result than its plan says
 */
export async function churn(options: ChurnOptions): Promise<Churned> {
  const pick = random(options.seed);
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => open()));
  const live: { readonly kind: string; readonly plan: Plan; reply: Reply }[] = [];
  const calls: Record<string, number> = {};
  let [begun, commands, withoutPorts, datagrams] = [0, 0, 0, 0];

  const done = async (kind: string, step: Step): Promise<Reply> => {
    if ('send' in step) {
      datagrams++;
      sockets[pick(SOCKETS)]?.send(step.send, step.port, '127.0.0.1');
      return {};
    }
    commands++;
    const reply = await options.ask(step.ask);
    const reason = String(reply['error-reason'] ?? '');
    // A greedy call may be in the way of any other.
    const exhausted = /^(Ran out of ports|Parallel session limit)/.test(reason);
    if (exhausted) withoutPorts++;
    const as = reply['result'] === 'ok' ? 'ok' : 'error';
    if (
      step.result !== 'any' &&
      as !== step.result &&
      !exhausted &&
      !(reason.startsWith('Unknown call') && withoutPorts > 0)
    )
      throw new Error(`${kind}: ${JSON.stringify(step.ask)} gave ${JSON.stringify(reply)}`);
    if (reason.startsWith('Internal error')) throw new Error(`${kind}: ${reason} to ${JSON.stringify(step.ask)}`);
    return reply;
  };

  try {
    while (begun < options.calls || live.length > 0) {
      while (live.length < (options.live ?? 40) && begun < options.calls) {
        const { kind, plan } = planOf(`churn-${options.seed}-${begun++}`, pick);
        calls[kind] = (calls[kind] ?? 0) + 1;
        live.push({ kind, plan, reply: {} });
        if (options.pause && begun % (options.every ?? Infinity) === 0) await options.pause(begun);
      }
      // Chosen first, done together then: the order of the replies changes nothing.
      const turn = new Set(
        Array.from({ length: TOGETHER }, () => live[pick(live.length)]).filter((one) => one !== undefined),
      );
      const steps = [...turn].map((one) => ({ one, next: one.plan.next(one.reply) }));
      await Promise.all(
        steps.map(async ({ one, next }) => {
          if (next.done === true) live.splice(live.indexOf(one), 1);
          else one.reply = await done(one.kind, next.value);
        }),
      );
    }
  } finally {
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }
  return { calls, commands, withoutPorts, datagrams };
}

async function open(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('error', () => undefined);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}
