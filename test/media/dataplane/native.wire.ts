// budget: 120 s, beside others
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'mocha';

describe('the native packet path under sanitizers', function () {
  this.timeout(240_000);

  it('rules, SRTP, audio pipeline and parsers with ASan and UBSan, threads with TSan', () => {
    const script = new URL('../../../tools/native-check.mjs', import.meta.url).pathname;
    const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  });
});
