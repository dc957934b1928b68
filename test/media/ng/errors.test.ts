import assert from 'node:assert/strict';
import { before, describe, it } from 'mocha';
import { bencodeBytes } from '../../../vocabulary/mod.ts';
import { NO_TOTALS, OFFER, pureService } from './node.ts';

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;

/** One exchange after the other with a real rtpengine 10.5, byte for byte; `undefined`: no reply. */
const EXCHANGES: readonly (readonly [about: string, request: string, reply: string | undefined])[] = [
  ['ping bencode', '5323_1 d7:command4:pinge', '5323_1 d6:result4:ponge'],
  ['ping JSON', '5323_2 {"command":"ping"}', '5323_2 {"result":"pong"}'],
  ['unknown command', '5323_3 d7:command3:fooe', '5323_3 d6:result5:error12:error-reason20:Unrecognized commande'],
  [
    'no command key',
    '5323_4 d3:foo3:bare',
    '5323_4 d6:result5:error12:error-reason36:Dictionary contains no key "command"e',
  ],
  ['neither d nor {', '5323_5 xyz', '5323_5 d6:result5:error12:error-reason22:Invalid NG data formate'],
  ['cookie only', '5323_6 ', '5323_6 d6:result5:error12:error-reason25:Invalid data (no payload)e'],
  ['no space at all', 'nospace', undefined],
  ['empty cookie', ' d7:command4:pinge', undefined],
  ['truncated bencode', '5323_7 d7:command4:ping', '5323_7 d6:result4:ponge'],
  [
    'bad length',
    '5323_7b d7:command99999999999:pinge',
    '5323_7b d6:result5:error12:error-reason35:Could not decode bencode dictionarye',
  ],
  ['truncated JSON', '5323_8 {"command":', '5323_8 {"result":"error","error-reason":"Failed to parse JSON document"}'],
  [
    'a key that is no string',
    '5323_9 d7:command4:ping3:fooli1ei2eed1:a1:bee',
    '5323_9 d6:result5:error12:error-reason35:Could not decode bencode dictionarye',
  ],
  ['a cookie again, another body', '5323_1 d7:command7:nothinge', '5323_1 d6:result4:ponge'],
  ['offer without sdp', '5323_10 d7:command5:offere', error('5323_10', 'No SDP body in message')],
  [
    'offer without from-tag',
    '5323_11 d7:command5:offer3:sdp3:foo7:call-id1:ce',
    error('5323_11', 'No from-tag in message'),
  ],
  [
    'offer without call-id',
    '5323_12 d7:command5:offer3:sdp3:foo8:from-tag1:fe',
    error('5323_12', 'No call-id in message'),
  ],
  [
    'offer with garbage',
    '5323_13 d7:command5:offer3:sdp3:foo8:from-tag1:f7:call-id3:e13e',
    error('5323_13', 'Failed to parse SDP'),
  ],
  [
    'answer without to-tag',
    '5323_14 d7:command6:answer3:sdp3:foo8:from-tag1:f7:call-id1:xe',
    error('5323_14', 'No to-tag in message'),
  ],
  [
    'answer for an unknown call',
    `5323_15 d7:command6:answer3:sdp${OFFER.length}:${OFFER}8:from-tag1:f6:to-tag1:t7:call-id1:xe`,
    error('5323_15', 'Unknown call-id'),
  ],
  [
    'delete unknown call',
    '5323_16 d7:command6:delete7:call-id1:xe',
    "5323_16 d7:warning38:Call-ID not found or tags didn't match6:result2:oke",
  ],
  [
    'delete unknown call, fatal',
    '5323_17 d7:command6:delete7:call-id1:x5:flagsl5:fatalee',
    error('5323_17', "Call-ID not found or tags didn't match"),
  ],
  ['query unknown call', '5323_18 d7:command5:query7:call-id1:xe', error('5323_18', 'Unknown call-id')],
  ['query without call-id', '5323_19 d7:command5:querye', error('5323_19', 'No call-id in message')],
  ['play media unknown call', '5323_20 d7:command10:play media7:call-id1:xe', error('5323_20', 'Unknown call-ID')],
  [
    'subscribe request unknown call',
    '5323_21 d7:command17:subscribe request7:call-id1:xe',
    error('5323_21', 'Unknown call-ID'),
  ],
  [
    'start recording unknown call',
    '5323_22 d7:command15:start recording7:call-id1:xe',
    error('5323_22', 'Unknown call-id'),
  ],
  ['list, no calls', '5323_23 d7:command4:liste', '5323_23 d5:callsle6:result2:oke'],
  ['list limit 0', '5323_24 d7:command4:list5:limit1:0e', '5323_24 d5:callsle6:result2:oke'],
  ['list limit -1', '5323_25 d7:command4:list5:limit2:-1e', error('5323_25', 'invalid limit, must be >= 0')],
  ['publish without anything', '5323_26 d7:command7:publishe', error('5323_26', 'No SDP body in message')],
  ['connect, which 10.5 has not', '5323_27 d7:command7:connect7:call-id1:xe', error('5323_27', 'Unrecognized command')],
];

function error(cookie: string, reason: string): string {
  return `${cookie} d6:result5:error12:error-reason${reason.length}:${reason}e`;
}

describe('ng errors, byte for byte those of rtpengine 10.5', () => {
  const { service } = pureService();
  for (const [about, request, expected] of EXCHANGES) {
    it(about, () => {
      let reply: string | undefined;
      const answered = service.handle(Buffer.from(request), CALLER, (bytes) => (reply = bytes.toString()));
      assert.equal(reply, expected);
      assert.equal(answered, expected !== undefined);
    });
  }

  it('and counts them as rtpengine does, repetitions left out', () => {
    const control = service.statistics.control.control();
    const [proxy] = control['proxies'] as Record<string, number>[];
    assert.equal(proxy?.['proxy'], '127.0.0.1');
    assert.equal(proxy?.['pingcount'], 3);
    assert.equal(proxy?.['offercount'], 4);
    assert.equal(proxy?.['errorcount'], 22);
    assert.equal(control['totallistcount'], 3);
  });
});

describe('ng errors on a call that is there', () => {
  const { service } = pureService();
  const ask = (message: Record<string, string | number | readonly string[]>) => {
    let reply: Record<string, unknown> = {};
    service.handlePlain(
      Buffer.from(JSON.stringify({ 'call-id': 'c', ...message })),
      CALLER,
      (bytes) => (reply = JSON.parse(bytes.toString()) as typeof reply),
    );
    return reply;
  };
  const reason = (message: Parameters<typeof ask>[0]) => ask(message)['error-reason'] ?? ask(message)['result'];

  before(() => {
    assert.equal(ask({ command: 'offer', 'from-tag': 'ft', label: 'alice', sdp: OFFER })['result'], 'ok');
  });

  const CASES: readonly (readonly [Parameters<typeof ask>[0], string])[] = [
    [{ command: 'play media' }, 'No participant party specified'],
    [{ command: 'play media', 'from-tag': 'ft' }, 'No media file specified'],
    [{ command: 'stop media', 'from-tag': 'zz' }, 'From-tag given, but no such tag exists'],
    [{ command: 'play DTMF', 'from-tag': 'ft', code: '99' }, "Out of range 'code' specified"],
    [{ command: 'play DTMF', 'from-tag': 'ft' }, "Out of range 'code' specified"],
    [{ command: 'block media', label: 'nobody' }, 'No monologue matching the given label'],
    [{ command: 'block media', address: '192.0.2.9' }, 'Failed to match address to any tag'],
    [{ command: 'block media', address: 'here' }, 'Failed to parse network address'],
    [{ command: 'block media', label: 'alice' }, 'Not supported by this node'],
    [{ command: 'play media', flags: ['all'], file: 'x' }, 'Not supported by this node'],
    [{ command: 'subscribe request' }, 'No call participant specified'],
    [{ command: 'unsubscribe' }, 'No to-tag in message'],
    [{ command: 'subscribe answer', 'to-tag': 's' }, 'No SDP body in message'],
    [{ command: 'pause recording' }, 'Unrecognized command'],
    [{ command: 'subscribe events' }, 'Events need a connection: ng over TCP or WebSocket'],
    [{ command: 'offer', 'from-tag': 'x'.repeat(1025), sdp: OFFER }, 'from-tag is longer than 1024 characters'],
  ];
  for (const [message, expected] of CASES) {
    it(`${JSON.stringify(message).slice(0, 70)} → ${expected}`, () => assert.equal(reason(message), expected));
  }
});

describe('ng limits', () => {
  const { service, plane, manager, load } = pureService({}, 1);
  const offer = (callId: string, keys: Record<string, readonly string[]> = {}) => {
    let reply = '';
    const message = { command: 'offer', 'call-id': callId, 'from-tag': 'f', sdp: OFFER, ...keys };
    service.handlePlain(bencodeBytes(message), CALLER, (bytes) => (reply = bytes.toString()));
    return reply;
  };

  it('are an error, or a load limit for those who know it', () => {
    offer('one');
    assert.equal(offer('two'), 'd6:result5:error12:error-reason30:Parallel session limit reachede');
    assert.equal(
      offer('three', { supports: ['load limit'] }),
      'd6:result10:load limit7:message30:Parallel session limit reachede',
    );
    const { totalstatistics } = service.statistics.reply(NO_TOTALS, 0, [], 0);
    assert.equal((totalstatistics as Record<string, number>)['rejectedsessions'], 2);
  });

  it('let a call that is there go on', () => {
    assert.match(offer('one'), /6:result2:oke$/);
  });

  it('say which: ports', () => {
    manager.release(manager.remove('one', {}) ?? assert.fail());
    plane.portsLeft = 0;
    assert.equal(offer('four'), 'd6:result5:error12:error-reason16:Ran out of portse');
  });

  for (const [limit, text] of [
    ['load', 'Load limit exceeded'],
    ['cpu', 'CPU usage limit exceeded'],
    ['bandwidth', 'Bandwidth limit exceeded'],
  ] as const)
    it(`say which: ${limit}; those who do not know it are told of sessions`, () => {
      plane.portsLeft = 100;
      offer('stands');
      load.exceeded = limit;
      assert.match(offer('stands'), /6:result2:oke$/);
      manager.release(manager.remove('stands', {}) ?? assert.fail());
      const told = offer('more', { supports: ['load limit'] });
      assert.equal(told, `d6:result10:load limit7:message${text.length}:${text}e`);
      assert.equal(offer('more'), 'd6:result5:error12:error-reason30:Parallel session limit reachede');
      assert.equal(manager.refused[limit], 2);
      assert.equal(manager.size, 0);
      load.exceeded = undefined;
    });

  it('send a proxy elsewhere when the node drains', () => {
    manager.draining = true;
    assert.equal(
      offer('five', { supports: ['load limit'] }),
      'd6:result10:load limit7:message21:This node is draininge',
    );
  });
});
