/** What is only interrupted for a moment comes back by itself. */
const PATIENCE_MS = 2000;
/** And then again and again; behind `failed`, about fifteen seconds later, the library ends the call. */
const AGAIN_MS = 5000;

/**
 * Starts ICE anew when the way to the media node is lost: the machine has another network, or its NAT another address.
 * `restart` is asked as long as the connection is not back; it may have to wait for signaling itself.
 */
export function keepConnected(connection: RTCPeerConnection, restart: () => void): void {
  let timer: number | undefined;
  const again = (): void => {
    timer = undefined;
    if (connection.iceConnectionState !== 'disconnected') return;
    restart();
    timer = window.setTimeout(again, AGAIN_MS);
  };
  connection.addEventListener('iceconnectionstatechange', () => {
    clearTimeout(timer);
    timer = window.setTimeout(again, PATIENCE_MS);
  });
}
