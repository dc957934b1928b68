// Session descriptions of the parties that the benchmarks play, and what they read from the relay's.

const line = (parts) => parts.filter((part) => part !== undefined).join('\r\n') + '\r\n';

/** One audio stream of a plain or SDES party. `crypto`: the inline parameter. */
export function audioSdp({ address, port, pt = 0, rtpmap = 'PCMU/8000', crypto }) {
  return line([
    'v=0',
    `o=- 1 1 IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    `m=audio ${port} ${crypto ? 'RTP/SAVP' : 'RTP/AVP'} ${pt}`,
    `a=rtpmap:${pt} ${rtpmap}`,
    crypto && `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${crypto}`,
    'a=sendrecv',
    'a=ptime:20',
  ]);
}

/** One audio stream of a WebRTC party that will be the DTLS client (RFC 8842). */
export function webrtcSdp({ address, port, ufrag, pwd, fingerprint }) {
  return line([
    'v=0',
    `o=- 1 1 IN IP4 ${address}`,
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    `m=audio ${port} UDP/TLS/RTP/SAVPF 0`,
    `c=IN IP4 ${address}`,
    'a=mid:0',
    'a=sendrecv',
    'a=rtcp-mux',
    'a=rtpmap:0 PCMU/8000',
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    `a=fingerprint:sha-256 ${fingerprint}`,
    'a=setup:active',
    `a=candidate:1 1 udp 2130706431 ${address} ${port} typ host`,
    'a=end-of-candidates',
  ]);
}

/** Where the first stream is to be sent and with what. @throws Error when the text has no stream. */
export function readSdp(text) {
  const media = /m=audio (\d+) \S+ (.*)/.exec(text);
  const address = [...text.matchAll(/c=IN IP4 (\S+)/g)].pop()?.[1];
  if (!media || !address) throw new Error(`no audio in the relay's SDP:\n${text}`);
  const value = (name) => new RegExp(`a=${name}:(\\S+)`).exec(text)?.[1];
  return {
    address,
    port: Number(media[1]),
    pts: media[2].trim().split(' ').map(Number),
    crypto: /a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/]+)/.exec(text)?.[1],
    ufrag: value('ice-ufrag'),
    pwd: value('ice-pwd'),
    fingerprint: /a=fingerprint:sha-256 (\S+)/i.exec(text)?.[1],
    /** The payload number of a codec; undefined when it is not there. */
    ptOf(codec) {
      const found = new RegExp(`a=rtpmap:(\\d+) ${codec}/`, 'i').exec(text)?.[1];
      return found === undefined ? undefined : Number(found);
    },
  };
}
