import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { transportSchema } from '../../roles/config/transport-schema.ts';
import { transportOptions } from '../../roles/transport-options.ts';

describe('the section `transport`', () => {
  it('is what the engine takes, in its units', () => {
    const config = transportSchema.parse({ oversizedUdp: 'udp', messageSeconds: 0.5, dnsServers: ['192.0.2.53:5353'] });
    const options = transportOptions(config, { connections: 10 });
    assert.deepEqual(options.targets, { servers: ['192.0.2.53:5353'], oversized: 'udp', udpOnly: [] });
    assert.equal(options.limits?.messageMs, 500);
    assert.equal(options.limits?.connections, 10);
    assert.equal(options.tls, undefined);
    assert.deepEqual(options.exempt, ['127.0.0.0/8', '::1']);
  });

  it('adds its CAs to that of the certificate, and names a file that cannot be read', () => {
    const folder = mkdtempSync(join(tmpdir(), 'causeway-transport-'));
    try {
      const caFile = join(folder, 'ca.pem');
      writeFileSync(caFile, 'THEIRS\n');
      const own = { cert: 'CERT', key: 'KEY', ca: 'OURS' };
      const options = transportOptions(transportSchema.parse({ caFile, askForCertificates: true }), {}, own);
      assert.equal(options.ca, 'OURS\nTHEIRS');
      assert.equal(options.tls?.askClients, true);
    } finally {
      rmSync(folder, { recursive: true });
    }
    const missing = { domain: 'a.test', certFile: '/nowhere.pem', keyFile: '/nowhere.key' };
    const config = transportSchema.parse({ certificates: [missing] });
    assert.throws(
      () => transportOptions(config, {}),
      /transport\.certificates\.0\.certFile: cannot read "\/nowhere\.pem"/,
    );
  });

  it('refuses what is no address', () => {
    for (const wrong of [
      { exempt: ['192.0.2.0/33'] },
      { exempt: ['here'] },
      { dnsServers: ['dns.test'] },
      { udpOnlyPeers: ['peer.test'] },
    ])
      assert.equal(transportSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
  });
});
