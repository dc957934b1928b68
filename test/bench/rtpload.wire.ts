// budget: 40 s, beside others
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';

type Figures = Record<'sent' | 'received' | 'lost' | 'p50Us' | 'relayCpuS', number> &
  Record<'stray' | 'wrongFlow' | 'corrupt' | 'duplicate' | 'silentFlows' | 'badAuth' | 'verified', number>;

interface LoadModule {
  loadFloor(about: {
    calls: number;
    seconds: number;
    warmUp: number;
    fault?: string;
    encrypted?: boolean;
  }): Promise<Figures>;
  wrongs(figures: Figures): string | undefined;
}

const module = '../../tools/bench/load.mjs';

/** A bench that believes a broken relay measures nothing: the minimal relay does every 100th packet wrong. */
describe('what the packet benchmarks see of a relay', function () {
  this.timeout(20_000);
  const about = { calls: 20, seconds: 1, warmUp: 0.2 };
  const packets = about.calls * 2 * 50 * about.seconds;
  let load: LoadModule;

  before(async () => {
    load = (await import(module)) as LoadModule;
  });

  it('nothing wrong in one that does its work, and its CPU', async () => {
    const figures = await load.loadFloor(about);
    assert.equal(load.wrongs(figures), undefined);
    assert.equal(figures.sent, packets);
    assert.equal(figures.lost, 0);
    assert.ok(figures.p50Us > 1 && figures.p50Us < 20_000, `p50 ${figures.p50Us} µs`);
    // A system call or two for each packet: less than a microsecond would be no relay, a hundred no machine.
    const usPerPacket = (1e6 * figures.relayCpuS) / packets;
    assert.ok(usPerPacket > 1 && usPerPacket < 100, `${usPerPacket} µs a packet`);
  });

  it('packets that are lost', async () => {
    const figures = await load.loadFloor({ ...about, fault: 'drop' });
    assert.equal(load.wrongs(figures), undefined);
    assert.ok(Math.abs(figures.lost - packets / 100) <= 2, `${figures.lost} lost`);
  });

  it('SRTP that is whole, and SRTP that was tampered with', async () => {
    const crowd = { ...about, calls: 100, encrypted: true };
    const whole = await load.loadFloor(crowd);
    assert.equal(load.wrongs(whole), undefined);
    assert.ok(whole.verified > 100, `${whole.verified} verified`);
    const changed = await load.loadFloor({ ...crowd, fault: 'corrupt' });
    assert.match(load.wrongs(changed) ?? '', /wrong SRTP tag/);
  });

  for (const [fault, key, words] of [
    ['corrupt', 'corrupt', /other content/],
    ['duplicate', 'duplicate', /twice/],
    ['mix', 'wrongFlow', /of another call/],
    ['misroute', 'stray', /belong to no call/],
  ] as const) {
    it(`a fault: ${fault}`, async () => {
      const figures = await load.loadFloor({ ...about, fault });
      // Those sent before and after the measured second are looked at, too.
      assert.ok(figures[key] >= packets / 100, `${figures[key]} counted`);
      assert.match(load.wrongs(figures) ?? '', words);
    });
  }
});
