import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A CA of a test, and what it signs. Names: `DNS:a.example`, `URI:sip:a.example`, `IP:127.0.0.1`. */
export class TestCa {
  readonly pem: string;
  readonly #certificate: x509.X509Certificate;
  readonly #key: CryptoKey;

  private constructor(certificate: x509.X509Certificate, key: CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
    this.pem = certificate.toString('pem');
  }

  static async make(): Promise<TestCa> {
    x509.cryptoProvider.set(webcrypto as Crypto);
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...{ name: 'CN=Test CA', serialNumber: '01', signingAlgorithm: ALGORITHM, keys },
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    });
    return new TestCa(certificate, keys.privateKey);
  }

  async sign(...names: readonly string[]): Promise<Certificate> {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: Date.now().toString(16),
      ...{ subject: 'CN=test', issuer: this.#certificate.subject, signingAlgorithm: ALGORITHM },
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      ...{ publicKey: keys.publicKey, signingKey: this.#key },
      extensions: [new x509.SubjectAlternativeNameExtension(names.map(nameOf))],
    });
    const bytes = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
    return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(bytes, 'PRIVATE KEY') };
  }
}

function nameOf(text: string): { type: 'dns' | 'url' | 'ip'; value: string } {
  const [, kind, value = ''] = /^(DNS|URI|IP):(.*)$/.exec(text) ?? [];
  return { type: kind === 'URI' ? 'url' : kind === 'IP' ? 'ip' : 'dns', value };
}
