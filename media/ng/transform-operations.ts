import { randomBytes } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import type { Bencode } from '../../vocabulary/mod.ts';
import type { Codec } from '../../codecs/mod.ts';
import { isDictionary, text, type SessionManager, type TransformMedia } from '../session/mod.ts';
import { NgError, REASONS } from './errors.ts';
import type { OperationRequest, Operations } from './media-commands.ts';
import type { Dictionary } from './message.ts';
import { integer, optional } from './request.ts';

const MAX_MEDIA = 32;
const MAX_CODECS = 32;

/** `transform`: RTP in one format in, in another one out, without an offer. */
export function transformOperations(manager: Pick<SessionManager, 'transform'>): Operations {
  return {
    transform({ message, now }: OperationRequest) {
      const callId = optional(message, 'call-id') ?? randomBytes(32).toString('hex');
      const fromTag = optional(message, 'from-tag') ?? randomBytes(32).toString('hex');
      const entries = listOf(message['media']).map(spelled);
      const media = entries.map(mediaOf).filter((one) => one !== undefined);
      if (media.length === 0 || media.length !== entries.length || media.length > MAX_MEDIA)
        throw new NgError(REASONS.notTransformed);
      const ends = manager.transform({ callId, fromTag, interfaceName: optional(message, 'interface'), media }, now);
      return {
        'call-id': callId,
        'from-tag': fromTag,
        media: ends.map(({ rtp }, index): Bencode => ({
          id: text(entries[index]?.['id']) ?? String(index + 1),
          family: isIPv6(rtp.address) ? 'IP6' : 'IP4',
          address: rtp.address,
          port: rtp.port,
        })),
      };
    },
  };
}

function listOf(value: Bencode | undefined): readonly Bencode[] {
  return Array.isArray(value) ? (value as readonly Bencode[]) : [];
}

/** Keys in lower case with hyphens, as those of the message. */
function spelled(value: Bencode): Dictionary {
  if (!isDictionary(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [key.toLowerCase().replace(/[ _]/g, '-'), own]));
}

function mediaOf(entry: Dictionary): TransformMedia | undefined {
  const target = spelled(entry['destination'] ?? {});
  const address = text(target['address']) ?? '';
  const port = integer(target['port']) ?? 0;
  const pairs = listOf(entry['codec']).slice(0, MAX_CODECS).map(spelled);
  const codecs = pairs.flatMap((pair) => {
    const [input, output] = [codecOf(spelled(pair['input'] ?? {})), codecOf(spelled(pair['output'] ?? {}))];
    return input && output ? [{ input, output }] : [];
  });
  if (isIP(address) === 0 || port < 1 || port > 65_535 || codecs.length === 0 || codecs.length !== pairs.length)
    return undefined;
  return { kind: text(entry['type']) ?? 'audio', codecs, destination: { address, port } };
}

function codecOf(entry: Dictionary): Codec | undefined {
  const name = text(entry['codec']);
  const pt = integer(entry['payload-type']) ?? -1;
  const clockRate = integer(entry['clock-rate']) ?? 8000;
  const channels = integer(entry['channels']) ?? 1;
  if (name === undefined || pt < 0 || pt > 127 || clockRate < 1000 || clockRate > 192_000) return undefined;
  if (channels < 1 || channels > 2) return undefined;
  const bitrate = /\bbitrate=(\d{1,7})/.exec(text(entry['options']) ?? '')?.[1];
  const parameters = [text(entry['format']), bitrate && `maxaveragebitrate=${bitrate}`].filter((part) => part);
  return { pt, name, clockRate, channels, fmtp: parameters.length === 0 ? undefined : parameters.join(';') };
}
