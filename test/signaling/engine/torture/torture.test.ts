import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  Message,
  parseContacts,
  parseMessage,
  parseNameAddr,
  parseUri,
  parseVia,
  StreamFramer,
  topVia,
  viaSource,
} from '../../../../signaling/engine/message/mod.ts';
import { TORTURE, type Torture } from './table.ts';

const named = (name: string): Torture => TORTURE.find((entry) => entry.name === name) as Torture;

function read(name: string): Message {
  const message = parseMessage(named(name).bytes, 'datagram');
  assert.ok(message instanceof Message, `${name} is a message`);
  return message;
}

/** A message in which nothing is left of the wire but what was read. */
function shown(message: Message): unknown {
  const { type, method, uri, status, reason, headers, body } = message;
  const lines = headers.filter(({ key }) => key !== 'content-length').map(({ name, value }) => `${name}: ${value}`);
  return { type, method, uri, status, reason, lines, body: Buffer.from(body).toString('latin1') };
}

describe('the torture messages', () => {
  it('are all there', () => {
    assert.deepEqual([TORTURE.filter(({ rfc }) => rfc === '4475').length, TORTURE.length], [49, 61]);
  });

  for (const { rfc, section, name, bytes, udp, reason, malformed } of TORTURE) {
    if (malformed) {
      it(`RFC ${rfc} §${section} ${name}: ${udp} ${reason ?? ''}`, () => {
        const failure = parseMessage(bytes, 'datagram');
        assert.ok(!(failure instanceof Message));
        if (udp === 'drop') assert.deepEqual([failure.of, failure.partial], ['response', undefined]);
        else {
          assert.equal(failure.status, udp);
          if (udp === 400) assert.equal(failure.reason, reason);
          assert.ok(failure.partial?.get('via'), 'it can be answered');
        }
      });
      continue;
    }
    it(`RFC ${rfc} §${section} ${name}: read, written, and read again the same`, () => {
      const message = parseMessage(bytes, 'datagram');
      assert.ok(message instanceof Message, JSON.stringify(message));
      const again = parseMessage(message.toBytes(), 'framed');
      assert.ok(again instanceof Message, JSON.stringify(again));
      assert.deepEqual(shown(again), shown(message));
      assert.deepEqual(again.toBytes(), message.toBytes());
    });
  }

  it('§3.1.1.1: white space wherever the grammar has it', () => {
    const message = read('wsinv');
    assert.equal(parseNameAddr(message.get('to') ?? '')?.params.get('tag'), '1918181833n');
    assert.equal(parseNameAddr(message.get('from') ?? '')?.displayName, 'J Rosenberg \\"');
    assert.equal(message.get('cseq'), '0009 INVITE');
    const vias = message.getAll('via').flatMap((value) => [topVia(value).via, parseVia(topVia(value).rest)]);
    assert.deepEqual(
      vias.map((via) => via && `${via.transport} ${via.host} ${via.params.get('branch')}`),
      [
        'UDP 192.0.2.2 390skdjuw',
        undefined,
        'TCP spindle.example.com z9hG4bK9ikj8',
        'UDP 192.168.255.111 z9hG4bK30239',
      ],
    );
    assert.equal(message.body.length, 150);
  });

  it('§3.1.1.2: odd characters mean nothing special', () => {
    const message = read('intmeth');
    assert.equal(message.method, "!interesting-Method0123456789_*+`.%indeed'~");
    assert.equal(parseNameAddr(message.get('to') ?? '')?.displayName, 'BEL:\x07 NUL:\0 DEL:\x7f');
    assert.equal(parseNameAddr(message.get('from') ?? '')?.params.get("fromparam''~+*_!.-%"), 'работающий');
    assert.equal(parseUri(message.uri)?.host, 'example.com');
  });

  it('§3.1.1.3: escaped characters belong to the part in which they stand', () => {
    const message = read('esc01');
    assert.deepEqual(
      [parseUri(message.uri)?.scheme, parseUri(message.uri)?.user, parseUri(message.uri)?.host],
      ['sip', 'sips:user@example.com', 'example.net'],
    );
    assert.equal(parseUri(parseNameAddr(message.get('to') ?? '')?.uri ?? '')?.user, 'user');
  });

  it('§3.1.1.4: a user name goes on after an escaped NUL', () => {
    const contacts = parseContacts(read('escnull').getAll('contact'));
    assert.ok(contacts?.type === 'list');
    assert.deepEqual(
      contacts.contacts.map(({ uri }) => parseUri(uri)?.user),
      ['\0', '\0\0'],
    );
  });

  it('§3.1.1.5: an escaped header name is another header', () => {
    assert.equal(read('esc02').getAll('contact').length, 2);
  });

  it('§3.1.1.8: a datagram ends where Content-Length says, a stream goes on', () => {
    assert.equal(read('dblreq').body.length, 0);
    const frames = new StreamFramer().push(named('dblreq').bytes);
    assert.deepEqual(
      frames.map((frame) => (frame.type === 'message' ? frame.message.method : frame.type)),
      ['REGISTER', 'pong', 'INVITE', 'failure'],
    );
  });

  it('§3.3.12, §3.3.13: a parameter belongs to the header, or in brackets to the URI', () => {
    const contact = (name: string) => parseNameAddr(read(name).get('contact') ?? '');
    assert.deepEqual([...(contact('cparam01')?.params.keys() ?? [])], ['unknownparam']);
    assert.equal(contact('cparam01')?.uri, 'sip:+19725552222@gw1.example.net');
    assert.deepEqual([...(contact('cparam02')?.params.keys() ?? [])], []);
    assert.equal(contact('cparam02')?.uri, 'sip:+19725552222@gw1.example.net;unknownparam');
  });

  it('§4.3, §4.4 of RFC 5118: a port stands outside of the brackets', () => {
    assert.deepEqual(
      ['port-ambiguous', 'port-unambiguous'].map((name) => [
        parseUri(read(name).uri)?.host,
        parseUri(read(name).uri)?.port,
      ]),
      [
        ['[2001:db8::10:5070]', undefined],
        ['[2001:db8::10]', 5070],
      ],
    );
  });

  it('§4.5 of RFC 5118: received has brackets, or not', () => {
    for (const name of ['via-received-param-with-delim', 'via-received-param-no-delim']) {
      const { via } = topVia(read(name).get('via') ?? '');
      assert.equal(via && viaSource(via).host, '2001:db8::9:255');
    }
  });

  it('§4.10 of RFC 5118: three colons count as two', () => {
    for (const name of ['ipv6-bug-abnf-3-colons', 'ipv6-correct-abnf-2-colons'])
      assert.equal(parseUri(read(name).uri)?.host, '[2001:db8::192.0.2.1]');
  });
});
