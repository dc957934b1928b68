import { parse } from 'sdp-transform';
import type { DialogView, Req, Res, SipApp } from '../../signaling/srf.ts';
import { parseNameAddr, parseUri } from '../../signaling/engine/mod.ts';
import { announcement, tone, type Samples } from './audio.ts';
import { RtpLeg } from './io/rtp-leg.ts';

export interface SimulatorParts {
  readonly app: SipApp;
  readonly address: string;
  readonly ports: { readonly min: number; readonly max: number };
  /** Where its own calls go: `sip:HOST:PORT`. */
  readonly proxy: string;
  readonly later: (ms: number, work: () => void) => void;
  readonly log: (about: object, text: string) => void;
}

type Behaviour =
  | { readonly type: 'echo' }
  | { readonly type: 'play'; readonly samples: Samples; readonly ringMs: number }
  | { readonly type: 'busy' }
  | { readonly type: 'ring' }
  | { readonly type: 'call-back' };

/** A telephone network that has one phone for every number. */
export class GatewaySimulator {
  readonly #parts: SimulatorParts;
  readonly #legs = new Set<RtpLeg>();
  readonly #dialogs = new Set<DialogView>();
  readonly #announcement = announcement();

  constructor(parts: SimulatorParts) {
    this.#parts = parts;
    parts.app.invite((req, res) => void this.#invite(req, res).catch(() => res.send(500)));
    parts.app.use('options', (_req, res) => res.send(200));
  }

  get calls(): number {
    return this.#dialogs.size;
  }

  close(): void {
    for (const leg of this.#legs) leg.close();
  }

  async #invite(req: Req, res: Res): Promise<void> {
    const number = parseUri(req.uri)?.user ?? '';
    const behaviour = this.#behaviour(number);
    if (!behaviour) {
      res.send(404);
      return;
    }
    if (behaviour.type === 'busy') {
      res.send(486);
      return;
    }
    const remote = remoteOf(req.body);
    if (!remote) {
      res.send(488);
      return;
    }
    res.send(180);
    if (behaviour.type === 'ring') return;
    let cancelled = false;
    req.on('cancel', () => (cancelled = true));
    if (behaviour.type === 'play' && behaviour.ringMs > 0) {
      await new Promise<void>((resolve) => this.#parts.later(behaviour.ringMs, resolve));
    }
    const leg = cancelled ? undefined : await this.#leg();
    if (!leg) {
      if (!cancelled) res.send(503);
      return;
    }
    try {
      const dialog = await this.#parts.app.createUAS(req, res, { localSdp: this.#sdp(leg.port, remote.event) });
      this.#talk(dialog, leg, behaviour, remote);
      if (behaviour.type === 'call-back') {
        const caller = parseUri(parseNameAddr(req.get('from') ?? '')?.uri ?? '')?.user;
        this.#parts.later(1500, () => {
          void dialog.destroy().catch(() => undefined);
          leg.close();
          this.#dialogs.delete(dialog);
          if (caller !== undefined) this.#parts.later(1500, () => void this.call(caller).catch(() => undefined));
        });
      }
    } catch {
      leg.close();
    }
  }

  /** A call from the telephone network to an agent's number; the phone there plays its announcement. */
  async call(number: string): Promise<void> {
    const leg = await this.#leg();
    if (!leg) return;
    const host = parseUri(this.#parts.proxy)?.host ?? '127.0.0.1';
    try {
      const dialog = await this.#parts.app.createUAC(
        `sip:${number}@${host}`,
        {
          localSdp: this.#sdp(leg.port, 101),
          proxy: this.#parts.proxy,
          headers: { From: '"PSTN" <sip:+15550100@localhost>' },
        },
        {},
      );
      const remote = remoteOf(dialog.remote.sdp);
      if (!remote) throw new Error('no media in the answer');
      this.#talk(dialog, leg, { type: 'play', samples: this.#announcement, ringMs: 0 }, remote);
    } catch (error) {
      leg.close();
      this.#parts.log({ number, err: error }, 'call to an agent failed');
    }
  }

  #talk(dialog: DialogView, leg: RtpLeg, behaviour: Behaviour, remote: { address: string; port: number }): void {
    this.#dialogs.add(dialog);
    if (behaviour.type === 'echo') leg.echo(remote);
    else leg.play(behaviour.type === 'play' ? behaviour.samples : this.#announcement, remote);
    dialog.on('destroy', () => {
      leg.close();
      this.#dialogs.delete(dialog);
    });
    // Hold and its end: the ports stay.
    dialog.on('modify', (req: Req, res: Res) =>
      res.send(200, { body: this.#sdp(leg.port, remoteOf(req.body)?.event ?? 101) }),
    );
    dialog.on('info', (_req: Req, res: Res) => res.send(200));
  }

  async #leg(): Promise<RtpLeg | undefined> {
    const leg: RtpLeg | undefined = await RtpLeg.open(this.#parts.address, this.#parts.ports, () => {
      if (leg) this.#legs.delete(leg);
    });
    if (leg) this.#legs.add(leg);
    return leg;
  }

  #behaviour(number: string): Behaviour | undefined {
    const play = (samples: Samples, ringMs = 0): Behaviour => ({ type: 'play', samples, ringMs });
    switch (number) {
      case '600':
        return { type: 'echo' };
      case '601':
        return play(tone(440));
      case '602':
        return play(this.#announcement);
      case '603':
        return { type: 'busy' };
      case '604':
        return { type: 'ring' };
      case '605':
        return play(tone(880));
      case '606':
        return { type: 'call-back' };
      default:
        return /^\+?\d{3,15}$/.test(number) ? play(this.#announcement, 1500) : undefined;
    }
  }

  #sdp(port: number, event: number): string {
    const { address } = this.#parts;
    return [
      'v=0',
      `o=gateway ${port} 1 IN IP4 ${address}`,
      's=-',
      `c=IN IP4 ${address}`,
      't=0 0',
      `m=audio ${port} RTP/AVP 0 ${event}`,
      'a=rtpmap:0 PCMU/8000',
      `a=rtpmap:${event} telephone-event/8000`,
      'a=ptime:20',
      'a=sendrecv',
      '',
    ].join('\r\n');
  }
}

/** Where the caller wants its audio, and its number for events; undefined when it does not speak PCMU. */
function remoteOf(sdp: string): { address: string; port: number; event: number } | undefined {
  try {
    const parsed = parse(sdp);
    const audio = parsed.media.find(({ type, port }) => type === 'audio' && port > 0);
    const address = audio?.connection?.ip ?? parsed.connection?.ip;
    if (
      !audio ||
      address === undefined ||
      !String(audio.payloads ?? '')
        .split(' ')
        .includes('0')
    )
      return undefined;
    const event = audio.rtp.find(({ codec, rate }) => codec.toLowerCase() === 'telephone-event' && rate === 8000);
    return { address, port: audio.port, event: event?.payload ?? 101 };
  } catch {
    return undefined;
  }
}
