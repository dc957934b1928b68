import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

export type At = { readonly host: string; readonly port: number };

interface Stream {
  readonly 'local port': number;
  readonly endpoint: { readonly address: string; readonly port: number };
  readonly stats: { readonly packets: number; readonly bytes: number };
}

export interface Reply {
  readonly result: string;
  readonly sdp?: string;
  readonly 'error-reason'?: string;
  readonly calls?: readonly string[];
  readonly tags?: Readonly<
    Record<string, { readonly tag: string; readonly medias: readonly { readonly streams: readonly Stream[] }[] }>
  >;
  readonly totals?: { readonly RTP: { readonly packets: number; readonly bytes: number } };
  readonly statistics?: { readonly currentstatistics: { readonly sessionstotal: number } };
}

/** npm rtpengine-client as drachtio and jambonz use it; the package has no types. */
export interface NgClient {
  on(event: 'listening' | 'error', listener: (error?: Error) => void): void;
  close(): void;
  ping(at: At): Promise<Reply>;
  offer(at: At, keys: object): Promise<Reply>;
  answer(at: At, keys: object): Promise<Reply>;
  query(at: At, keys: object): Promise<Reply>;
  list(at: At, keys: object): Promise<Reply>;
  statistics(at: At): Promise<Reply>;
  delete(at: At, keys: object): Promise<Reply>;
}

const { Client } = createRequire(import.meta.url)('rtpengine-client') as {
  Client: new (options: { timeout: number; rejectOnError: boolean }) => NgClient;
};

/** Resolves when it may be used; whoever opened it closes it. */
export async function openNgClient(): Promise<NgClient> {
  const client = new Client({ timeout: 2000, rejectOnError: false });
  await new Promise<void>((resolve, reject) => {
    client.on('listening', () => resolve());
    client.on('error', reject);
  });
  return client;
}

/** With spaces, as jambonz writes them. */
export const PLAIN_KEYS = {
  replace: ['origin', 'session-connection'],
  ICE: 'remove',
  DTLS: 'off',
  'transport protocol': 'RTP/AVP',
  'record call': 'no',
  'rtcp-mux': ['demux'],
  flags: ['trust address', 'port latching'],
};

/** A phone on loopback with PCMU. `version` counts its SDPs (RFC 4566 §5.2). */
export function phoneSdp(port: number, direction = 'sendrecv', version = 1): string {
  return [
    ...['v=0', `o=phone 1 ${version} IN IP4 192.0.2.1`, 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...[`m=audio ${port} RTP/AVP 0 101`, 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:101 telephone-event/8000'],
    ...['a=fmtp:101 0-15', 'a=ptime:20', `a=${direction}`, ''],
  ].join('\r\n');
}

/** Where the SDP of a reply wants RTP to go, and its direction. Fails the test when the reply is a refusal. */
export function mediaOf(reply: Reply): { readonly address: string; readonly port: number; readonly direction: string } {
  assert.equal(reply.result, 'ok', reply['error-reason']);
  const sdp = reply.sdp ?? '';
  const port = Number(/^m=audio (\d+) RTP\/AVP 0 101\r$/m.exec(sdp)?.[1]);
  assert.ok(port > 0, sdp);
  assert.match(sdp, /^o=phone 1 \d IN IP4 127\.0\.0\.1\r$/m);
  return {
    address: /^c=IN IP4 (\S+)\r$/m.exec(sdp)?.[1] ?? '',
    port,
    direction: /^a=(sendrecv|sendonly|recvonly|inactive)\r$/m.exec(sdp)?.[1] ?? '',
  };
}
