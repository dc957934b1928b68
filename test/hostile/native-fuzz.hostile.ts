// budget: 150 s, beside others
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'mocha';

const ROOT = new URL('../../', import.meta.url).pathname;

describe('the native parsers, SRTP, demultiplexing and the audio pipeline under sanitizers', function () {
  this.timeout(290_000);

  it('stand 100,000 inputs each, and those that were found before', async () => {
    const child = spawn(
      process.execPath,
      ['tools/native-fuzz.mjs', '--driver=mutation', '--inputs=100000', '--seed=1'],
      { cwd: ROOT },
    );
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    const [status] = (await once(child, 'close')) as [number | null];
    assert.equal(status, 0, output.slice(-6000));
    for (const name of ['rtp', 'rtcp', 'stun', 'srtp', 'srtcp', 'transcoder', 'demux', 'dtls'])
      assert.match(output, new RegExp(`^ok +fuzz ${name} `, 'm'));
  });
});
