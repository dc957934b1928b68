import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopback } from '../../vocabulary/mod.ts';
import type { RawConfig } from '../config/load.ts';
import { isLocalAddress } from './public-address.ts';

export const AGENTS = [
  { user: 'alice', displayName: 'Alice', number: '1001' },
  { user: 'bob', displayName: 'Bob', number: '1002' },
  { user: 'carol', displayName: 'Carol', number: '1003' },
] as const;

/** On loopback nobody else can come in, and a password that one can remember is worth more. */
const LOOPBACK_PASSWORD = 'causeway';

/** Passwords of the demo accounts: made once for each machine, kept readable by the owner alone. */
export function demoPasswords(dataDir: string, loopbackOnly: boolean): Readonly<Record<string, string>> {
  if (loopbackOnly) return Object.fromEntries(AGENTS.map(({ user }) => [user, LOOPBACK_PASSWORD]));
  const file = join(dataDir, 'demo-accounts.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  const made = Object.fromEntries(AGENTS.map(({ user }) => [user, randomBytes(9).toString('base64url')]));
  writeFileSync(file, `${JSON.stringify(made, undefined, 2)}\n`, { mode: 0o600 });
  return made;
}

/** A secret file that all nodes of the PoP share. */
export function sharedSecret(dataDir: string): string {
  const file = join(dataDir, 'nonce.secret');
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return file;
}

/** The PoP of `causeway up` without a file: two of each kind, so that primary and backup are real. */
export function embeddedConfig(publicAddress: string, dataDir: string): RawConfig {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const loopback = isLoopback(publicAddress);
  const any = loopback ? '127.0.0.1' : '0.0.0.0';
  const media = loopback
    ? '127.0.0.1'
    : isLocalAddress(publicAddress)
      ? publicAddress
      : `default/0.0.0.0!${publicAddress}`;
  const passwords = demoPasswords(dataDir, loopback);
  const registry = 'http://127.0.0.1:7070';
  return {
    publicAddress,
    registry: { listen: '127.0.0.1:7070' },
    signaling: [0, 1].map((i) => ({
      id: `signaling-${i + 1}`,
      sip: [
        `udp:${any}:${5060 + i * 10}`,
        `tcp:${any}:${5060 + i * 10}`,
        `tls:${any}:${5061 + i * 10}`,
        `wss:${any}:${8443 + i}`,
      ],
      metrics: `127.0.0.1:${9101 + i}`,
      registry,
      accounts: AGENTS.map((agent) => ({ ...agent, password: passwords[agent.user] })),
      trunks: [{ name: 'pstn', uri: 'sip:127.0.0.1:5080;transport=udp', sources: ['127.0.0.1:5080'] }],
    })),
    media: [0, 1].map((i) => ({
      id: `media-${i + 1}`,
      listenNg: `127.0.0.1:${2223 + i}`,
      interfaces: [media],
      portMin: 20_000 + i * 4000,
      portMax: 23_999 + i * 4000,
      webrtcPort: 19_001 + i,
      metrics: `127.0.0.1:${9111 + i}`,
      registry,
    })),
    gatewaySim: { sip: '127.0.0.1:5080', proxy: 'sip:127.0.0.1:5060' },
  };
}
