/** Runs in Chromium, bundled: a softphone on JsSIP as a page of somebody else would have it. Its state stands in `body[data-state]`. */
import JsSIP from 'jssip';
import type { RTCSession } from 'jssip/lib/RTCSession.js';
import type { RTCSessionEvent } from 'jssip/lib/UA.js';

export interface WebPhone {
  register(webSocket: string, uri: string): void;
  call(target: string): void;
  answer(): void;
  press(keys: string): void;
  hold(): void;
  unhold(): void;
  hangUp(): void;
}

declare global {
  interface Window {
    phone: WebPhone;
  }
}

/** Noise suppression would remove a tone. */
const MEDIA = {
  mediaConstraints: {
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    video: false,
  } as MediaStreamConstraints,
};

let agent: JsSIP.UA | undefined;
let session: RTCSession | undefined;
const say = (state: string) => (document.body.dataset['state'] = state);

function follow({ session: next }: RTCSessionEvent): void {
  session = next;
  const hear = (connection: RTCPeerConnection) =>
    connection.addEventListener('track', ({ streams }) => {
      (document.getElementById('remote-audio') as HTMLAudioElement).srcObject = streams[0] ?? null;
    });
  if (next.connection) hear(next.connection);
  next.on('peerconnection', ({ peerconnection }) => hear(peerconnection));
  next.on('confirmed', () => say('talking'));
  next.on('ended', () => say('ended'));
  next.on('failed', ({ cause }) => say(`failed: ${cause}`));
  say(next.direction === 'incoming' ? 'incoming' : 'calling');
}

window.phone = {
  register(webSocket, uri) {
    agent = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(webSocket)], uri, register: true });
    agent.on('registered', () => say('registered'));
    agent.on('registrationFailed', ({ cause }) => say(`registration failed: ${cause ?? ''}`));
    agent.on('newRTCSession', (event: RTCSessionEvent) => follow(event));
    agent.start();
  },
  call: (target) => void agent?.call(target, MEDIA),
  answer: () => session?.answer(MEDIA),
  press: (keys) => session?.sendDTMF(keys, { transportType: JsSIP.C.DTMF_TRANSPORT.RFC2833 as never }),
  hold: () => void session?.hold(),
  unhold: () => void session?.unhold(),
  hangUp: () => session?.terminate(),
};
