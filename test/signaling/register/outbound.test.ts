import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { devices } from '../../../signaling/register/mod.ts';
import { answer, Desk, NOW, SOURCE } from './desk.ts';

const INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"';
const UA = '<sip:alice@192.0.2.7;transport=tcp>';
const OUTBOUND = { Supported: 'path, outbound, gruu' };
const flow = (regId: number | string) => `${UA};reg-id=${regId};${INSTANCE}`;
const VIAS = 'SIP/2.0/TCP edge.test;branch=z9hG4bK2, SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1';

/** The same phone through an edge proxy. */
function through(desk: Desk, path: string | undefined, headers: Record<string, string>, contact = flow(1)) {
  const request = desk.request({ contact, headers: { ...headers, ...(path === undefined ? {} : { Path: path }) } });
  request.set('Via', VIAS);
  const asked = desk.guard.challenge(request, SOURCE, NOW);
  request.append('Authorization', answer(asked?.headers.at(-1)?.value ?? '', request));
  return desk.send(request);
}

describe('flows (RFC 5626)', () => {
  it('softphone-facts 8: two flows of one instance with the same contact URI are two bindings', async () => {
    const desk = new Desk();
    await desk.register({ contact: flow(1), headers: OUTBOUND });
    const reply = await desk.register({ contact: flow(2), callId: 'c2', headers: OUTBOUND });
    assert.deepEqual(
      desk.bindings.of('default', 'alice', NOW).map(({ contact, regId }) => [contact, regId]),
      [1, 2].map((regId) => ['sip:alice@192.0.2.7;transport=tcp', regId]),
    );
    // The sender's own first, with its reg-id.
    assert.match(reply.headers['Contact'] ?? '', /^[^,]*;reg-id=2[;,]/);
  });

  it('a new contact URI of the same instance and reg-id takes the place of the old one', async () => {
    const desk = new Desk();
    await desk.register({ contact: flow(1), headers: OUTBOUND });
    await desk.register({ contact: flow(1).replace('192.0.2.7', '192.0.2.99'), callId: 'c9', headers: OUTBOUND });
    assert.deepEqual(
      desk.bindings.of('default', 'alice', NOW).map(({ contact }) => contact),
      ['sip:alice@192.0.2.99;transport=tcp'],
    );
  });

  it('tells the client that outbound is in force, and how soon its flow is to show itself', async () => {
    const desk = new Desk();
    const { headers } = await desk.register({ contact: flow(1), headers: OUTBOUND });
    assert.equal(headers['Require'], 'outbound');
    assert.equal(headers['Flow-Timer'], '120');
    const plain = await desk.register({ contact: flow(1) });
    assert.equal(plain.headers['Require'], undefined);
    assert.equal(plain.headers['Flow-Timer'], undefined);
  });

  it('refuses two flows in one request with 400, and takes no reg-id that is none', async () => {
    const desk = new Desk();
    assert.equal((await desk.register({ contact: `${flow(1)}, ${flow(2)}`, headers: OUTBOUND })).status, 400);
    for (const regId of ['0', '2147483648', 'x', '-1'])
      await desk.register({ contact: flow(regId), headers: OUTBOUND });
    const [only, ...others] = desk.bindings.of('default', 'alice', NOW);
    assert.equal(only?.regId, undefined);
    assert.deepEqual(others, []);
  });

  it('answers 439 when the first hop cannot hold flows, and ignores the reg-id of who does not ask for it', async () => {
    const desk = new Desk();
    assert.equal((await through(desk, undefined, OUTBOUND)).status, 439);
    assert.equal((await through(desk, '<sip:edge.test;lr>', OUTBOUND)).status, 439);
    assert.equal(desk.bindings.size, 0);
    assert.equal((await through(desk, undefined, {})).status, 200);
    assert.equal(desk.bindings.of('default', 'alice', NOW)[0]?.regId, undefined);
    const marked = await through(desk, '<sip:token@edge.test;lr;ob>', OUTBOUND);
    assert.equal(marked.status, 200);
    assert.equal(marked.headers['Require'], 'outbound');
  });

  it('rings an instance once, by the flow that registered last, with the others behind it', async () => {
    const desk = new Desk();
    await desk.register({ contact: flow(1), headers: OUTBOUND });
    desk.now += 1000;
    await desk.register({ contact: flow(2), callId: 'c2', headers: OUTBOUND });
    await desk.register({ contact: '<sip:desk@192.0.2.8>;q=0.4', callId: 'c3' });
    const groups = devices(desk.bindings.of('default', 'alice', desk.now));
    assert.deepEqual(
      groups.map((group) => group.map(({ flows }) => flows.map(({ regId, contact }) => regId ?? contact))),
      [[[2, 1]], [['sip:desk@192.0.2.8']]],
    );
  });
});

describe('paths (RFC 3327) and service routes (RFC 3608)', () => {
  it('keeps the path as the route of requests, and tells it back', async () => {
    const desk = new Desk();
    const path = '<sip:p1.test;lr>, <sip:p2.test;lr;ob>';
    const reply = await through(desk, path, OUTBOUND);
    assert.equal(reply.headers['Path'], path);
    assert.deepEqual(desk.bindings.of('default', 'alice', NOW)[0]?.path, ['<sip:p1.test;lr>', '<sip:p2.test;lr;ob>']);
  });

  it('refuses a path that the client could not be told of with 420, and one that cannot be read with 400', async () => {
    const desk = new Desk();
    const reply = await through(desk, '<sip:p1.test;lr>', {}, UA);
    assert.deepEqual([reply.status, reply.headers['Unsupported']], [420, 'path']);
    assert.equal((await through(desk, 'nowhere', OUTBOUND)).status, 400);
    assert.equal(desk.bindings.size, 0);
  });

  it('wants what the configuration wants: 421 names it', async () => {
    const desk = new Desk({ options: { wantedExtensions: ['outbound', 'path'] } });
    const reply = await desk.register({ contact: UA, headers: { Supported: 'path' } });
    assert.deepEqual([reply.status, reply.headers['Require']], [421, 'outbound']);
    assert.equal((await desk.register({ contact: UA, headers: OUTBOUND })).status, 200);
  });

  it('gives a service route to who has registered, and not to who has left', async () => {
    const desk = new Desk({ answer: { serviceRoute: ['<sip:192.0.2.1;lr>'] } });
    assert.equal((await desk.register({ contact: UA })).headers['Service-Route'], '<sip:192.0.2.1;lr>');
    assert.equal((await desk.register({ contact: `${UA};expires=0` })).headers['Service-Route'], undefined);
  });
});
