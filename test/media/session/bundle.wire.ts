// budget: 4 s, beside others
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Dataplane } from '../../../media/dataplane/mod.ts';
import { explain, type SessionManager } from '../../../media/session/mod.ts';
import { rtp } from '../../support/rtp.ts';
import { until } from '../../support/until.ts';
import { BundledCalls, named, NOW } from './bundled-calls.ts';

describe('lines of one transport on a real packet path', function () {
  this.timeout(20_000);
  let calls: BundledCalls;
  let plane: Dataplane;
  let manager: SessionManager;

  before(() => {
    calls = new BundledCalls(18_440, 18_459, 17_986);
    ({ plane, manager } = calls);
  });

  afterEach(() => calls.end());

  after(() => plane.close());

  it('are told apart by MID, by SSRC and by payload type; what is of none is dropped and counted', async () => {
    const { bundled, phones, ours } = await calls.call();
    const say = (packet: Buffer) => bundled.send(packet, ours);
    const heard = (...counts: number[]) =>
      until(`${counts}`, () => phones.every((phone, index) => phone.rtp().length === counts[index]), 2000, 5);
    say(named('0', { ssrc: 1, sequence: 1 }));
    await heard(1, 0, 0);
    // Learnt by its MID, which is not in every packet.
    say(rtp({ ssrc: 1, sequence: 2 }));
    say(rtp({ ssrc: 2002, sequence: 1 }));
    say(rtp({ ssrc: 3, sequence: 1, pt: 96 }));
    await heard(2, 1, 1);
    // A later MID corrects what was learnt.
    say(named('1', { ssrc: 1, sequence: 3 }));
    say(rtp({ ssrc: 1, sequence: 4 }));
    await heard(2, 3, 1);
    // Two lines have payload type 0; nobody has a line of that name, whoever sends it.
    say(rtp({ ssrc: 4, sequence: 1 }));
    say(named('zz', { ssrc: 2002, sequence: 2 }));
    await until('both are counted', () => plane.totals().dropped['no-line'] === 2, 2000, 5);
    await heard(2, 3, 1);
    assert.deepEqual(
      calls.statsOf('a')?.map((stats) => stats?.received.packets),
      [2, 3, 1],
    );
    // What goes to the party is named as well, where its sender has not named it.
    for (const [index, phone] of phones.entries()) {
      const line = manager.get('c')?.dialogues[0]?.lines[index];
      phone.send(
        rtp({ ssrc: 70 + index, sequence: 9, pt: index === 2 ? 96 : 0, payload: Buffer.from('back') }),
        line?.b.endpoint?.rtp.port ?? 0,
      );
    }
    await until('all three', () => bundled.rtp().length === 3, 2000, 5);
    const sent = bundled.rtp().toSorted((a, b) => a.readUInt32BE(8) - b.readUInt32BE(8));
    assert.deepEqual(
      sent,
      [0, 1, 2].map((index) => {
        const packet = named(String(index), {
          ssrc: 70 + index,
          sequence: 9,
          pt: index === 2 ? 96 : 0,
          payload: Buffer.from('back'),
        });
        return packet;
      }),
    );
    const session = manager.get('c');
    assert.ok(session && explain(session, NOW).filter((row) => row.includes('heard')).length === 6);
  });

  it('get of a report what is about them: senders with their lines, blocks with the stream that they are about', async () => {
    const { bundled, phones, ours, at } = await calls.call();
    bundled.send(named('0', { ssrc: 1, sequence: 1 }), ours);
    for (const [index, phone] of phones.entries())
      phone.send(rtp({ ssrc: 70 + index, pt: index === 2 ? 96 : 0 }), at[index] ?? 0);
    await until('all have spoken', () => bundled.rtp().length === 3 && phones[0].rtp().length === 1, 2000, 5);
    const block = (ssrc: number) => {
      const bytes = Buffer.alloc(24);
      bytes.writeUInt32BE(ssrc, 0);
      return bytes;
    };
    const head = (type: number, count: number, words: number, ssrc: number) => {
      const bytes = Buffer.from([0x80 | count, type, 0, words, 0, 0, 0, 0]);
      bytes.writeUInt32BE(ssrc, 4);
      return bytes;
    };
    // SR of line 0 with blocks about what phones 0, 1 and nobody sent; a name; PLI about the video.
    const name = Buffer.concat([head(202, 1, 2, 1), Buffer.from([1, 1, 0x78, 0])]);
    const pli = Buffer.concat([head(206, 1, 2, 1), block(72).subarray(0, 4)]);
    const report = Buffer.concat([
      head(200, 3, 24, 1),
      Buffer.alloc(20, 5),
      block(70),
      block(71),
      block(99),
      name,
      pli,
    ]);
    bundled.send(report, ours);
    await until('reports', () => phones.every((phone) => phone.rtcp().length === 1), 2000, 5);
    assert.deepEqual(phones[0].rtcp()[0], Buffer.concat([head(200, 1, 12, 1), Buffer.alloc(20, 5), block(70), name]));
    assert.deepEqual(phones[1].rtcp()[0], Buffer.concat([head(201, 1, 7, 1), block(71), name]));
    assert.deepEqual(phones[2].rtcp()[0], Buffer.concat([name, pli]));
    // Nobody has heard of who sends it, and it is about nothing of ours.
    const counted = plane.totals().dropped['no-line'] ?? 0;
    bundled.send(Buffer.concat([head(201, 1, 7, 555), block(556)]), ours);
    await until('it is dropped', () => (plane.totals().dropped['no-line'] ?? 0) === counted + 1, 2000, 5);
  });

  it('are copied, recorded and held back each by itself', async () => {
    const { bundled, phones, ours } = await calls.call();
    const listener = await calls.peer();
    const lines = manager.get('c')?.dialogues[0]?.lines.map((line) => line.a.endpoint) ?? [];
    const [first, second, third] = lines;
    const [phone] = manager.get('c')?.dialogues[0]?.lines.map((line) => line.b.endpoint) ?? [];
    assert.ok(first && second && third && phone);
    const copy = plane.openEndpoint({ socket: 'single', interface: 'lo', affinity: 'c' });
    const there = {
      rtp: { address: '127.0.0.1', port: listener.port },
      rtcpMux: true,
      crypto: { type: 'none' },
    } as const;
    copy.configure({ ...there, learning: 'off', strictSource: false });
    plane.tap(second, copy, true);
    const folder = mkdtempSync(join(tmpdir(), 'causeway-bundle-'));
    try {
      const recording = plane.openRecording(join(folder, 'call.pcap'));
      recording.record(third, true);
      plane.setPath(first, phone, { mode: 'relay', gate: 'blocked' });
      for (const sequence of [1, 2, 3]) {
        bundled.send(named('0', { ssrc: 1, sequence }), ours);
        bundled.send(named('1', { ssrc: 2002, sequence }), ours);
        bundled.send(named('2', { ssrc: 3, sequence, pt: 96 }), ours);
      }
      await until('the third line', () => phones[2].rtp().length === 3, 2000, 5);
      assert.deepEqual([phones[0].rtp().length, phones[1].rtp().length, first.stats().dropped], [0, 3, { gated: 3 }]);
      assert.deepEqual(
        listener.rtp().map((packet) => packet.readUInt32BE(8)),
        [2002, 2002, 2002],
      );
      assert.equal((await recording.close()).packets, 3);
    } finally {
      copy.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('hear what is played, in their own stream and by their own name', async () => {
    const { bundled, phones, at } = await calls.call();
    const session = manager.get('c');
    const line = session?.dialogues[0]?.lines[1];
    assert.ok(session && line?.a.endpoint);
    phones[1].send(rtp({ ssrc: 71, sequence: 1 }), at[1] ?? 0);
    await until('a packet', () => bundled.rtp().length === 1, 2000, 5);
    manager.insertable(session, [line.a]);
    plane.play(line.a.endpoint, plane.clip(new Int16Array(480).fill(1000), 8000), { id: 7 });
    await until('it is played', () => bundled.rtp().length >= 4, 2000, 5);
    const played = bundled.rtp().slice(1, 4);
    assert.ok(
      played.every(
        (packet) => packet.readUInt32BE(8) === 71 && packet.subarray(16, 18).equals(Buffer.from([0x30, 0x31])),
      ),
    );
    assert.deepEqual(
      played.map((packet) => packet.readUInt16BE(2)),
      [2, 3, 4],
    );
  });

  it('hold out against a flood of SSRCs: those that were there are heard, and so many more and no others', async () => {
    const { bundled, phones, ours } = await calls.call();
    bundled.send(named('0', { ssrc: 1 }), ours);
    await until('the first', () => phones[0].rtp().length === 1, 2000, 5);
    const held = plane.totals().nativeBytes;
    for (let i = 0; i < 500; i++) {
      bundled.send(i % 2 === 0 ? named('1', { ssrc: 10_000 + i }) : rtp({ ssrc: 10_000 + i, pt: 96 }), ours);
      if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    // 64 in all: one of a=ssrc, one that has spoken.
    await until('the rest is refused', () => plane.totals().dropped['ssrc-limit'] === 500 - 62, 3000, 5);
    assert.equal(phones[1].rtp().length + phones[2].rtp().length, 62);
    bundled.send(rtp({ ssrc: 1, sequence: 2 }), ours);
    bundled.send(rtp({ ssrc: 2002, sequence: 2 }), ours);
    await until('who was there', () => phones[0].rtp().length === 2, 2000, 5);
    assert.equal(plane.totals().nativeBytes, held);
    // And a stranger is none of them, whatever it says of itself.
    const stranger = await calls.peer();
    stranger.send(named('0', { ssrc: 1, sequence: 3 }), ours);
    await until('it is refused', () => plane.totals().dropped['unknown-source'] === 1, 2000, 5);
    assert.equal(phones[0].rtp().length, 2);
  });
});
