/** What signaling asks of the PoP registry, and all that it knows of it. Behind it stands an HTTP client. */
export interface RegistryPort {
  /** `POST /v1/placements`: which media node serves this call. @throws RegistryError */
  placeMedia(request: {
    callId: string;
    tenant: string;
    clients: readonly string[];
    avoid?: readonly string[];
  }): Promise<Placement>;
  /** `PUT /v1/nodes/{id}`: the heartbeat. */
  heartbeat(): Promise<void>;
  /** `GET /v1/discovery?client=…`, for the softphone page that this node serves. */
  discover(client: string): Promise<Discovery>;
  /** `POST /v1/locations`: bindings that came or went here; batched by the client. */
  publishLocations(changes: readonly LocationChange[]): Promise<void>;
  /** `GET /v1/locations/{tenant}/{aor}`: other live signaling nodes that hold a binding of this AoR. */
  locate(tenant: string, aor: string): Promise<readonly Location[]>;
  /** Tells the registry that this node is draining, then that it is gone. */
  leave(): Promise<void>;
}

export interface Placement {
  readonly id: string;
  readonly media: { readonly node: string; readonly pop: string; readonly control: string };
  readonly reason: string;
}

export interface Discovery {
  readonly ttlSeconds: number;
  readonly signaling: readonly { readonly pop: string; readonly uri: string; readonly weight: number }[];
  readonly mediaCandidates: readonly { readonly pop: string; readonly probe: string }[];
}

export interface Location {
  readonly node: string;
  /** Where that node takes requests of other nodes. */
  readonly sip: string;
  readonly kinds: readonly BindingKind[];
}

/** What the devices of a binding speak; decides how their media is offered. */
export type BindingKind = 'webrtc' | 'plain';

export interface LocationChange {
  readonly tenant: string;
  readonly aor: string;
  /** Epoch ms; 0 = the last binding is gone. */
  readonly expiresAt: number;
  readonly kinds: readonly BindingKind[];
}

export class RegistryError extends Error {
  /** HTTP status of the problem answer; 0 when the registry could not be reached. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RegistryError';
    this.status = status;
  }
}
