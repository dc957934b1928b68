// budget: 130 s, beside others
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { scrape, total, totalOver } from '../support/metrics.ts';
import { Pop, scenario } from '../support/pop.ts';
import { Sipp } from '../support/sipp.ts';
import { muLaw, sine } from '../support/tone.ts';
import { until } from '../support/until.ts';

const USERS = 2000;
const CALLS = 500;
const RATE = 25;

describe('2,000 registrations and 500 calls with RTP at 25 a second', function () {
  this.timeout(240_000);
  let pop: Pop;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'causeway-load-'));
    const accounts = Array.from({ length: USERS }, (_, i) => ({ user: `user${i}`, password: `secret${i}` }));
    pop = await Pop.start({ base: 13_200, mediaBase: 24_200, gateway: 'external', accounts });
  });

  after(async () => {
    await pop?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function file(name: string, text: string | Uint8Array): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  function users(count: number): string {
    const lines = Array.from(
      { length: count },
      (_, i) => `user${i};[authentication username=user${i} password=secret${i}]`,
    );
    return file(`users${count}.csv`, `SEQUENTIAL\n${lines.join('\n')}\n`);
  }

  async function register(expires: number): Promise<void> {
    await using sipp = new Sipp([
      ...['-sf', file('register.xml', scenario('register')), '-inf', users(USERS), '-i', '127.0.0.1', '-p', '13290'],
      ...['-key', 'domain', 'causeway.local', '-key', 'via', 'UDP', '-key', 'expires', String(expires)],
      ...['-key', 'contact_port', '13290', '-m', String(USERS), '-r', '200', '-l', '400'],
      `127.0.0.1:${pop.ports.signaling[0]?.sip}`,
    ]);
    const result = await sipp.finished;
    assert.deepEqual([result.successful, result.failed], [USERS, 0], result.errors);
  }

  async function gauge(name: string, kind: 'signaling' | 'media'): Promise<number> {
    return totalOver(pop.metrics(kind), name);
  }

  it('registers every user with digest', async () => {
    await register(600);
    assert.equal(await gauge('causeway_bindings', 'signaling'), USERS);
  });

  it('sets up, carries and ends every call', async () => {
    const stream = file('tone.ul', muLaw(sine(440, 4, 8000)));
    const phone = scenario('phone-call', { MEDIA_PORT: '[rtpstream_audio_port]' }).replace(
      '<!--TALK-->',
      `<nop><action><exec rtp_stream="${stream},1,0,PCMU/8000" /></action></nop>`,
    );
    await using gateway = new Sipp([
      ...['-sf', file('gateway.xml', scenario('gateway')), '-i', '127.0.0.1', '-p', String(pop.ports.gateway)],
      ...['-mi', '127.0.0.1', '-mp', '30700', '-rtp_echo', '-m', String(CALLS)],
    ]);
    await using sipp = new Sipp([
      ...['-sf', file('phone.xml', phone), '-inf', users(CALLS), '-i', '127.0.0.1', '-p', '13291', '-mi', '127.0.0.1'],
      ...['-key', 'domain', 'causeway.local', '-key', 'callee', '+15551234', '-key', 'via', 'UDP'],
      ...['-mp', '30800', '-d', '3000', '-m', String(CALLS), '-r', String(RATE), '-l', '200'],
      `127.0.0.1:${pop.ports.signaling[0]?.sip}`,
    ]);
    const result = await sipp.finished;
    assert.deepEqual([result.successful, result.failed], [CALLS, 0], result.errors);
    const answered = await gateway.finished;
    assert.deepEqual([answered.successful, answered.failed], [CALLS, 0], answered.errors);
    // Three seconds of 50 packets each way: most of them must have come through.
    let packets = 0;
    for (const address of pop.metrics('media')) packets += total(await scrape(address), 'causeway_media_packets_total');
    assert.ok(packets > CALLS * 100, `${packets} packets`);
    assert.equal(await gauge('causeway_calls', 'signaling'), 0);
  });

  it('keeps nothing: ports, endpoints, flows, dialogs, transactions, timers and native memory are back at zero', async () => {
    await register(0);
    for (const name of ['sessions', 'endpoints', 'paths', 'transcoders', 'ports_in_use', 'native_bytes']) {
      await until(`${name} is 0`, async () => (await gauge(`causeway_media_${name}`, 'media')) === 0, 5000);
    }
    const names = ['causeway_bindings', 'causeway_calls', 'causeway_ng_pending', 'causeway_sip_dialogs'];
    for (const name of names) await until(`${name} is 0`, async () => (await gauge(name, 'signaling')) === 0, 5000);
    // Timers J, K and L, and the memory of UDP peers, last for 32 to 45 s (RFC 3261 §17).
    for (const name of ['causeway_sip_transactions', 'causeway_sip_timers', 'causeway_sip_flows']) {
      await until(`${name} is 0`, async () => (await gauge(name, 'signaling')) === 0, 60_000, 500);
    }
  });
});
