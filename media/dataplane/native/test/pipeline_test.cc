// The pipeline offline: no sockets, no threads, made-up time. Prints one line a check; ends with 1 when one fails.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../core/g711.h"
#include "../core/rtp.h"
#include "../core/transcoder.h"
#include "check.h"

using namespace causeway;

namespace {

PayloadFormat pcmu() { return {0, Codec::kPcmu, 8000, 1, 20, 0, true, false, 48000}; }
PayloadFormat opus() { return {111, Codec::kOpus, 48000, 2, 20, 0, true, false, 48000}; }

// How the sender numbers packet i.
struct Numbers {
  bool send = true;
  uint32_t ssrc = 99;
  uint16_t sequence = 0;
  uint32_t timestamp = 0;
};

struct Link {
  // What happens to packet i on the way: extra delay in µs, or negative for lost.
  std::function<Micros(int)> network = [](int) { return Micros{0}; };
  int packets = 500;
  Micros every = 20'000;
  std::function<void(int, Numbers&)> sender = [](int, Numbers&) {};
  // Instead of a tone of 440 Hz.
  const std::vector<int16_t>* source = nullptr;
  // What the receiver's reports say.
  double reportedLoss = 0;
};

struct Result {
  std::vector<int16_t> audio;
  TranscoderStats first;
  TranscoderStats second;
  // While the sender was still sending.
  TranscoderStats firstRunning;
  TranscoderStats secondRunning;
  int out = 0;
  int middle = 0;
};

uint8_t encodeMuLaw(int16_t sample) {
  const int sign = sample < 0 ? 0x80 : 0;
  const int magnitude = std::min(std::abs(static_cast<int>(sample)), 32635) + 132;
  const int exponent = static_cast<int>(std::log2(magnitude)) - 7;
  return static_cast<uint8_t>(~(sign | exponent << 4 | ((magnitude >> (exponent + 3)) & 15)));
}

int16_t decodeMuLaw(uint8_t byte) {
  const int value = ~byte & 0xff;
  const int magnitude = ((((value & 15) << 3) + 132) << ((value >> 4) & 7)) - 132;
  return static_cast<int16_t>(value & 0x80 ? -magnitude : magnitude);
}

// PCMU → Opus, a network, Opus → PCMU.
Result run(const Link& link) {
  Result result;
  std::string error;
  TranscoderConfig up;
  up.in = {pcmu()};
  up.out = opus();
  up.ssrc = 7;
  TranscoderConfig down;
  down.in = {opus()};
  down.out = pcmu();
  down.ssrc = 8;
  auto first = Transcoder::create(up, error);
  auto second = Transcoder::create(down, error);
  if (!first || !second) {
    std::printf("FAIL create: %s\n", error.c_str());
    std::exit(1);
  }
  struct InFlight {
    Micros at;
    std::vector<uint8_t> bytes;
  };
  std::vector<InFlight> flying;
  int sent = 0;
  uint8_t out[1600];
  for (Micros now = 1'000'000; sent < link.packets || now < 1'000'000 + link.packets * link.every + 500'000; now += 1000) {
    if (sent < link.packets && now >= 1'000'000 + sent * link.every) {
      uint8_t packet[172];
      Numbers numbers;
      numbers.sequence = static_cast<uint16_t>(65500 + sent);
      numbers.timestamp = static_cast<uint32_t>(sent) * 160;
      link.sender(sent, numbers);
      writeRtp(packet, 0, sent == 0, numbers.sequence, numbers.timestamp, numbers.ssrc);
      for (int i = 0; i < 160; i++) {
        const auto at = static_cast<size_t>(sent * 160 + i);
        const double tone = 12000 * std::sin(2 * M_PI * 440 * static_cast<double>(at) / 8000.0);
        packet[12 + i] = encodeMuLaw(link.source ? link.source->at(at) : static_cast<int16_t>(tone));
      }
      if (sent % 100 == 0) first->expectLoss(link.reportedLoss);
      sent++;
      if (numbers.send) first->push(now, packet);
      if (sent == link.packets) {
        result.firstRunning = first->stats();
        result.secondRunning = second->stats();
      }
    }
    for (size_t n; (n = first->poll(now, out)) > 0;) {
      const Micros delay = link.network(result.middle++);
      if (delay >= 0) flying.push_back({now + delay, {out, out + n}});
    }
    for (size_t i = 0; i < flying.size();) {
      if (flying[i].at <= now) {
        second->push(now, flying[i].bytes);
        flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(i));
      } else i++;
    }
    for (size_t n; (n = second->poll(now, out)) > 0;) {
      result.out++;
      for (size_t i = 12; i < n; i++) result.audio.push_back(decodeMuLaw(out[i]));
    }
  }
  result.first = first->stats();
  result.second = second->stats();
  return result;
}

// One tone over everything else in one second of samples, in dB.
double toneOverRest(const std::vector<int16_t>& audio, size_t from, double hz) {
  const size_t n = 8000;
  if (audio.size() < from + n) return -99;
  std::vector<double> w(n);
  double total = 0;
  for (size_t i = 0; i < n; i++) {
    w[i] = audio[from + i] * (0.5 - 0.5 * std::cos(2 * M_PI * static_cast<double>(i) / n));
    total += w[i] * w[i];
  }
  if (total == 0) return -99;
  double lobe = 0;
  for (int k = static_cast<int>(hz) - 2; k <= static_cast<int>(hz) + 2; k++) {
    const double c = 2 * std::cos(2 * M_PI * k / n);
    double s1 = 0, s2 = 0;
    for (double x : w) {
      const double s0 = x + c * s1 - s2;
      s2 = s1;
      s1 = s0;
    }
    lobe += 2 * (s1 * s1 + s2 * s2 - c * s1 * s2) / n;
  }
  return 10 * std::log10(lobe / std::max(total - lobe, total * 1e-9));
}

constexpr size_t kNote = 480;

// Share of the energy that is the right note's, over all notes, at the delay where it is best.
double rightNotes(const std::vector<int16_t>& audio, const std::vector<int>& notes) {
  double best = 0;
  for (size_t lag = 0; lag < 2400; lag += 40) {
    double sum = 0;
    int count = 0;
    for (size_t note = 20; note < 220; note++) {
      const size_t from = note * kNote + lag;
      if (from + kNote > audio.size()) break;
      double re = 0, im = 0, total = 1;
      for (size_t i = 0; i < kNote; i++) {
        const double x = audio[from + i], w = 2 * M_PI * notes[note] * static_cast<double>(i) / 8000;
        re += x * std::cos(w);
        im += x * std::sin(w);
        total += x * x;
      }
      sum += 2 * (re * re + im * im) / (total * kNote);
      count++;
    }
    if (count > 0) best = std::max(best, sum / count);
  }
  return best;
}

double concealed(const TranscoderStats& s) { return s.playedMs == 0 ? 1 : static_cast<double>(s.concealedMs) / static_cast<double>(s.playedMs); }

}  // namespace

int main() {
  std::mt19937 random(1);
  bool same = true;
  for (int i = 0; i < 256; i++) {
    const int16_t linear = muLawToLinear(static_cast<uint8_t>(i));
    same = same && linear == decodeMuLaw(static_cast<uint8_t>(i)) && (linearToMuLaw(linear) == i || linear == 0);
    same = same && linearToALaw(aLawToLinear(static_cast<uint8_t>(i))) == i;
  }
  check(same, "G.711: every code comes back", same);
  {
    const Result r = run({});
    check(r.out > 480, "a clean link: packets out", r.out);
    check(toneOverRest(r.audio, 24000, 440) > 20, "a clean link: tone over rest, dB", toneOverRest(r.audio, 24000, 440));
    check(concealed(r.firstRunning) <= 0.01, "a clean link: concealed share, PCMU", concealed(r.firstRunning));
    check(concealed(r.secondRunning) <= 0.01, "a clean link: concealed share, Opus", concealed(r.secondRunning));
    check(r.second.targetDelayMs <= 60, "a clean link: target delay, ms", r.second.targetDelayMs);
    // An echo is coded twice, the second time with the noise of the first.
    Link again;
    again.packets = 450;
    again.source = &r.audio;
    const Result echo = run(again);
    double worst = 99;
    for (size_t from = 8000; from + 16000 < echo.audio.size(); from += 4000) worst = std::min(worst, toneOverRest(echo.audio, from, 440));
    check(worst > 24, "coded twice: the worst second of the tone, dB", worst);
  }
  {
    Link link;
    link.network = [&](int) { return random() % 100 < 5 ? Micros{-1} : Micros{0}; };
    const Result r = run(link);
    check(toneOverRest(r.audio, 24000, 440) > 10, "5 % loss: tone over rest, dB", toneOverRest(r.audio, 24000, 440));
    check(concealed(r.second) < 0.08, "5 % loss: concealed share", concealed(r.second));
    // A steady tone is easily invented; a melody is not.
    std::vector<int> notes;
    std::vector<int16_t> tune;
    for (int i = 0; i < 260; i++) notes.push_back(300 + static_cast<int>(random() % 12) * 100);
    for (size_t i = 0; i < notes.size() * kNote; i++)
      tune.push_back(static_cast<int16_t>(12000 * std::sin(2 * M_PI * notes[i / kNote] * static_cast<double>(i) / 8000)));
    const auto heard = [&](double reported) {
      std::mt19937 same(3);
      Link lossy;
      lossy.packets = 700;
      lossy.source = &tune;
      lossy.reportedLoss = reported;
      lossy.network = [&](int) { return same() % 100 < 10 ? Micros{-1} : Micros{0}; };
      return rightNotes(run(lossy).audio, notes);
    };
    const double unwarned = heard(0);
    const double warned = heard(0.1);
    check(warned > unwarned, "10 % loss: right notes without a report", unwarned);
    check(warned > unwarned + 0.02, "10 % loss: right notes once the receiver has reported it", warned);
  }
  {
    Link link;
    link.packets = 1500;
    link.network = [&](int) { return static_cast<Micros>(random() % 30'000); };
    const Result r = run(link);
    check(concealed(r.second) < 0.02, "30 ms jitter: concealed share", concealed(r.second));
    check(r.second.targetDelayMs >= 30 && r.second.targetDelayMs <= 120, "30 ms jitter: target delay, ms", r.second.targetDelayMs);
    check(toneOverRest(r.audio, 80000, 440) > 10, "30 ms jitter: tone over rest, dB", toneOverRest(r.audio, 80000, 440));
  }
  {
    Link link;
    link.packets = 1000;
    // One stall of 300 ms: everything of that time comes at once.
    link.network = [](int i) { return i >= 300 && i < 315 ? Micros{(315 - i) * 20'000} : Micros{0}; };
    const Result r = run(link);
    check(concealed(r.second) < 0.05, "a stall of 300 ms: concealed share", concealed(r.second));
    check(toneOverRest(r.audio, r.audio.size() - 24000, 440) > 20, "a stall of 300 ms: tone afterwards, dB", toneOverRest(r.audio, r.audio.size() - 24000, 440));
  }
  // What senders do in mid-stream: afterwards the tone is whole, and hardly anything was invented.
  const auto survives = [](const char* what, const std::function<void(int, Numbers&)>& sender, int packets = 600, Micros every = 20'000) {
    Link link;
    link.sender = sender;
    link.packets = packets;
    link.every = every;
    const Result r = run(link);
    const std::string name = what;
    const double tone = toneOverRest(r.audio, r.audio.size() < 24000 ? r.audio.size() : r.audio.size() - 24000, 440);
    check(tone > 20, (name + ": tone afterwards, dB").c_str(), tone);
    check(concealed(r.firstRunning) <= 0.02, (name + ": concealed share").c_str(), concealed(r.firstRunning));
    check(r.firstRunning.bufferedMs <= r.firstRunning.targetDelayMs + 40, (name + ": buffered at the end, ms").c_str(), r.firstRunning.bufferedMs);
    const double sent = static_cast<double>(packets) * static_cast<double>(every) / 20'000;
    check(std::abs(r.middle - sent) < 25, (name + ": packets of Opus").c_str(), r.middle);
  };
  survives("another SSRC", [](int i, Numbers& n) {
    if (i < 200) return;
    n = {true, 100, static_cast<uint16_t>(n.sequence + 31000), n.timestamp + 0x70000000};
  });
  survives("sequence numbers jump ahead", [](int i, Numbers& n) {
    if (i >= 200) n.sequence = static_cast<uint16_t>(n.sequence + 5000);
  });
  survives("sequence numbers jump back", [](int i, Numbers& n) {
    if (i >= 200) n.sequence = static_cast<uint16_t>(n.sequence - 5000);
  });
  survives("sequence numbers jump by half of their range", [](int i, Numbers& n) {
    if (i >= 200) n.sequence = static_cast<uint16_t>(n.sequence + 0x8000);
  });
  survives("timestamps jump ahead", [](int i, Numbers& n) {
    if (i >= 200) n.timestamp += 0x12345678;
  });
  survives("timestamps jump back", [](int i, Numbers& n) {
    if (i >= 200) n.timestamp -= 0x12345678;
  });
  survives("timestamps jump ahead by 10 s", [](int i, Numbers& n) {
    if (i >= 200) n.timestamp += 80'000;
  });
  survives("timestamps jump back by 10 s", [](int i, Numbers& n) {
    if (i >= 200) n.timestamp -= 80'000;
  });
  survives("a sender 0.3 % too quick", [](int, Numbers&) {}, 3000, 19'940);
  survives("a sender 0.3 % too slow", [](int, Numbers&) {}, 3000, 20'060);
  // Silence that is not sent: sequence numbers go on, timestamps count it (DTX) or not (a phone on mute).
  for (const bool counted : {true, false}) {
    for (const int gap : {20, 100}) {
      Link link;
      link.packets = 600;
      link.sender = [&](int i, Numbers& n) {
        n.send = i < 200 || i >= 200 + gap;
        if (i < 200) return;
        n.sequence = static_cast<uint16_t>(n.sequence - gap);
        if (!counted) n.timestamp -= static_cast<uint32_t>(gap) * 160;
      };
      const Result r = run(link);
      const std::string name = "silence of " + std::to_string(gap * 20) + " ms, timestamps " + (counted ? "go on" : "stand still");
      const double tone = toneOverRest(r.audio, r.audio.size() - 24000, 440);
      check(tone > 20, (name + ": tone afterwards, dB").c_str(), tone);
      check(concealed(r.firstRunning) <= 0.03, (name + ": concealed share").c_str(), concealed(r.firstRunning));
      check(r.firstRunning.bufferedMs <= r.firstRunning.targetDelayMs + 40, (name + ": buffered at the end, ms").c_str(), r.firstRunning.bufferedMs);
    }
  }
  return checked();
}
