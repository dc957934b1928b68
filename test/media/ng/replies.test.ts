import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import type { NgService } from '../../../media/ng/mod.ts';
import { ANSWER, NO_TOTALS, OFFER, pureService, type Time } from './node.ts';

type Json = Record<string, unknown>;

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;
const CREATED = 1_795_191_540;
const IDS = { 'call-id': '02-plain', 'from-tag': 'ft', 'via-branch': 'z9hG4bK1' };

describe('the reply to query, in the shape of rtpengine 10.5', () => {
  let service: NgService;
  let time: Time;

  beforeEach(() => ({ service, time } = pureService()));

  /** What stands on the wire, so that the order of keys shows. */
  function ask(message: Json): Json {
    let text = '';
    service.handlePlain(Buffer.from(JSON.stringify(message)), CALLER, (bytes) => (text = bytes.toString()));
    return JSON.parse(text) as Json;
  }

  const stream = (port: number, family: object, flags: string[], more: object = {}) => ({
    'local port': port,
    'local address': '127.0.0.1',
    family: 'IPv4',
    endpoint: family,
    'advertised endpoint': family,
    ...more,
    flags,
  });
  const at = (address: string, port: number) => ({ family: 'IPv4', address, port });
  const peer = (tag: string) => [{ tag, type: 'offer/answer' }];

  it('after an offer: one party that speaks, and one without a tag', () => {
    ask({ command: 'offer', ...IDS, sdp: OFFER, label: 'caller' });
    const reply = ask({ command: 'query', 'call-id': '02-plain' });
    assert.deepEqual(Object.keys(reply), ['created', 'created_us', 'last signal', 'SSRC', 'tags', 'totals', 'result']);
    assert.equal(reply['created'], CREATED);
    assert.equal(reply['created_us'], 600_719);
    const tags = reply['tags'] as Record<string, Json>;
    assert.deepEqual(Object.keys(tags), ['ft', '<untagged 1>']);
    const { medias, ...caller } = tags['ft'] as Json;
    assert.deepEqual(caller, {
      tag: 'ft',
      label: 'caller',
      created: CREATED,
      subscriptions: peer(''),
      subscribers: peer(''),
    });
    assert.equal((medias as Json[]).length, 1);
    assert.deepEqual(tags['<untagged 1>'], {
      tag: '',
      'via-branch': 'z9hG4bK1',
      created: CREATED,
      subscriptions: peer('ft'),
      subscribers: peer('ft'),
      medias: [
        {
          index: 1,
          type: 'audio',
          protocol: 'RTP/AVP',
          streams: [
            {
              ...stream(20_002, {}, ['RTP'], { 'last packet': CREATED }),
              stats: { packets: 0, bytes: 0, errors: 0 },
              stats_out: { packets: 0, bytes: 0 },
              details: { 'packets lost': 0, 'jitter ms': 0 },
            },
            {
              ...stream(20_003, {}, ['RTCP'], { 'last packet': CREATED }),
              stats: { packets: 0, bytes: 0, errors: 0 },
              stats_out: { packets: 0, bytes: 0 },
            },
          ],
          flags: ['send', 'recv', 'ICE controlling'],
        },
      ],
    });
  });

  it('after an answer: both parties with addresses, codec and flags', () => {
    ask({ command: 'offer', ...IDS, sdp: OFFER, label: 'caller' });
    ask({ command: 'answer', ...IDS, 'to-tag': 'tt', sdp: ANSWER, label: 'callee' });
    const reply = ask({ command: 'query', 'call-id': '02-plain' });
    const tags = reply['tags'] as Record<string, Json>;
    assert.deepEqual(Object.keys(tags), ['ft', 'tt']);
    assert.equal(tags['tt']?.['label'], 'callee');
    assert.deepEqual(tags['ft']?.['subscriptions'], peer('tt'));
    const [media] = (tags['tt']?.['medias'] ?? []) as Json[];
    assert.equal(media?.['codec'], 'PCMU/8000');
    assert.deepEqual(media?.['flags'], ['initialized', 'send', 'recv', 'ICE controlling']);
    const [caller] = (tags['ft']?.['medias'] ?? []) as Json[];
    assert.deepEqual(caller?.['flags'], ['initialized', 'send', 'recv']);
    const [rtp, rtcp] = (media?.['streams'] ?? []) as Json[];
    assert.deepEqual(rtp?.['endpoint'], at('127.0.1.2', 7000));
    assert.deepEqual(rtp?.['flags'], ['RTP', 'filled']);
    assert.deepEqual(rtcp?.['advertised endpoint'], at('127.0.1.2', 7001));
    const zero = { packets: 0, bytes: 0, errors: 0 };
    assert.deepEqual(reply['totals'], { RTP: zero, RTCP: zero });
    assert.equal(Object.keys(reply).at(-1), 'result');
  });

  it('with tags: only those parties', () => {
    ask({ command: 'offer', ...IDS, sdp: OFFER });
    ask({ command: 'answer', ...IDS, 'to-tag': 'tt', sdp: ANSWER });
    const reply = ask({ command: 'query', 'call-id': '02-plain', 'from-tag': 'tt' });
    assert.deepEqual(Object.keys(reply['tags'] as Json), ['tt']);
  });

  it('of a fork: the caller once, subscribed to both branches', () => {
    for (const [branch, tag] of [
      ['b1', 't1'],
      ['b2', 't2'],
    ] as const) {
      ask({ command: 'offer', ...IDS, 'via-branch': branch, sdp: OFFER });
      ask({ command: 'answer', ...IDS, 'via-branch': branch, 'to-tag': tag, sdp: ANSWER });
    }
    const tags = ask({ command: 'query', 'call-id': '02-plain' })['tags'] as Record<string, Json>;
    assert.deepEqual(Object.keys(tags), ['ft', 't1', 't2']);
    assert.deepEqual(tags['ft']?.['subscriptions'], [...peer('t1'), ...peer('t2')]);
    assert.equal(((tags['ft']?.['medias'] ?? []) as Json[]).length, 2);
  });

  it('and the reply to delete is the same, and the last', () => {
    ask({ command: 'offer', ...IDS, sdp: OFFER });
    const query = ask({ command: 'query', 'call-id': '02-plain' });
    assert.deepEqual(ask({ command: 'delete', 'call-id': '02-plain', 'from-tag': 'ft' }), query);
    assert.equal(ask({ command: 'query', 'call-id': '02-plain' })['error-reason'], 'Unknown call-id');
    assert.equal(service.calls.size, 0);
    assert.equal(service.calls.ends, 0);
  });

  it('to list has as many calls as asked for, 32 without asking', () => {
    const { service: large } = pureService({}, 50);
    service = large;
    for (let n = 0; n < 40; n++) ask({ command: 'offer', 'call-id': `c${n}`, 'from-tag': 'f', sdp: OFFER });
    assert.equal((ask({ command: 'list' })['calls'] as string[]).length, 32);
    assert.deepEqual(ask({ command: 'list', limit: '2' }), { calls: ['c0', 'c1'], result: 'ok' });
  });

  it('to statistics counts calls, commands and times', () => {
    ask({ command: 'offer', ...IDS, sdp: OFFER });
    time.now += 1500;
    ask({ command: 'delete', 'call-id': '02-plain' });
    ask({ command: 'offer', ...IDS, sdp: OFFER });
    const statistics = ask({ command: 'statistics' })['statistics'] as Record<string, Json>;
    assert.deepEqual(Object.keys(statistics), [
      'currentstatistics',
      'totalstatistics',
      'intervalstatistics',
      'mos',
      'controlstatistics',
      'interfaces',
      'transcoders',
    ]);
    assert.equal(statistics['currentstatistics']?.['sessionstotal'], 1);
    const totals = statistics['totalstatistics'] ?? {};
    assert.equal(totals['uptime'], '1');
    assert.equal(totals['managedsessions'], 1);
    assert.equal(totals['regularterminatedsessions'], 1);
    assert.equal(totals['avgcallduration'], '1.500000');
    assert.equal(totals['totalcallsduration2'], '2.250000');
    const control = statistics['controlstatistics'] ?? {};
    assert.equal(control['totaloffercount'], 2);
    assert.equal(control['totalstatscount'], 0, 'the one that asks is not counted yet');
    assert.equal((statistics['interfaces'] as unknown as Json[])[0]?.['name'], 'default');
    assert.equal(Object.keys(statistics['intervalstatistics'] ?? {}).length, 3 + 24 * 6);
    assert.equal(statistics['intervalstatistics']?.['avgstart recordingdelay'], '0.000000');
  });

  it('to statistics says of each interface how many of its ports are in use', () => {
    const totals = { ...NO_TOTALS, portsInUse: 6, portsTotal: 100, portsByInterface: { inside: 2, outside: 4 } };
    const both = ['inside', 'outside'].map((name) => ({ name, address: '127.0.0.1', min: 1, max: 100 }));
    const { interfaces } = service.statistics.reply(totals, 0, both, 0) as unknown as { interfaces: { ports: Json }[] };
    const range = { min: 1, max: 100, totals: 100, free: 94 };
    assert.deepEqual(
      interfaces.map(({ ports }) => ports),
      [
        { ...range, used: 2, used_pct: '2.00' },
        { ...range, used: 4, used_pct: '4.00' },
      ],
    );
  });

  it('to statistics shows the last full minute', () => {
    for (let second = 0; second < 60; second++) {
      for (let n = 0; n < (second === 0 ? 60 : 1); n++) ask({ command: 'ping' });
      service.tick();
    }
    const interval = service.statistics.reply(NO_TOTALS, 0, [], 0)['intervalstatistics'] as Json;
    assert.equal(interval['minpingrequestrate'], '1');
    assert.equal(interval['maxpingrequestrate'], '60');
    assert.equal(interval['avgpingrequestrate'], '2');
    assert.equal(interval['maxofferrequestrate'], '0');
  });

  it('to statistics never names more than 256 peers', () => {
    for (let n = 0; n < 1000; n++) service.statistics.control.count(`10.0.${n >> 8}.${n & 255}`, 'ping', false, 0);
    const control = service.statistics.control.control();
    assert.equal((control['proxies'] as Json[]).length, 257);
    assert.equal(control['totalpingcount'], 1000);
  });
});
