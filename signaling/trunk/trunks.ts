/** A way to the telephone network: a gateway or carrier. */
export interface Trunk {
  readonly tenant: string;
  readonly name: string;
  /** Where its INVITEs go: `sip:192.0.2.1:5060;transport=udp`. */
  readonly uri: string;
  /** Its requests come from here: `address` or `address:port`. */
  readonly sources: readonly string[];
  /** Dialled numbers that it takes. */
  readonly match: RegExp;
  /** In our trust domain (RFC 3325 §2.3): what it asserts is believed, and it is told who calls. Yes when absent. */
  readonly trusted?: boolean | undefined;
}

export class Trunks {
  readonly #trunks: readonly Trunk[];

  constructor(trunks: readonly Trunk[]) {
    this.#trunks = trunks;
  }

  /** In the order of the configuration: the first that takes the number, and those to try after it. */
  forNumber(tenant: string, number: string): readonly Trunk[] {
    return this.#trunks.filter((trunk) => trunk.tenant === tenant && trunk.match.test(number));
  }

  /** Whose request this is, by its source. The more exact entry, with a port, wins. */
  bySource(address: string, port: number): Trunk | undefined {
    const exact = `${address.includes(':') ? `[${address}]` : address}:${port}`;
    return (
      this.#trunks.find((trunk) => trunk.sources.includes(exact)) ??
      this.#trunks.find((trunk) => trunk.sources.includes(address))
    );
  }
}
