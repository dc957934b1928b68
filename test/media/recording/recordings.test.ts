import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { recordingOperations } from '../../../media/ng/mod.ts';
import { metadataText } from '../../../media/recording/metadata.ts';
import { openRecordingFolder, Recordings, type ClosedRecording } from '../../../media/recording/mod.ts';
import { recordingName } from '../../../media/recording/names.ts';
import { explain } from '../../../media/session/mod.ts';
import type { Bencode } from '../../../vocabulary/mod.ts';
import { ANSWER, OFFER, pureService } from '../ng/node.ts';
import { PlaneDouble } from '../session/plane-double.ts';

const CALLER = { address: '127.0.0.1', transport: 'udp' } as const;

function node() {
  const plane = new PlaneDouble();
  const written = new Map<string, string>();
  const closed: ClosedRecording[] = [];
  const disk = { used: 0, written: 0 };
  let files = 0;
  const folder = {
    pcap: (name: string) => `/rec/${name}.pcap`,
    usedBytes: () => Promise.resolve(disk.used),
    writeMetadata: (name: string, text: string) => Promise.resolve(void written.set(name, text)),
  };
  const recordings = new Recordings({
    ...{ dataplane: plane, folder, now: () => service.time.now },
    unique: () => String(++files).padStart(16, '0'),
    closed: (one) => closed.push(one),
    quota: { limitBytes: 1000, written: () => disk.written },
  });
  const refused: string[] = [];
  const service = pureService(
    {
      onResult: ({ command, reply }) =>
        reply['error-reason'] && refused.push(`${command}: ${reply['error-reason'] as string}`),
    },
    10,
    () => recordingOperations(recordings),
    plane,
  );
  const ask = (message: Record<string, Bencode>) => {
    let reply: Record<string, unknown> = {};
    const text = JSON.stringify({ 'call-id': 'c', 'from-tag': 'a', ...message });
    service.service.handlePlain(
      Buffer.from(text),
      CALLER,
      (bytes) => (reply = JSON.parse(bytes.toString()) as typeof reply),
    );
    return reply['error-reason'] ?? reply['result'];
  };
  return { plane, disk, recordings, written, closed, refused, ask, service };
}

describe('recordings', () => {
  it('hold both ends of a call, also those that it gets later, and end with it', async () => {
    const { ask, plane, recordings, closed, written, service } = node();
    ask({ command: 'offer', sdp: OFFER });
    assert.equal(ask({ command: 'start recording', metadata: 'k:v|x:y' }), 'ok');
    const [[file, endpoints] = ['', new Set<number>()]] = plane.recordings;
    assert.equal(file, '/rec/c-0000000000000001.pcap');
    assert.equal(endpoints.size, 1);
    ask({ command: 'answer', 'to-tag': 'b', sdp: ANSWER });
    assert.deepEqual(endpoints, new Set(plane.open.keys()));
    ask({ command: 'start recording', metadata: 'again' });
    assert.equal(plane.recordings.size, 1);
    service.time.now += 5000;
    ask({ command: 'delete' });
    assert.equal(plane.recordings.size, 0);
    await recordings.close();
    assert.deepEqual(closed, [{ callId: 'c', file, durationMs: 5000, reason: 'ended', error: undefined }]);
    assert.deepEqual(written.get('c-0000000000000001')?.split('\n'), [
      'call-id: c',
      `file: ${file}`,
      'started: 2026-11-20T16:19:00.600Z',
      'ended: 2026-11-20T16:19:05.600Z',
      'reason: ended',
      'packets: 3',
      'bytes: 600',
      'stream: 1 audio 127.0.0.1:20004 127.0.1.1:6000 0=PCMU/8000,101=telephone-event/8000 a',
      'stream: 1 audio 127.0.0.1:20002 127.0.1.2:7000 0=PCMU/8000,101=telephone-event/8000 b',
      'metadata: k:v|x:y',
      'metadata: again',
      '',
    ]);
    assert.equal(recordings.size, 0);
  });

  it('pause, go on in the same file, and begin another one after a stop', () => {
    const { ask, plane, recordings, service } = node();
    ask({ command: 'offer', sdp: OFFER, 'record-call': 'yes' });
    const [endpoints] = plane.recordings.values();
    assert.equal(ask({ command: 'pause recording' }), 'ok');
    assert.equal(endpoints?.size, 0);
    assert.match(
      explain(service.manager.get('c') ?? assert.fail(), 0).join('\n'),
      /^recorded into .*0001\.pcap: paused$/m,
    );
    // An endpoint that comes meanwhile waits, too.
    ask({ command: 'answer', 'to-tag': 'b', sdp: ANSWER });
    assert.equal(endpoints?.size, 0);
    ask({ command: 'start recording' });
    assert.equal(endpoints?.size, 2);
    ask({ command: 'stop recording' });
    assert.deepEqual([plane.recordings.size, recordings.size], [0, 0]);
    assert.equal(ask({ command: 'stop recording' }), 'ok');
    assert.equal(ask({ command: 'pause recording' }), 'ok');
    ask({ command: 'start recording' });
    assert.deepEqual([...plane.recordings.keys()], ['/rec/c-0000000000000002.pcap']);
  });

  it('are asked for by offers and answers, which are good where nothing can be recorded', () => {
    const { ask, plane, refused } = node();
    plane.diskFull = true;
    assert.equal(ask({ command: 'offer', sdp: OFFER, flags: ['record call'] }), 'ok');
    assert.deepEqual(refused, ['start recording: cannot write the recording: No space left on device']);
    assert.equal(ask({ command: 'start recording' }), 'cannot write the recording: No space left on device');
    plane.diskFull = false;
    assert.equal(ask({ command: 'answer', 'to-tag': 'b', sdp: ANSWER, 'record call': 'on' }), 'ok');
    assert.equal(plane.recordings.size, 1);
    assert.equal(ask({ command: 'offer', 'to-tag': 'b', sdp: OFFER, 'record-call': 'off' }), 'ok');
    assert.equal(plane.recordings.size, 0);
    assert.equal(ask({ command: 'start recording', 'call-id': 'other' }), 'Unknown call-id');
  });

  it('tell what could not be written beside them', async () => {
    const closed: ClosedRecording[] = [];
    const plane = new PlaneDouble();
    const recordings = new Recordings({
      ...{ dataplane: plane, now: () => 0, unique: () => 'x', closed: (one) => closed.push(one) },
      folder: {
        pcap: (name) => name,
        usedBytes: () => Promise.resolve(0),
        writeMetadata: () => Promise.reject(new Error('no room')),
      },
    });
    const { service } = pureService({}, 10, () => recordingOperations(recordings), plane);
    const ask = (text: object) => service.handlePlain(Buffer.from(JSON.stringify(text)), CALLER, () => undefined);
    ask({ command: 'offer', 'call-id': 'c', 'from-tag': 'a', sdp: OFFER, 'record-call': 'yes' });
    await recordings.close();
    assert.equal(closed[0]?.error, 'no room');
  });

  it('where there are none are still well asked for', () => {
    const { service } = pureService({}, 10, () => recordingOperations(undefined));
    const replies: string[] = [];
    for (const message of [
      { command: 'offer', 'from-tag': 'a', sdp: OFFER },
      ...['start', 'pause', 'stop'].map((verb) => ({ command: `${verb} recording` })),
    ]) {
      const text = JSON.stringify({ 'call-id': 'c', ...message });
      service.handlePlain(Buffer.from(text), CALLER, (bytes) => replies.push(bytes.toString()));
    }
    assert.deepEqual(replies.slice(1), ['{"result":"ok"}', '{"result":"ok"}', '{"result":"ok"}']);
  });

  it('end, and do not begin, when all that lies there has the size that it may have', async () => {
    const { ask, disk, recordings, closed, refused } = node();
    disk.used = 700;
    disk.written = 5000;
    await recordings.measure();
    ask({ command: 'offer', sdp: OFFER, 'record-call': 'yes' });
    disk.written += 299;
    recordings.enforceQuota();
    assert.deepEqual([recordings.usedBytes, recordings.size], [999, 1]);
    disk.written++;
    recordings.enforceQuota();
    assert.equal(recordings.size, 0);
    assert.equal(ask({ command: 'start recording' }), 'The quota of recordings is used up');
    // The call goes on without.
    assert.equal(ask({ command: 'answer', 'to-tag': 'b', sdp: ANSWER, 'record-call': 'on' }), 'ok');
    assert.deepEqual([recordings.refused, refused.length], [2, 2]);
    // Somebody has taken recordings away.
    disk.used = 0;
    await recordings.measure();
    assert.equal(ask({ command: 'start recording' }), 'ok');
    ask({ command: 'stop recording' });
    await recordings.close();
    assert.deepEqual(
      closed.map(({ reason }) => reason),
      ['quota', 'stopped'],
    );
  });

  it('are counted with all that lies in their folder', async () => {
    const at = mkdtempSync(join(tmpdir(), 'causeway-recording-'));
    const folder = openRecordingFolder(at);
    assert.equal(await folder.usedBytes(), 0);
    for (let i = 0; i < 40; i++) writeFileSync(folder.pcap(String(i)), Buffer.alloc(10));
    await folder.writeMetadata('0', 'twelve bytes');
    assert.equal(await folder.usedBytes(), 412);
    rmSync(at, { recursive: true });
  });

  it('have names that are safe and tell the call', () => {
    const unique = '0123456789abcdef';
    assert.equal(
      recordingName('a84b4c76e66710@pc33.example.com', unique),
      `a84b4c76e66710%40pc33.example.com-${unique}`,
    );
    assert.equal(recordingName('../../etc/passwd', unique), `%2E.%2F..%2Fetc%2Fpasswd-${unique}`);
    assert.equal(recordingName('-rf', unique), `%2Drf-${unique}`);
    assert.equal(recordingName('ü\0', unique), `%C3%BC%00-${unique}`);
    fc.assert(
      fc.property(fc.array(fc.nat(0x10_ffff), { maxLength: 300 }), (points) => {
        const callId = String.fromCodePoint(...points);
        const name = recordingName(callId, unique);
        assert.match(name, /^(?:[A-Za-z0-9._-]|%[0-9A-F]{2}){0,200}-0123456789abcdef$/);
        assert.doesNotMatch(name, /^[.]/);
        assert.equal(basename(`/rec/${name}.pcap`), `${name}.pcap`);
        assert.ok(name.length <= 217);
      }),
    );
  });

  it('have descriptions in which nothing of the network makes a line of its own', () => {
    const facts = {
      callId: 'a\r\nfile: /etc/passwd',
      file: 'x',
      startedAt: 0,
      endedAt: 0,
      reason: 'failed',
      streams: ['1 audio\u001b[2J'],
    };
    const text = metadataText({
      ...facts,
      metadata: ['k\n'.repeat(9000)],
      result: { packets: 0, bytes: 0, error: 'full' },
    });
    assert.equal(text.split('\n').length, 11);
    assert.match(text, /^call-id: a {2}file: \/etc\/passwd\n/);
    assert.match(text, /^error: full$/m);
  });
});
