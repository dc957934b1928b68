// budget: 40 s
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { gateOperations, playOperations, SoundFiles, type MediaEvent } from '../../../media/ng/mod.ts';
import { bencodeBytes, decodeBencode, type Bencode } from '../../../vocabulary/mod.ts';
import { RtpPhone } from '../../support/rtp-phone.ts';
import { sine, wav } from '../../support/tone.ts';
import { realService, soon } from './node.ts';

type Message = Readonly<Record<string, Bencode>>;

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;
const CALL = 'play';

/** Alice speaks 440 Hz, Bob 620 Hz; what is played has 1000 Hz. */
describe('announcements, whispers, keys and mutes through the node', function () {
  this.timeout(20_000);
  const node = realService(18_500, {}, (manager, plane, publish) => ({
    ...gateOperations(manager),
    ...playOperations({ manager, dataplane: plane, publish, readSound: (path) => sounds.read(path) }),
  }));
  const sounds = new SoundFiles(node.plane);
  const events: MediaEvent[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'causeway-play-'));
  const beep = join(folder, 'beep.wav');
  let alice: RtpPhone;
  let bob: RtpPhone;

  before(async () => {
    writeFileSync(beep, wav(sine(1000, 1.4, 16_000, 0.3), 16_000));
    node.service.hub.add({ take: (_frame, event) => void events.push(event) });
    [alice, bob] = [await RtpPhone.open(440), await RtpPhone.open(620)];
    await offerAnswer(CALL, alice, bob, '101');
  });

  after(async () => {
    await alice[Symbol.asyncDispose]();
    await bob[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
    await ask({ command: 'delete', 'call-id': CALL });
    const { endpoints, transcoders, nativeBytes } = node.plane.totals();
    await node.plane.close();
    assert.deepEqual([endpoints, transcoders, nativeBytes], [0, 0, 0]);
  });

  function ask(message: Message): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
      node.service.handlePlain(bencodeBytes(message), CALLER, (reply) =>
        resolve({ ...(decodeBencode(reply) as Record<string, unknown>) }),
      );
    });
  }

  async function offerAnswer(callId: string, from: RtpPhone, to: RtpPhone, event: string): Promise<void> {
    const ids = { 'call-id': callId, 'from-tag': 'ft', 'to-tag': 'tt', flags: ['inject-DTMF'] };
    const offered = await ask({ ...ids, command: 'offer', label: 'alice', sdp: sdp(from.port, event) });
    const answered = await ask({ ...ids, command: 'answer', label: 'bob', sdp: sdp(to.port, event) });
    from.talkTo({ address: '127.0.0.1', port: portOf(answered) });
    to.talkTo({ address: '127.0.0.1', port: portOf(offered) });
  }

  const ended = () => events.filter(({ type }) => type === 'playback-ended');
  const both = (phone: RtpPhone, own: number) => soon(() => phone.toneOverRest(own) > 20);

  it('starts with a plain call', async () => {
    await both(alice, 620);
    await both(bob, 440);
  });

  it('says what rtpengine says of what it cannot play', async () => {
    const why = async (message: Message) =>
      (await ask({ command: 'play media', 'call-id': CALL, ...message }))['error-reason'];
    assert.equal(await why({}), 'No participant party specified');
    assert.equal(await why({ 'from-tag': 'ft' }), 'No media file specified');
    const from = { 'from-tag': 'ft' };
    assert.equal(await why({ ...from, file: '/nonexistent.wav' }), 'Failed to start media playback from file');
    assert.equal(await why({ ...from, file: folder }), 'Failed to start media playback from file');
    assert.equal(await why({ ...from, blob: 'nothing' }), 'Failed to start media playback from blob');
    assert.equal(await why({ ...from, 'db-id': 7 }), 'Failed to start media playback from database');
    assert.deepEqual(await ask({ command: 'stop media', 'call-id': CALL, 'from-tag': 'ft' }), { result: 'ok' });
  });

  it('plays a file to one party, in one stream, and tells its end', async () => {
    const reply = await ask({ command: 'play media', 'call-id': CALL, 'from-tag': 'ft', file: beep });
    assert.deepEqual(reply, { duration: 1400, result: 'ok' });
    // A whisper: the other one hears nothing of it. The phone measures one second.
    await soon(() => alice.toneOverRest(1000) > -4 && alice.toneOverRest(620) > -4);
    assert.ok(bob.toneOverRest(440) > 20);
    await soon(() => ended().length === 1);
    assert.deepEqual(ended()[0], { type: 'playback-ended', callId: CALL, tag: 'ft', reason: 'finished' });
    await both(alice, 620);
    assert.deepEqual(alice.stream, { lost: 0, sources: 1 });
    assert.equal(node.plane.totals().transcoders, 0);
    assert.equal(sounds.bytes, 1.4 * 16_000 * 2);
  });

  it('plays to all, from bytes, again and again; who speaks is muted on request; and stops', async () => {
    const past = ended().length;
    const sound = wav(sine(1000, 0.2, 8000, 0.3), 8000);
    const blob64 = sound.toString('base64');
    const flags = ['all', 'block-egress'];
    const play = { command: 'play media', 'call-id': CALL, flags, blob64, 'repeat-times': 100, 'start-pos': 100 };
    assert.deepEqual(await ask(play), { duration: 200, result: 'ok' });
    for (const phone of [alice, bob]) await both(phone, 1000);
    const stopped = await ask({ command: 'stop media', 'call-id': CALL, flags: ['all'], 'last-frame-pos': 1 });
    assert.equal(stopped['result'], 'ok');
    assert.ok(Number(stopped['last-frame-pos']) < 200, JSON.stringify(stopped));
    assert.deepEqual(
      ended()
        .slice(past)
        .map(({ tag, ...event }) => [tag, 'reason' in event && event.reason]),
      [
        ['ft', 'stopped'],
        ['tt', 'stopped'],
      ],
    );
    await both(alice, 620);
    await both(bob, 440);
    for (const phone of [alice, bob]) assert.deepEqual(phone.stream, { lost: 0, sources: 1 });
  });

  it('plays binary bytes as bencode has them, no longer than asked for', async () => {
    const past = ended().length;
    const blob = decodeBencode(Buffer.concat([Buffer.from('44044:'), wav(sine(1000, 2.75, 8000, 0.3), 8000)]));
    assert.equal(typeof blob, 'string');
    const began = performance.now();
    const play = { command: 'play media', 'call-id': CALL, label: 'bob', blob: blob as string, 'repeat-duration': 300 };
    assert.deepEqual(await ask(play), { duration: 2750, result: 'ok' });
    await soon(() => ended().length > past);
    const took = performance.now() - began;
    assert.ok(took > 250 && took < 600, String(took));
  });

  it('goes on when another playback takes its place, and over a re-INVITE', async () => {
    const past = ended().length;
    const play = { command: 'play media', 'call-id': CALL, 'from-tag': 'tt', file: beep, flags: ['block-egress'] };
    await ask(play);
    await ask({ ...play, 'repeat-times': 2 });
    assert.deepEqual(ended().slice(past), [{ type: 'playback-ended', callId: CALL, tag: 'tt', reason: 'stopped' }]);
    await offerAnswer(CALL, alice, bob, '101');
    await both(bob, 1000);
    await soon(() => ended().length === past + 2);
    await both(bob, 440);
    assert.deepEqual(bob.stream, { lost: 0, sources: 1 });
  });

  it('presses keys towards the other party', async () => {
    const dtmf = { command: 'play DTMF', 'call-id': CALL, 'from-tag': 'ft', duration: 120 };
    for (const key of [{ code: '5' }, { digit: '#' }, { code: 12 }]) {
      assert.deepEqual(await ask({ ...dtmf, ...key }), { result: 'ok' });
    }
    await soon(() => bob.keys.length === 3);
    assert.deepEqual(bob.keys, ['101:5', '101:#', '101:A']);
    assert.deepEqual(alice.keys, []);
    await both(bob, 440);
    assert.equal(bob.stream.sources, 1);
    assert.equal((await ask({ ...dtmf, code: '99' }))['error-reason'], "Out of range 'code' specified");
  });

  it('presses keys as tones where the other party knows no telephone-events', async () => {
    const [one, other] = [await RtpPhone.open(440), await RtpPhone.open(620)];
    try {
      await offerAnswer('tones', one, other, '');
      await both(other, 440);
      const dtmf = { command: 'play DTMF', 'call-id': 'tones', 'from-tag': 'ft', duration: 1500, volume: -10 };
      assert.deepEqual(await ask({ ...dtmf, code: '5' }), { result: 'ok' });
      // Two tones alike: each is as strong as all the rest, which is the other one.
      await soon(() => Math.abs(other.toneOverRest(770)) < 1.5 && Math.abs(other.toneOverRest(1336)) < 1.5);
      await both(other, 440);
      assert.deepEqual(other.stream, { lost: 0, sources: 1 });
    } finally {
      await one[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      await ask({ command: 'delete', 'call-id': 'tones' });
    }
  });

  it('blocks and silences what a party says, and lets its keys through', async () => {
    const from = { 'call-id': CALL, 'from-tag': 'ft' };
    await ask({ ...from, command: 'block media' });
    const past = bob.packets;
    await soon(() => node.plane.totals().dropped['gated'] !== undefined);
    await ask({ command: 'play DTMF', ...from, code: 1, duration: 100 });
    await soon(() => bob.keys.length === 4);
    assert.ok(bob.packets - past < 3, String(bob.packets - past));
    await ask({ ...from, command: 'unblock media' });
    await ask({ ...from, command: 'silence media' });
    await soon(() => bob.packets > past + 60);
    assert.ok(bob.toneOverRest(440) < 0);
    await ask({ ...from, command: 'unsilence media' });
    await both(bob, 440);
    assert.equal(bob.stream.sources, 1);
  });
});

function sdp(port: number, event: string): string {
  return [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    `m=audio ${port} RTP/AVP 0 ${event}`.trim(),
    'a=rtpmap:0 PCMU/8000',
    ...(event === '' ? [] : [`a=rtpmap:${event} telephone-event/8000`]),
    '',
  ].join('\r\n');
}

function portOf(reply: Record<string, unknown>): number {
  return Number(/m=audio (\d+)/.exec(String(reply['sdp']))?.[1]);
}
