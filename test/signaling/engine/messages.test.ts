import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  canonicalName,
  formatUri,
  isNowhere,
  Message,
  noteSource,
  parseContacts,
  parseMessage,
  parseUri,
  parseVia,
  StreamFramer,
  topVia,
  viaSource,
} from '../../../signaling/engine/message/mod.ts';

const REGISTER = [
  'REGISTER sip:example.test SIP/2.0',
  'v: SIP/2.0/UDP 192.0.2.1:5060 ;branch=z9hG4bK1;rport',
  'From: "Alice, \\"A\\"" <sip:alice@example.test>;tag=1',
  't: <sip:alice@example.test>',
  'i: c1@192.0.2.1',
  'CSeq: 1 REGISTER',
  'Subject: folded',
  ' over two lines',
  'm: <sip:alice@192.0.2.1>;expires=60, "b" <sips:alice@[2001:db8::1]:5061;transport=tls>',
  'l: 3',
  '',
  'abc',
].join('\r\n');

describe('SIP messages', () => {
  it('are read with compact names, folded lines and quoted commas', () => {
    const message = parseMessage(Buffer.from(REGISTER), 'datagram');
    assert.ok(message instanceof Message);
    assert.equal(message.get('call-id'), 'c1@192.0.2.1');
    assert.equal(message.get('subject'), 'folded over two lines');
    assert.equal(Buffer.from(message.body).toString(), 'abc');
    const contacts = parseContacts(message.getAll('contact'));
    assert.ok(contacts?.type === 'list');
    assert.deepEqual(
      contacts.contacts.map(({ uri }) => uri),
      ['sip:alice@192.0.2.1', 'sips:alice@[2001:db8::1]:5061;transport=tls'],
    );
    assert.equal(parseVia(message.get('via') ?? '')?.params.get('branch'), 'z9hG4bK1');
  });

  it('come back from a stream however it is cut', () => {
    const stream = Buffer.from(REGISTER + '\r\n\r\n' + REGISTER);
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 12 }), (cuts) => {
        const framer = new StreamFramer();
        const points = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const found = points.slice(1).flatMap((end, i) => framer.push(stream.subarray(points[i], end)));
        assert.equal(found.filter((item) => JSON.stringify(item).includes('REGISTER')).length, 2);
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  it('know headers by their names alone, whatever these mean elsewhere', () => {
    const names = ['constructor', '__proto__', 'C', 'Content-Type'];
    assert.deepEqual(names.map(canonicalName), ['constructor', '__proto__', 'content-type', 'content-type']);
  });

  it('end a stream when their headers are too long, however it is cut', () => {
    const long = Buffer.from(REGISTER.replace('Subject: folded', `Subject: ${'x'.repeat(33_000)}`));
    for (const step of [long.length, 1000]) {
      const framer = new StreamFramer();
      const found = [];
      for (let at = 0; at < long.length; at += step) found.push(...framer.push(long.subarray(at, at + step)));
      assert.deepEqual(
        found.map((frame) => frame.type === 'failure' && frame.fatal),
        [true],
      );
    }
  });

  it('never make the parser throw', () => {
    const bytes = Buffer.from(REGISTER);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 20 }),
        fc.nat(bytes.length),
        (edits, end) => {
          const copy = Buffer.from(bytes.subarray(0, end));
          for (const [at, value] of edits) if (at < copy.length) copy[at] = value;
          parseMessage(copy, 'datagram');
        },
      ),
      { seed: 4, numRuns: 2000 },
    );
  });

  for (const [text, user, host, port] of [
    ['sip:alice@example.test', 'alice', 'example.test', undefined],
    ['sips:a%20b@[::1]:5061;transport=tls', 'a b', '[::1]', 5061],
    ['sip:+1-555;ext=2@192.0.2.1', '+1-555;ext=2', '192.0.2.1', undefined],
    ['sip:192.0.2.1:99', undefined, '192.0.2.1', 99],
    ['sip:a@[2001:DB8:0:0:0:0:0:01]', 'a', '[2001:db8::1]', undefined],
    ['sip:a@[::ffff:192.0.2.1]:5060', 'a', '[::ffff:192.0.2.1]', 5060],
    ['sip:a@[fe80::1%25eth0]', 'a', '[fe80::1%25eth0]', undefined],
  ] as const) {
    it(`reads ${text}`, () => {
      const uri = parseUri(text);
      assert.deepEqual([uri?.user, uri?.host, uri?.port], [user, host, port]);
    });
  }

  it('writes the parameters of a URI as they came: a URI knows no quotes', () => {
    const text = 'sip:bob@example.test;transport=tls;x=a&b=$c?subject=d';
    const uri = parseUri(text);
    assert.equal(uri && formatUri(uri), text);
  });

  for (const text of [
    'sip:[1::2::3]',
    'sip:[192.0.2.1]',
    'sip:2001:db8::10',
    'sip:a@[2001:db8::1',
    'tel:+1',
    'sip:',
    'sip:@host',
    'sip:a@b:99999',
    'sip:a@b c',
  ]) {
    it(`does not read ${text}`, () => assert.equal(parseUri(text), undefined));
  }
});

describe('the source of a request in its Via (RFC 3261 §18.2.1, RFC 3581 §4)', () => {
  for (const [written, address, noted] of [
    ['SIP/2.0/UDP 192.0.2.1;branch=b', '192.0.2.1', 'SIP/2.0/UDP 192.0.2.1;branch=b;rport=9'],
    ['SIP/2.0/UDP 192.0.2.1;rport;branch=b', '192.0.2.7', 'SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.7;rport=9'],
    ['SIP/2.0/UDP h;branch=b;rport', '192.0.2.7', 'SIP/2.0/UDP h;branch=b;received=192.0.2.7;rport=9'],
    [
      'SIP/2.0/TCP h ; rport = 1 ; received=10.0.0.1;branch=b',
      '192.0.2.7',
      'SIP/2.0/TCP h  ;branch=b;received=192.0.2.7;rport=9',
    ],
    ['SIP/2.0/UDP [2001:db8::1]:5061;rport;branch=b', '2001:db8::1', 'SIP/2.0/UDP [2001:db8::1]:5061;branch=b;rport=9'],
    [
      'SIP/2.0/UDP [2001:db8::1];branch=b',
      '2001:db8::2',
      'SIP/2.0/UDP [2001:db8::1];branch=b;received=2001:db8::2;rport=9',
    ],
    [
      'SIP/2.0/UDP a;branch=b, SIP/2.0/TCP c;branch=d;rport',
      '192.0.2.7',
      'SIP/2.0/UDP a;branch=b;received=192.0.2.7;rport=9, SIP/2.0/TCP c;branch=d;rport',
    ],
  ] as const) {
    it(written, () => {
      const got = noteSource(written, address, 9);
      assert.equal(got, noted);
      // What is remembered is what a reader finds.
      const remembered = topVia(noted);
      topVia('another');
      assert.deepEqual(topVia(noted), remembered);
      assert.deepEqual(remembered.via && viaSource(remembered.via), {
        host: remembered.via?.params.get('received') ?? address,
        port: 9,
      });
    });
  }

  it('is not noted in what is no Via', () => assert.equal(noteSource('SIP/2.0/UDP ;;', '192.0.2.1', 9), undefined));

  for (const [host, nowhere] of [
    ['255.255.255.255', true],
    ['224.0.1.75', true],
    ['0.0.0.0', true],
    ['ff02::1', true],
    ['192.0.2.1', false],
    ['2001:db8::ff02', false],
    ['ff.example.test', false],
  ] as const)
    it(`${host} ${nowhere ? 'is no' : 'is a'} place for a response`, () => assert.equal(isNowhere(host), nowhere));
});
