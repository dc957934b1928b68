import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'mocha';
import type { AppLink, Command } from '../../../signaling/engine/control/mod.ts';
import { sendRequest } from '../../../signaling/engine/core/outbound.ts';
import { createCore, randomIds, receive, type Core } from '../../../signaling/engine/core/mod.ts';
import { Resolver, TransportError, type Flow, type Target, type Transports } from '../../../signaling/engine/io/mod.ts';
import { Message, parseMessage } from '../../../signaling/engine/message/mod.ts';
import { responseTo } from '../../support/scripted-peer.ts';

const OURS = { address: '192.0.2.100', port: 5060 };
const listenerOf = (protocol: 'udp' | 'tcp') => ({ protocol, bound: OURS, external: OURS });

/** In virtual time, with transports that only write down what leaves. */
describe('a request whose server does not answer (RFC 3263 §4.3)', () => {
  let folder: string;
  let core: Core;
  let now: number;
  let sent: { at: number; to: string; message: Message; flow: Flow }[];
  let told: string[];
  let app: AppLink;
  let closedToken: 'gone' | 'forged';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-failover-'));
    writeFileSync(join(folder, 'hosts'), '192.0.2.1 gw\n192.0.2.2 gw\n192.0.2.3 lone\n');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  beforeEach(() => {
    now = 0;
    sent = [];
    told = [];
    closedToken = 'gone';
    const flows = new Map<string, Flow>();
    const transports = {
      listeners: [listenerOf('udp'), listenerOf('tcp')],
      connect: async ({ protocol, address, port }: Target) => {
        if (protocol !== 'udp') throw new TransportError('refused', 'no');
        const id = `${address}:${port}`;
        const known = flows.get(id);
        if (known) return known;
        const flow = {
          id,
          protocol,
          reliable: false,
          listener: listenerOf('udp'),
          local: OURS,
          remote: { address, port },
        };
        flows.set(id, { ...flow, closed: false });
        return flows.get(id) as Flow;
      },
      byToken: () => closedToken,
      send: async (flow: Flow, bytes: Uint8Array) => {
        const message = parseMessage(bytes, 'datagram') as Message;
        sent.push({ at: now, to: flow.remote.address, message, flow });
      },
    } as unknown as Transports;
    const parts = {
      policy: { orphanRequests: 'reject' as const },
      transports: () => transports,
      resolver: new Resolver({
        now: () => now,
        listeners: () => transports.listeners,
        servers: ['127.0.0.1:9'],
        hostsFile: join(folder, 'hosts'),
      }),
      ids: randomIds,
      routeSecret: 'of this test',
      limits: { transactions: 100, registeredFlows: 100 },
      now: () => now,
      wall: () => now,
    };
    core = createCore(parts);
    app = {
      ...{ id: 'app', embedded: true, verbs: new Set<string>(), tags: [], closed: false, close: () => undefined },
      send: (payload: string) => {
        const status = /\r\nSIP\/2\.0 (\d+.*)\r\n/.exec(`\r\n${payload.slice(payload.indexOf('SIP/2.0 '))}`)?.[1];
        if (status !== undefined && !payload.includes('|response|')) told.push(status);
      },
    };
  });

  async function ask(method: string, uri: string): Promise<void> {
    const headers = method === 'INVITE' ? [{ name: 'Content-Type', value: 'application/sdp' }] : [];
    const command = { type: 'sip', id: 'c', fields: [], sip: '' } as unknown as Command;
    await sendRequest(
      core,
      app,
      command,
      { transactionId: '', dialogId: '', routeUrl: '' },
      Message.request(method, uri, headers),
    );
  }

  /** Lets time pass, and what waits for promises happen. */
  async function advance(to: number): Promise<void> {
    for (let at = core.layer.timers.nextAt; at !== undefined && at <= to; at = core.layer.timers.nextAt) {
      now = at;
      core.layer.timers.advance(now);
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    now = to;
  }

  const first = (to: string) => sent.find((each) => each.to === to);

  for (const method of ['OPTIONS', 'INVITE']) {
    it(`goes to the next server after timer ${method === 'INVITE' ? 'B' : 'F'} with a new branch: ${method}`, async () => {
      await ask(method, 'sip:bob@gw:5060');
      await advance(31_900);
      assert.deepEqual([...new Set(sent.map(({ to }) => to))], ['192.0.2.1']);
      await advance(32_100);
      const second = first('192.0.2.2');
      assert.equal(second?.at, 32_000);
      assert.notEqual(second?.message.get('via'), sent[0]?.message.get('via'));
      assert.equal(second?.message.get('call-id'), sent[0]?.message.get('call-id'));
      assert.equal(second?.message.getAll('via').length, 1);
      receive(
        core,
        parseMessage(Buffer.from(responseTo(second?.message as Message, 200)), 'datagram') as Message,
        second?.flow as Flow,
        now,
      );
      assert.deepEqual(told, ['200 OK']);
      // The next request begins where somebody answers.
      sent.length = 0;
      await ask('OPTIONS', 'sip:bob@gw:5060');
      assert.equal(sent[0]?.to, '192.0.2.2');
    });
  }

  it('is answered with 408 when the last server has not answered, and leaves nothing behind', async () => {
    await ask('OPTIONS', 'sip:bob@gw:5060');
    await advance(70_000);
    assert.deepEqual(told, ['408 Request Timeout']);
    assert.deepEqual([...new Set(sent.map(({ to }) => to))], ['192.0.2.1', '192.0.2.2']);
    assert.deepEqual([core.layer.size, core.layer.timers.size, core.clientRequests.size], [0, 0, 0]);
    assert.equal(core.resolver.stats().down, 2);
    // One server alone is never passed over, and not worth an entry.
    await ask('OPTIONS', 'sip:bob@lone:5060');
    await advance(140_000);
    assert.equal(told.length, 2);
    assert.equal(core.resolver.stats().down, 0);
  });

  it('does not go on when the caller has hung up meanwhile', async () => {
    await ask('INVITE', 'sip:bob@gw:5060');
    const [client] = core.clientRequests.values();
    const cancel = Message.request('CANCEL', 'sip:bob@gw');
    const command = { type: 'sip', id: 'c', fields: [], sip: '' } as unknown as Command;
    await sendRequest(core, app, command, { transactionId: client?.id ?? '', dialogId: '', routeUrl: '' }, cancel);
    await advance(40_000);
    assert.equal(first('192.0.2.2'), undefined);
    assert.deepEqual(told, ['408 Request Timeout']);
  });

  it('gets 430 when its flow is gone, which is not 503: by contact, by token, by a WebSocket address', async () => {
    const flow = {
      ...listenerOf('udp'),
      id: 'w1',
      closed: true,
      reliable: true,
      local: OURS,
      remote: OURS,
    } as unknown as Flow;
    const contact = '<sip:x@abc.invalid;transport=ws>';
    const headers = [{ name: 'Contact', value: contact }];
    core.registeredFlows.learn(Message.request('REGISTER', 'sip:a', headers), Message.response(200), flow, now);
    core.registeredFlows.closed(flow);
    await ask('OPTIONS', 'sip:x@abc.invalid;transport=ws');
    await ask('OPTIONS', 'sip:x@192.0.2.9;transport=ws');
    await ask('OPTIONS', 'sip:x@never-seen.invalid');
    assert.deepEqual(told, ['430 Flow Failed', '430 Flow Failed', '430 Flow Failed']);
    const command = { type: 'sip', id: 'c', fields: [], sip: '' } as unknown as Command;
    const route = `sip:TOKEN@192.0.2.100:5060;lr`;
    const message = () => Message.request('OPTIONS', 'sip:x@example.com');
    await sendRequest(core, app, command, { transactionId: '', dialogId: '', routeUrl: route }, message());
    assert.equal(told.at(-1), '430 Flow Failed');
    closedToken = 'forged';
    await sendRequest(core, app, command, { transactionId: '', dialogId: '', routeUrl: route }, message());
    assert.equal(told.at(-1), '503 Bad Flow Token');
  });
});
