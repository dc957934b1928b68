import { z } from 'zod';
import { DIGEST_ALGORITHMS, PROFILE_NAMES } from '../../signaling/register/names.ts';
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

/** What can stand between quotes in a SIP header. */
const quotable = z.string().regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, 'text without quotes and backslashes');

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
  /** Softphone profile by name, in the place of the one that its messages show. */
  profile: z.enum(PROFILE_NAMES).optional(),
  /** Devices at once, in the place of registration.maxBindingsPerAor. */
  maxBindings: z.int().min(1).max(1000).optional(),
});

/** Who issues tokens for a tenant's accounts (RFC 8898). */
const bearer = z.strictObject({
  tenant: name.default('default'),
  issuer: z.string().min(1),
  audience: z.string().min(1),
  /** A JSON Web Key Set (RFC 7517) with the issuer's public keys. */
  jwksFile: z.string(),
  /** The claim that is the account's user. */
  claim: z.string().min(1).default('sub'),
  scope: quotable.optional(),
  /** Told to clients, so that they know where to get a token. */
  authzServer: quotable.optional(),
});

/** Who is asked to wake a device (RFC 8599). */
const pushHook = z.strictObject({
  /** As `pn-provider` names it: apns, fcm, webpush, or another. */
  provider: z.string().regex(/^[a-z0-9._-]{1,64}$/, 'lower-case letters, digits, . _ -'),
  url: z.url({ protocol: /^https?$/, error: 'a URL, e.g. http://127.0.0.1:8081/push' }),
  /** Sent to it as a bearer token. */
  secretFile: z.string().optional(),
});

const trunk = z.strictObject({
  tenant: name.default('default'),
  name,
  /** Where INVITEs go, e.g. `sip:127.0.0.1:5080;transport=udp`. */
  uri: z.string().regex(/^sips?:/, 'a SIP URI'),
  /** Requests from these addresses belong to this trunk and are not challenged. `address` or `address:port`. */
  sources: z.array(z.string()).default([]),
  /** In the trust domain of RFC 3325: what it asserts is believed, and it is told who calls whom. */
  trusted: z.boolean().default(true),
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
      algorithms: z.array(z.enum(DIGEST_ALGORITHMS)).min(1).default(['MD5']),
      /** Within which a phone shows that its flow lives (RFC 5626). */
      flowTimerSeconds: z.int().min(10).max(3600).default(120),
      /** By which requests of registered clients are to come (RFC 3608). */
      serviceRoute: z.array(z.string().regex(/^sips?:[^<>\s]+$/, 'a SIP URI, e.g. sip:192.0.2.1;lr')).default([]),
      /** What a client must support to register; others get 421. */
      requireExtensions: z.array(z.enum(['path', 'gruu', 'outbound'])).default([]),
      bearer: z.array(bearer).default([]),
      push: z
        .strictObject({
          hooks: z.array(pushHook).max(16).default([]),
          /** How long a call waits for a device that was woken. */
          waitSeconds: z.int().min(1).max(120).default(20),
          /** Before its expiry a sleeping device must refresh, or is woken to. */
          refreshSeconds: z.int().min(121).max(3600).default(130),
        })
        .prefault({}),
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
      /** Beyond it, and as soon as the node falls behind, 503 with a spread Retry-After. */
      registersPerSecond: z.int().min(1).default(20_000),
      /** Of one source address (IPv6: /64), everything that has to show credentials. */
      sourcePerSecond: z.number().positive().default(500),
      sourceBurst: z.int().min(1).default(5000),
      /** REGISTERs for one address of record. */
      aorPerSecond: z.number().positive().default(5),
      aorBurst: z.int().min(1).default(50),
      /** Wrong credentials of one source for one user. */
      failuresPerMinute: z.number().positive().default(20),
      /** Addresses or networks that are not counted: edge proxies, for one. */
      rateExempt: z
        .array(z.string().regex(/^[0-9a-fA-F:.]+(\/\d{1,3})?$/, 'ADDRESS or ADDRESS/PREFIX'))
        .default(['127.0.0.0/8', '::1']),
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
  /** A second control port, with TLS; off when absent. */
  controlTls: address.optional(),
  secret: secret.optional(),
  secretFile: z.string().optional(),
  publicAddress: z.string().optional(),
  transport: transportSchema,
  /** PEM files for tls, wss and controlTls. Without them a certificate of the local CA in dataDir is used. */
  tls: z.strictObject({ certFile: z.string(), keyFile: z.string() }).optional(),
  /** Who is asked about requests that begin something: instead of the applications that have connected. */
  requestHandlers: z
    .array(
      z.strictObject({
        method: z
          .string()
          .regex(/^(\*|[A-Za-z]+)$/, 'a SIP method or *')
          .default('*'),
        url: z
          .string()
          .regex(
            /^((tcp|tls):\/\/[^/]+:\d{1,5}\/?|https?:\/\/\S+)$/,
            'tcp://HOST:PORT or tls://HOST:PORT of an application, or the http or https URL of who names one',
          ),
        httpMethod: z.enum(['GET', 'POST']).default('GET'),
        verifyPeer: z.boolean().default(true),
      }),
    )
    .max(16)
    .default([]),
  /** Who refreshes a call's session where neither side says it (RFC 4028); none: such a session has no timer. */
  defaultRefresher: z.enum(['none', 'uac', 'uas']).default('none'),
  /** /metrics and /healthz; off when absent. */
  metrics: address.optional(),
  limits: z
    .strictObject({ transactions: z.int().min(1).default(100_000), connections: z.int().min(1).default(15_000) })
    .prefault({}),
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
