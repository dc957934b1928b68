/** What getStats says of a call, in the words of the page. */
export interface Quality {
  readonly codec: string;
  readonly roundTripMs: number | undefined;
  readonly jitterMs: number | undefined;
  /** Of the last interval, 0 to 1. */
  readonly loss: number | undefined;
}

export class QualityMeter {
  readonly #connection: RTCPeerConnection;
  #received = 0;
  #lost = 0;

  constructor(connection: RTCPeerConnection) {
    this.#connection = connection;
  }

  async read(): Promise<Quality> {
    const report = await this.#connection.getStats();
    let codec = '–';
    let roundTripMs: number | undefined;
    let jitterMs: number | undefined;
    let loss: number | undefined;
    for (const entry of report.values() as Iterable<Record<string, unknown>>) {
      if (entry['type'] === 'inbound-rtp' && entry['kind'] === 'audio') {
        jitterMs = Number(entry['jitter'] ?? 0) * 1000;
        const received = Number(entry['packetsReceived'] ?? 0);
        const lost = Number(entry['packetsLost'] ?? 0);
        const expected = received - this.#received + lost - this.#lost;
        loss = expected > 0 ? Math.max(0, (lost - this.#lost) / expected) : undefined;
        this.#received = received;
        this.#lost = lost;
        const used = report.get(String(entry['codecId'])) as { mimeType?: string; clockRate?: number } | undefined;
        if (used?.mimeType !== undefined) codec = used.mimeType.replace('audio/', '');
      }
      if (entry['type'] === 'remote-inbound-rtp' && entry['roundTripTime'] !== undefined) {
        roundTripMs = Number(entry['roundTripTime']) * 1000;
      } else if (entry['type'] === 'candidate-pair' && entry['nominated'] === true && roundTripMs === undefined) {
        if (entry['currentRoundTripTime'] !== undefined) roundTripMs = Number(entry['currentRoundTripTime']) * 1000;
      }
    }
    return { codec, roundTripMs, jitterMs, loss };
  }
}
