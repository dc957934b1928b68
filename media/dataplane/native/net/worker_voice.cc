// What we play to a party and the keys we press towards it, put into the one stream that it hears.
#include <algorithm>
#include <array>

#include "../core/rtp.h"
#include "worker.h"

namespace causeway {
namespace {

constexpr Micros kReportUs = 5'000'000;  // RFC 3550 §6.2

Endpoint* feederOf(const Endpoint& to) {
  for (Endpoint* feeder : to.feeders) {
    if (feeder->out && feeder->out->to == &to) return feeder;
  }
  return nullptr;
}

bool isOpus(const PayloadFormat& format) { return format.codec == Codec::kOpus; }

// What one relayed packet holds, for whoever has to go on behind it.
uint32_t frameMsOf(const Endpoint& from, uint8_t pt) {
  for (const PayloadFormat& format : from.out->spec.codable) {
    if (format.pt == pt) return format.ptimeMs;
  }
  return 20;
}

}  // namespace

// From now on the numbers of what it hears are ours. They go on where the relayed stream is.
Voice& Worker::giveVoice(Endpoint& to) {
  if (to.voice) return *to.voice;
  const Micros now = monotonicNow();
  to.voice = std::make_unique<Voice>();
  counters_.nativeBytes.add(sizeof(Voice));
  Endpoint* from = feederOf(to);
  if (from != nullptr && !from->out->transcoder) {
    const Path::Relayed& last = from->out->relayed;
    const auto& codable = from->out->spec.codable;
    const auto format = std::find_if(codable.begin(), codable.end(), [&](const PayloadFormat& f) { return f.pt == last.pt; });
    if (format != codable.end()) to.sender.clockRate = format->clockRate;
    else if (!codable.empty()) to.sender.clockRate = codable.front().clockRate;
    if (last.at > 0) {
      to.sender.ssrc = last.ssrc;
      to.sender.lastTimestamp = last.timestamp;
      to.sender.lastSentAt = last.at;
      to.lastSequence = last.sequence;
      to.voice->rewrite.adopt(last.ssrc, now);
    }
  }
  // Reports about a stream that has other numbers now are ours to make, in both directions.
  if (from != nullptr) giveVoice(*from);
  to.reportAt = std::min(to.reportAt, now + kReportUs / 2);
  return *to.voice;
}

void Worker::ownReports(Endpoint& from, Endpoint& to) {
  giveVoice(to);
  reschedule(from);
  reschedule(to);
}

// Whatever encodes what the party hears mixes the player in.
bool Worker::mixInto(Endpoint& to, std::string& error) {
  Voice& voice = *to.voice;
  const Micros now = monotonicNow();
  Endpoint* from = feederOf(to);
  if (from == nullptr) {
    error = "nothing is sent to this party yet";
    return false;
  }
  if (from->out->transcoder) {
    endMixer(to);
    from->out->transcoder->mixIn(&voice.player, now);
    reschedule(*from);
    return true;
  }
  const auto& codable = from->out->spec.codable;
  auto best = std::find_if(codable.begin(), codable.end(), [&](const PayloadFormat& f) { return f.pt == from->out->relayed.pt; });
  if (best == codable.end() || from->out->relayed.at == 0) best = codable.begin();
  if (best == codable.end()) {
    error = "what this party hears cannot be coded here";
    return false;
  }
  TranscoderConfig config;
  config.out = *best;
  // One rate for all of them: wide-band speech does not become narrow because the sender might change its mind.
  for (const PayloadFormat& format : codable) {
    if (isOpus(format) == isOpus(*best)) config.in.push_back(format);
  }
  for (const EventFormat& event : from->out->spec.events) config.dtmf.push_back({event.pt, event.clockRate, event.pt, event.clockRate});
  const Micros frame = Micros{config.out.ptimeMs} * 1000;
  const Micros frames = StreamRewrite::framesSince(to.sender, config.out.ptimeMs, now);
  to.sender.clockRate = config.out.clockRate;
  config.ssrc = to.sender.ssrc;
  config.firstSequence = static_cast<uint16_t>(to.lastSequence + 1);
  config.firstTimestamp = to.sender.lastTimestamp + static_cast<uint32_t>(frames) * (config.out.clockRate * config.out.ptimeMs / 1000);
  config.marker = frames > 2 || to.sender.lastSentAt == 0;
  auto mixer = Transcoder::create(config, error);
  if (!mixer) return false;
  endMixer(to);
  voice.mixer = std::move(mixer);
  voice.mixed = codable;
  voice.countedBytes = voice.mixer->memoryBytes();
  counters_.transcoders.add();
  counters_.nativeBytes.add(voice.countedBytes);
  const Micros begin = to.sender.lastSentAt > 0 ? to.sender.lastSentAt + frames * frame : now;
  voice.mixer->mixIn(&voice.player, std::max(now, begin));
  voice.rewrite.interrupt(false);
  reschedule(to);
  return true;
}

void Worker::endMixer(Endpoint& to) {
  Voice& voice = *to.voice;
  if (!voice.mixer) return;
  voice.mixer.reset();
  voice.mixed.clear();
  counters_.transcoders.subtract();
  counters_.nativeBytes.subtract(voice.countedBytes);
  voice.countedBytes = 0;
  // What still waited in it is not played: the listener would hear it later than all that follows.
  voice.rewrite.interrupt(false);
}

// A re-INVITE has changed how the party is reached: what plays goes on where it was.
void Worker::pathChanged(Endpoint& to, bool another) {
  Voice& voice = *to.voice;
  if (another) voice.rewrite.interrupt(false);
  const Endpoint* from = feederOf(to);
  const bool coded = from != nullptr && from->out->transcoder;
  if (voice.player.ended()) {
    if (coded) endMixer(to);
    return;
  }
  const auto same = [](const PayloadFormat& a, const PayloadFormat& b) { return a.pt == b.pt && a.codec == b.codec && a.ptimeMs == b.ptimeMs; };
  if (!coded && voice.mixer && from != nullptr &&
      std::equal(voice.mixed.begin(), voice.mixed.end(), from->out->spec.codable.begin(), from->out->spec.codable.end(), same))
    return;
  std::string error;
  if (mixInto(to, error)) return;
  endMixer(to);
  voice.player.finishAll();
  played(to);
}

bool Worker::play(Endpoint& to, std::shared_ptr<const Clip> clip, const PlayOptions& options, bool behind, std::string& error) {
  Voice& voice = giveVoice(to);
  if (!behind) voice.player.clear();
  if (!voice.player.add(std::move(clip), options)) {
    error = "too much is waiting to be played";
    return false;
  }
  if (voice.mixer) return true;
  if (mixInto(to, error)) return true;
  voice.player.clear();
  return false;
}

void Worker::stopPlaying(Endpoint& to, uint64_t& id, uint32_t& positionMs) {
  id = 0;
  if (!to.voice) return;
  id = to.voice->player.id();
  positionMs = to.voice->player.positionMs();
  to.voice->player.clear();
  endMixer(to);
  reschedule(to);
}

bool Worker::press(Endpoint& to, const KeyPress& key, std::string& error) {
  Voice& voice = giveVoice(to);
  if (!voice.keys.add(key, monotonicNow())) {
    error = "too many keys are waiting to be pressed";
    return false;
  }
  reschedule(to);
  return true;
}

// A packet on a relay path towards a party that has a voice.
void Worker::intoVoice(Endpoint& from, const RtpHeader& header, uint8_t* packet, size_t length, Micros now) {
  Endpoint& to = *from.out->to;
  Voice& voice = *to.voice;
  if (voice.mixer) {
    voice.mixer->push(now, {packet, length});
    tickVoice(to, now);
    reschedule(to);
    return;
  }
  if (voice.keys.pressed()) return;
  if (!voice.rewrite.apply(packet, header, frameMsOf(from, header.pt), to.sender, to.lastSequence, now)) {
    drop(from, kDropGated);
    return;
  }
  to.sender.packets++;
  to.sender.octets += static_cast<uint32_t>(header.payloadSize);
  from.out->relayed.pt = header.pt;
  from.out->relayed.at = now;
  sendRtp(to, packet, length, true, now);
}

// A packet that we have made; its sequence number is the next one.
void Worker::sendOwn(Endpoint& to, uint8_t* packet, size_t length, Micros now) {
  if (to.voice && to.voice->keys.pressed()) return;
  writeU16(packet + 2, ++to.lastSequence);
  to.sender.packets++;
  to.sender.octets += static_cast<uint32_t>(length - 12);
  to.sender.lastTimestamp = readU32(packet + 4);
  to.sender.lastSentAt = now;
  sendRtp(to, packet, length, false, now);
}

void Worker::tickVoice(Endpoint& to, Micros now) {
  Voice& voice = *to.voice;
  std::array<uint8_t, kPacketSize> packet;
  uint8_t pt = 0;
  bool first = false;
  while (voice.keys.poll(now, packet.data() + 12, pt, first)) {
    if (first) {
      const Micros since = std::clamp<Micros>(now - to.sender.lastSentAt, EventSender::kEveryUs, to.sender.lastSentAt > 0 ? 3'600'000'000 : EventSender::kEveryUs);
      voice.keyTimestamp = to.sender.lastTimestamp + static_cast<uint32_t>(since * to.sender.clockRate / 1'000'000);
      to.sender.lastTimestamp = voice.keyTimestamp;
      to.sender.lastSentAt = now;
    }
    writeRtp(packet.data(), pt, first, ++to.lastSequence, voice.keyTimestamp, to.sender.ssrc);
    to.sender.packets++;
    to.sender.octets += 4;
    sendRtp(to, packet.data(), 16, false, now);
    if (!voice.mixer) voice.rewrite.interrupt(true);
  }
  if (!voice.mixer) return;
  for (int turn = 0; turn < 64; turn++) {
    const size_t length = voice.mixer->poll(now, std::span(packet).first(kPacketSize - kSrtpTrailer));
    if (length == 0) break;
    sendOwn(to, packet.data(), length, now);
  }
  played(to);
}

// Tells what has come to its end; behind the last the party hears the other one again, as it speaks.
void Worker::played(Endpoint& to) {
  Voice& voice = *to.voice;
  while (const uint64_t id = voice.player.takeFinished()) {
    Event event;
    event.type = Event::Type::kPlayed;
    event.endpoint = to.id;
    event.playback = id;
    sink_(std::move(event));
  }
  if (voice.player.ended()) endMixer(to);
}

}  // namespace causeway
