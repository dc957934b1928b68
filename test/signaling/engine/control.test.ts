import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  addressOf,
  AppTable,
  encodeFrame,
  FrameReader,
  handlerFor,
  parseAppMessage,
  parseCommand,
  parseRouting,
  questionOf,
  type AppLink,
} from '../../../signaling/engine/control/mod.ts';
import { Message } from '../../../signaling/engine/message/mod.ts';

const RUNS = { numRuns: 200 };

describe('frames of the control protocol', function () {
  this.timeout(20_000);
  it('are the same however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, unit: 'grapheme' }), { maxLength: 5 }),
        fc.array(fc.nat(40)),
        (texts, cuts) => {
          const bytes = Buffer.concat(texts.map(encodeFrame));
          const reader = new FrameReader();
          const got: string[] = [];
          let at = 0;
          for (const cut of [...cuts, bytes.length]) {
            const { payloads, error } = reader.push(bytes.subarray(at, at + cut));
            assert.equal(error, undefined);
            got.push(...payloads);
            at += cut;
          }
          assert.deepEqual(got, texts);
        },
      ),
      RUNS,
    );
  });

  it('of strangers are short, and nothing that is no frame is held', () => {
    const reader = new FrameReader();
    reader.limit = 100;
    assert.match(reader.push(Buffer.from('101#')).error ?? '', /101 bytes/);
    for (const text of ['0#', '-1#a', 'abc#', '123456789', '1e3#'])
      assert.notEqual(new FrameReader().push(Buffer.from(text)).error, undefined, text);
  });

  it('nothing that an application writes throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1');
        parseCommand(text);
        parseAppMessage(text);
        parseAppMessage(`INVITE sip:a@b SIP/2.0\r\n${text}\r\n\r\n${text}`);
      }),
      RUNS,
    );
  });
});

describe('who gets a request', function () {
  this.timeout(20_000);
  const link = (id: string, verbs: string[], tags: string[] = [], closed = false): AppLink => ({
    id,
    embedded: false,
    verbs: new Set(verbs),
    tags,
    closed,
    send: () => undefined,
    close: () => undefined,
  });

  it('those who asked for the method, in turn; tags and records by their own', () => {
    const table = new AppTable();
    for (const app of [
      link('a', ['invite', 'cdr:start']),
      link('b', ['invite'], ['blue']),
      link('c', ['invite'], ['blue'], true),
      link('d', ['register'], ['blue']),
    ])
      table.add(app);
    const turns = Array.from({ length: 6 }, () => table.pick('INVITE')?.id);
    assert.deepEqual([...turns].sort(), ['a', 'a', 'a', 'b', 'b', 'b']);
    assert.deepEqual(new Set([0, 1, 2, 3].map(() => table.pickTagged('blue')?.id)), new Set(['b', 'd']));
    assert.equal(table.pickRecorder('cdr:start')?.id, 'a');
    assert.equal(table.pick('OPTIONS'), undefined);
    assert.equal(table.pickTagged('red'), undefined);
  });

  it('the handler of the method comes before that of all', () => {
    const all = { method: '*', url: 'tcp://a:1' };
    const invite = { method: 'invite', url: 'tcp://b:2' };
    assert.equal(handlerFor([all, invite], 'INVITE'), invite);
    assert.equal(handlerFor([all, invite], 'OPTIONS'), all);
    assert.equal(handlerFor([invite], 'OPTIONS'), undefined);
    assert.deepEqual(addressOf('tls://[::1]:5'), { type: 'connect', host: '::1', port: 5, tls: true });
    assert.equal(addressOf('http://a:1/'), undefined);
  });

  it('what a web service answers is read or refused, whatever it is', () => {
    const data = { destination: ['sip:a@h', 'b@h'], simultaneous: true, recordRoute: true };
    const proxy = parseRouting({ action: 'proxy', data });
    assert.deepEqual(proxy?.type === 'proxy' && proxy.plan, {
      remainInDialog: true,
      fullResponse: false,
      followRedirects: true,
      simultaneous: true,
      provisionalMs: 5000,
      finalMs: 60_000,
      targets: ['sip:a@h', 'sip:b@h'],
    });
    assert.deepEqual(parseRouting({ action: 'reject', data: { status: 603, reason: 'No\r\nEvil: x' } }), {
      type: 'reject',
      status: 603,
      reason: 'No Evil: x',
    });
    for (const bad of [
      { action: 'proxy', data: { destination: [] } },
      { action: 'proxy', data: { destination: 'a', provisionalTimeout: 'soon' } },
      { action: 'reject', data: { status: '404' } },
      { action: 'redirect', data: { contact: 7 } },
      { action: 'route', data: { uri: 'no port' } },
      { action: 'reject' },
    ])
      assert.equal(parseRouting(bad), undefined, JSON.stringify(bad));
    fc.assert(
      fc.property(fc.constantFrom('reject', 'redirect', 'proxy', 'route', 'x'), fc.jsonValue(), (action, any) => {
        parseRouting({ action, data: any });
        parseRouting(any);
      }),
      RUNS,
    );
  });

  it('the question says whose request it is, escaped', () => {
    const request = Message.request('INVITE', 'sip:a%20b@h;p=1&2', [
      { name: 'From', value: '<sip:from@x>' },
      { name: 'To', value: 'unreadable' },
    ]);
    const url = new URL(questionOf('http://w/ask?k=v', request, { protocol: 'tcp', address: '::1' }));
    assert.equal(url.searchParams.get('k'), 'v');
    assert.equal(url.searchParams.get('uriUser'), 'a b');
    assert.equal(url.searchParams.get('p'), '1&2');
    assert.equal(url.searchParams.get('fromUser'), 'from');
    assert.equal(url.searchParams.get('toUser'), '');
  });
});
