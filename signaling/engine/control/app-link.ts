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
    const able = [...this.#links].filter((link) => !link.closed && (link.embedded || link.verbs.has(wanted)));
    return this.#turnOf(able);
  }

  /** Whoever has this tag; a web service names it (control protocol §11). */
  pickTagged(tag: string): AppLink | undefined {
    return this.#turnOf([...this.#links].filter((link) => !link.closed && link.tags.includes(tag)));
  }

  /** Whoever has asked for this kind of call records. */
  pickRecorder(verb: string): AppLink | undefined {
    if (!this.#links.size) return undefined;
    return this.#turnOf([...this.#links].filter((link) => !link.closed && link.verbs.has(verb)));
  }

  #turnOf(able: readonly AppLink[]): AppLink | undefined {
    if (able.length === 0) return undefined;
    this.#turn = (this.#turn + 1) % 1_000_000;
    return able[this.#turn % able.length];
  }

  get embedded(): boolean {
    for (const link of this.#links) if (link.embedded) return true;
    return false;
  }

  closeAll(): void {
    for (const link of [...this.#links]) link.close();
  }
}
