import { isIP } from 'node:net';
import { z } from 'zod';
import { isAddress, parseHostPort } from '../../vocabulary/mod.ts';

const addressOrNetwork = z.string().refine((text) => {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = isIP(address) === 6 ? 128 : 32;
  return (
    isAddress(address) &&
    more.length === 0 &&
    (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
  );
}, 'ADDRESS or ADDRESS/PREFIX, e.g. 192.0.2.0/24');

/** How SIP reaches others, and how others may reach it: what every engine has. */
export const transportSchema = z
  .strictObject({
    /** Asked for the names of targets (RFC 3263); those of the system when empty. */
    dnsServers: z
      .array(
        z.string().refine((text) => isAddress(text) || parseHostPort(text) !== undefined, 'ADDRESS or ADDRESS:PORT'),
      )
      .max(8)
      .default([]),
    /** Requests of 1300 bytes and more that would leave by UDP: `tcp` (RFC 3261 §18.1.1), or `udp` all the same. */
    oversizedUdp: z.enum(['tcp', 'udp']).default('tcp'),
    /** Peers that cannot do TCP. */
    udpOnlyPeers: z.array(z.string().refine(isAddress, 'an IP address')).default([]),
    /** PEM of the CAs that may vouch for peers, beside the system's. */
    caFile: z.string().optional(),
    /** They alone. */
    ownCaOnly: z.boolean().default(false),
    /** Ask TLS peers for a certificate; who shows a good one can have its connection reused (RFC 5923). */
    askForCertificates: z.boolean().default(false),
    /** Certificates for further domains of ours: PEM files. Others get that of `tls`. */
    certificates: z
      .array(z.strictObject({ domain: z.string().min(1), certFile: z.string(), keyFile: z.string() }))
      .max(1000)
      .default([]),
    /** Open connections of one address (IPv6: /64). */
    connectionsPerAddress: z.int().min(1).default(2000),
    /** New TLS connections, with four seconds' worth at once. */
    handshakesPerSecond: z.number().positive().default(1000),
    /** Of one address, with ten seconds' worth at once. */
    handshakesPerSecondPerAddress: z.number().positive().default(200),
    /** Whom the limits of one address do not hold for: edge proxies, for one. */
    exempt: z.array(addressOrNetwork).default(['127.0.0.0/8', '::1']),
    /** UDP peers that are remembered. */
    udpPeers: z.int().min(1).default(100_000),
    /** Bytes that may wait for a peer that does not read. */
    queueBytes: z.int().min(4096).default(262_144),
    /** For the TLS handshake, and again for the HTTP upgrade. */
    handshakeSeconds: z.number().positive().default(5),
    /** From the first byte of a message to its last. */
    messageSeconds: z.number().positive().default(10),
    /** From the connection to the first message. */
    firstMessageSeconds: z.number().positive().default(60),
    /** A TCP or TLS phone that has sent a keep-alive, and then nothing for so long, is gone. */
    keepAliveSeconds: z.number().positive().default(240),
    /** Between WebSocket pings; a peer that misses two is gone. */
    pingSeconds: z.number().positive().default(25),
  })
  .prefault({});

export type TransportConfig = z.infer<typeof transportSchema>;
