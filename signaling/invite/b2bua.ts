import type { Account } from '../directory/mod.ts';
import { bareHost, escapeUser, parseNameAddr, parseUri } from '../engine/mod.ts';
import { MediaError } from '../media-port.ts';
import { joinedHeaders, profileOf, traitsOf } from '../register/mod.ts';
import type { Req, Res } from '../srf.ts';
import { Attempt } from './attempt.ts';
import { endCall } from './end.ts';
import { join, LiveCalls } from './established.ts';
import { hangUpFromRecord, serveFromRecord } from './from-record.ts';
import { accountIdentity, identityHeaders, peerIdentity, type Identity } from './headers.ts';
import { callerLeg } from './legs.ts';
import { kindOfSdp } from './media-kind.ts';
import type { B2buaParts } from './parts.ts';
import { passThrough, withPassThrough } from './pass-through.ts';
import type { CallDetail, CallRecord } from './record.ts';
import { route, type Caller, type Destination } from './route.ts';

/** Tells another node of the PoP which of its devices are meant. */
const KIND_HEADER = 'X-Causeway-Kind';

/** Seconds after which every call has been asked about. */
const CHECK_TURNS = 20;

interface KnownCaller extends Caller {
  readonly name: string;
  readonly identity: Identity;
  /** Of an agent. */
  readonly account?: Account;
}

interface Refused {
  readonly status: number;
  readonly reason: string;
  readonly headers: Record<string, string>;
}

/** Every call of this node: set-up, what happens within it, and its end. */
export class B2bua {
  readonly #parts: B2buaParts;
  readonly #live = new LiveCalls();
  readonly #attempts = new Map<string, Attempt>();
  #turn = 0;

  constructor(given: B2buaParts) {
    const parts = { ...given, media: withPassThrough(given.media) };
    this.#parts = parts;
    parts.app.invite((req, res) => void this.#invite(req, res).catch((error: unknown) => this.#fault(error, res)));
    for (const method of ['bye', 'info', 'update', 'message', 'notify', 'refer']) {
      parts.app.use(method, (req, res) => {
        if (serveFromRecord(parts, req, res)) return;
        res.send(hasToTag(req) ? 481 : 405);
      });
    }
    parts.media.onNode(({ type, node }) => {
      if (type === 'lost') this.#mediaLost(node);
    });
  }

  /**
   * Called once a second: asks every media node about one of its calls, and about every call within some twenty seconds.
   * A node that was started anew answers pings as if nothing had happened; one call that it does not know tells.
   */
  async checkMedia(): Promise<void> {
    const byNode = new Map<string, CallRecord[]>();
    for (const call of this.#parts.calls.all()) {
      if (call.state !== 'up' || !call.media) continue;
      const known = byNode.get(call.media.control);
      if (known) known.push(call);
      else byNode.set(call.media.control, [call]);
    }
    this.#turn++;
    await Promise.all(
      [...byNode.values()].map(async (calls) => {
        const share = calls.filter((_, index) => (index + this.#turn) % Math.min(calls.length, CHECK_TURNS) === 0);
        const gone = await this.#endUnknown(share);
        if (gone) await this.#endUnknown(calls.filter(({ state }) => state === 'up'));
      }),
    );
  }

  async #endUnknown(calls: readonly CallRecord[]): Promise<boolean> {
    const alive = await Promise.all(calls.map(({ media }) => (media ? this.#parts.media.exists(media) : true)));
    for (const [index, call] of calls.entries()) {
      if (alive[index] === false && call.state === 'up')
        this.#end(call, 'SIP;cause=503;text="media lost"', 'media lost');
    }
    return alive.includes(false);
  }

  /** Ends every call: the node is about to stop. */
  endAll(reason: string): void {
    for (const call of this.#parts.calls.all()) this.#end(call, reason, 'node stopping');
  }

  async #invite(req: Req, res: Res): Promise<void> {
    const parts = this.#parts;
    if (hasToTag(req)) {
      if (!serveFromRecord(parts, req, res)) res.send(481);
      return;
    }
    const now = parts.now();
    // Before the first wait: a CANCEL comes when it likes.
    let cancelled = false;
    req.on('cancel', () => (cancelled = true));
    const who = await this.#caller(req, now);
    if (cancelled) return;
    if ('status' in who) {
      res.send(who.status, who.reason, { headers: who.headers });
      return;
    }
    const target = parts.gruus?.read(req.uri);
    if (target?.type === 'void' || (target?.type === 'temporary' && target.tenant !== who.tenant)) {
      res.send(404);
      return;
    }
    const dialled = target?.user ?? parseUri(req.uri)?.user;
    if (dialled === undefined) {
      res.send(484);
      return;
    }
    if (who.from === 'agent' && !parts.tenants.within(who.tenant, req.uri)) {
      res.send(404, 'Domain Not Served Here');
      return;
    }
    const hops = Number(req.get('max-forwards') ?? 70);
    if (hops <= 0) {
      res.send(483);
      return;
    }
    const kind = req.body ? kindOfSdp(req.body) : undefined;
    if (kind === undefined) {
      res.send(488, 'Offer Needed', { headers: { Warning: '399 causeway "an INVITE must carry an SDP offer"' } });
      return;
    }
    if (!req.has('contact')) {
      res.send(400, 'Missing Contact');
      return;
    }
    if (parts.calls.size >= parts.maxCalls) {
      res.send(503, 'Too Many Calls', { headers: { 'Retry-After': '10' } });
      return;
    }
    const call: CallRecord = {
      id: parts.uuid(),
      tenant: who.tenant,
      state: 'setup',
      media: undefined,
      a: callerLeg(req, kind),
      b: undefined,
      cdr: { direction: 'forwarded', from: who.name, to: dialled, startedAt: now },
    };
    parts.calls.add(call);
    try {
      const where = await route(parts, who, dialled, target && { uri: req.uri, target });
      if (where.type === 'refuse') {
        this.#refuse(call, res, {
          status: where.status,
          ...(where.reason === undefined ? {} : { reason: where.reason }),
        });
        return;
      }
      const [first] = where.groups[0] ?? [];
      call.cdr.direction = directionOf(who, first);
      call.media = who.from === 'node' ? passThrough(call.id) : await this.#place(call, req);
      if (cancelled) {
        endCall(parts, call, 'caller', 'cancelled');
        return;
      }
      const profile = profileOf(traitsOf(req, who.account?.profile));
      const attempt = new Attempt(parts, { record: call, req, res, media: call.media, kind, profile }, (destination) =>
        this.#headers(call, who, dialled, destination, hops),
      );
      this.#attempts.set(call.id, attempt);
      const outcome = await attempt.run(where.groups);
      this.#attempts.delete(call.id);
      if (outcome === 'cancelled') {
        call.cdr.status = 487;
        endCall(parts, call, 'caller', 'cancelled');
        return;
      }
      if (!('a' in outcome)) {
        this.#refuse(call, res, outcome);
        return;
      }
      call.state = 'up';
      call.cdr.status = 200;
      call.cdr.answeredAt = parts.now();
      parts.onSetup?.(call.cdr.answeredAt - call.cdr.startedAt);
      parts.calls.index(call);
      join(parts, this.#live, call, outcome);
      parts.log.info({ call: call.id, media: call.media.node, from: who.name, to: dialled }, 'call answered');
    } catch (error) {
      this.#attempts.delete(call.id);
      const media = error instanceof MediaError;
      parts.log.warn({ call: call.id, err: error }, 'call could not be set up');
      this.#refuse(call, res, { status: media ? 503 : 500, reason: media ? 'Media Unavailable' : undefined });
    }
  }

  async #place(call: CallRecord, req: Req) {
    const request = { callId: call.id, tenant: call.tenant, clients: [req.source_address] };
    return this.#parts.media.place(request);
  }

  #refuse(
    call: CallRecord,
    res: Res,
    failure: { status: number; reason?: string | undefined; headers?: Record<string, string> },
  ): void {
    const { status, reason, headers } = failure;
    call.cdr.status = status;
    const options = headers === undefined ? {} : { headers };
    if (reason === undefined) res.send(status, options);
    else res.send(status, reason, options);
    endCall(this.#parts, call, 'system', reason ?? `refused with ${status}`);
  }

  async #caller(req: Req, now: number): Promise<KnownCaller | Refused> {
    const { guard, trunks, tenants } = this.#parts;
    const from = parseNameAddr(req.get('from') ?? '');
    const name = (from && parseUri(from.uri)?.user) ?? 'anonymous';
    if (guard.fromPeer(req, now)) {
      const only = req.get(KIND_HEADER) === 'webrtc' ? 'webrtc' : 'plain';
      const tenant = tenants.ofUri(from?.uri ?? '') ?? 'default';
      return { tenant, from: 'node', only, name, identity: peerIdentity(req, true) };
    }
    const source = { protocol: req.protocol, address: req.source_address, port: Number(req.source_port) };
    const trunk = trunks.bySource(source.address, source.port);
    if (trunk) {
      const identity = peerIdentity(req, trunk.trusted !== false);
      return { tenant: trunk.tenant, from: 'trunk', only: undefined, name, identity };
    }
    const verdict = await guard.authenticate('INVITE', req.uri, req, now, source);
    if (verdict.type === 'account') {
      const { account } = verdict;
      const identity = accountIdentity(req, account);
      return { tenant: account.tenant, from: 'agent', only: undefined, name: account.user, identity, account };
    }
    const { status, reason = '', headers } = verdict.challenge;
    return { status, reason, headers: joinedHeaders(headers) };
  }

  /** Who calls, in the form that this destination understands. Names that an agent writes about itself are not passed on. */
  #headers(
    call: CallRecord,
    who: KnownCaller,
    dialled: string,
    destination: Destination,
    hops: number,
  ): Record<string, string> {
    const { guard, tenants, now } = this.#parts;
    const domain = tenants.domain(who.tenant);
    const host = destination.what === 'trunk' ? bareHost(parseUri(destination.uri)?.host ?? domain) : domain;
    return {
      ...identityHeaders(who.identity, destination, domain),
      To: `<sip:${escapeUser(dialled)}@${host}>`,
      'Max-Forwards': String(hops - 1),
      Allow: 'INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, UPDATE',
      ...(destination.what === 'node' ? guard.peerToken(this.#nextCallId(call), now()) : {}),
      ...(destination.what === 'node' ? { 'Call-ID': this.#nextCallId(call), [KIND_HEADER]: destination.kind } : {}),
    };
  }

  /** The leg to another node carries a Call-ID of ours: its token is bound to it. */
  #nextCallId(call: CallRecord): string {
    return `${call.id}-n`;
  }

  /** The node cannot report its own end: calls on it are ended here (RFC 3261 §15). */
  #mediaLost(node: string): void {
    const calls = this.#parts.calls.all().filter((call) => call.media?.node === node);
    if (calls.length > 0)
      this.#parts.log.warn({ media: node, calls: calls.length }, 'media node lost: ending its calls');
    for (const call of calls) this.#end(call, 'SIP;cause=503;text="media node lost"', 'media node lost');
  }

  #end(call: CallRecord, reason: string, cause: string): void {
    this.#attempts.get(call.id)?.stop(reason);
    const views = this.#live.take(call.id);
    if (views) {
      for (const view of [views.a, views.b]) {
        view.removeAllListeners('destroy');
        void view.destroy({ headers: { Reason: reason } }).catch(() => undefined);
      }
    } else if (call.state === 'up') hangUpFromRecord(this.#parts, call, reason);
    if (call.state === 'up') endCall(this.#parts, call, 'system', cause);
  }

  #fault(error: unknown, res: Res): void {
    this.#parts.log.warn({ err: error }, 'INVITE handler failed');
    res.send(500);
  }
}

function hasToTag(req: Req): boolean {
  return parseNameAddr(req.get('to') ?? '')?.params.has('tag') ?? false;
}

function directionOf(who: Caller, first: Destination | undefined): CallDetail['direction'] {
  if (who.from === 'trunk') return 'pstn-to-agent';
  if (who.from === 'node') return 'forwarded';
  return first?.what === 'trunk' ? 'agent-to-pstn' : 'agent-to-agent';
}
