/** Runs in a browser, bundled: one RTCPeerConnection whose offers and answers the test carries to and fro. */

export interface Peer {
  connection: RTCPeerConnection;
  /** Asks for the devices; a connection with their tracks takes the place of the one before. */
  open(devices: { readonly audio?: boolean; readonly video?: MediaTrackConstraints }): Promise<void>;
  /** Each resolves when all candidates stand in the text. */
  offer(options?: RTCOfferOptions): Promise<string>;
  answer(offer: string): Promise<string>;
  accept(answer: string): Promise<void>;
  /** Starts the camera and adds its track. */
  addCamera(constraints: MediaTrackConstraints): Promise<void>;
}

declare global {
  interface Window {
    peer: Peer;
  }
}

/** Noise suppression would remove a tone. */
const MICROPHONE = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

async function whole(connection: RTCPeerConnection): Promise<string> {
  while (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) =>
      connection.addEventListener('icegatheringstatechange', () => resolve(undefined), { once: true }),
    );
  }
  return connection.localDescription?.sdp ?? '';
}

const peer: Peer = {
  connection: undefined as never,
  async open({ audio, video }) {
    peer.connection?.close();
    const connection = new RTCPeerConnection({ rtcpMuxPolicy: 'require' });
    peer.connection = connection;
    connection.addEventListener('track', ({ track }) => {
      const stream = new MediaStream([track]);
      if (track.kind === 'audio') {
        (document.getElementById('remote-audio') as HTMLAudioElement).srcObject = stream;
        return;
      }
      // What nobody looks at is not decoded.
      const view = document.body.appendChild(document.createElement('video'));
      Object.assign(view, { autoplay: true, muted: true, srcObject: stream });
    });
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: audio === false ? false : MICROPHONE,
      video: video ?? false,
    });
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
  },
  async offer(options) {
    await peer.connection.setLocalDescription(await peer.connection.createOffer(options));
    return whole(peer.connection);
  },
  async answer(sdp) {
    await peer.connection.setRemoteDescription({ type: 'offer', sdp });
    await peer.connection.setLocalDescription(await peer.connection.createAnswer());
    return whole(peer.connection);
  },
  accept: (sdp) => peer.connection.setRemoteDescription({ type: 'answer', sdp }),
  async addCamera(video) {
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    for (const track of stream.getTracks()) peer.connection.addTrack(track, stream);
  },
};
window.peer = peer;
