import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
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
    [{ media: [{ portMin: 'many' }] }, 'x: media.0.portMin: found "many", wanted a number'],
    [{ media: [{ portMin: 30_000, portMax: 20_000 }] }, 'x: media.0.portMax: found 20000, wanted a port above portMin'],
    [
      { media: [{ webrtcPort: 20_000 }] },
      'x: media.0.webrtcPort: found 20000, wanted a port outside portMin to portMax',
    ],
    [{ media: [{ id: 'm' }, { id: 'm' }] }, 'x: media: found [{"id":"m"},{"id":"m"}], wanted another id for each node'],
    [
      { signaling: [{ registry: 'here' }] },
      'x: signaling.0.registry: found "here", wanted a URL, e.g. http://127.0.0.1:7070',
    ],
    [
      { signaling: [{ registration: { minSeconds: 900 } }] },
      'x: signaling.0.registration.defaultSeconds: found nothing, wanted between minSeconds and maxSeconds',
    ],
    [
      { signaling: [{ mediaNodes: ['127.0.0.1:2223'] }] },
      'x: signaling.0.mediaNodes.0: found "127.0.0.1:2223", wanted udp:HOST:PORT, e.g. udp:127.0.0.1:2223',
    ],
    [
      { signaling: [{ accounts: [{ user: 'a', password: 'b', profile: 'other' }] }] },
      'x: signaling.0.accounts.0.profile: found "other", wanted standard or jssip or sipjs or ringcentral-web-phone or ringcentral-softphone or baresip',
    ],
    [
      { signaling: [{ registration: { push: { refreshSeconds: 120 } } }] },
      'x: signaling.0.registration.push.refreshSeconds: found 120, wanted at least 121',
    ],
    [
      { signaling: [{ registration: { serviceRoute: ['<sip:a>'] } }] },
      'x: signaling.0.registration.serviceRoute.0: found "<sip:a>", wanted a SIP URI, e.g. sip:192.0.2.1;lr',
    ],
    [{ media: { id: 'm' } }, 'x: media: found {"id":"m"}, wanted a list'],
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
    const { section } = roleConfig('media', { 'port-max': '31999', interface: ['127.0.0.1', '::1'] }, environment);
    assert.equal(section['portMin'], 30_000);
    assert.equal(section['portMax'], 31_999);
    assert.deepEqual(section['interfaces'], ['127.0.0.1', '::1']);
  });

  it('reads a text as the key of its section wants it', () => {
    assert.deepEqual(environmentOf({ CAUSEWAY_SIGNALING_SIP: 'udp:[::1]:1, tcp:[::1]:2' }, 'signaling')[0]?.value, [
      'udp:[::1]:1',
      'tcp:[::1]:2',
    ]);
    const { section: signaling } = roleConfig('signaling', { 'media-nodes': ['udp:127.0.0.1:1', 'udp:[::1]:2'] }, {});
    assert.deepEqual(signaling['mediaNodes'], ['udp:127.0.0.1:1', 'udp:[::1]:2']);
    const { section: gateway } = roleConfig('gateway-sim', { sip: '127.0.0.1:6000' }, {});
    assert.equal(gateway['sip'], '127.0.0.1:6000');
    const { section: engine } = roleConfig('engine', {}, { CAUSEWAY_ENGINE_SECRET_FILE: '/s', CAUSEWAY__SIP: 'x' });
    assert.equal(engine['secretFile'], '/s');
    assert.equal(roleConfig('media', { id: '5' }, {}).section['id'], '5');
  });

  it('takes the dialect of ng as a text, and as the number that YAML makes of it', () => {
    const dialect = (value?: unknown) =>
      checkConfig({ media: [value === undefined ? {} : { ngDialect: value }] }, 'x').media[0]?.ngDialect;
    assert.deepEqual([dialect(), dialect('26'), dialect(26), dialect(10.5)], ['10.5', '26', '26', '10.5']);
    assert.throws(() => dialect(11), ConfigError);
    assert.equal(roleConfig('media', { 'ng-dialect': '26' }, {}).section['ngDialect'], '26');
    const { section } = roleConfig('media', { tos: '0' }, { CAUSEWAY_MEDIA_RECORDING_MAX_BYTES: '5000000' });
    assert.deepEqual([section['tos'], section['recordingMaxBytes']], [0, 5_000_000]);
  });

  for (const [what, flags, environment, text] of [
    ['a flag', { 'port-min': 'abc' }, {}, '--port-min: media.0.portMin: found "abc", wanted a number'],
    [
      'a variable',
      {},
      { CAUSEWAY_MEDIA_THREADS: '0' },
      'CAUSEWAY_MEDIA_THREADS: media.0.threads: found 0, wanted at least 1',
    ],
    ['a variable for no key', {}, { CAUSEWAY_MEDIA_THREAD: '1' }, 'CAUSEWAY_MEDIA_THREAD: media.0.thread: unknown key'],
    ['a wait', {}, { CAUSEWAY_DRAIN_SECONDS: 'x' }, 'drain-seconds: found "x", wanted a number of seconds'],
    ['an address', { 'public-address': 'here' }, {}, 'public-address: found "here", wanted an IP address'],
  ] as const) {
    it(`names ${what} that is wrong`, () =>
      assert.equal(
        complaint(() => roleConfig('media', flags, environment)),
        text,
      ));
  }
});

describe('a file with several nodes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'causeway-config-'));
  const file = join(folder, 'pop.yaml');
  writeFileSync(file, 'media:\n  - { id: one, threads: 2 }\n  - { id: two, portMin: 24000, portMax: 25000 }\n');
  after(() => rmSync(folder, { recursive: true }));

  it('gives each node its entry, and the first without a name', () => {
    assert.equal(roleConfig('media', { config: file, id: 'two' }, {}).section['portMax'], 25_000);
    assert.equal(roleConfig('media', { config: file }, { CAUSEWAY_MEDIA_ID: 'two' }).section['portMax'], 25_000);
    assert.equal(roleConfig('media', { config: file }, {}).section['threads'], 2);
  });

  it('names the nodes that there are', () => {
    assert.equal(
      complaint(() => roleConfig('media', { config: file, id: 'three' }, {})),
      '--id: found "three", wanted one of media: one, two',
    );
  });

  it('is no list of nodes when it is something else', () => {
    writeFileSync(join(folder, 'map.yaml'), 'media: { id: one }\n');
    assert.match(
      complaint(() => roleConfig('media', { config: join(folder, 'map.yaml') }, {})),
      /media: found \{"id":"one"\}, wanted a list$/,
    );
  });
});
