// budget: 20 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { describe, it } from 'mocha';
import {
  connectOperations,
  copyOperations,
  gateOperations,
  playOperations,
  transformOperations,
} from '../../media/ng/mod.ts';
import { bencodeBytes, decodeBencode, type Bencode } from '../../vocabulary/mod.ts';
import { realService } from '../media/ng/node.ts';
import { random } from '../support/mutate.ts';
import { closePlane } from '../support/planes.ts';
import { rtp } from '../support/rtp.ts';
import { someSdp, someStreams, someWishes } from './disorder-texts.ts';

const STEPS = 5000;
const SEED = 11;
const BASE = 14_300;
const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;

type Keys = Record<string, Bencode>;

describe('commands of every kind in any order, with wishes and bodies that contradict each other', function () {
  this.timeout(60_000);

  it('are done, or refused with a reason, and leave nothing behind', async () => {
    const pick = random(SEED);
    const one = <T>(list: readonly T[]): T => list[pick(list.length)] as T;
    const tag = () => one(['a', 'a', 'b', 'b', 'c', '__proto__', 'ü']);
    const node = realService(BASE, {}, (manager, dataplane, publish) => ({
      ...{ ...copyOperations(manager), ...gateOperations(manager) },
      ...{ ...connectOperations(manager), ...transformOperations(manager) },
      ...playOperations({ manager, dataplane, publish, readSound: () => Promise.reject(new Error('none')) }),
    }));
    const { service, manager, plane } = node;
    const results = new Map<string, number>();
    let serial = 0;
    const ask = (message: Keys): void => {
      const bytes = Buffer.concat([Buffer.from(`c${++serial} `), bencodeBytes(message)]);
      service.handle(bytes, CALLER, (answer) => {
        const reply = decodeBencode(answer.subarray(answer.indexOf(0x20) + 1)) as Keys;
        const reason = String(reply['error-reason'] ?? '');
        // What only the packet path finds wrong has been taken too far; what is an exception is a mistake of ours.
        assert.doesNotMatch(reason, /Internal error|must be /, `${reason} ${JSON.stringify(message)}`);
        const key = `${String(message['command'])} ${String(reply['result'])}`;
        results.set(key, (results.get(key) ?? 0) + 1);
      });
    };
    const elsewhere = (): Keys => (pick(3) === 0 ? {} : { 'to-call-id': `call${pick(8)}` });
    const step = (call: Keys, sdp: string, keys: Keys): Keys =>
      one<() => Keys>([
        ...Array<() => Keys>(6).fill(() => ({
          ...{ command: 'offer', ...call, sdp, ...keys },
          ...(pick(3) === 0 ? { 'to-tag': tag() } : {}),
          ...(pick(2) === 0 ? { 'via-branch': one(['x', 'y', '']) } : {}),
        })),
        ...Array<() => Keys>(5).fill(() => ({ command: 'answer', ...call, 'to-tag': tag(), sdp, ...keys })),
        () => ({ command: 'publish', ...call, sdp, ...keys }),
        () => ({ command: 'subscribe request', ...call, 'to-tag': one(['s', 't', 'a']), ...keys }),
        () => ({ command: 'subscribe answer', ...call, 'to-tag': one(['s', 't', 'a']), sdp, ...keys }),
        () => ({ command: 'unsubscribe', ...call, 'to-tag': one(['s', 't']) }),
        () => ({ command: one(['block media', 'unblock media', 'silence media', 'block DTMF']), ...call, ...keys }),
        () => ({ command: one(['play DTMF', 'stop media', 'query', 'explain']), ...call, code: pick(16) }),
        ...Array<() => Keys>(3).fill(() => ({ command: 'connect', ...call, 'to-tag': tag(), ...elsewhere() })),
        () => ({ command: 'transform', ...call, 'from-tag': one(['a', 'v', 'w']), media: someStreams(pick) }),
        () => ({ command: 'delete', 'call-id': call['call-id'] ?? '', 'delete-delay': one([0, 1, 30]) }),
        () => ({ command: 'delete', ...call, 'via-branch': one(['x', 'y', '']), 'delete-delay': 0 }),
      ])();
    const speaker = createSocket('udp4');
    try {
      for (let i = 0; i < STEPS; i++) {
        ask(step({ 'call-id': `call${pick(8)}`, 'from-tag': tag() }, someSdp(pick), someWishes(pick)));
        if (pick(30) === 0) service.sweep();
        if (pick(10) === 0) speaker.send(rtp({ pt: one([0, 8, 101]), ssrc: pick(3) }), BASE + pick(100), '127.0.0.1');
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      // It was about something.
      for (const command of [
        'offer',
        'answer',
        'publish',
        'subscribe request',
        'delete',
        'block media',
        'query',
        'connect',
        'transform',
      ])
        assert.ok((results.get(`${command} ok`) ?? 0) > 5, `${command}: ${JSON.stringify([...results])}`);
      assert.ok(manager.refused.ports > 0, 'ports ran out now and then');
      for (const { callId } of manager.all()) ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
      assert.deepEqual([manager.size, service.calls.size, service.calls.ends], [0, 0, 0]);
    } finally {
      await new Promise<void>((resolve) => speaker.close(() => resolve()));
      manager.close();
      await closePlane(plane);
    }
  });
});
