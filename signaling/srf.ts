import type { EventEmitter } from 'node:events';
import type Srf from 'drachtio-srf';

/**
 * What we use of drachtio-srf's objects, where its own type declarations are short of what they can do
 * (lib/request.js, lib/response.js, lib/dialog.js of 5.0.29).
 */
export interface Req extends EventEmitter {
  readonly method: string;
  readonly uri: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocol: string;
  readonly source_address: string;
  readonly source_port: string | number;
  readonly stackDialogId?: string;
  get(name: string): string | undefined;
  has(name: string): boolean;
  cancel(options: { headers?: Record<string, string> }, callback: (error: unknown) => void): void;
}

export interface Res {
  readonly status: number;
  readonly reason: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  get(name: string): string | undefined;
  has(name: string): boolean;
  send(status: number, options?: SendOptions, callback?: (error: unknown) => void): void;
  send(status: number, reason: string, options?: SendOptions, callback?: (error: unknown) => void): void;
}

export interface SendOptions {
  headers?: Record<string, string>;
  body?: string;
}

/** A disposable view of one leg of a call; the call record is the truth. */
export interface DialogView extends EventEmitter {
  readonly id: string;
  readonly sip: { readonly callId: string; readonly localTag: string; readonly remoteTag: string };
  readonly local: { readonly uri: string; readonly sdp: string; readonly contact: string };
  readonly remote: { readonly uri: string; readonly sdp: string };
  readonly req: Req;
  readonly res: Res;
  readonly connected: boolean;
  destroy(options?: { headers?: Record<string, string> }): Promise<unknown>;
  modify(sdp: string): Promise<string>;
  request(options: { method: string; headers?: Record<string, string>; body?: string }): Promise<Res>;
}

export interface SipApp {
  invite(handler: (req: Req, res: Res) => void): void;
  use(method: string, handler: (req: Req, res: Res) => void): void;
  createUAS(req: Req, res: Res, options: { localSdp: string; headers?: Record<string, string> }): Promise<DialogView>;
  createUAC(
    uri: string,
    options: { localSdp: string; proxy?: string; headers?: Record<string, string> },
    progress: { cbRequest?: (error: unknown, req?: Req) => void; cbProvisional?: (res: Res) => void },
  ): Promise<DialogView>;
  request(uri: string, options: object, callback: (error: unknown, req?: Req) => void): void;
}

export const asSipApp = (srf: Srf): SipApp => srf as unknown as SipApp;

/** What drachtio-srf rejects with when the peer refuses. */
export function sipStatus(
  error: unknown,
): { readonly status: number; readonly reason: string; readonly res?: Res } | undefined {
  if (typeof error !== 'object' || error === null || !('status' in error)) return undefined;
  const { status, reason, res } = error as { status: unknown; reason?: unknown; res?: Res };
  if (typeof status !== 'number') return undefined;
  const text = typeof reason === 'string' ? reason : '';
  return res === undefined ? { status, reason: text } : { status, reason: text, res };
}
