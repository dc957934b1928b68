// @peculiar/x509 injects by decorators' metadata and does not bring them along.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const DAY_MS = 86_400_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface NodeCertificate {
  /** PEM: the node's certificate and the CA's behind it. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the CA alone: what a browser may import. */
  readonly ca: string;
}

/**
 * A certificate of this machine's own CA for one node; both are made when they are missing, or soon expire, or do not
 * name a host. Keys are readable by the owner alone.
 */
export async function ensureCertificate(
  dataDir: string,
  id: string,
  hosts: readonly string[],
): Promise<NodeCertificate> {
  x509.cryptoProvider.set(webcrypto as Crypto);
  const folder = join(dataDir, 'tls');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const ca = await ensureCa(folder);
  const certFile = join(folder, `${id}.pem`);
  const keyFile = join(folder, `${id}.key`);
  if (existsSync(certFile) && existsSync(keyFile)) {
    const cert = readFileSync(certFile, 'utf8');
    if (await stillGood(cert, ca.certificate, hosts)) return { cert, key: readFileSync(keyFile, 'utf8'), ca: ca.pem };
  }
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${hosts[0] ?? id}`,
    issuer: ca.certificate.subject,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 390 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: ca.key,
    extensions: [
      new x509.SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host })),
      ),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate),
    ],
  });
  const cert = `${certificate.toString('pem')}\n${ca.pem}`;
  const key = await privatePem(keys.privateKey);
  writePrivate(keyFile, key);
  writeFileSync(certFile, cert);
  return { cert, key, ca: ca.pem };
}

async function ensureCa(folder: string): Promise<{ certificate: x509.X509Certificate; key: CryptoKey; pem: string }> {
  const certFile = join(folder, 'ca.pem');
  const keyFile = join(folder, 'ca.key');
  if (existsSync(certFile) && existsSync(keyFile)) {
    const pem = readFileSync(certFile, 'utf8');
    const certificate = new x509.X509Certificate(pem);
    if (certificate.notAfter.getTime() > Date.now() + 30 * DAY_MS) {
      const [der] = x509.PemConverter.decode(readFileSync(keyFile, 'utf8'));
      const key = await crypto.subtle.importKey('pkcs8', der as ArrayBuffer, ALGORITHM, false, ['sign']);
      return { certificate, key, pem };
    }
  }
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=Causeway local CA',
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 3650 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pem = `${certificate.toString('pem')}\n`;
  writePrivate(keyFile, await privatePem(keys.privateKey));
  writeFileSync(certFile, pem);
  return { certificate, key: keys.privateKey, pem };
}

async function stillGood(pem: string, ca: x509.X509Certificate, hosts: readonly string[]): Promise<boolean> {
  const certificate = new x509.X509Certificate(pem);
  const names =
    certificate
      .getExtension(x509.SubjectAlternativeNameExtension)
      ?.names.toJSON()
      .map(({ value }) => value) ?? [];
  const fresh = certificate.notAfter.getTime() > Date.now() + 30 * DAY_MS;
  return (
    fresh &&
    hosts.every((host) => names.includes(host)) &&
    (await certificate.verify({ publicKey: ca, signatureOnly: true }))
  );
}

async function privatePem(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function writePrivate(file: string, text: string): void {
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
}

/** 16 random bytes, positive (RFC 5280 §4.1.2.2). */
function serial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return Buffer.from(bytes).toString('hex');
}
