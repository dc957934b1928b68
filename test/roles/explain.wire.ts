// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { NgSocket } from '../../signaling/media-ng/mod.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { until } from '../support/until.ts';
import { RoleProcess } from './process.ts';

const NG = '127.0.0.1:17780';
const IDS = { 'call-id': 'why', 'from-tag': 'caller' };

describe('causeway explain', function () {
  this.timeout(20_000);
  const folder = mkdtempSync(join(tmpdir(), 'causeway-explain-'));
  let node: RoleProcess;
  const ng = new NgSocket();

  before(async () => {
    node = new RoleProcess([
      ...['media', '--listen-ng', NG, '--port-min', '17802', '--port-max', '17829', '--webrtc-port', '17801'],
      ...['--metrics', '127.0.0.1:17781', '--data-dir', folder, '--log-level', 'error', '--drain-seconds', '0'],
    ]);
    await node.ready('media-1');
  });

  after(async () => {
    await ng.close();
    await node[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  async function explain(...args: string[]): Promise<{ status: number | null; output: string; errors: string }> {
    await using process = new RoleProcess(['explain', '--ng', NG, ...args]);
    const { status } = await process.ended;
    return { status, output: process.output, errors: process.errors };
  }

  it('tells what was offered and chosen, where each was learnt, and who was refused', async () => {
    await using caller = await RtpPhone.open(440);
    await using called = await RtpPhone.open(880);
    const sdp = (port: number, ...formats: string[]) =>
      [
        ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
        ...[`m=audio ${port} RTP/AVP ${formats.join(' ')}`, ''],
      ].join('\r\n');
    const offer = { command: 'offer', ...IDS, sdp: sdp(caller.port, '0', '8') };
    const offered = await ng.request(NG, { ...offer, codec: { strip: ['PCMA'], transcode: ['opus'] } });
    const answered = await ng.request(NG, {
      ...{ command: 'answer', ...IDS, 'to-tag': 'called', sdp: sdp(called.port, '0'), flags: ['strict-source'] },
    });
    const port = (reply: typeof offered) => Number(/m=audio (\d+)/.exec(String(reply['sdp']))?.[1]);
    caller.talkTo({ address: '127.0.0.1', port: port(answered) });
    called.talkTo({ address: '127.0.0.1', port: port(offered) });
    await until('both are heard', () => caller.toneOverRest(880) > 10 && called.toneOverRest(440) > 10, 10_000);
    const stranger = createSocket('udp4');
    const packet = Buffer.alloc(172);
    packet[0] = 0x80;
    for (let i = 0; i < 3; i++) stranger.send(packet, port(offered), '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 200));
    stranger.close();

    const { status, output } = await explain('why');
    assert.equal(status, 0);
    assert.match(output, /^call why: since \d+\.\d s/);
    assert.match(
      output,
      new RegExp(`line 1, the caller caller: says RTP/AVP PCMU/0 PCMA/8, sendrecv, at 127\\.0\\.0\\.1:${caller.port}`),
    );
    assert.match(output, /chosen: PCMU\/0 over RTP\/AVP; passed as it is: both have it/);
    assert.match(
      output,
      new RegExp(`source: 127\\.0\\.0\\.1:${called.port} \\(as SDP says\\), learnt delayed, strict, settled`),
    );
    assert.match(output, /refused 3 rtp from 127\.0\.0\.1:\d+, last 0\.\d s ago: not where this party is/);
    assert.match(output, /last packet: in 0\.\d s ago, out 0\.\d s ago/);
    const lines = JSON.parse((await explain('--json', 'why')).output) as string[];
    assert.equal(lines.length, output.trimEnd().split('\n').length);
  });

  it('lists the calls when none is named, and says when a call is not known', async () => {
    assert.match((await explain()).output, /1 calls\n {2}why\n/);
    const { status, errors } = await explain('other');
    assert.equal(status, 1);
    assert.match(errors, /^causeway: 127\.0\.0\.1:17780: Unknown call-id\n$/);
  });
});
