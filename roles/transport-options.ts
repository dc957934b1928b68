import type { EngineOptions } from '../signaling/engine/mod.ts';
import type { TransportConfig } from './config/transport-schema.ts';
import { secretFromFile } from './secrets.ts';

/** What the section `transport` says, as the engine takes it. `certificate`: for tls and wss; its own CA is trusted too. */
export function transportOptions(
  config: TransportConfig,
  limits: { readonly connections?: number; readonly transactions?: number },
  certificate?: { readonly cert: string; readonly key: string; readonly ca: string },
): Pick<EngineOptions, 'tls' | 'ca' | 'targets' | 'limits' | 'exempt'> {
  const more = config.caFile === undefined ? '' : secretFromFile('transport.caFile', config.caFile).reveal();
  const ca = [certificate?.ca ?? '', more].filter((pem) => pem !== '').join('\n');
  const { askForCertificates: askClients, ownCaOnly } = config;
  const domains = config.certificates.map(({ domain, certFile, keyFile }, index) => {
    const read = (key: string, file: string) => secretFromFile(`transport.certificates.${index}.${key}`, file).reveal();
    return { domain, cert: read('certFile', certFile), key: read('keyFile', keyFile) };
  });
  return {
    ...(certificate && { tls: { cert: certificate.cert, key: certificate.key, askClients, ownCaOnly, domains } }),
    ...(ca !== '' && { ca }),
    targets: { servers: config.dnsServers, oversized: config.oversizedUdp, udpOnly: config.udpOnlyPeers },
    exempt: config.exempt,
    limits: {
      ...limits,
      connectionsPerAddress: config.connectionsPerAddress,
      handshakesPerSecond: config.handshakesPerSecond,
      handshakesPerSecondPerAddress: config.handshakesPerSecondPerAddress,
      handshakeMs: config.handshakeSeconds * 1000,
      messageMs: config.messageSeconds * 1000,
      firstMessageMs: config.firstMessageSeconds * 1000,
      keepAliveMs: config.keepAliveSeconds * 1000,
      wsPingMs: config.pingSeconds * 1000,
      udpFlows: config.udpPeers,
      queueBytes: config.queueBytes,
    },
  };
}
