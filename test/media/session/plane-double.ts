import {
  DataplaneError,
  type BundleSpec,
  type Clip,
  type Dataplane,
  type Endpoint,
  type EndpointSpec,
  type KeyPress,
  type Playback,
  type PathSpec,
  type Recording,
  type RemoteSpec,
  type TapCoding,
} from '../../../media/dataplane/mod.ts';

export interface OpenEnd {
  readonly id: number;
  readonly spec: EndpointSpec;
  remote: RemoteSpec | undefined;
  tos?: number | undefined;
}

/** A packet path without packets: it remembers what is open and connected, and a test says what is silent. */
export class PlaneDouble implements Dataplane {
  readonly dtls = {
    algorithm: 'sha-256',
    fingerprint: Array(32).fill('AB').join(':'),
    certificate: Buffer.from('certificate'),
  } as const;
  readonly open = new Map<number, OpenEnd>();
  readonly paths = new Map<string, PathSpec>();
  /** By carrier. */
  readonly bundles = new Map<number, BundleSpec>();
  /** By endpoint, in the order in which they are to be heard. */
  readonly playing = new Map<number, readonly { readonly clip: Clip; readonly playback: Playback }[]>();
  readonly pressed: { readonly endpoint: number; readonly key: KeyPress }[] = [];
  /** `from to` of the copies. */
  readonly taps = new Set<string>();
  /** Of copies that are coded. */
  readonly codings = new Map<string, TapCoding>();
  /** Files, and the endpoints that are recorded in them. */
  readonly recordings = new Map<string, Set<number>>();
  diskFull = false;
  /** Pairs that are left to give. */
  portsLeft = 100;
  #next = 1;
  readonly #addresses: Readonly<Record<string, string>>;

  constructor(addresses: Readonly<Record<string, string>> = { inside: '10.0.0.1' }) {
    this.#addresses = addresses;
  }

  openEndpoint(spec: EndpointSpec): Endpoint {
    if (this.portsLeft === 0) throw new DataplaneError('no-ports', 'all taken');
    this.portsLeft--;
    if (spec.socket === 'carried' && this.open.get(spec.carrier ?? 0)?.spec.carrier !== undefined)
      throw new Error('who is carried carries nobody');
    const end: OpenEnd = { id: this.#next++, spec, remote: undefined };
    this.open.set(end.id, end);
    const sockets = spec.carrier === undefined ? end : this.open.get(spec.carrier);
    if (!sockets) throw new Error('its carrier is closed');
    const port = sockets.spec.socket === 'shared' ? 19_000 : 20_000 + 2 * sockets.id;
    const address = this.#addresses[spec.interface] ?? '127.0.0.1';
    return {
      id: end.id,
      rtp: { address, port },
      rtcp: spec.socket === 'pair' ? { address, port: port + 1 } : undefined,
      configure: (remote) => (end.remote = remote),
      move: (affinity) => void Object.assign(end, { spec: { ...end.spec, affinity } }),
      mark: (tos) => (end.tos = tos),
      stats: () => ({
        received: { packets: 0, bytes: 0, lost: 0, jitterMs: 0 },
        sent: { packets: 0, bytes: 0 },
        dropped: {},
        ssrc: undefined,
        remoteRtp: end.remote?.rtp,
        remoteRtcp: end.remote?.rtcp,
        lastPacketMs: undefined,
        dtls: 'none',
        iceConnected: false,
        roundTripMs: undefined,
      }),
      close: () => {
        if (this.open.delete(end.id)) this.portsLeft++;
        this.bundles.delete(end.id);
        const ofIt = (key: string) => key.split(' ').includes(String(end.id));
        for (const list of [this.taps, this.codings, this.paths])
          for (const key of list.keys()) if (ofIt(key)) list.delete(key);
      },
    };
  }

  setPath(from: Endpoint, to: Endpoint, path: PathSpec | undefined): void {
    const key = `${from.id} ${to.id}`;
    if (!path) {
      this.paths.delete(key);
      return;
    }
    // One that leaves an endpoint takes the place of another.
    for (const other of this.paths.keys())
      if (other !== key && other.startsWith(`${from.id} `)) this.paths.delete(other);
    this.paths.set(key, path);
  }

  setBundle(carrier: Endpoint, bundle: BundleSpec): void {
    for (const { endpoint } of bundle.lines) {
      const end = this.open.get(endpoint);
      if (end?.id !== carrier.id && end?.spec.carrier !== carrier.id) throw new Error('a line of another transport');
    }
    if (!this.open.has(carrier.id)) throw new Error('the carrier is closed');
    if (bundle.lines.length > 0) this.bundles.set(carrier.id, bundle);
    else this.bundles.delete(carrier.id);
  }

  clip(samples: Int16Array, rate: number): Clip {
    return { native: samples, durationMs: (samples.length * 1000) / rate, bytes: samples.byteLength };
  }

  play(to: Endpoint, clip: Clip, playback: Playback): void {
    const way = [...this.paths].find(([key]) => key.endsWith(` ${to.id}`));
    if (!way) throw new DataplaneError('bad-argument', 'nothing is sent to this party yet');
    if (way[1].mode === 'relay' && (way[1].codable ?? []).length === 0)
      throw new DataplaneError('bad-argument', 'what this party hears cannot be coded here');
    const waiting = playback.behind === true ? (this.playing.get(to.id) ?? []) : [];
    this.playing.set(to.id, [...waiting, { clip, playback }]);
  }

  stopPlaying(to: Endpoint): { readonly playback: number; readonly positionMs: number } | undefined {
    const [first] = this.playing.get(to.id) ?? [];
    this.playing.delete(to.id);
    return first && { playback: first.playback.id, positionMs: 120 };
  }

  press(to: Endpoint, key: KeyPress): void {
    this.pressed.push({ endpoint: to.id, key });
  }

  tap(from: Endpoint, to: Endpoint, on: boolean, coding?: TapCoding): void {
    const key = `${from.id} ${to.id}`;
    if (on) this.taps.add(key);
    else this.taps.delete(key);
    if (on && coding) this.codings.set(key, coding);
    else this.codings.delete(key);
  }

  openRecording(file: string): Recording {
    if (this.diskFull) throw new DataplaneError('bad-argument', 'cannot write the recording: No space left on device');
    const endpoints = new Set<number>();
    this.recordings.set(file, endpoints);
    return {
      record: (endpoint, on) => void (on ? endpoints.add(endpoint.id) : endpoints.delete(endpoint.id)),
      close: () => {
        this.recordings.delete(file);
        return Promise.resolve({ packets: 3, bytes: 600, error: undefined });
      },
    };
  }

  /** Nobody ever speaks here. */
  idleEndpoints(): readonly number[] {
    return [...this.open.keys()];
  }

  totals(): never {
    throw new Error('nothing is counted here');
  }

  onEvent(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
