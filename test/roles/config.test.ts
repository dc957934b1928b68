import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { checkConfig, ConfigError, environmentOf } from '../../roles/config/load.ts';
import { roleConfig } from '../../roles/cli/role-config.ts';

function complaint(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  throw new Error('nothing was wrong');
}

describe('configuration', () => {
  it('has a default for everything', () => {
    const config = checkConfig({ media: [{}], signaling: [{}] }, 'x');
    assert.equal(config.media[0]?.listenNg, '127.0.0.1:2223');
    assert.equal(config.signaling[0]?.registration.maxSeconds, 3600);
  });

  for (const [raw, text] of [
    [{ media: [{ portMin: 70_000 }] }, 'x: media.0.portMin: found 70000, wanted at most 65535'],
    [{ media: [{ floor: 'fast' }] }, 'x: media.0.floor: found "fast", wanted auto or kernel or native'],
    [
      { signaling: [{ sip: ['udp:5060'] }] },
      'x: signaling.0.sip.0: found "udp:5060", wanted PROTOCOL:ADDRESS:PORT, e.g. udp:127.0.0.1:5060 or wss:[::]:8443',
    ],
    [{ media: [{ port: 1 }] }, 'x: media.0.port: unknown key'],
  ] as const) {
    it(`says: ${text}`, () =>
      assert.equal(
        complaint(() => checkConfig(raw, 'x')),
        text,
      ));
  }

  it('does not repeat a secret', () => {
    const text = complaint(() => checkConfig({ signaling: [{ accounts: [{ user: 'a', password: '' }] }] }, 'x'));
    assert.match(text, /password: found a secret/);
  });

  it('takes the environment over the file and flags over both', () => {
    const environment = { CAUSEWAY_MEDIA_PORT_MIN: '30000', CAUSEWAY_MEDIA_PORT_MAX: '30999' };
    assert.deepEqual(environmentOf(environment, 'media'), { portMin: 30_000, portMax: 30_999 });
    const { section } = roleConfig('media', { 'port-max': '31999', interface: ['127.0.0.1'] }, environment);
    assert.equal(section['portMin'], 30_000);
    assert.equal(section['portMax'], 31_999);
    assert.deepEqual(section['interfaces'], ['127.0.0.1']);
  });
});
