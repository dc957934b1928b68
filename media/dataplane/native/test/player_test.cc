// What is put into a stream, offline: clips at every rate, mixed over a voice; keys; numbers that go on. Prints one line a
// check; ends with 1 when one fails.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "../core/event_sender.h"
#include "../core/g711.h"
#include "../core/player.h"
#include "../core/rtp.h"
#include "../core/stream_rewrite.h"
#include "../core/transcoder.h"
#include "check.h"

using namespace causeway;

namespace {

size_t allocations = 0;

constexpr Micros kMs = 1000;

std::vector<int16_t> sine(double hz, double seconds, uint32_t rate, double peak = 10000) {
  std::vector<int16_t> out(static_cast<size_t>(seconds * rate));
  for (size_t i = 0; i < out.size(); i++) out[i] = static_cast<int16_t>(std::lround(peak * std::sin(2 * M_PI * hz * static_cast<double>(i) / rate)));
  return out;
}

std::shared_ptr<const Clip> clipOf(double hz, double seconds, uint32_t rate, double peak = 10000) {
  auto clip = std::make_shared<Clip>();
  clip->rate = rate;
  clip->samples = sine(hz, seconds, rate, peak);
  return clip;
}

// The share of the energy at each of the frequencies, by Goertzel over a Hann window.
std::vector<double> shares(const std::vector<int16_t>& audio, size_t from, size_t n, uint32_t rate, const std::vector<double>& tones) {
  std::vector<double> w(n);
  double total = 1e-9;
  for (size_t i = 0; i < n; i++) {
    w[i] = audio[from + i] * (0.5 - 0.5 * std::cos(2 * M_PI * static_cast<double>(i) / static_cast<double>(n)));
    total += w[i] * w[i];
  }
  std::vector<double> out;
  for (const double hz : tones) {
    const double bin = hz * static_cast<double>(n) / rate;
    double lobe = 0;
    for (int k = static_cast<int>(std::lround(bin)) - 2; k <= static_cast<int>(std::lround(bin)) + 2; k++) {
      const double c = 2 * std::cos(2 * M_PI * k / static_cast<double>(n));
      double s1 = 0, s2 = 0;
      for (const double x : w) {
        const double s0 = x + c * s1 - s2;
        s2 = s1;
        s1 = s0;
      }
      lobe += 2 * (s1 * s1 + s2 * s2 - c * s1 * s2) / static_cast<double>(n);
    }
    out.push_back(lobe / total);
  }
  return out;
}

double toneOverRest(const std::vector<int16_t>& audio, size_t from, size_t n, uint32_t rate, double hz) {
  const double share = std::min(shares(audio, from, n, rate, {hz})[0], 1 - 1e-9);
  return 10 * std::log10(share / (1 - share));
}

// The weaker of two tones over all that is neither.
double bothOverRest(const std::vector<int16_t>& audio, size_t from, size_t n, uint32_t rate, double one, double other) {
  const auto both = shares(audio, from, n, rate, {one, other});
  return 10 * std::log10(std::min(both[0], both[1]) / std::max(1e-9, 1 - both[0] - both[1]));
}

std::vector<int16_t> play(Player& player, uint32_t rate, double seconds, int16_t under = 0) {
  std::vector<int16_t> out(static_cast<size_t>(rate * seconds) / (rate / 50) * (rate / 50), under);
  for (size_t at = 0; at < out.size(); at += rate / 50) player.mix(std::span(out).subspan(at, rate / 50), rate);
  return out;
}

void clips() {
  for (const uint32_t from : {8000u, 16000u, 32000u, 44100u, 48000u}) {
    for (const uint32_t to : {8000u, 16000u, 48000u}) {
      const std::string name = std::to_string(from) + " Hz played at " + std::to_string(to);
      Player player;
      player.add(clipOf(1000, 1, from), {1});
      const auto heard = play(player, to, 1.1);
      check(toneOverRest(heard, to / 10, to / 2, to, 1000) > 50, name + ": tone over rest, dB", toneOverRest(heard, to / 10, to / 2, to, 1000));
      int peak = 0;
      for (const int16_t s : heard) peak = std::max(peak, std::abs(static_cast<int>(s)));
      check(peak > 9800 && peak < 10300, name + ": as loud as it was", peak);
      check(player.takeFinished() == 1 && player.ended() && player.takeFinished() == 0, name + ": ends once", 1);
      size_t last = heard.size();
      while (last > 0 && heard[last - 1] == 0) last--;
      check(std::abs(static_cast<double>(last) - to) < to / 500.0, name + ": as long as it was, samples", static_cast<double>(last));
    }
  }
  Player narrow;
  narrow.add(clipOf(6000, 1, 48000), {1});
  int peak = 0;
  // Its beginning and its end are sounds of their own.
  const auto carried = play(narrow, 8000, 1);
  for (size_t i = 200; i < 7800; i++) peak = std::max(peak, std::abs(static_cast<int>(carried[i])));
  check(peak < 20, "what 8 kHz cannot carry does not come back as something else", peak);
}

void options() {
  {
    Player player;
    player.add(clipOf(400, 0.1, 8000), {3, 3, 0, 0, false});
    const auto heard = play(player, 8000, 0.4);
    // 40 periods in 0.1 s: the joints do not show.
    check(toneOverRest(heard, 0, 2400, 8000, 400) > 50, "three times without a joint, dB", toneOverRest(heard, 0, 2400, 8000, 400));
    check(heard[2399] != 0 && heard[2405] == 0 && player.takeFinished() == 3, "three times and no more", heard[2399]);
  }
  {
    Player player;
    player.add(clipOf(400, 1, 8000), {4, 100, 250, 500, false});
    player.mix(std::span(std::vector<int16_t>(160).data(), 160), 8000);
    check(player.positionMs() == 270 && player.id() == 4, "begins where it was told, ms", player.positionMs());
    play(player, 8000, 0.46);
    check(!player.ended(), "not yet at its limit", player.positionMs());
    play(player, 8000, 0.04);
    check(player.ended() && player.takeFinished() == 4, "ends at its limit", 500);
  }
  {
    Player player;
    player.add(clipOf(400, 0.1, 8000, 30000), {5});
    int peak = 0;
    for (const int16_t s : play(player, 8000, 0.1, 20000)) peak = std::max(peak, static_cast<int>(s));
    check(peak == 32767, "two that are loud do not turn over", peak);
    player.add(clipOf(400, 0.1, 8000, 300), {6, 1, 0, 0, true});
    peak = 0;
    for (const int16_t s : play(player, 8000, 0.1, 20000)) peak = std::max(peak, static_cast<int>(s));
    check(peak <= 300, "muted meanwhile", peak);
  }
  {
    Player player;
    bool all = true;
    for (size_t i = 0; i < Player::kQueue; i++) all = all && player.add(clipOf(400, 0.02, 8000), {i + 1});
    check(all && !player.add(clipOf(400, 0.02, 8000), {99}), "so many wait and no more", Player::kQueue);
    check(!Player().add(std::make_shared<Clip>(), {1}), "an empty clip is none", 0);
    play(player, 8000, 0.5);
    size_t told = 0;
    while (player.takeFinished() == told + 1) told++;
    check(told == Player::kQueue, "each is told of, in order", static_cast<double>(told));
  }
}

PayloadFormat pcmu() { return {0, Codec::kPcmu, 8000, 1, 20, 0, true, false, 48000}; }
PayloadFormat opus() { return {111, Codec::kOpus, 48000, 2, 20, 0, true, false, 48000}; }

// Someone who speaks 440 Hz from `speaks` to `silent`, with 900 Hz over it from `plays` on for a second, as it is heard in
// PCMU. Checks the numbers of every packet.
std::vector<int16_t> mixed(const std::string& name, bool throughOpus, Micros speaks, Micros silent, Micros plays) {
  std::string error;
  TranscoderConfig config;
  config.in = {throughOpus ? opus() : pcmu()};
  config.out = config.in[0];
  config.firstSequence = 65530;
  config.firstTimestamp = 0xffffff00;
  auto mixer = Transcoder::create(config, error);
  TranscoderConfig edge;
  edge.in = {pcmu()};
  edge.out = opus();
  auto up = Transcoder::create(edge, error);
  std::swap(edge.in[0], edge.out);
  auto down = Transcoder::create(edge, error);
  Player player;
  const auto clip = clipOf(900, 1, 16000);
  const auto voice = sine(440, 5, 8000);
  std::vector<int16_t> heard;
  std::vector<uint8_t> out(1600);
  uint32_t sequence = 0, sent = 0;
  bool steady = true;
  bool begun = false;
  Micros first = -1;
  for (Micros now = 0; now < 3000 * kMs; now += 5 * kMs) {
    if (now % (20 * kMs) == 0 && now >= speaks && now < silent) {
      uint8_t packet[172];
      writeRtp(packet, 0, sent == 0, static_cast<uint16_t>(sent), sent * 160, 7);
      for (size_t i = 0; i < 160; i++) packet[12 + i] = linearToMuLaw(voice[sent * 160 + i]);
      sent++;
      if (throughOpus) up->push(now, packet);
      else mixer->push(now, packet);
    }
    if (throughOpus) {
      for (size_t n; (n = up->poll(now, out)) > 0;) mixer->push(now, std::span(out).first(n));
    }
    if (now == plays) {
      player.add(clip, {1});
      mixer->mixIn(&player, now);
    }
    for (size_t n; (n = mixer->poll(now, out)) > 0;) {
      if (!begun) first = now;
      begun = true;
      const uint32_t ticks = config.out.clockRate / 50;
      steady = steady && readU16(&out[2]) == static_cast<uint16_t>(65530 + sequence) && readU32(&out[4]) == 0xffffff00 + sequence * ticks;
      sequence++;
      if (throughOpus) down->push(now, std::span(out).first(n));
      else
        for (size_t i = 12; i < n; i++) heard.push_back(muLawToLinear(out[i]));
    }
    if (throughOpus) {
      for (size_t n; (n = down->poll(now, out)) > 0;)
        for (size_t i = 12; i < n; i++) heard.push_back(muLawToLinear(out[i]));
    }
  }
  check(steady, name + ": numbers without a jump", sequence);
  // A jitter buffer's least delay for each coding.
  check(first == std::min(plays, speaks + (throughOpus ? 80 : 40) * kMs), name + ": begins at once, ms", static_cast<double>(first / kMs));
  check(player.ended(), name + ": ends", 1);
  return heard;
}

void mixing() {
  for (const bool throughOpus : {false, true}) {
    const std::string codec = throughOpus ? "Opus" : "PCMU";
    {
      const auto heard = mixed(codec + ", over a voice", throughOpus, 0, 3000 * kMs, 1000 * kMs);
      const double both = bothOverRest(heard, 8000 + 2400, 4000, 8000, 440, 900);
      check(both > 20, codec + ", over a voice: both over the rest, dB", both);
      check(toneOverRest(heard, 2000, 4000, 8000, 440) > 25, codec + ", over a voice: the voice before, dB", toneOverRest(heard, 2000, 4000, 8000, 440));
      check(toneOverRest(heard, 8000 * 2 + 3000, 4000, 8000, 440) > 25, codec + ", over a voice: the voice behind, dB", toneOverRest(heard, 8000 * 2 + 3000, 4000, 8000, 440));
      // A click is a step that neither tone can make.
      int step = 0;
      for (size_t i = 1200; i < heard.size(); i++) step = std::max(step, std::abs(heard[i] - heard[i - 1]));
      const double steepest = 10000 * 2 * M_PI * (440 + 900) / 8000.0;
      check(step < steepest * 1.25, codec + ", over a voice: the greatest step over what tones can do", step / steepest);
    }
    {
      const auto heard = mixed(codec + ", over nobody", throughOpus, 9000 * kMs, 9000 * kMs, 100 * kMs);
      check(toneOverRest(heard, 2000, 4000, 8000, 900) > 25, codec + ", over nobody: tone over rest, dB", toneOverRest(heard, 2000, 4000, 8000, 900));
    }
    {
      const auto heard = mixed(codec + ", a voice comes in", throughOpus, 500 * kMs, 3000 * kMs, 100 * kMs);
      const double both = bothOverRest(heard, 8000 * 6 / 10, 2400, 8000, 440, 900);
      check(both > 20, codec + ", a voice comes in: both over the rest, dB", both);
    }
  }
}

void numbers() {
  // The same from 16 starts around every wrap.
  bool good = true;
  for (int start = -8; start < 8; start++) {
    StreamRewrite rewrite;
    SenderState sent;
    sent.ssrc = 5;
    uint16_t last = static_cast<uint16_t>(start);
    uint16_t source = static_cast<uint16_t>(-start * 3);
    uint32_t sourceTime = static_cast<uint32_t>(start) * 160;
    sent.lastTimestamp = static_cast<uint32_t>(-start) * 80;
    sent.lastSentAt = 1000 * kMs;
    Micros now = 1000 * kMs;
    uint8_t packet[16];
    const auto relay = [&](uint16_t sequence, uint32_t timestamp, uint32_t ssrc) {
      writeRtp(packet, 0, false, sequence, timestamp, ssrc);
      RtpHeader header;
      parseRtp(std::span(packet, 12), header);
      return rewrite.apply(packet, header, 20, sent, last, now);
    };
    const auto next = [&](uint32_t ssrc, uint32_t frames) {
      const uint16_t wanted = static_cast<uint16_t>(last + 1);
      const uint32_t time = sent.lastTimestamp + frames * 160;
      now += 20 * kMs;
      const bool ok = relay(++source, sourceTime += 160, ssrc);
      return ok && readU16(packet + 2) == wanted && readU32(packet + 4) == time && readU32(packet + 8) == 5;
    };
    for (int i = 0; i < 20; i++) good = good && next(9, 1);
    // Three packets of ours, then on; what was meant for before does not get a number again.
    last = static_cast<uint16_t>(last + 3);
    sent.lastTimestamp += 480;
    sent.lastSentAt = now += 60 * kMs;
    rewrite.interrupt(false);
    good = good && next(9, 1) && !relay(static_cast<uint16_t>(source - 2), sourceTime - 320, 9);
    // Keys that took 200 ms: the sender's time line holds.
    const uint32_t before = sent.lastTimestamp;
    last = static_cast<uint16_t>(last + 12);
    sent.lastTimestamp += 160;
    sent.lastSentAt = now + 20 * kMs;
    rewrite.interrupt(true);
    now += 200 * kMs;
    source = static_cast<uint16_t>(source + 10);
    sourceTime += 1600;
    good = good && relay(++source, sourceTime += 160, 9) && readU32(packet + 4) == before + 11 * 160;
    // Lost packets stay lost, late ones come late.
    source = static_cast<uint16_t>(source + 2);
    sourceTime += 320;
    const uint16_t wanted = static_cast<uint16_t>(last + 2);
    good = good && relay(source, sourceTime, 9) && readU16(packet + 2) == wanted;
    good = good && relay(static_cast<uint16_t>(source - 1), sourceTime - 160, 9) && readU16(packet + 2) == static_cast<uint16_t>(wanted - 1) && last == wanted;
    // Another SSRC is the same stream to the listener.
    source = 40'000;
    sourceTime = 77;
    good = good && next(1234, 1) && next(1234, 1);
    if (!good) std::printf("     from start %d\n", start);
  }
  check(good, "a relayed stream goes on behind ours, from 16 starts", 16);
}

void keys() {
  EventSender sender;
  KeyPress key;
  key.event = 11;
  key.durationMs = 110;
  key.pauseMs = 50;
  uint8_t payload[4];
  uint8_t pt = 0;
  bool first = false;
  check(!sender.poll(0, payload, pt, first) && sender.nextDeadline() == kNever, "nothing to press", 0);
  sender.add(key, 1000 * kMs);
  sender.add(key, 1000 * kMs);
  std::string seen;
  Micros voice = 0;
  for (Micros now = 900 * kMs; now < 1600 * kMs; now += kMs) {
    if (sender.pressed()) voice += kMs;
    while (sender.poll(now, payload, pt, first)) {
      seen += std::to_string(now / kMs - 1000) + (first ? "!" : ":") + std::to_string(readU16(payload + 2)) + (payload[1] & 0x80 ? "e " : " ");
    }
  }
  const std::string wanted =
      "0!160 20:320 40:480 60:640 80:800 100:880e 120:880e 140:880e "
      "210!160 230:320 250:480 270:640 290:800 310:880e 330:880e 350:880e ";
  check(seen == wanted, "two keys: " + seen, 16);
  check(voice == 200 * kMs, "who speaks is silent until the first end of each, ms", static_cast<double>(voice / kMs));
  bool all = true;
  for (size_t i = 0; i < EventSender::kQueue; i++) all = all && sender.add(key, 0);
  check(all && !sender.add(key, 0), "so many keys wait and no more", EventSender::kQueue);
}

void steadyState() {
  Player player;
  player.add(clipOf(400, 0.1, 44100), {1, 1000});
  EventSender sender;
  StreamRewrite rewrite;
  SenderState sent;
  uint16_t last = 0;
  std::vector<int16_t> frame(160);
  uint8_t packet[16];
  writeRtp(packet, 0, false, 1, 1, 1);
  RtpHeader header;
  parseRtp(std::span(packet, 12), header);
  const size_t before = allocations;
  for (int i = 0; i < 500; i++) {
    uint8_t pt = 0;
    bool first = false;
    player.mix(frame, 8000);
    sender.add({}, i * 20 * kMs);
    sender.poll(i * 20 * kMs, packet + 12, pt, first);
    rewrite.interrupt(i % 2 == 0);
    rewrite.apply(packet, header, 20, sent, last, i * 20 * kMs);
  }
  const size_t made = allocations - before;
  check(made == 0, "nothing is allocated for a packet", static_cast<double>(made));
}

}  // namespace

void* operator new(size_t size) {
  allocations++;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

int main() {
  ClipReader::prepare();
  clips();
  options();
  mixing();
  numbers();
  keys();
  steadyState();
  return checked();
}
