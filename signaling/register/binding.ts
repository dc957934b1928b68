import type { BindingKind } from '../registry-port.ts';
import type { Push } from './push.ts';

/** Where a request came from. */
export interface Source {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
}

/** One way to reach a user (RFC 3261 §10): a contact, and the flow by which it was registered. */
export interface Binding {
  /** instance and reg-id where the client names them (RFC 5626 §6), else the contact URI. */
  readonly key: string;
  readonly contact: string;
  readonly instance: string | undefined;
  readonly callId: string;
  readonly cseq: number;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly source: Source;
  readonly userAgent: string;
  /** 0 to 1000 (RFC 3261 §20.10); 1000 when it was not said. */
  readonly q?: number | undefined;
  readonly regId?: number | undefined;
  /** Route of the requests that go there (RFC 3327 §5.3), in its order. */
  readonly path?: readonly string[] | undefined;
  /** Who wakes the device (RFC 8599). */
  readonly push?: Push | undefined;
  /** Its connection is gone: only a push brings it back. */
  readonly asleep?: boolean | undefined;
  /** Epoch ms of this registration's first REGISTER: temporary GRUUs of an earlier one are void (RFC 5627 §5.1). */
  readonly since?: number | undefined;
  readonly updatedAt?: number | undefined;
  /** Of {@link profileOf}. */
  readonly profile?: string | undefined;
}

/** A browser comes by WebSocket and speaks WebRTC; everything else is a phone. */
export function kindOf(binding: Binding): BindingKind {
  return binding.source.protocol === 'ws' || binding.source.protocol === 'wss' ? 'webrtc' : 'plain';
}

/** What makes two registrations the same (RFC 5626 §6, else RFC 3261 §10.3). */
export function bindingKey(contact: string, instance: string | undefined, regId: number | undefined): string {
  if (instance === undefined || instance === '') return contact;
  return regId === undefined ? instance : `${instance};reg-id=${regId}`;
}
