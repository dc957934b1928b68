import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { SessionManager } from '../../../media/mod.ts';
import { copyOperations, gateOperations } from '../../../media/ng/mod.ts';
import { readFlagString } from '../../../media/ng/flag-string.ts';
import { canonicalKeys } from '../../../media/ng/spelling.ts';
import { PlaneDouble } from '../session/plane-double.ts';
import { ANSWER, OFFER, pureService } from './node.ts';

type Json = Record<string, unknown>;

const CALLER = { address: '127.0.0.1', transport: 'http' } as const;
const IDS = { 'call-id': 'c', 'from-tag': 'ft' };
const BOTH = { ...IDS, 'to-tag': 'tt' };

function node(dialect: '10.5' | '26') {
  const plane = new PlaneDouble();
  const manager = new SessionManager({
    ...{ dataplane: plane, interfaces: ['default'], maxSessions: 10, timeoutSeconds: 60, dialect },
  });
  const { service } = pureService({
    manager,
    operations: { ...gateOperations(manager), ...copyOperations(manager) },
  });
  const ask = (message: Json): Json => {
    let reply = '';
    service.handlePlain(Buffer.from(JSON.stringify(message)), CALLER, (bytes) => (reply = bytes.toString()));
    return JSON.parse(reply) as Json;
  };
  const call = (keys: Json = {}): void => {
    ask({ command: 'offer', ...IDS, ...keys, sdp: OFFER });
    ask({ command: 'answer', ...BOTH, sdp: ANSWER });
  };
  return { plane, manager, ask, call };
}

const sdpLines = (reply: Json): string[] => String(reply['sdp']).trimEnd().split('\r\n');

describe('the dialect of newer releases', () => {
  it('writes SDP anew: c= in the media part, attributes in an order of their own', () => {
    const sdp = [
      ...['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0', 'm=audio 6000 RTP/AVP 0', 'i=voice'],
      ...['b=AS:64', 'a=ptime:30', 'a=sendonly', 'a=x-own:1', 'a=mid:7', 'a=maxptime:60', ''],
    ].join('\r\n');
    const { ask } = node('26');
    const reply = ask({ command: 'offer', ...IDS, sdp, replace: ['origin'], flags: ['WebRTC'] });
    const names = sdpLines(reply).map((line) => line.replace(/^(a=[a-z-]*|[^a]=).*$/, '$1'));
    assert.deepEqual(names, [
      ...['v=', 'o=', 's=', 't=', 'm=', 'i=', 'c=', 'b=', 'a=mid', 'a=rtpmap', 'a=x-own', 'a=sendonly', 'a=rtcp-mux'],
      ...['a=setup', 'a=fingerprint', 'a=ptime', 'a=maxptime', 'a=ice-ufrag', 'a=ice-pwd', 'a=ice-options'],
      ...['a=candidate', 'a=end-of-candidates'],
    ]);
    const older = sdpLines(node('10.5').ask({ command: 'offer', ...IDS, sdp }));
    assert.equal(older[3]?.startsWith('c='), true);
    assert.equal(older.findIndex((line) => line === 'a=x-own:1') < older.findIndex((line) => line === 'a=mid:7'), true);
  });

  it('takes a word in the place of a list', () => {
    const asked = { command: 'offer', ...IDS, sdp: OFFER, replace: 'origin', codec: { strip: 'PCMA' } };
    assert.match(
      String(node('26').ask(asked)['sdp']),
      /o=alice 100 1 IN IP4 127\.0\.0\.1[^]*m=audio \d+ RTP\/AVP 0 101/,
    );
    assert.match(String(node('10.5').ask(asked)['sdp']), /IN IP4 127\.0\.1\.1[^]*m=audio \d+ RTP\/AVP 0 8 101/);
  });

  it('blocks the call whatever the from-tag, unless it is to be directional', () => {
    for (const [dialect, flags, blocked] of [
      ['10.5', [], 1],
      ['26', [], 2],
      ['26', ['directional'], 1],
    ] as const) {
      const { ask, call, plane } = node(dialect);
      call();
      ask({ command: 'block media', ...IDS, flags });
      assert.equal([...plane.paths.values()].filter(({ gate }) => gate === 'blocked').length, blocked, dialect);
    }
  });

  it('deletes by the from-tag alone, unless the to-tag is to count; `fast` tells nothing', () => {
    const { ask, call, manager } = node('26');
    call();
    const other = { command: 'delete', ...IDS, 'to-tag': 'nobody', 'delete-delay': 0 };
    assert.match(String(ask({ ...other, flags: ['to-tag'] })['warning']), /didn't match/);
    assert.deepEqual(ask({ ...other, flags: ['fast'] }), { result: 'ok' });
    assert.equal(manager.size, 0);
    const older = node('10.5');
    older.call();
    assert.match(String(older.ask({ ...other, flags: ['fast'] })['warning']), /didn't match/);
    assert.equal('totals' in older.ask({ command: 'delete', ...IDS, flags: ['fast'] }), true);
  });

  it('names a publisher that has no name', () => {
    const sdp = OFFER.replace('a=sendrecv', 'a=sendonly');
    const { ask, manager } = node('26');
    const reply = ask({ command: 'publish', sdp });
    assert.match(String(reply['call-id']), /^[0-9a-f]{64}$/);
    assert.equal(manager.get(String(reply['call-id']))?.dialogues[0]?.a.tag, reply['from-tag']);
    assert.equal(node('10.5').ask({ command: 'publish', sdp })['error-reason'], 'No call-id in message');
  });

  it('has DTLS by one key for both directions', () => {
    const secure = ANSWER.replace('RTP/AVP', 'UDP/TLS/RTP/SAVP').concat(
      `a=setup:actpass\r\na=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}\r\n`,
    );
    const setup = (dialect: '10.5' | '26') => {
      const { ask } = node(dialect);
      ask({ command: 'offer', ...IDS, sdp: secure, 'transport-protocol': 'RTP/AVP', DTLS: 'passive' });
      return sdpLines(ask({ command: 'answer', ...BOTH, sdp: ANSWER })).find((line) => line.startsWith('a=setup'));
    };
    assert.deepEqual([setup('26'), setup('10.5')], ['a=setup:passive', 'a=setup:active']);
  });

  it('counts caches that are not there', () => {
    const current = (dialect: '10.5' | '26') =>
      (node(dialect).ask({ command: 'statistics' })['statistics'] as Json)['currentstatistics'] as Json;
    assert.deepEqual([current('26')['mediacache'], current('10.5')['mediacache']], [0, undefined]);
  });
});

describe('keys of newer releases, in either dialect', () => {
  it('a string of flags is as good as lists of them', () => {
    assert.deepEqual(
      { ...readFlagString('trust-address replace-origin ICE=force rtcp-mux-demux codec-mask-opus') },
      {
        flags: ['trust-address', 'codec-mask-opus'],
        replace: ['origin'],
        ICE: 'force',
        'rtcp-mux': ['demux'],
      },
    );
    assert.deepEqual(
      { ...readFlagString('direction=[in out] call-id=x label=a from-tags=[a b]') },
      {
        direction: ['in', 'out'],
        label: 'a',
        'from-tags': ['a', 'b'],
      },
    );
    const message = canonicalKeys({ command: 'offer', 'rtpp flags': 'ICE=force debug', ICE: 'remove', flags: ['a'] });
    assert.deepEqual([message['ICE'], message['flags']], ['remove', ['a', 'debug']]);
  });

  it('sdp-attr adds, removes and replaces attributes of what is written', () => {
    const { ask } = node('10.5');
    const reply = ask({
      ...{ command: 'offer', ...IDS, sdp: OFFER },
      'sdp-attr': {
        none: { add: ['x-session:1', 'x\r\na=evil'] },
        audio: { add: ['ptime:20', 'x-media'], remove: ['fmtp:101', 'rtcp'], substitute: [['sendrecv', 'sendonly']] },
      },
      flags: ['sdp-attr-substitute-audio-ptime:20>ptime:40', 'sdp-attr-add-global-x..y--z'],
    });
    const lines = sdpLines(reply);
    assert.deepEqual(lines.slice(5, 7), ['a=x-session:1', 'a=x y=z']);
    assert.deepEqual(lines.slice(-4), ['a=sendonly', 'a=ptime:40', 'a=ptime:20', 'a=x-media']);
    assert.equal(
      lines.some((line) => /fmtp|rtcp|evil/.test(line)),
      false,
    );
    const untouched = sdpLines(ask({ command: 'offer', 'call-id': 'd', 'from-tag': 'x', sdp: OFFER }));
    assert.equal(
      untouched.some((line) => line.startsWith('a=rtcp:')),
      true,
    );
  });

  it('those that are ignored change nothing', () => {
    const ignored = {
      ...{ 'T.38': ['decode'], 'xmlrpc-callback': '192.0.2.9', 'SIP-code': 200, template: 'web', 'delay-buffer': 5 },
      ...{ passthrough: 'on', 'audio-player': 'always', moh: { file: '/x' }, extmap: { strip: ['x'] } },
      ...{ 'sdp-media-remove': ['audio'], 'inbound-peer': '192.0.2.9', 'outbound-peer': 'x', instance: 'x' },
      ...{ 'DTMF-security': 'tone', 'DTMF-delay': 5, 'detect-DTMF': 1, trigger: '5', frequency: 400, 'to-label': 'x' },
      ...{ 'recording-file': '/x', 'recording-dir': '/x', 'output-destination': '/x', supports: ['load limit'] },
    };
    const asked = { command: 'offer', ...IDS, sdp: OFFER };
    assert.deepEqual(node('10.5').ask({ ...asked, ...ignored }), node('10.5').ask(asked));
  });

  it('WebRTC is one word for seven', () => {
    const sdp = String(node('10.5').ask({ command: 'offer', ...IDS, sdp: OFFER, flags: ['WebRTC'] })['sdp']);
    assert.match(sdp, /m=audio 19000 UDP\/TLS\/RTP\/SAVPF .*[^]*a=mid:1[^]*a=rtcp-mux[^]*a=ice-options:trickle/);
    assert.doesNotMatch(sdp, /a=crypto|a=rtcp:/);
  });
});
