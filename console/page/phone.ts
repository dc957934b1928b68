import JsSIP from 'jssip';
import type { RTCSession } from 'jssip/lib/RTCSession.js';
import { nameOf, type Node } from './api.ts';
import { keepConnected } from './keep-connected.ts';

export type Registration =
  | { readonly state: 'signed-out' }
  | { readonly state: 'connecting' | 'disconnected' }
  | { readonly state: 'registered'; readonly node: string }
  | { readonly state: 'failed'; readonly reason: string };

export type CallState =
  | { readonly state: 'idle' }
  | { readonly state: 'calling' | 'ringing' | 'incoming'; readonly peer: string }
  | { readonly state: 'talking'; readonly peer: string; readonly since: number }
  | { readonly state: 'ended'; readonly peer: string; readonly reason: string };

export interface PhoneEvents {
  registration(now: Registration): void;
  call(now: CallState): void;
  /** The connection of the call, as soon as there is one. */
  connection(connection: RTCPeerConnection): void;
}

const RETRY_MS = 5000;

/** One registered user with at most one call. */
export class Phone {
  readonly #ua: JsSIP.UA;
  readonly #events: PhoneEvents;
  readonly #domain: string;
  #session: RTCSession | undefined;
  #node = '';
  #retry: number | undefined;

  constructor(
    options: { user: string; password: string; domain: string; nodes: readonly Node[]; instance: string },
    events: PhoneEvents,
  ) {
    this.#events = events;
    this.#domain = options.domain;
    const names = new Map(options.nodes.map((node) => [node.uri, nameOf(node)]));
    this.#ua = new JsSIP.UA({
      sockets: options.nodes.map((node) => ({ socket: new JsSIP.WebSocketInterface(node.uri), weight: node.weight })),
      uri: `sip:${options.user}@${options.domain}`,
      password: options.password,
      instance_id: options.instance,
      session_timers: false,
      register_expires: 300,
      connection_recovery_min_interval: 2,
      connection_recovery_max_interval: 10,
      user_agent: 'Causeway softphone',
    });
    events.registration({ state: 'connecting' });
    this.#ua.on('connecting', () => events.registration({ state: 'connecting' }));
    this.#ua.on('connected', (event: unknown) => {
      const url = (event as { socket: { url: string } }).socket.url;
      this.#node = names.get(url) ?? url;
    });
    this.#ua.on('disconnected', () => events.registration({ state: 'disconnected' }));
    this.#ua.on('registered', () => events.registration({ state: 'registered', node: this.#node }));
    this.#ua.on('unregistered', () => events.registration({ state: 'disconnected' }));
    this.#ua.on('registrationFailed', (event) => {
      const status = event.response?.status_code;
      if (status === 401 || status === 403 || status === 407) {
        events.registration({ state: 'failed', reason: 'User or password is wrong.' });
        return;
      }
      events.registration({
        state: 'failed',
        reason: `Registration failed: ${event.cause ?? 'no answer'}. Trying again.`,
      });
      // The library stays put after a 503; a person would not notice.
      clearTimeout(this.#retry);
      this.#retry = window.setTimeout(() => {
        if (this.#ua.isConnected() && !this.#ua.isRegistered()) this.#ua.register();
      }, RETRY_MS);
    });
    this.#ua.on('newRTCSession', (event: unknown) => {
      const { session, originator } = event as { session: RTCSession; originator: string };
      if (originator === 'remote') this.#incoming(session);
    });
    this.#ua.start();
  }

  /** Off: the microphone as it is, for headsets. */
  processing = true;

  call(target: string): void {
    if (this.#session) return;
    const uri = target.includes('@') ? `sip:${target.replace(/^sip:/, '')}` : `sip:${target}@${this.#domain}`;
    this.#events.call({ state: 'calling', peer: target });
    const session = this.#ua.call(uri, {
      ...media(this.processing),
      rtcOfferConstraints: { offerToReceiveAudio: true, offerToReceiveVideo: false },
    });
    this.#take(session, target);
    this.#use(session, session.connection);
  }

  answer(): void {
    this.#session?.answer(media(this.processing));
  }

  hangUp(): void {
    const session = this.#session;
    if (!session || session.isEnded()) return;
    session.terminate(session.isInProgress() && session.direction === 'incoming' ? { status_code: 486 } : {});
  }

  mute(on: boolean): void {
    if (on) this.#session?.mute({ audio: true });
    else this.#session?.unmute({ audio: true });
  }

  digit(tone: string): void {
    if (this.#session?.isEstablished() !== true) return;
    this.#session.sendDTMF(tone, {
      duration: 120,
      interToneGap: 70,
      transportType: JsSIP.C.DTMF_TRANSPORT.RFC2833 as never,
    });
  }

  stop(): void {
    clearTimeout(this.#retry);
    this.#ua.stop();
    this.#events.registration({ state: 'signed-out' });
  }

  #incoming(session: RTCSession): void {
    if (this.#session) {
      session.terminate({ status_code: 486 });
      return;
    }
    const identity = session.remote_identity;
    const peer = identity.display_name || identity.uri.user || identity.uri.toString();
    session.on('peerconnection', ({ peerconnection }) => this.#use(session, peerconnection));
    this.#take(session, peer);
    this.#events.call({ state: 'incoming', peer });
  }

  #use(session: RTCSession, connection: RTCPeerConnection): void {
    this.#events.connection(connection);
    keepConnected(connection, () => {
      // The library ends a call whose re-INVITE cannot be sent.
      if (!this.#ua.isConnected()) return;
      session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
    });
  }

  #take(session: RTCSession, peer: string): void {
    this.#session = session;
    session.on('progress', () => {
      if (session.direction === 'outgoing') this.#events.call({ state: 'ringing', peer });
    });
    session.on('confirmed', () => this.#events.call({ state: 'talking', peer, since: Date.now() }));
    const over = (reason: string): void => {
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#events.call({ state: 'ended', peer, reason });
    };
    session.on('ended', (event) => over(endedBy(event)));
    session.on('failed', (event) => over(reasonOf(event.cause)));
    session.on('getusermediafailed', () => over('No microphone: allow it for this page'));
  }
}

function media(processing: boolean): { mediaConstraints: MediaStreamConstraints; pcConfig: RTCConfiguration } {
  const audio = { echoCancellation: processing, noiseSuppression: processing, autoGainControl: processing };
  return {
    mediaConstraints: { audio, video: false },
    // Not max-bundle: a media node may leave the BUNDLE group out (rtpengine does).
    pcConfig: { iceServers: [], rtcpMuxPolicy: 'require' },
  };
}

function endedBy({ originator, cause }: { readonly originator: string; readonly cause: string }): string {
  if (cause === 'RTP Timeout') return reasonOf(cause);
  return originator === 'local' ? 'You hung up' : 'The other side hung up';
}

function reasonOf(cause: string): string {
  const texts: Record<string, string> = {
    Busy: 'Busy',
    Rejected: 'Declined',
    Unavailable: 'Not available',
    'Not Found': 'No such number',
    'No Answer': 'No answer',
    Canceled: 'Cancelled',
    'User Denied Media Access': 'No microphone: allow it for this page',
    'Connection Error': 'The connection to the node was lost',
    'Request Timeout': 'The node does not answer',
    'RTP Timeout': 'The media node was lost',
  };
  return texts[cause] ?? cause;
}
