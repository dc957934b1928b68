// What the sockets of calls bring, told apart and judged by the whole packet path with its thread (RFC 7983, RFC 5761):
// a plain leg, an SDES leg and a leg with ICE and DTLS, and datagrams from their peers and from a stranger.
// Input: the configuration (one byte: learning mode in the upper half, 8 strict, 4 rtcp-mux, 2 full ICE, 1 controlling), then datagrams: where to and what to put right (one byte), length, so many bytes.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "../core/rtp.h"
#include "../net/dataplane.h"
#include "stun_message.h"
#include "target.h"

using namespace causeway;
using causeway::fuzz::require;

namespace {

constexpr uint32_t kMarker = 0x4d41524b;  // SSRC of what must come through
constexpr size_t kDatagrams = 24;
const std::string kUfrag = "cwfuzz";
const std::string kPassword = "cwpassword0123456789abcd";

class Peer {
 public:
  Peer() {
    Address any;
    Address::parse("127.0.0.1", 0, any);
    fd_ = bindUdp(any, kMediaTos);
    sockaddr_storage own{};
    socklen_t length = sizeof(own);
    require(fd_ >= 0 && ::getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &length) == 0, "a socket can be had");
    address_ = Address::from(own);
  }
  const Address& address() const { return address_; }
  void send(uint16_t port, std::span<const uint8_t> bytes) const {
    Address to;
    Address::parse("127.0.0.1", port, to);
    require(::sendto(fd_, bytes.data(), bytes.size(), 0, to.sockaddrPtr(), to.length()) >= 0, "a datagram can be sent");
  }
  // One datagram; empty when none comes in time.
  std::vector<uint8_t> receive(int waitMs) const {
    pollfd wait{fd_, POLLIN, 0};
    int ready = 0;
    // The fuzzer's own alarm, which looks for inputs that hang, interrupts it now and then.
    do ready = ::poll(&wait, 1, waitMs);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) return {};
    std::vector<uint8_t> bytes(2048);
    const ssize_t length = ::recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(length > 0 ? static_cast<size_t>(length) : 0);
    return bytes;
  }
  void drain() const {
    uint8_t bytes[2048];
    while (::recv(fd_, bytes, sizeof(bytes), MSG_DONTWAIT) >= 0) {
    }
  }

 private:
  int fd_ = -1;
  Address address_;
};

// Made once: threads and a certificate cost more than all the rest.
struct House {
  std::unique_ptr<Dataplane> plane;
  Peer plainRtp, plainRtcp, sdesRtp, sdesRtcp, browser, stranger;
  House() {
    DataplaneOptions options;
    options.interfaces = {{"lo", "127.0.0.1", "127.0.0.1"}};
    options.portMin = 16'500;
    options.portMax = 16'598;
    options.webrtcPort = 16'599;
    options.threads = 1;
    std::string error;
    plane = Dataplane::create(options, [](Event) {}, error);
    require(plane != nullptr, "the packet path starts");
  }
};

SrtpKey keyOf(uint8_t fill) { return {SrtpSuite::kAesCm128Sha1_80, std::vector<uint8_t>(16, fill), std::vector<uint8_t>(14, fill)}; }

class Calls {
 public:
  Calls(House& house, uint8_t config) : house_(house), mux_((config & 4) != 0) {
    const EndpointSpec pair{SocketKind::kPair, "lo", "fuzz", std::nullopt};
    const EndpointSpec ice{SocketKind::kShared, "lo", "fuzz", IceCredentials{kUfrag, kPassword}};
    require(plane().open(pair, plain_, failure_) && plane().open(pair, sdes_, failure_) && plane().open(ice, browser_, failure_), "endpoints open");
    RemoteSpec remote;
    remote.rtp = house.plainRtp.address();
    remote.rtcp = house.plainRtcp.address();
    remote.rules.learning = static_cast<Learning>(config >> 4) <= Learning::kHeuristic ? static_cast<Learning>(config >> 4) : Learning::kHeuristic;
    remote.rtcpMux = mux_;
    remote.rules.strictSource = (config & 8) != 0;
    plane().configure(plain_.id, remote, failure_);
    remote.rtp = house.sdesRtp.address();
    remote.rtcp = house.sdesRtcp.address();
    remote.rtcpMux = false;
    remote.crypto = SdesSpec{keyOf(1), keyOf(2)};
    plane().configure(sdes_.id, remote, failure_);
    RemoteSpec browser;
    browser.rtcpMux = true;
    browser.ice = IceCredentials{"theirs", std::string(24, 't')};
    if (config & 2) {
      browser.iceRole = config & 1 ? IceRole::kControlling : IceRole::kControlled;
      browser.candidates = {{house.browser.address(), 1, 1, IceKind::kHost}};
    }
    browser.crypto = DtlsSpec{false, {{"sha-256", std::vector<uint8_t>(32, 1)}}};
    plane().configure(browser_.id, browser, failure_);
    plane().setPath(plain_.id, sdes_.id, PathSpec{}, failure_);
    plane().setPath(sdes_.id, plain_.id, PathSpec{}, failure_);
    sends_ = SrtpContext::create(keyOf(1));
    receives_ = SrtpContext::create(keyOf(2));
  }

  ~Calls() {
    for (const auto& opened : {plain_, sdes_, browser_}) plane().closeEndpoint(opened.id);
  }

  // By the lowest bits where to; 64: from the peer, not from a stranger; 128: checksums and keys as the peer would have them.
  void datagram(uint8_t how, std::span<const uint8_t> bytes) {
    const bool honest = (how & 64) != 0;
    std::vector<uint8_t> packet(bytes.begin(), bytes.end());
    // Markers are for us alone.
    if (packet.size() >= 12) packet[8] &= 0x3f;
    if (packet.size() >= 8) packet[4] &= 0x3f;
    const Peer* from = &house_.stranger;
    uint16_t to = 0;
    switch (how & 7) {
      case 0: case 6: to = plain_.rtp; from = honest ? &house_.plainRtp : from; break;
      case 1: to = plain_.rtcp; from = honest ? &house_.plainRtcp : from; break;
      case 2: case 7: to = sdes_.rtp; from = honest ? &house_.sdesRtp : from; break;
      case 3: to = sdes_.rtcp; from = honest ? &house_.sdesRtcp : from; break;
      default: to = browser_.rtp; from = honest ? &house_.browser : from; break;
    }
    if (honest && (how & 128)) {
      if (to == browser_.rtp) fuzz::repairStun(packet, 7, kPassword);
      if (to == sdes_.rtp || to == sdes_.rtcp) seal(packet, to == sdes_.rtcp);
    } else if ((how & 128) && !captured_.empty()) {
      packet = captured_;  // the stranger sends again what it has seen on the way
    }
    from->send(to, packet);
  }

  // All that was sent before has been read when these are through, and they must come through.
  void markers() {
    number_++;
    house_.plainRtp.send(plain_.rtp, rtp());
    expect(house_.sdesRtp, false, true, "the plain party is heard by the other");
    auto sealed = rtp();
    seal(sealed, false);
    captured_ = sealed;
    house_.sdesRtp.send(sdes_.rtp, sealed);
    expect(house_.plainRtp, false, false, "the SDES party is heard by the other");
    (mux_ ? house_.plainRtp : house_.plainRtcp).send(mux_ ? plain_.rtp : plain_.rtcp, rtcp());
    expect(house_.sdesRtcp, true, true, "so is its RTCP");
    sealed = rtcp();
    seal(sealed, true);
    house_.sdesRtcp.send(sdes_.rtcp, sealed);
    expect(mux_ ? house_.plainRtp : house_.plainRtcp, true, false, "and the RTCP of the other");
    const auto request = check();
    house_.browser.send(browser_.rtp, request);
    for (;;) {
      const auto answer = house_.browser.receive(3000);
      require(!answer.empty(), "a right check is answered");
      if (answer.size() > 20 && answer[0] == 1 && std::memcmp(&answer[8], &request[8], 12) == 0) break;
    }
  }

  void nothingForStrangers() const { require(house_.stranger.receive(0).empty(), "a stranger gets nothing"); }

 private:
  Dataplane& plane() const { return *house_.plane; }

  std::vector<uint8_t> rtp() const {
    std::vector<uint8_t> packet(16);
    writeRtp(packet.data(), 0, false, static_cast<uint16_t>(number_), number_ * 160, kMarker);
    writeU32(packet.data() + 12, number_);
    return packet;
  }
  // APP (RFC 3550 §6.7).
  std::vector<uint8_t> rtcp() const {
    std::vector<uint8_t> packet = {0x80, 204, 0, 3, 0, 0, 0, 0, 'm', 'a', 'r', 'k', 0, 0, 0, 0};
    writeU32(packet.data() + 4, kMarker);
    writeU32(packet.data() + 12, number_);
    return packet;
  }
  std::vector<uint8_t> check() const {
    std::vector<uint8_t> packet(20);
    writeU32(packet.data() + 16, 0xabcd0000U + number_);
    const std::string name = kUfrag + ":theirs";
    const auto attribute = [&packet](uint16_t type, size_t length) {
      const size_t at = packet.size();
      packet.resize(at + 4 + ((length + 3) & ~size_t{3}));
      writeU16(&packet[at], type);
      writeU16(&packet[at + 2], static_cast<uint16_t>(length));
      return at + 4;
    };
    const size_t at = attribute(0x0006, name.size());
    std::memcpy(&packet[at], name.data(), name.size());
    attribute(0x0008, 20);
    attribute(0x8028, 4);
    fuzz::repairStun(packet, 7, kPassword);
    return packet;
  }

  void seal(std::vector<uint8_t>& packet, bool rtcp) {
    size_t length = packet.size();
    packet.resize(length + kSrtpTrailer);
    if (rtcp) sends_->protectRtcp(packet.data(), length);
    else sends_->protect(packet.data(), length);
    packet.resize(length);
  }

  void expect(const Peer& at, bool rtcp, bool sealed, const char* what) {
    for (;;) {
      auto packet = at.receive(10'000);
      require(!packet.empty(), what);
      size_t length = packet.size();
      if (sealed) {
        const auto result = rtcp ? receives_->unprotectRtcp(packet.data(), length) : receives_->unprotect(packet.data(), length);
        // What a party sends twice comes out twice.
        require(result == SrtpResult::kOk || result == SrtpResult::kReplay, "what comes out is sealed with the agreed key");
        if (result == SrtpResult::kReplay) continue;
      }
      const size_t ssrc = rtcp ? 4 : 8;
      if (length == 16 && readU32(&packet[ssrc]) == kMarker && readU32(&packet[12]) == number_) return;
    }
  }

  House& house_;
  const bool mux_;
  Dataplane::Opened plain_, sdes_, browser_;
  Dataplane::Failure failure_;
  std::unique_ptr<SrtpContext> sends_, receives_;
  std::vector<uint8_t> captured_;
  uint32_t number_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static House house;
  fuzz::Feed feed(data, size);
  for (const Peer* peer : {&house.plainRtp, &house.plainRtcp, &house.sdesRtp, &house.sdesRtcp, &house.browser, &house.stranger}) peer->drain();
  {
    Calls calls(house, feed.byte());
    calls.markers();
    for (size_t i = 0; !feed.empty() && i < kDatagrams; i++) {
      const uint8_t how = feed.byte();
      calls.datagram(how, feed.take(feed.byte()));
    }
    calls.markers();
    calls.nothingForStrangers();
  }
  const Totals totals = house.plane->totals();
  require(totals.endpoints == 0 && totals.paths == 0 && totals.portsInUse == 0 && totals.nativeBytes == 0, "all is given back");
  return 0;
}
