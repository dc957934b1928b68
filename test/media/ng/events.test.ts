import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { dtmfLog, EVENT_NAMES, eventNameOf, frameOfEvent, type MediaEvent } from '../../../media/ng/events/event.ts';
import { Outbox } from '../../../media/ng/events/outbox.ts';
import { inspectCall } from '../../../media/ng/events/watch.ts';
import { meanOpinionScore, StreamQuality } from '../../../media/ng/quality.ts';
import type { EndpointStats } from '../../../media/dataplane/mod.ts';
import { ANSWER, DTMF, OFFER, pureService } from './node.ts';

const NOW = 1_795_193_590_400;

/** A call of which every event can be said, and a connection that listens. */
function listening(message: Record<string, string | readonly string[]> = {}, plain = false) {
  const made = pureService({ alarmMos: 3.1 });
  const pushed: string[] = [];
  const connection = { plain, push: (bytes: Buffer) => void pushed.push(bytes.toString()) };
  const caller = { address: '127.0.0.1', transport: 'tcp', connection } as const;
  const ask = (text: string): string => {
    let reply = '';
    made.service.handlePlain(Buffer.from(text), caller, (bytes) => (reply = bytes.toString()));
    return reply;
  };
  const answer = ask(JSON.stringify({ command: 'subscribe events', ...message }));
  ask(JSON.stringify({ command: 'offer', 'call-id': 'c', 'from-tag': 'ft', sdp: OFFER }));
  ask(JSON.stringify({ command: 'answer', 'call-id': 'c', 'from-tag': 'ft', 'to-tag': 'tt', sdp: ANSWER }));
  return { ...made, ask, pushed, answer, connection };
}

describe('media events', () => {
  it('are pushed to whoever has subscribed, with a cookie of their own', () => {
    const { service, pushed, answer } = listening();
    assert.equal(answer, '{"result":"ok"}');
    service.dataplaneEvent({ type: 'first-packet', endpoint: 1 });
    service.dataplaneEvent({
      type: 'learned',
      how: 'first',
      endpoint: 2,
      component: 'rtp',
      remote: { address: '192.0.2.1', port: 4000 },
    });
    service.dataplaneEvent({ type: 'dtls', endpoint: 2, state: 'failed', reason: 'bad fingerprint' });
    service.dataplaneEvent({
      ...{ type: 'ice-failed', endpoint: 2, reason: 'consent' },
      remote: { address: '192.0.2.1', port: 4000 },
    });
    service.dataplaneEvent({ type: 'ice-failed', endpoint: 1, reason: 'checks' });
    service.dataplaneEvent({ type: 'first-packet', endpoint: 99 });
    assert.deepEqual(pushed, [
      'push1 {"notify":"onMediaStarted","data":{"callId":"c","tag":"tt","timestamp":1795191540,"media":1}}',
      'push2 {"notify":"onSourceLearned","data":{"callId":"c","tag":"ft","timestamp":1795191540,"media":1,' +
        '"component":"rtp","source_ip":"192.0.2.1","source_port":4000,"how":"first"}}',
      'push3 {"notify":"onDTLSFailed","data":{"callId":"c","tag":"ft","timestamp":1795191540,"media":1,' +
        '"reason":"bad fingerprint"}}',
      'push4 {"notify":"onICEFailed","data":{"callId":"c","tag":"ft","timestamp":1795191540,"media":1,' +
        '"reason":"consent","source_ip":"192.0.2.1","source_port":4000}}',
      'push5 {"notify":"onICEFailed","data":{"callId":"c","tag":"tt","timestamp":1795191540,"media":1,' +
        '"reason":"checks"}}',
    ]);
  });

  it('are those that were asked for, in the encoding in which they were', () => {
    const { service, pushed, ask } = listening({ events: ['onDTMF', 'media-timeout'] });
    assert.equal(ask('d7:command16:subscribe events6:eventsl4:dtmfee'), 'd6:eventsl6:onDTMFe6:result2:oke');
    service.dataplaneEvent({ type: 'first-packet', endpoint: 1 });
    service.publish(DTMF);
    assert.equal(pushed.length, 1);
    assert.match(pushed[0] ?? '', /^push1 d6:notify6:onDTMF4:datad6:callId1:x3:tag1:f9:timestampi1795191540e/);
    ask('d7:command18:unsubscribe eventse');
    service.publish(DTMF);
    assert.equal(pushed.length, 1);
    assert.equal(service.hub.sinks, 0);
  });

  it('have names that must be right', () => {
    const { answer } = listening({ events: ['onNothing'] });
    assert.equal(answer, '{"result":"error","error-reason":"No such event: onNothing"}');
    for (const name of Object.values(EVENT_NAMES)) assert.equal(eventNameOf(name), name);
    assert.equal(eventNameOf('source-learned'), 'onSourceLearned');
  });

  it('come without a cookie where none is spoken', () => {
    const { service, pushed } = listening({ events: 'dtmf' }, true);
    service.publish(DTMF);
    assert.match(pushed[0] ?? '', /^\{"notify":"onDTMF"/);
  });

  it('of DTMF name the sender last, and where it is heard from', () => {
    const { service, pushed } = listening({ events: 'dtmf' });
    service.dataplaneEvent({ type: 'dtmf', endpoint: 2, event: 11, durationMs: 100, volume: 10 });
    const { data } = JSON.parse((pushed[0] ?? '').replace(/^\S+ /, '')) as { data: Record<string, unknown> };
    assert.deepEqual(data, {
      callId: 'c',
      tag: 'ft',
      timestamp: 1_795_191_540,
      tags: ['tt', 'ft'],
      callid: 'c',
      source_tag: 'ft',
      type: 'DTMF',
      source_ip: '127.0.1.1',
      event: 11,
      duration: 100,
      volume: 10,
    });
  });

  it('of strangers say who, why and how often', () => {
    const { service, pushed } = listening();
    const remote = { address: '192.0.2.9', port: 9 };
    const stranger = { component: 'rtp', remote, reason: 'unknown-source', packets: 7 } as const;
    service.dataplaneEvent({ type: 'refused', endpoint: 1, ...stranger });
    assert.match(
      pushed[0] ?? '',
      /"onSourceRefused".*"component":"rtp","source_ip":"192.0.2.9","source_port":9,"reason":"unknown-source","packets":7/,
    );
  });

  it('of DTMF are in the log as rtpengine writes it', () => {
    assert.equal(
      dtmfLog(DTMF as Extract<MediaEvent, { type: 'dtmf' }>, NOW),
      '{"callid":"x","source_tag":"f","tags":["t","f"],"type":"DTMF","timestamp":1795193590,"source_ip":"127.0.1.1","event":5,"duration":80,"volume":10}',
    );
  });

  it('of DTMF are pushed to all as rtpengine does, but not twice to a subscriber', () => {
    const pushes: string[] = [];
    const { service } = pureService({
      pushDtmf: (frame, except) => {
        if (!except({ plain: false, push: () => undefined })) pushes.push(frame.toString());
      },
    });
    service.publish(DTMF);
    assert.deepEqual(pushes, [
      'push1 d6:notify6:onDTMF4:datad4:tagsl1:t1:fe6:callid1:x10:source_tag1:f4:type4:DTMF9:source_ip9:127.0.1.1' +
        '9:timestampi1795191540e5:eventi5e8:durationi80e6:volumei10eee',
    ]);
  });

  it('hold whole numbers only, which is all that bencode has', () => {
    const { data } = frameOfEvent(
      {
        type: 'quality-alarm',
        callId: 'c',
        tag: 't',
        media: 1,
        state: 'bad',
        mos: 2.345,
        lossPercent: 12.5,
        jitterMs: 3.3,
        roundTripMs: 20.5,
      },
      NOW,
    );
    assert.deepEqual([data['MOS'], data['packet loss'], data['jitter'], data['round-trip time']], [23, 13, 3, 20_500]);
  });
});

describe('quality', () => {
  const stats = (packets: number, lost: number): EndpointStats => ({
    received: { packets, bytes: packets * 172, lost, jitterMs: 2 },
    sent: { packets: 0, bytes: 0 },
    dropped: {},
    ssrc: 1,
    remoteRtp: undefined,
    remoteRtcp: undefined,
    lastPacketMs: 10,
    dtls: 'none',
    iceConnected: false,
    roundTripMs: 40,
  });

  it('is good without loss and falls with it', () => {
    assert.ok(Math.abs(meanOpinionScore(0, 0, 0) - 4.4) < 0.02);
    const scores = [0, 1, 5, 10, 20, 100].map((loss) => meanOpinionScore(loss, 5, 50));
    assert.deepEqual(
      scores.toSorted((a, b) => b - a),
      scores,
    );
    assert.equal(meanOpinionScore(100, 0, 0), 1);
  });

  it('keeps a bounded history that spans the whole call', () => {
    const quality = new StreamQuality();
    for (let n = 1; n <= 5000; n++) quality.take(stats(n * 50, n), n * 10_000);
    assert.ok(quality.entries.length <= 24);
    assert.equal(quality.entries[0]?.at, 10);
    assert.ok((quality.entries.at(-1)?.at ?? 0) > 40_000);
    assert.equal(quality.samples, 5000);
    assert.equal(quality.take(stats(5000 * 50, 5000), 1), undefined, 'nothing was received');
  });

  it('raises one alarm after two bad samples, and takes it back once', () => {
    const { service, manager } = listening();
    const call = service.calls.find('c') ?? assert.fail();
    const [end] = [...call.ends.values()];
    const endpoint = manager.get('c')?.dialogues[0]?.lines[0]?.b.endpoint ?? assert.fail();
    const seen: string[] = [];
    const look = (packets: number, lost: number): void => {
      endpoint.stats = () => stats(packets, lost);
      for (const event of inspectCall(call, 3.1, NOW, () => undefined))
        seen.push(event.type === 'quality-alarm' ? event.state : event.type);
    };
    assert.equal(end?.party.tag, 'tt');
    look(500, 0);
    look(1000, 500);
    assert.deepEqual(seen, []);
    look(1500, 1000);
    look(2000, 1500);
    assert.deepEqual(seen, ['bad']);
    look(2500, 1500);
    look(3000, 1500);
    assert.deepEqual(seen, ['bad', 'good']);
  });

  it('is looked at for every call once in ten seconds', () => {
    const { service, manager } = pureService({}, 100);
    for (let n = 0; n < 95; n++) {
      const message = { command: 'offer', 'call-id': `c${n}`, 'from-tag': 'f', sdp: OFFER };
      service.handlePlain(Buffer.from(JSON.stringify(message)), { address: '', transport: 'udp' }, () => undefined);
    }
    const looks = new Map<string, number>();
    for (const { callId, dialogues } of manager.all()) {
      const endpoint = dialogues[0]?.lines[0]?.b.endpoint ?? assert.fail();
      endpoint.stats = () => {
        looks.set(callId, (looks.get(callId) ?? 0) + 1);
        return stats(0, 0);
      };
    }
    for (let second = 0; second < 10; second++) service.tick();
    assert.equal(looks.size, 95);
    assert.ok(Math.max(...looks.values()) <= 2);
  });
});

describe('an outbox', () => {
  const outbox = () => new Outbox({ limit: 3, tries: 3 });
  const letter = (id: string) => ({ id, body: id });

  it('delivers in order, one at a time', () => {
    const box = outbox();
    box.put(letter('a'));
    box.put(letter('b'));
    assert.deepEqual(box.next(0), { send: letter('a') });
    assert.equal(box.next(0), undefined);
    box.done('delivered', 5);
    assert.deepEqual(box.next(5), { send: letter('b') });
  });

  it('tries again, each time later, and gives up', () => {
    const box = outbox();
    box.put(letter('a'));
    box.next(0);
    box.done('failed', 0);
    assert.deepEqual(box.next(100), { waitMs: 900 });
    assert.deepEqual(box.next(1000), { send: letter('a') });
    box.done('failed', 1000);
    assert.deepEqual(box.next(2999), { waitMs: 1 });
    box.next(3000);
    box.done('failed', 3000);
    assert.equal(box.size, 0);
    assert.deepEqual(box.counters, { delivered: 0, retried: 2, dropped: 1 });
  });

  it('drops the oldest that is not under way when it is full', () => {
    const box = outbox();
    box.put(letter('a'));
    box.next(0);
    for (const id of ['b', 'c', 'd', 'e']) box.put(letter(id));
    assert.equal(box.size, 3);
    box.done('delivered', 0);
    assert.deepEqual(box.next(0), { send: letter('d') });
    assert.equal(box.counters.dropped, 2);
  });
});
