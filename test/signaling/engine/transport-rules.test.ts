import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Admission, sourceKey } from '../../../signaling/engine/io/admission.ts';
import { readToken, tokenOf } from '../../../signaling/engine/io/flow-token.ts';
import type { Flow } from '../../../signaling/engine/io/mod.ts';
import { identityOf, speaksFor } from '../../../signaling/engine/io/peer-identity.ts';
import { RegisteredFlows } from '../../../signaling/engine/core/registered-flows.ts';
import { Message } from '../../../signaling/engine/message/mod.ts';

describe('for whom a certificate speaks (RFC 5922 §7)', () => {
  const speaks = (names: string | undefined, name: string, CN?: string) =>
    speaksFor(identityOf({ subjectaltname: names, subject: { CN } }), name);

  it('is the host of a SIP URI, and DNS names only when there is no such URI', () => {
    assert.equal(speaks('URI:sip:example.com, DNS:other.example', 'example.com'), true);
    assert.equal(speaks('URI:sip:example.com, DNS:other.example', 'other.example'), false);
    assert.equal(speaks('URI:https://example.com, DNS:other.example', 'other.example'), true);
    assert.equal(speaks('URI:https://example.com', 'example.com'), false);
  });

  it('is no user of a domain', () => {
    assert.equal(speaks('URI:sip:alice@example.com', 'example.com'), false);
  });

  it('is the whole name, in any case: no wildcard, no part', () => {
    assert.equal(speaks('DNS:SIP.Example.com', 'sip.example.COM'), true);
    assert.equal(speaks('DNS:*.example.com', 'sip.example.com'), false);
    assert.equal(speaks('DNS:example.com', 'sip.example.com'), false);
    assert.equal(speaks('DNS:sip.example.com', 'example.com'), false);
  });

  it('is the common name only without a subjectAltName', () => {
    assert.equal(speaks(undefined, 'example.com', 'example.com'), true);
    assert.equal(speaks('DNS:other.example', 'example.com', 'example.com'), false);
  });

  it('is an address where the URI has one', () => {
    assert.equal(speaks('IP Address:192.0.2.1', '192.0.2.1'), true);
    assert.equal(speaks('IP Address:2001:DB8:0:0:0:0:0:1', '2001:db8::1'), true);
    assert.equal(speaks('DNS:example.com', '192.0.2.1'), false);
  });

  it('is not fooled by a name that holds a separator', () => {
    assert.equal(speaks(String.raw`URI:"sip:a\u002c DNS:example.com"`, 'example.com'), false);
    assert.equal(speaks('DNS:"evil.example, DNS:example.com"', 'example.com'), false);
  });
});

describe('who may connect', () => {
  const limits = {
    connections: 5,
    connectionsPerAddress: 3,
    handshakesPerSecond: 4,
    handshakesPerSecondPerAddress: 2,
  };

  it('holds the bounds for all and for one address, and forgets who is gone', () => {
    const admission = new Admission(limits);
    for (let i = 0; i < 3; i++) assert.equal(admission.admit('192.0.2.1', false, 0), undefined);
    assert.equal(admission.admit('192.0.2.1', false, 0), 'per-address');
    assert.equal(admission.admit('192.0.2.2', false, 0), undefined);
    assert.equal(admission.admit('192.0.2.3', false, 0), undefined);
    assert.equal(admission.admit('192.0.2.4', false, 0), 'connections');
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.3']) admission.release(address);
    assert.deepEqual([admission.connections, admission.addresses], [0, 0]);
  });

  it('holds the rate of handshakes of a source without taking from that of all', () => {
    const rates = { handshakesPerSecond: 10, handshakesPerSecondPerAddress: 2 };
    const admission = new Admission({ connections: 1000, connectionsPerAddress: 1000, ...rates });
    /** How many get in, and why the others do not. */
    const verdicts = (address: string, count: number, now: number) => {
      const all = Array.from({ length: count }, () => admission.admit(address, true, now) ?? 'in');
      return [all.filter((text) => text === 'in').length, ...new Set(all.filter((text) => text !== 'in'))];
    };
    // Ten seconds' worth of one address at once, four of all.
    assert.deepEqual(verdicts('192.0.2.1', 30, 0), [20, 'handshakes-per-address']);
    assert.deepEqual(verdicts('192.0.2.2', 15, 0), [15]);
    assert.deepEqual(verdicts('192.0.2.3', 10, 0), [5, 'handshakes']);
    assert.deepEqual(verdicts('192.0.2.1', 4, 1000), [2, 'handshakes-per-address']);
    assert.deepEqual(verdicts('192.0.2.3', 10, 1000), [8, 'handshakes']);
    assert.equal(admission.admit('192.0.2.3', false, 1000), undefined);
  });

  it('exempts edge proxies from the limits of one address, not from that of all', () => {
    const admission = new Admission({ ...limits, connectionsPerAddress: 1 }, ['192.0.2.0/24', '2001:db8::1']);
    for (let i = 0; i < 2; i++) {
      assert.equal(admission.admit('192.0.2.9', true, 0), undefined);
      assert.equal(admission.admit('2001:db8::1', true, 0), undefined);
    }
    assert.equal(admission.admit('198.51.100.1', false, 0), undefined);
    assert.equal(admission.admit('192.0.2.9', false, 0), 'connections');
  });

  it('counts an IPv6 network of 64 bits as one', () => {
    assert.equal(sourceKey('2001:db8:0:1::5'), sourceKey('2001:0DB8:0:1:ffff::1'));
    assert.notEqual(sourceKey('2001:db8:0:1::5'), sourceKey('2001:db8:0:2::5'));
    assert.equal(sourceKey('::1'), '0:0:0:0');
    assert.equal(sourceKey('192.0.2.1'), '192.0.2.1');
  });
});

function flowOf(id: string, protocol: Flow['protocol'] = 'ws'): Flow & { closed: boolean } {
  const at = { address: '192.0.2.1', port: 5060 };
  const listener = { protocol, bound: at, external: at };
  return {
    id,
    protocol,
    reliable: protocol !== 'udp',
    listener,
    local: at,
    remote: { ...at, port: 40_000 },
    closed: false,
  };
}

describe('flow tokens (RFC 5626 §5.2)', () => {
  const key = new Uint8Array(32).fill(7);

  it('name their flow, in characters that a user part may hold', () => {
    const token = tokenOf(flowOf('f1a'), key);
    assert.match(token, /^[\w-]+$/);
    const name = { id: 'f1a', protocol: 'ws', localPort: 5060, address: '192.0.2.1', port: 40_000 };
    assert.deepEqual(readToken(token, key), name);
  });

  it('cannot be made up', () => {
    const token = tokenOf(flowOf('f1a'), key);
    assert.equal(readToken(token, new Uint8Array(32)), undefined);
    for (let i = 0; i < token.length; i += 5) {
      const other = `${token.slice(0, i)}${token[i] === 'A' ? 'B' : 'A'}${token.slice(i + 1)}`;
      assert.equal(readToken(other, key), undefined, other);
    }
    for (const text of ['', 'alice', 'A'.repeat(500), 'ä']) assert.equal(readToken(text, key), undefined);
  });
});

describe('the flows of registered contacts (RFC 5626 §5.3)', () => {
  const register = (contact: string) => {
    const headers = [
      { name: 'Contact', value: contact },
      { name: 'Expires', value: '60' },
    ];
    return [Message.request('REGISTER', 'sip:example.com', headers), Message.response(200)] as const;
  };
  const learn = (flows: RegisteredFlows, contact: string, flow: Flow, now = 0) =>
    flows.learn(...register(contact), flow, now);

  it('are found by the whole contact: two phones behind one address are two', () => {
    const flows = new RegisteredFlows(10);
    const [one, two] = [flowOf('f1', 'udp'), flowOf('f2', 'udp')];
    learn(flows, '<sip:bob@192.0.2.5:5070>', one);
    learn(flows, '<sip:bob@192.0.2.5:5072>', two);
    assert.equal(flows.find('sip:bob@192.0.2.5:5070', 1), one);
    assert.equal(flows.find('sip:bob@192.0.2.5:5072', 1), two);
    assert.equal(flows.find('sip:bob@192.0.2.5:5070', 60_001), undefined);
  });

  it('are gone with their connection, which is not the same as never known, until they would have expired', () => {
    const flows = new RegisteredFlows(10);
    const flow = flowOf('f1');
    learn(flows, '<sip:x@abc.invalid;transport=ws>', flow);
    flow.closed = true;
    flows.closed(flow);
    assert.equal(flows.size, 0);
    assert.equal(flows.find('sip:x@abc.invalid;transport=ws', 1), 'gone');
    assert.equal(flows.find('sip:y@abc.invalid;transport=ws', 1), undefined);
    assert.equal(flows.find('sip:x@abc.invalid;transport=ws', 60_001), undefined);
    assert.equal(flows.gone, 0);
  });

  it('come back with the next REGISTER; a TCP phone without outbound can still be called at its address', () => {
    const flows = new RegisteredFlows(10);
    const [flow, tcp] = [flowOf('f1', 'tcp'), flowOf('f2', 'tcp')];
    learn(flows, '<sip:x@192.0.2.5;transport=tcp>;reg-id=1', flow);
    learn(flows, '<sip:y@192.0.2.5;transport=tcp>', tcp);
    flows.closed(flow);
    flows.closed(tcp);
    assert.equal(flows.find('sip:x@192.0.2.5;transport=tcp', 1), 'gone');
    assert.equal(flows.find('sip:y@192.0.2.5;transport=tcp', 1), undefined);
    const again = flowOf('f3', 'tcp');
    learn(flows, '<sip:x@192.0.2.5;transport=tcp>;reg-id=1', again, 2);
    assert.equal(flows.find('sip:x@192.0.2.5;transport=tcp', 3), again);
    assert.equal(flows.gone, 0);
  });
});
