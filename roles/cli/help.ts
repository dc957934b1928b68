export type RoleName = 'signaling' | 'media' | 'registry' | 'engine' | 'gateway-sim';

export const HELP = `causeway: a SIP/RTP media edge

  causeway up            a whole PoP on this machine: two signaling and two media nodes, registry, PSTN simulator
  causeway signaling     one signaling node: SIP over UDP, TCP, TLS, WS and WSS, registrar, calls
  causeway media         one media node: rtpengine's ng protocol, RTP, WebRTC, transcoding
  causeway registry      the PoP registry: which node for which client and call
  causeway engine        the SIP engine alone, for drachtio applications
  causeway gateway-sim   a PSTN gateway to call without having one

  causeway explain ID    why the media of a call is as it is, asked of its media node

  causeway ROLE --help   the flags of a role

Every role reads --config FILE (YAML), then CAUSEWAY_<SECTION>_<KEY> from the environment, then its flags.
It prints one JSON line when it serves, and ends with status 0 on SIGTERM when its calls have ended.
`;

const COMMON = `
  --config FILE          YAML; one file for all roles
  --id NAME              which node of the file this is (default: the first)
  --pop NAME             the place it stands at
  --data-dir DIR         certificates and secrets (default: $XDG_STATE_HOME/causeway)
  --public-address IP    what SDP and URLs carry (default: the source address of the default route)
  --log-level LEVEL      debug, info, warn or error; JSON lines on stderr
  --drain-seconds N      how long SIGTERM waits for calls to end (default: 30)
`;

const OWN: Readonly<Record<string, string>> = {
  up: `causeway up: a whole PoP on this machine
`,
  signaling: `causeway signaling: one signaling node

  --sip LIST             udp:ADDRESS:PORT,tcp:…,tls:…,ws:…,wss:…; may be repeated
  --registry URL         the PoP registry (default: http://127.0.0.1:7070)
  --media-nodes LIST     udp:HOST:PORT,…: the ng addresses of media nodes (an rtpengine too) instead of the registry's choice
  --metrics HOST:PORT    Prometheus metrics (default: 127.0.0.1:9101)
`,
  media: `causeway media: one media node

  --listen-ng HOST:PORT  rtpengine's ng protocol over UDP (default: 127.0.0.1:2223)
  --listen-tcp-ng HOST:PORT  the same over TCP (default: off)
  --listen-http HOST:PORT    the same over HTTP and WebSocket (default: off)
  --dtmf-log-dest HOST:PORT  where DTMF events go as JSON datagrams
  --delete-delay SECONDS     between an ng delete and the end of its call (default: 30)
  --ng-dialect 10.5|26       whose ng is spoken where releases differ (default: 10.5)
  --recording-dir FOLDER     where calls are recorded that are asked for (default: none are)
  --recording-max-bytes N    of all recordings there; above it nothing more is recorded (default: no limit)
  --interface IF         ADDRESS, NAME/ADDRESS or NAME/ADDRESS!ADVERTISED; may be repeated, the first is the default
  --port-min N           first RTP port (default: 20000)
  --port-max N           last RTP port (default: 23999)
  --webrtc-port N        the one UDP port of all WebRTC legs (default: 19001)
  --tos N                IP_TOS of media, 0 to 255 (default: 184, expedited forwarding)
  --floor auto|native    which packet path (kernel: in a later version)
  --threads N            media threads (default: 1)
  --registry URL         where to send heartbeats; none without it
  --metrics HOST:PORT    Prometheus metrics (default: 127.0.0.1:9111)
`,
  registry: `causeway registry: the PoP registry

  --listen HOST:PORT     HTTP API and metrics (default: 127.0.0.1:7070)
`,
  engine: `causeway engine: the SIP engine alone; drachtio applications connect to its control port

  --sip LIST             udp:ADDRESS:PORT,tcp:…,tls:…,ws:…,wss:…; may be repeated
  --control HOST:PORT    the control port (default: 127.0.0.1:9022)
  --control-tls HOST:PORT    a second one, with TLS (default: off)
  --secret-file FILE     the secret that applications must know
  --secret TEXT          the same, for all to see who can list processes
  --default-refresher WHO    none, uac or uas: who refreshes a session where neither side says it (default: none)
  --metrics HOST:PORT    Prometheus metrics (default: none)
`,
  'gateway-sim': `causeway gateway-sim: a PSTN gateway to call without having one

  --sip HOST:PORT        its SIP address over UDP (default: 127.0.0.1:5080)
  --proxy URI            where its own calls go (default: sip:127.0.0.1:5060)
`,
};

const EXPLAIN = `causeway explain CALL-ID: what each party offered, what was chosen and why, where it was learnt, who was refused

  --ng HOST:PORT         the ng address of the media node; may be repeated (default: 127.0.0.1:2223)
  --json                 the lines as one JSON array

CALL-ID is what ng names the call by: the "call" of the logs. Without it, the calls of the node are listed.
`;

export function helpOf(role: string): string {
  if (role === 'explain') return EXPLAIN;
  return `${OWN[role] ?? ''}${COMMON}`;
}
