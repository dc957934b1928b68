// The packet path with its threads and sockets under traffic, while endpoints come and go: for the thread sanitizer.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "../core/rtp.h"
#include "../net/dataplane.h"

using namespace causeway;

int main() {
  std::atomic<uint64_t> events{0};
  std::string error;
  DataplaneOptions options;
  options.interfaces = {{"lo", "127.0.0.1", "127.0.0.1"}};
  options.portMin = 17000;
  options.portMax = 17199;
  options.webrtcPort = 16999;
  options.threads = 2;
  std::atomic<uint64_t> played{0};
  auto plane = Dataplane::create(
      options,
      [&](Event event) {
        events++;
        if (event.type == Event::Type::kPlayed) played++;
      },
      error);
  if (!plane) {
    std::printf("FAIL %s\n", error.c_str());
    return 1;
  }
  std::atomic<bool> running{true};
  // Two senders that shoot at the whole range and at the shared port.
  std::thread senders[2];
  for (int s = 0; s < 2; s++) {
    senders[s] = std::thread([&running, s] {
      Address any;
      Address::parse("127.0.0.1", 0, any);
      const int fd = bindUdp(any, kMediaTos);
      uint8_t packet[172] = {};
      uint16_t sequence = 0;
      while (running) {
        for (int port = 17000; port < 17040; port++) {
          Address to;
          Address::parse("127.0.0.1", static_cast<uint16_t>(s == 1 && port % 4 == 0 ? 16999 : port), to);
          writeRtp(packet, 0, false, sequence, sequence * 160u, 7);
          ::sendto(fd, packet, sizeof(packet), MSG_DONTWAIT, to.sockaddrPtr(), to.length());
        }
        sequence++;
        usleep(2000);
      }
      ::close(fd);
    });
  }
  auto clip = std::make_shared<Clip>();
  clip->samples.assign(160, 1000);
  Dataplane::Failure failure;
  int answered = 0;
  for (int round = 0; round < 60; round++) {
    Dataplane::Opened a;
    Dataplane::Opened b;
    Dataplane::Opened w;
    EndpointSpec pair{SocketKind::kPair, "lo", "call" + std::to_string(round), std::nullopt};
    EndpointSpec shared{SocketKind::kShared, "lo", "call" + std::to_string(round), IceCredentials{"frag" + std::to_string(round), std::string(24, 'p')}};
    if (!plane->open(pair, a, failure) || !plane->open(pair, b, failure) || !plane->open(shared, w, failure)) {
      std::printf("FAIL open: %s\n", failure.message.c_str());
      return 1;
    }
    RemoteSpec remote;
    Address::parse("127.0.0.1", b.rtp, remote.rtp);
    plane->configure(a.id, remote, failure);
    Address::parse("127.0.0.1", a.rtp, remote.rtp);
    plane->configure(b.id, remote, failure);
    RemoteSpec browser;
    browser.crypto = DtlsSpec{false, {}};
    browser.rtcpMux = true;
    // Two full agents of different threads, maybe, check each other over the one port.
    Dataplane::Opened v;
    EndpointSpec other = shared;
    other.affinity += "?";
    other.ice->ufrag += "?";
    if (!plane->open(other, v, failure)) {
      std::printf("FAIL open: %s\n", failure.message.c_str());
      return 1;
    }
    IceCandidate here;
    Address::parse("127.0.0.1", 16999, here.address);
    browser.candidates = {here};
    browser.iceRole = IceRole::kControlling;
    browser.ice = other.ice;
    plane->configure(w.id, browser, failure);
    RemoteSpec peer = browser;
    peer.crypto = std::monostate{};
    peer.iceRole = IceRole::kControlled;
    peer.ice = shared.ice;
    plane->configure(v.id, peer, failure);
    TranscoderConfig config;
    config.in = {{0, Codec::kPcmu, 8000, 1, 20, 0, true, false, 48000}};
    config.out = {111, Codec::kOpus, 48000, 2, 20, 0, true, false, 48000};
    PathSpec transcode;
    transcode.transcode = config;
    PathSpec relay;
    relay.codable = config.in;
    relay.ownReports = round % 5 == 0;
    TapSpec coded;
    coded.coding = config;
    plane->setPath(a.id, b.id, round % 2 == 0 ? transcode : relay, failure);
    plane->setPath(b.id, w.id, PathSpec{}, failure);
    // A second line on the transport of b, which hears what w is sent.
    Dataplane::Opened rider;
    EndpointSpec carried{SocketKind::kCarried, "lo", "call" + std::to_string(round), std::nullopt, IceRole::kLite, false, b.id};
    BundleSpec bundle;
    bundle.lines.resize(2);
    bundle.lines[0].endpoint = b.id;
    bundle.lines[0].keys.payloadTypes.set(8);
    if (plane->open(carried, rider, failure)) {
      bundle.lines[1].endpoint = rider.id;
      bundle.lines[1].keys.payloadTypes.set(0);
      plane->setPath(rider.id, a.id, PathSpec{}, failure);
    }
    if (rider.id == 0 || rider.rtp != b.rtp || !plane->setBundle(b.id, bundle, failure)) {
      std::printf("FAIL bundle: %s\n", failure.message.c_str());
      return 1;
    }
    // Every third call is recorded and copied to somebody.
    Dataplane::Opened spy;
    uint64_t recording = 0;
    if (round % 3 == 0) {
      const std::string name = "causeway-threads-" + std::to_string(getpid()) + "-" + std::to_string(round) + ".pcap";
      const std::string file = std::filesystem::temp_directory_path() / name;
      recording = plane->openRecording(file, failure);
      if (recording == 0 || !plane->open(pair, spy, failure) || !plane->tap(a.id, spy.id, true, round % 2 == 0 ? &coded : nullptr, failure) ||
          !plane->record(recording, a.id, true, failure) || !plane->record(recording, b.id, true, failure)) {
        std::printf("FAIL copies: %s\n", failure.message.c_str());
        return 1;
      }
      ::unlink(file.c_str());
      plane->configure(spy.id, remote, failure);
    }
    usleep(10'000);
    // Every fourth call goes to the other thread, or the same one, with all that it has.
    if (round % 4 == 0) {
      if (plane->move(b.id, "moved", failure)) {
        std::printf("FAIL move: of a bundle\n");
        return 1;
      }
      plane->setBundle(b.id, {}, failure);
      plane->closeEndpoint(rider.id);
      plane->setBundle(b.id, {}, failure);
      for (const uint64_t id : {a.id, b.id, w.id, spy.id}) {
        if (id != 0 && !plane->move(id, "moved" + std::to_string(round), failure)) {
          std::printf("FAIL move: %s\n", failure.message.c_str());
          return 1;
        }
      }
      plane->mark(a.id, 8, failure);
      plane->setPath(a.id, round % 8 == 0 ? a.id : b.id, transcode, failure);
      plane->setPath(b.id, w.id, PathSpec{}, failure);
      if (spy.id != 0) plane->tap(a.id, spy.id, true, &coded, failure);
      usleep(10'000);
      plane->setPath(a.id, b.id, transcode, failure);
    }
    // Something is put into what b hears, over a change of its path.
    plane->play(b.id, clip, {static_cast<uint64_t>(round + 1), 1, 0, 0, false}, false, failure);
    plane->press(b.id, {}, failure);
    usleep(10'000);
    plane->setPath(a.id, b.id, round % 2 == 0 ? relay : transcode, failure);
    usleep(10'000);
    uint64_t playback = 0;
    uint32_t position = 0;
    if (round % 3 == 0) plane->stopPlaying(b.id, playback, position);
    EndpointStats stats;
    plane->stats(rider.id, stats);
    if (round % 4 == 0) plane->setBundle(b.id, {}, failure);
    if (round % 4 < 2) plane->closeEndpoint(rider.id);
    plane->stats(a.id, stats);
    EndpointStats checked;
    plane->stats(v.id, checked);
    if (checked.ice && checked.ice->answers > 0) answered++;
    plane->totals();
    plane->idle(10);
    if (recording != 0) {
      if (round % 2 == 0) plane->closeEndpoint(spy.id);
      plane->closeRecording(recording);
    }
    plane->closeEndpoint(a.id);
    if (spy.id != 0) plane->closeEndpoint(spy.id);
    plane->closeEndpoint(b.id);
    plane->closeEndpoint(rider.id);
    plane->closeEndpoint(w.id);
    plane->closeEndpoint(v.id);
  }
  running = false;
  for (auto& sender : senders) sender.join();
  Totals totals = plane->totals();
  // The recorder lets go of its rings a moment after the last file.
  for (int i = 0; i < 100 && totals.nativeBytes != 0; i++) {
    usleep(10'000);
    totals = plane->totals();
  }
  plane->close();
  if (totals.endpoints != 0 || totals.paths != 0 || totals.transcoders != 0 || totals.portsInUse != 0 || totals.nativeBytes != 0 || totals.taps != 0 ||
      totals.recordings != 0 || totals.recordedPackets == 0) {
    std::printf("FAIL left: %llu endpoints, %lld bytes\n", static_cast<unsigned long long>(totals.endpoints), static_cast<long long>(totals.nativeBytes));
    return 1;
  }
  if (played == 0) {
    std::printf("FAIL nothing that was played has ended\n");
    return 1;
  }
  if (answered == 0) {
    std::printf("FAIL no check of ICE was answered\n");
    return 1;
  }
  std::printf("ok   %llu packets, %llu events\n", static_cast<unsigned long long>(totals.packetsReceived), static_cast<unsigned long long>(events.load()));
  return 0;
}
