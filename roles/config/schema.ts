import { z } from 'zod';
import { parseHostPort, Private } from '../../vocabulary/mod.ts';
import { transportSchema } from './transport-schema.ts';

/**
 * The one configuration schema of all roles. `causeway up` fills it with embedded defaults; a single role reads
 * its own section. Everything has a default that works on one machine, on loopback.
 */
const address = z
  .string()
  .refine((text) => parseHostPort(text) !== undefined, 'host:port, e.g. 127.0.0.1:5060 or [::1]:5060');
const hostPort = (fallback: string) => address.default(fallback);

const registryUrl = () => z.url('a URL, e.g. http://127.0.0.1:7070');
const port = z.int().min(1).max(65_535);
const secret = z
  .string()
  .min(1)
  .transform((text) => new Private(text));
const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes, at most 63');

/** `udp:127.0.0.1:5060`; wss also serves the softphone page and the API. */
export const sipListen = z
  .string()
  .regex(
    /^(udp|tcp|tls|ws|wss):(\[[0-9a-fA-F:.]+\]|[0-9.]+):\d{1,5}$/,
    'PROTOCOL:ADDRESS:PORT, e.g. udp:127.0.0.1:5060 or wss:[::]:8443',
  );

const ngAddress = z
  .string()
  .refine(
    (text) => text.startsWith('udp:') && (parseHostPort(text.slice(4))?.port ?? 0) > 0,
    'udp:HOST:PORT, e.g. udp:127.0.0.1:2223',
  );

const account = z.strictObject({
  tenant: name.default('default'),
  user: z.string().regex(/^[A-Za-z0-9_.+-]{1,64}$/, 'a SIP user: letters, digits, _ . + -'),
  displayName: z.string().max(64).optional(),
  password: secret.optional(),
  passwordFile: z.string().optional(),
  /** Number by which gateways reach this account. */
  number: z
    .string()
    .regex(/^\+?[0-9]{1,15}$/, 'digits, with + in front for E.164')
    .optional(),
});

const trunk = z.strictObject({
  tenant: name.default('default'),
  name,
  /** Where INVITEs go, e.g. `sip:127.0.0.1:5080;transport=udp`. */
  uri: z.string().regex(/^sips?:/, 'a SIP URI'),
  /** Requests from these addresses belong to this trunk and are not challenged. `address` or `address:port`. */
  sources: z.array(z.string()).default([]),
  /** Dialled numbers that go here: a regular expression on the user part. */
  match: z.string().default('^\\+?[0-9]+$'),
});

/** What two keys say together is looked at when each of them is right. */
const together = (path: string, message: string) => ({
  path: [path],
  message,
  when: ({ issues }: { readonly issues: readonly unknown[] }) => issues.length === 0,
});

export const signalingSchema = z.strictObject({
  id: name.default('signaling-1'),
  pop: name.default('local'),
  sip: z
    .array(sipListen)
    .min(1)
    .default(['udp:127.0.0.1:5060', 'tcp:127.0.0.1:5060', 'tls:127.0.0.1:5061', 'wss:127.0.0.1:8443']),
  /** What SIP messages and URLs carry instead of the bound address. */
  publicAddress: z.string().optional(),
  /** PEM files for tls and wss. Without them a certificate of the local CA in dataDir is used. */
  tls: z.strictObject({ certFile: z.string(), keyFile: z.string() }).optional(),
  metrics: hostPort('127.0.0.1:9101'),
  registry: registryUrl().default('http://127.0.0.1:7070'),
  /** ng addresses of the media nodes, e.g. of an rtpengine, instead of the registry's placement. */
  mediaNodes: z
    .array(ngAddress)
    .refine((list) => new Set(list).size === list.length, 'each media node once')
    .default([]),
  /** SIP domains and their tenant; requests for other domains are refused. The node's own addresses are always domains of `default`. */
  domains: z
    .array(z.strictObject({ tenant: name.default('default'), domain: z.string() }))
    .default([{ tenant: 'default', domain: 'causeway.local' }]),
  accounts: z.array(account).default([]),
  trunks: z.array(trunk).default([]),
  registration: z
    .strictObject({
      minSeconds: z.int().min(10).default(60),
      maxSeconds: z.int().min(60).default(3600),
      defaultSeconds: z.int().min(60).default(600),
      maxBindingsPerAor: z.int().min(1).max(100).default(10),
      nonceSeconds: z.int().min(5).default(300),
      /** Offered in this order. MD5 alone by default: SIPp and older phones take the first challenge only and know no other; browsers take the last. */
      algorithms: z
        .array(z.enum(['MD5', 'SHA-256']))
        .min(1)
        .default(['MD5']),
    })
    .refine(({ minSeconds, maxSeconds }) => minSeconds <= maxSeconds, together('maxSeconds', 'at least minSeconds'))
    .refine(
      ({ minSeconds, defaultSeconds, maxSeconds }) => minSeconds <= defaultSeconds && defaultSeconds <= maxSeconds,
      together('defaultSeconds', 'between minSeconds and maxSeconds'),
    )
    .prefault({}),
  /** Shared by the nodes of a PoP, so that a nonce of one is good at the other. Random per process when absent. */
  nonceSecretFile: z.string().optional(),
  /** The drachtio control port for apps that connect from outside; off when absent. */
  control: z
    .strictObject({ listen: hostPort('127.0.0.1:9022'), secret: secret.optional(), secretFile: z.string().optional() })
    .optional(),
  transport: transportSchema,
  limits: z
    .strictObject({
      bindings: z.int().default(100_000),
      calls: z.int().default(10_000),
      transactions: z.int().default(100_000),
      connections: z.int().default(15_000),
    })
    .prefault({}),
});

const mediaFields = z.strictObject({
  id: name.default('media-1'),
  pop: name.default('local'),
  listenNg: hostPort('127.0.0.1:2223'),
  /** ng over TCP, and over HTTP and WebSocket: off without an address. Whoever reaches them commands the node. */
  listenTcpNg: address.optional(),
  listenHttpNg: address.optional(),
  /** Of each of the two. */
  maxNgConnections: z.int().min(1).max(10_000).default(1000),
  /** Whose ng is spoken where releases of rtpengine contradict each other: that of 10.5, or of 26 and its like. */
  ngDialect: z.preprocess(
    (value) => (typeof value === 'number' ? String(value) : value),
    z.enum(['10.5', '26']).default('10.5'),
  ),
  /** Between an ng `delete` that does not say it itself and the end of the call. */
  deleteDelaySeconds: z.int().min(0).default(30),
  /** Where every DTMF event is sent as a JSON datagram. */
  dtmfLogDest: address.optional(),
  /** DTMF events to every ng TCP connection, subscribed or not. */
  dtmfLogNgTcp: z.boolean().default(false),
  /** Where `start recording` and `record-call` write; without it nothing is recorded. */
  recordingDir: z.string().min(1).optional(),
  /** Of all that lies there; above it nothing more is recorded. */
  recordingMaxBytes: z.int().min(1_000_000).optional(),
  events: z
    .strictObject({
      /** Each gets every event as a POST. */
      webhooks: z
        .array(z.url({ protocol: /^https?$/, error: 'a URL, e.g. http://127.0.0.1:8080/media' }))
        .max(8)
        .default([]),
      /** Mean opinion score, 1.0 to 4.4, below which a stream is an alarm; 0: none. */
      qualityAlarmMos: z.number().min(0).max(4.4).default(3.1),
    })
    .prefault({}),
  /** `address` or `name/address` or `name/address!advertised`; the first is the default. */
  interfaces: z.array(z.string()).min(1).default(['127.0.0.1']),
  portMin: port.default(20_000),
  portMax: port.default(23_999),
  webrtcPort: port.default(19_001),
  /** IP_TOS of media, and the traffic class of IPv6: 184 is expedited forwarding. */
  tos: z.int().min(0).max(255).default(184),
  floor: z.enum(['auto', 'kernel', 'native']).default('auto'),
  threads: z.int().min(1).max(64).default(1),
  metrics: hostPort('127.0.0.1:9111'),
  registry: registryUrl().optional(),
  /** No RTP on any stream of a call for this long ends it. */
  timeoutSeconds: z.int().min(5).default(60),
  maxSessions: z.int().min(1).default(5000),
  /** Beyond them no new call is taken, as means of 3 s: the machine's load average, percent of a core, megabits a second. */
  maxLoad: z.number().positive().optional(),
  maxCpuPercent: z.number().positive().max(100).optional(),
  maxBandwidthMbit: z.number().positive().optional(),
});

export const mediaSchema = mediaFields
  .refine(({ portMin, portMax }) => portMin < portMax, together('portMax', 'a port above portMin'))
  .refine(
    ({ portMin, portMax, webrtcPort }) => webrtcPort < portMin || webrtcPort > portMax,
    together('webrtcPort', 'a port outside portMin to portMax'),
  );

export const registrySchema = z.strictObject({
  listen: hostPort('127.0.0.1:7070'),
  /** A node that was silent for this long is down. */
  heartbeatSeconds: z.number().min(0.2).default(1),
  downAfterSeconds: z.number().min(0.5).default(3),
});

export const engineSchema = z.strictObject({
  sip: z.array(sipListen).min(1).default(['udp:127.0.0.1:5060', 'tcp:127.0.0.1:5060']),
  control: hostPort('127.0.0.1:9022'),
  secretFile: z.string().optional(),
  publicAddress: z.string().optional(),
  transport: transportSchema,
});

export const gatewaySimSchema = z.strictObject({
  sip: hostPort('127.0.0.1:5080'),
  address: z.string().default('127.0.0.1'),
  portMin: port.default(28_000),
  portMax: port.default(28_999),
  /** Where calls that the simulator places are sent. */
  proxy: z.string().default('sip:127.0.0.1:5060'),
});

/** A node is chosen by its id. */
const uniqueIds = (nodes: readonly { readonly id: string }[]) =>
  new Set(nodes.map(({ id }) => id)).size === nodes.length;
const UNIQUE = 'another id for each node';

export const configSchema = z.strictObject({
  dataDir: z.string().optional(),
  publicAddress: z.string().optional(),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
  signaling: z.array(signalingSchema).refine(uniqueIds, UNIQUE).default([]),
  media: z.array(mediaSchema).refine(uniqueIds, UNIQUE).default([]),
  registry: registrySchema.prefault({}),
  gatewaySim: gatewaySimSchema.optional(),
  engine: engineSchema.optional(),
});

/** The fields of each section, for values that come as text. */
export const SECTION_FIELDS = {
  signaling: signalingSchema.shape,
  media: mediaFields.shape,
  registry: registrySchema.shape,
  engine: engineSchema.shape,
  gatewaySim: gatewaySimSchema.shape,
} as const;
export type Section = keyof typeof SECTION_FIELDS;

export type Config = z.infer<typeof configSchema>;
export type SignalingConfig = z.infer<typeof signalingSchema>;
export type MediaConfig = z.infer<typeof mediaSchema>;
export type RegistryConfig = z.infer<typeof registrySchema>;
export type EngineConfig = z.infer<typeof engineSchema>;
export type GatewaySimConfig = z.infer<typeof gatewaySimSchema>;
