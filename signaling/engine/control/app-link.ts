/** An application that is connected to the engine: in process or over a socket. */
export interface AppLink {
  readonly id: string;
  /** In-process applications are trusted and take every method. */
  readonly embedded: boolean;
  readonly verbs: Set<string>;
  readonly tags: readonly string[];
  readonly closed: boolean;
  /** Queues one payload; never calls back into the application before it returns. */
  send(payload: string): void;
  close(): void;
}

/** Who gets a request: round robin over the applications that asked for its method. */
export class AppTable {
  readonly #links = new Set<AppLink>();
  #turn = 0;

  get size(): number {
    return this.#links.size;
  }

  get routes(): number {
    let routes = 0;
    for (const { verbs } of this.#links) routes += verbs.size;
    return routes;
  }

  add(link: AppLink): void {
    this.#links.add(link);
  }

  remove(link: AppLink): void {
    this.#links.delete(link);
  }

  pick(verb: string): AppLink | undefined {
    const wanted = verb.toLowerCase();
    return this.#choose((link) => link.embedded || link.verbs.has(wanted));
  }

  /** Whoever has this tag; a web service names it (control protocol §11). */
  pickTagged(tag: string): AppLink | undefined {
    return this.#choose((link) => link.tags.includes(tag));
  }

  /** Whoever has asked for this kind of call records. */
  pickRecorder(verb: string): AppLink | undefined {
    return this.#choose((link) => link.verbs.has(verb));
  }

  /** The next one in turn. Nearly always there is one alone, and no list is made for it. */
  #choose(fits: (link: AppLink) => boolean): AppLink | undefined {
    let count = 0;
    let first: AppLink | undefined;
    for (const link of this.#links) {
      if (link.closed || !fits(link)) continue;
      first ??= link;
      count++;
    }
    if (count < 2) return first;
    this.#turn = (this.#turn + 1) % 1_000_000;
    let left = this.#turn % count;
    for (const link of this.#links) if (!link.closed && fits(link) && left-- === 0) return link;
    return first;
  }

  get embedded(): boolean {
    for (const link of this.#links) if (link.embedded) return true;
    return false;
  }

  closeAll(): void {
    for (const link of [...this.#links]) link.close();
  }
}
