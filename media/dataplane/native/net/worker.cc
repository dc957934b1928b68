// The packet path itself: one file, because it is one loop and everything in it happens under one mutex.
#include "worker.h"

#include <netinet/udp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../core/rtp.h"
#include "ports.h"
#include "stun.h"

namespace causeway {
namespace {

constexpr uint64_t kWakeId = 0;
constexpr uint64_t kSharedBit = uint64_t{1} << 62;
constexpr Micros kLearnUs = 3'000'000;     // how long a better source may still come
constexpr Micros kSilentUs = 1'000'000;    // a stream that comes from elsewhere must have been silent for so long
constexpr Micros kConsentUs = 30'000'000;  // RFC 7675 §5.1: no check for so long, no media
constexpr Micros kReportUs = 5'000'000;    // RFC 3550 §6.2
constexpr size_t kMaxChecked = 16;

uint32_t randomU32() {
  uint32_t value = 0;
  while (getrandom(&value, sizeof(value), 0) != sizeof(value)) {
  }
  return value;
}

uint64_t ntpNow() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  const auto seconds = static_cast<uint64_t>(t.tv_sec) + 2208988800ULL;
  return seconds << 32 | (static_cast<uint64_t>(t.tv_nsec) << 32) / 1'000'000'000ULL;
}

bool sameKey(const SrtpKey& a, const SrtpKey& b) { return a.suite == b.suite && a.key == b.key && a.salt == b.salt; }

bool sameFingerprints(const std::vector<Fingerprint>& a, const std::vector<Fingerprint>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Fingerprint& x, const Fingerprint& y) { return x.algorithm == y.algorithm && x.value == y.value; });
}

bool sameFormat(const PayloadFormat& a, const PayloadFormat& b) {
  return a.pt == b.pt && a.codec == b.codec && a.clockRate == b.clockRate && a.channels == b.channels && a.ptimeMs == b.ptimeMs &&
         a.bitrate == b.bitrate && a.fec == b.fec && a.dtx == b.dtx && a.maxPlaybackRate == b.maxPlaybackRate;
}

bool sameConfig(const TranscoderConfig& a, const TranscoderConfig& b) {
  return std::equal(a.in.begin(), a.in.end(), b.in.begin(), b.in.end(), sameFormat) && sameFormat(a.out, b.out) &&
         std::equal(a.dtmf.begin(), a.dtmf.end(), b.dtmf.begin(), b.dtmf.end(),
                    [](const DtmfMap& x, const DtmfMap& y) {
                      return x.inPt == y.inPt && x.inClock == y.inClock && x.outPt == y.outPt && x.outClock == y.outClock;
                    }) &&
         a.jitterMinMs == b.jitterMinMs && a.jitterMaxMs == b.jitterMaxMs;
}

}  // namespace

Micros monotonicNow() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Micros{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

// ---- reading

ReadBatch::ReadBatch() {
  for (size_t i = 0; i < kReadBatch; i++) {
    // Room is left behind the packet for what SRTP puts there.
    vectors_[i] = {buffers_[i].data(), kPacketSize - kSrtpTrailer};
    std::memset(&messages_[i], 0, sizeof(mmsghdr));
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &sources_[i];
  }
}

size_t ReadBatch::read(int fd) {
  for (auto& message : messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  const int count = ::recvmmsg(fd, messages_.data(), kReadBatch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; i++) {
    // Too long for the buffer: half a packet is worse than none.
    auto& message = messages_[static_cast<size_t>(i)];
    if (message.msg_hdr.msg_flags & MSG_TRUNC) message.msg_len = 0;
  }
  return count < 0 ? 0 : static_cast<size_t>(count);
}

// ---- the shared port

SharedPort::~SharedPort() { ::close(fd_); }

bool SharedPort::add(const std::string& ufrag, Endpoint* endpoint) {
  const std::lock_guard lock(mutex_);
  return byUfrag_.emplace(ufrag, endpoint).second;
}

void SharedPort::remove(Endpoint* endpoint) {
  const std::lock_guard lock(mutex_);
  if (endpoint->spec.ice) byUfrag_.erase(endpoint->spec.ice->ufrag);
  const auto sources = sourcesOf_.find(endpoint);
  if (sources == sourcesOf_.end()) return;
  for (const Address& address : sources->second) {
    const auto found = bySource_.find(address);
    if (found != bySource_.end() && found->second == endpoint) bySource_.erase(found);
  }
  sourcesOf_.erase(sources);
}

void SharedPort::readAll(ReadBatch& batch) {
  // Of nobody here: counted for the node alone.
  const auto refused = [this](Drop why) {
    counters_.packetsReceived.fetch_add(1, std::memory_order_relaxed);
    counters_.dropped[why].fetch_add(1, std::memory_order_relaxed);
  };
  for (int round = 0; round < 4; round++) {
    const size_t count = batch.read(fd_);
    if (count == 0) return;
    const std::lock_guard lock(mutex_);
    const Micros now = monotonicNow();
    for (size_t i = 0; i < count; i++) {
      const std::span<uint8_t> packet = batch.packet(i);
      const Address from = batch.from(i);
      Endpoint* endpoint = nullptr;
      bool check = false;
      if (looksLikeStun(packet)) {
        StunRequest request;
        if (!parseBindingRequest(packet, request)) {
          refused(kDropIce);
          continue;
        }
        const size_t colon = request.username.find(':');
        const auto found = byUfrag_.find(std::string(request.username.substr(0, colon)));
        if (found == byUfrag_.end()) {
          refused(kDropIce);
          continue;
        }
        endpoint = found->second;
        check = true;
      } else {
        const auto found = bySource_.find(from);
        if (found == bySource_.end()) {
          refused(kDropUnknownSource);
          continue;
        }
        endpoint = found->second;
      }
      Worker& worker = *endpoint->worker;
      const std::lock_guard owner(worker.mutex());
      const Micros before = worker.earliest();
      const bool proven = worker.datagram(*endpoint, false, from, packet, now);
      worker.flush();
      worker.wakeIfEarlier(before);
      if (!check || !proven) continue;
      const auto known = bySource_.find(from);
      if (known != bySource_.end() && known->second == endpoint) continue;
      auto& sources = sourcesOf_[endpoint];
      if (sources.size() >= kMaxChecked) {
        const auto oldest = bySource_.find(sources.front());
        if (oldest != bySource_.end() && oldest->second == endpoint) bySource_.erase(oldest);
        sources.erase(sources.begin());
      }
      sources.push_back(from);
      bySource_[from] = endpoint;
    }
    if (count < kReadBatch) return;
  }
}

// ---- the thread

Worker::Worker(Counters& counters, const DtlsIdentity& identity, const EventSink& sink)
    : counters_(counters), identity_(identity), sink_(sink) {
  out_.reserve(kOutBatch);
  for (size_t i = 0; i < kOutBatch; i++) out_.push_back(std::make_unique<Out>());
}

Worker::~Worker() {
  stop();
  if (epoll_ >= 0) ::close(epoll_);
  if (wake_ >= 0) ::close(wake_);
}

bool Worker::start(std::string& error) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (epoll_ < 0 || wake_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
    error = std::string("cannot start a media thread: ") + std::strerror(errno);
    return false;
  }
  running_ = true;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "media");
  pthread_getcpuclockid(thread_.native_handle(), &cpuClock_);
  return true;
}

void Worker::stop() {
  if (!running_.exchange(false)) return;
  wake();
  thread_.join();
}

bool Worker::serve(SharedPort* port, uint64_t index, std::string& error) {
  const std::lock_guard lock(mutex_);
  shared_.resize(std::max<size_t>(shared_.size(), index + 1));
  shared_[index] = port;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSharedBit | index;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, port->fd(), &event) == 0) return true;
  error = std::strerror(errno);
  return false;
}

double Worker::cpuMs() {
  if (!running_) return 0;
  timespec t{};
  clock_gettime(cpuClock_, &t);
  return static_cast<double>(t.tv_sec) * 1000 + static_cast<double>(t.tv_nsec) / 1e6;
}

void Worker::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
}

void Worker::wakeIfEarlier(Micros before) {
  const Micros next = earliest();
  if (next < before && next < sleepingUntil_) wake();
}

void Worker::run() {
  auto batch = std::make_unique<ReadBatch>();
  std::array<epoll_event, 64> events;
  while (running_) {
    Micros wait = 0;
    {
      const std::lock_guard lock(mutex_);
      const Micros now = monotonicNow();
      for (int turns = 0; turns < 10'000 && !deadlines_.empty() && deadlines_.begin()->first <= now; turns++) {
        const auto found = endpoints_.find(deadlines_.begin()->second);
        if (found == endpoints_.end()) deadlines_.erase(deadlines_.begin());
        else tick(*found->second, now);
      }
      flush();
      const Micros next = earliest();
      wait = next == kNever ? 1'000'000 : std::clamp<Micros>(next - monotonicNow(), 0, 1'000'000);
      sleepingUntil_ = monotonicNow() + wait;
    }
    timespec timeout{};
    timeout.tv_sec = wait / 1'000'000;
    timeout.tv_nsec = wait % 1'000'000 * 1000;
    const int count = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    for (int i = 0; i < count; i++) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kWakeId) {
        uint64_t sink = 0;
        [[maybe_unused]] const auto got = ::read(wake_, &sink, sizeof(sink));
      } else if (id & kSharedBit) {
        SharedPort* port = nullptr;
        {
          const std::lock_guard lock(mutex_);
          port = shared_[id & ~kSharedBit];
        }
        port->readAll(*batch);
      } else {
        readSocket(id, *batch);
      }
    }
  }
}

void Worker::readSocket(uint64_t id, ReadBatch& batch) {
  // Looked up and read under the mutex: a closed descriptor may already be another socket.
  const std::lock_guard lock(mutex_);
  const auto found = sockets_.find(id);
  if (found == sockets_.end()) return;
  const auto [endpoint, rtcp] = found->second;
  const int fd = rtcp ? endpoint->rtcpFd : endpoint->rtpFd;
  const size_t count = batch.read(fd);
  const Micros now = monotonicNow();
  for (size_t i = 0; i < count; i++) datagram(*endpoint, rtcp, batch.from(i), batch.packet(i), now);
  flush();
}

// ---- endpoints and paths

bool Worker::add(Endpoint& endpoint) {
  endpoint.openedAt = monotonicNow();
  endpoint.sender.ssrc = randomU32();
  endpoint.lastSequence = static_cast<uint16_t>(randomU32() & 0x7fff);
  endpoint.sender.lastTimestamp = randomU32();
  endpoints_[endpoint.id] = &endpoint;
  counters_.endpoints++;
  countBytes(endpoint);
  if (endpoint.shared != nullptr) return true;
  for (int rtcp = 0; rtcp < 2; rtcp++) {
    const int fd = rtcp ? endpoint.rtcpFd : endpoint.rtpFd;
    if (fd < 0) continue;
    const uint64_t id = endpoint.id * 2 + static_cast<uint64_t>(rtcp) + 2;
    sockets_[id] = {&endpoint, rtcp == 1};
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
  }
  return true;
}

void Worker::configure(Endpoint& endpoint, const RemoteSpec& remote) {
  const Micros now = monotonicNow();
  const RemoteSpec before = std::move(endpoint.remote);
  const bool first = !endpoint.configured;
  endpoint.remote = remote;
  endpoint.configured = true;
  // A peer that keeps its address keeps what was learnt; one that moves begins anew.
  if (first || !(before.rtp == remote.rtp)) endpoint.rtp.expect(remote.rtp);
  if (first || !(before.rtcp == remote.rtcp)) endpoint.rtcp.expect(remote.rtcp);

  if (const auto* sdes = std::get_if<SdesSpec>(&remote.crypto)) {
    const auto* old = std::get_if<SdesSpec>(&before.crypto);
    if (!old || !sameKey(old->receive, sdes->receive) || !endpoint.receiveSrtp) endpoint.receiveSrtp = SrtpContext::create(sdes->receive);
    if (!old || !sameKey(old->send, sdes->send) || !endpoint.sendSrtp) endpoint.sendSrtp = SrtpContext::create(sdes->send);
    endpoint.dtls.reset();
  } else if (const auto* dtls = std::get_if<DtlsSpec>(&remote.crypto)) {
    const auto* old = std::get_if<DtlsSpec>(&before.crypto);
    const bool same = old && endpoint.dtls && old->client == dtls->client && sameFingerprints(old->fingerprints, dtls->fingerprints);
    if (!same) {
      endpoint.receiveSrtp.reset();
      endpoint.sendSrtp.reset();
      endpoint.dtlsReported = false;
      endpoint.dtls = DtlsSession::create(identity_, dtls->client, dtls->fingerprints, [this, &endpoint](std::span<const uint8_t> bytes) {
        const Address to = target(endpoint, false, monotonicNow());
        if (to.known()) ::sendto(endpoint.rtpFd, bytes.data(), bytes.size(), MSG_DONTWAIT, to.sockaddrPtr(), to.length());
      });
    }
    if (endpoint.dtls && dtls->client && target(endpoint, false, now).known()) {
      endpoint.dtls->start(now);
      afterDtls(endpoint, now);
    }
  } else {
    endpoint.dtls.reset();
    endpoint.receiveSrtp.reset();
    endpoint.sendSrtp.reset();
  }
  countBytes(endpoint);
  reschedule(endpoint);
  wake();
}

void Worker::countBytes(Endpoint& endpoint) {
  auto bytes = static_cast<int64_t>(sizeof(Endpoint) + (endpoint.dtls ? DtlsSession::memoryBytes() : 0));
  for (const auto* srtp : {endpoint.receiveSrtp.get(), endpoint.sendSrtp.get()}) {
    if (srtp != nullptr) bytes += static_cast<int64_t>(srtp->memoryBytes());
  }
  counters_.nativeBytes += bytes - endpoint.countedBytes;
  endpoint.countedBytes = bytes;
}

void Worker::countTranscoder(Path& path) {
  const auto bytes = static_cast<int64_t>(path.transcoder ? path.transcoder->memoryBytes() : 0);
  counters_.nativeBytes += bytes - path.countedBytes;
  path.countedBytes = bytes;
}

bool Worker::setPath(Endpoint& from, Endpoint& to, const PathSpec& spec, std::string& error) {
  if (from.out && from.out->to == &to) {
    const bool transcodes = from.out->transcoder != nullptr;
    if (!spec && !transcodes) return true;
    if (spec && transcodes && sameConfig(*spec, from.out->config)) return true;
  }
  std::unique_ptr<Transcoder> transcoder;
  TranscoderConfig config;
  if (spec) {
    config = *spec;
    // The stream goes on where it was: same SSRC, next sequence number, timestamp moved by the time since.
    config.ssrc = to.sender.ssrc;
    config.firstSequence = static_cast<uint16_t>(to.lastSequence + 1);
    const Micros since = to.sender.lastSentAt > 0 ? monotonicNow() - to.sender.lastSentAt : 0;
    config.firstTimestamp = to.sender.lastTimestamp + static_cast<uint32_t>(since * config.out.clockRate / 1'000'000);
    to.sender.clockRate = config.out.clockRate;
    transcoder = Transcoder::create(config, error);
    if (!transcoder) return false;
  }
  clearPath(from);
  from.out.emplace();
  from.out->to = &to;
  from.out->transcoder = std::move(transcoder);
  from.out->config = config;
  to.feeders.push_back(&from);
  counters_.paths++;
  if (from.out->transcoder) counters_.transcoders++;
  countTranscoder(*from.out);
  const Micros now = monotonicNow();
  for (Endpoint* endpoint : {&from, &to}) {
    endpoint->reportAt = endpoint->originates() ? std::min(endpoint->reportAt, now + kReportUs / 2) : kNever;
    reschedule(*endpoint);
  }
  wake();
  return true;
}

void Worker::clearPath(Endpoint& from) {
  if (!from.out) return;
  Endpoint* to = from.out->to;
  counters_.paths--;
  if (from.out->transcoder) counters_.transcoders--;
  counters_.nativeBytes -= from.out->countedBytes;
  from.out.reset();
  std::erase(to->feeders, &from);
  for (Endpoint* endpoint : {&from, to}) {
    if (!endpoint->originates()) endpoint->reportAt = kNever;
    reschedule(*endpoint);
  }
}

void Worker::remove(Endpoint& endpoint) {
  flush();
  clearPath(endpoint);
  for (Endpoint* feeder : std::vector<Endpoint*>(endpoint.feeders)) clearPath(*feeder);
  if (endpoint.scheduledAt != kNever) deadlines_.erase({endpoint.scheduledAt, endpoint.id});
  if (endpoint.shared == nullptr) {
    for (int rtcp = 0; rtcp < 2; rtcp++) {
      const int fd = rtcp ? endpoint.rtcpFd : endpoint.rtpFd;
      if (fd < 0) continue;
      sockets_.erase(endpoint.id * 2 + static_cast<uint64_t>(rtcp) + 2);
      ::close(fd);  // takes it out of epoll
    }
  }
  endpoints_.erase(endpoint.id);
  counters_.endpoints--;
  counters_.nativeBytes -= endpoint.countedBytes;
}

// ---- packets in

void Worker::drop(Endpoint& endpoint, Drop why) {
  endpoint.dropped[why]++;
  counters_.dropped[why].fetch_add(1, std::memory_order_relaxed);
}

bool Worker::datagram(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<uint8_t> packet, Micros now) {
  counters_.packetsReceived.fetch_add(1, std::memory_order_relaxed);
  counters_.bytesReceived.fetch_add(packet.size(), std::memory_order_relaxed);
  if (packet.empty()) {
    drop(endpoint, kDropMalformed);
    return false;
  }
  // RFC 7983 §7.
  const uint8_t first = packet[0];
  if (first < 4) return stun(endpoint, from, packet, now);
  if (first >= 20 && first <= 63) {
    dtlsDatagram(endpoint, from, packet, now);
    return false;
  }
  if (first < 128 || first > 191) {
    drop(endpoint, kDropMalformed);
    return false;
  }
  if (viaRtcp || looksLikeRtcp(packet)) rtcpPacket(endpoint, from, packet.data(), packet.size(), now);
  else rtpPacket(endpoint, from, packet.data(), packet.size(), now);
  return false;
}

bool Worker::stun(Endpoint& endpoint, const Address& from, std::span<const uint8_t> packet, Micros now) {
  StunRequest request;
  if (!endpoint.ice() || !parseBindingRequest(packet, request)) {
    drop(endpoint, kDropIce);
    return false;
  }
  const IceCredentials& ours = *endpoint.spec.ice;
  const size_t colon = request.username.find(':');
  const bool named = colon != std::string_view::npos && request.username.substr(0, colon) == ours.ufrag &&
                     (!endpoint.remote.ice || request.username.substr(colon + 1) == endpoint.remote.ice->ufrag);
  if (!named || !integrityHolds(packet, request, ours.pwd)) {
    drop(endpoint, kDropIce);
    return false;
  }
  uint8_t answer[256];
  if (request.controlled) {
    const size_t length = writeRoleConflict(answer, request, ours.pwd);
    ::sendto(endpoint.rtpFd, answer, length, MSG_DONTWAIT, from.sockaddrPtr(), from.length());
    return false;
  }
  const size_t length = writeBindingSuccess(answer, request, from, ours.pwd);
  ::sendto(endpoint.rtpFd, answer, length, MSG_DONTWAIT, from.sockaddrPtr(), from.length());

  auto known = std::find_if(endpoint.checked.begin(), endpoint.checked.end(), [&](const auto& c) { return c.address == from; });
  if (known == endpoint.checked.end()) {
    if (endpoint.checked.size() >= kMaxChecked) endpoint.checked.erase(endpoint.checked.begin());
    endpoint.checked.push_back({from, now});
  } else {
    known->at = now;
  }
  // Before a nomination the first pair that held is good enough to send on (RFC 8445 §12.1).
  const bool select = request.useCandidate ? !(endpoint.selected == from) || !endpoint.nominated : !endpoint.selected.known();
  if (select) {
    const bool moved = !(endpoint.selected == from);
    endpoint.selected = from;
    endpoint.nominated = endpoint.nominated || request.useCandidate;
    if (moved) sink_({Event::Type::kIce, endpoint.id, false, true, {}, from});
    if (endpoint.dtls && endpoint.dtls->state() == DtlsSession::State::kNew) {
      endpoint.dtls->start(now);
      afterDtls(endpoint, now);
    }
  }
  return true;
}

void Worker::dtlsDatagram(Endpoint& endpoint, const Address& from, std::span<const uint8_t> packet, Micros now) {
  if (!mayAccept(endpoint, false, from, now)) {
    drop(endpoint, kDropUnknownSource);
    return;
  }
  if (!endpoint.dtls) {
    drop(endpoint, kDropNoKeys);
    return;
  }
  if (!endpoint.ice() && !endpoint.rtp.locked && endpoint.dtls->state() == DtlsSession::State::kNew) endpoint.rtp.current = from;
  endpoint.dtls->handle(now, packet);
  afterDtls(endpoint, now);
}

void Worker::afterDtls(Endpoint& endpoint, Micros now) {
  (void)now;
  const auto state = endpoint.dtls->state();
  if (state == DtlsSession::State::kConnected) {
    if (auto keys = endpoint.dtls->takeKeys()) {
      endpoint.receiveSrtp = SrtpContext::create(keys->receive);
      endpoint.sendSrtp = SrtpContext::create(keys->send);
      countBytes(endpoint);
    }
  }
  const bool over = state == DtlsSession::State::kConnected || state == DtlsSession::State::kFailed;
  if (over && !endpoint.dtlsReported) {
    endpoint.dtlsReported = true;
    const bool connected = state == DtlsSession::State::kConnected;
    (connected ? counters_.dtlsConnected : counters_.dtlsFailed)++;
    sink_({Event::Type::kDtls, endpoint.id, false, connected, endpoint.dtls->reason(), {}});
  }
  reschedule(endpoint);
}

// Whether a packet from there may be looked at at all. Nothing is learnt yet: it has not proven itself.
bool Worker::mayAccept(Endpoint& endpoint, bool rtcp, const Address& from, Micros now) {
  if (!endpoint.configured) return false;
  if (endpoint.ice()) {
    return std::any_of(endpoint.checked.begin(), endpoint.checked.end(),
                       [&](const auto& c) { return c.address == from && now - c.at < kConsentUs; });
  }
  const SourceLearner& learner = rtcp && !endpoint.remote.rtcpMux ? endpoint.rtcp : endpoint.rtp;
  if (endpoint.remote.learning == Learning::kOff || learner.locked) return from == learner.current;
  return true;
}

// A NAT may give a stream a new address in mid-call. Its keys prove that it is the same one; without keys, its SSRC, which
// a stranger would have to guess, after a second without a packet from where it was.
bool Worker::mayHaveMoved(const Endpoint& endpoint, const uint8_t* packet, size_t length, Micros now) const {
  if (!endpoint.configured || endpoint.ice() || endpoint.remote.strictSource || endpoint.remote.learning == Learning::kOff) return false;
  if (!endpoint.rtp.locked || endpoint.lastRtpAt < 0 || now - endpoint.lastRtpAt < kSilentUs || length < 12) return false;
  return endpoint.encrypted() || (endpoint.receiver.active() && readU32(packet + 8) == endpoint.receiver.ssrc());
}

void Worker::move(Endpoint& endpoint, const Address& from) {
  endpoint.rtp.current = from;
  // RTCP has moved with it, by a way of its own.
  endpoint.rtcp.locked = false;
  endpoint.rtcp.since = 0;
  endpoint.rtcp.rank = -1;
  sink_({Event::Type::kLearned, endpoint.id, false, true, {}, from});
}

// The packet has proven itself so far as it can. False: a better source is known.
bool Worker::learn(Endpoint& endpoint, bool rtcp, const Address& from, Micros now) {
  if (endpoint.ice()) return true;
  const bool own = rtcp && !endpoint.remote.rtcpMux;
  SourceLearner& learner = own ? endpoint.rtcp : endpoint.rtp;
  if (learner.locked || endpoint.remote.learning == Learning::kOff) return true;
  const Address& expected = own ? endpoint.remote.rtcp : endpoint.remote.rtp;
  const bool sameHost = expected.known() && expected.sameHost(from);
  const bool samePort = expected.known() && expected.port() == from.port();
  const int rank = sameHost && samePort ? 3 : sameHost ? 2 : samePort ? 1 : 0;
  if (learner.since == 0) learner.since = now;
  bool take = false;
  switch (endpoint.remote.learning) {
    case Learning::kImmediate: take = true; break;
    case Learning::kDelayed: take = true; break;
    default: take = rank > learner.rank; break;
  }
  const bool moved = take && !(learner.current == from);
  if (take) {
    learner.current = from;
    learner.rank = rank;
  }
  if (endpoint.remote.learning == Learning::kImmediate || rank == 3 || now - learner.since >= kLearnUs) learner.locked = true;
  if (moved) sink_({Event::Type::kLearned, endpoint.id, own, true, {}, from});
  return from == learner.current;
}

uint32_t Worker::clockRateOf(const Endpoint& endpoint, uint8_t pt) const {
  if (endpoint.out && endpoint.out->transcoder) {
    for (const PayloadFormat& format : endpoint.out->config.in) {
      if (format.pt == pt) return format.clockRate;
    }
    for (const DtmfMap& map : endpoint.out->config.dtmf) {
      if (map.inPt == pt) return map.inClock;
    }
  }
  // Relayed: static types are of 8 kHz, dynamic ones mostly Opus.
  return pt < 96 ? 8000 : 48000;
}

void Worker::rtpPacket(Endpoint& endpoint, const Address& from, uint8_t* packet, size_t length, Micros now) {
  const bool accepted = mayAccept(endpoint, false, from, now);
  if (!accepted && !mayHaveMoved(endpoint, packet, length, now)) {
    drop(endpoint, kDropUnknownSource);
    return;
  }
  if (endpoint.encrypted()) {
    if (!endpoint.receiveSrtp) {
      drop(endpoint, kDropNoKeys);
      return;
    }
    const SrtpResult result = endpoint.receiveSrtp->unprotect(packet, length);
    if (result != SrtpResult::kOk) {
      drop(endpoint, result == SrtpResult::kReplay ? kDropReplay : result == SrtpResult::kMalformed ? kDropMalformed : kDropAuthentication);
      return;
    }
  }
  RtpHeader header;
  if (!parseRtp({packet, length}, header)) {
    drop(endpoint, kDropMalformed);
    return;
  }
  if (!accepted) {
    move(endpoint, from);
  } else if (!learn(endpoint, false, from, now)) {
    drop(endpoint, kDropUnknownSource);
    return;
  }
  const bool first = endpoint.lastRtpAt < 0;
  endpoint.lastRtpAt = now;
  endpoint.receivedPackets++;
  endpoint.receivedBytes += length;
  endpoint.receiver.received(header.ssrc, header.sequence, header.timestamp, clockRateOf(endpoint, header.pt), now);
  if (first) sink_({Event::Type::kFirstPacket, endpoint.id, false, true, {}, from});
  if (!endpoint.out) {
    drop(endpoint, kDropNoPath);
    return;
  }
  if (!endpoint.out->transcoder) {
    sendRtp(*endpoint.out->to, packet, length, false, now);
    return;
  }
  endpoint.out->transcoder->push(now, {packet, length});
  pollTranscoder(endpoint, now);
  reschedule(endpoint);
}

void Worker::rtcpPacket(Endpoint& endpoint, const Address& from, uint8_t* packet, size_t length, Micros now) {
  if (!mayAccept(endpoint, true, from, now)) {
    drop(endpoint, kDropUnknownSource);
    return;
  }
  if (endpoint.encrypted()) {
    if (!endpoint.receiveSrtp) {
      drop(endpoint, kDropNoKeys);
      return;
    }
    const SrtpResult result = endpoint.receiveSrtp->unprotectRtcp(packet, length);
    if (result != SrtpResult::kOk) {
      drop(endpoint, result == SrtpResult::kReplay ? kDropReplay : kDropAuthentication);
      return;
    }
  }
  RtcpSeen seen;
  if (!parseRtcp({packet, length}, endpoint.sender.ssrc, seen)) {
    drop(endpoint, kDropMalformed);
    return;
  }
  if (!learn(endpoint, true, from, now)) {
    drop(endpoint, kDropUnknownSource);
    return;
  }
  if (seen.senderReport) endpoint.receiver.gotSenderReport(seen.ntpMiddle, now);
  if (seen.hasBlock && seen.lastSr != 0) {
    const auto middle = static_cast<uint32_t>(ntpNow() >> 16);
    const auto trip = static_cast<int32_t>(middle - seen.lastSr - seen.delaySinceLastSr);
    if (trip >= 0) endpoint.roundTripMs = trip * 1000.0 / 65536.0;
  }
  if (seen.hasBlock) {
    for (Endpoint* feeder : endpoint.feeders) {
      if (feeder->out->transcoder) feeder->out->transcoder->expectLoss(seen.fractionLost / 256.0);
    }
  }
  // Where we decode and encode, both streams are ours to report on; else the parties' reports are about each other.
  if (endpoint.originates() || !endpoint.out) return;
  sendRtcp(*endpoint.out->to, packet, length, now);
}

// ---- packets out

Address Worker::target(Endpoint& endpoint, bool rtcp, Micros now) const {
  if (endpoint.ice()) {
    const auto known = std::find_if(endpoint.checked.begin(), endpoint.checked.end(),
                                    [&](const auto& c) { return c.address == endpoint.selected; });
    if (known == endpoint.checked.end() || now - known->at >= kConsentUs) return {};
    return endpoint.selected;
  }
  if (!rtcp || endpoint.remote.rtcpMux) return endpoint.rtp.current;
  if (endpoint.rtcp.current.known()) return endpoint.rtcp.current;
  // RFC 3550 §11: without other word, the next port.
  Address next;
  if (endpoint.rtp.current.known()) {
    Address::parse(endpoint.rtp.current.host(), static_cast<uint16_t>(endpoint.rtp.current.port() + 1), next);
  }
  return next;
}

Worker::Out* Worker::slot() {
  if (outCount_ == kOutBatch) flush();
  return out_[outCount_].get();
}

void Worker::commit(Out* out, Endpoint& endpoint, int fd, const Address& to, size_t length) {
  out->fd = fd;
  out->to = to;
  out->length = length;
  out->endpoint = &endpoint;
  outCount_++;
}

void Worker::sendRtp(Endpoint& to, const uint8_t* packet, size_t length, bool originated, Micros now) {
  const Address address = target(to, false, now);
  if (!address.known()) {
    drop(to, kDropNoRemote);
    return;
  }
  if (length + kSrtpTrailer > kPacketSize) {
    drop(to, kDropMalformed);
    return;
  }
  Out* out = slot();
  std::memcpy(out->bytes.data(), packet, length);
  if (originated) {
    to.sender.packets++;
    to.sender.octets += static_cast<uint32_t>(length - 12);
    to.lastSequence = readU16(packet + 2);
    to.sender.lastTimestamp = readU32(packet + 4);
    to.sender.lastSentAt = now;
  }
  if (to.encrypted()) {
    if (!to.sendSrtp) {
      drop(to, kDropNoKeys);
      return;
    }
    if (!to.sendSrtp->protect(out->bytes.data(), length)) {
      drop(to, kDropSend);
      return;
    }
  }
  to.sentPackets++;
  to.sentBytes += length;
  commit(out, to, to.rtpFd, address, length);
}

void Worker::sendRtcp(Endpoint& to, const uint8_t* packet, size_t length, Micros now) {
  const Address address = target(to, true, now);
  if (!address.known() || length + kSrtpTrailer > kPacketSize) return;
  Out* out = slot();
  std::memcpy(out->bytes.data(), packet, length);
  if (to.encrypted() && (!to.sendSrtp || !to.sendSrtp->protectRtcp(out->bytes.data(), length))) return;
  const bool mux = to.remote.rtcpMux || to.rtcpFd < 0;
  commit(out, to, mux ? to.rtpFd : to.rtcpFd, address, length);
}

void Worker::flush() {
  size_t i = 0;
  while (i < outCount_) {
    // Runs of one socket leave in one call.
    std::array<mmsghdr, kOutBatch> messages;
    std::array<iovec, kOutBatch> vectors;
    const int fd = out_[i]->fd;
    size_t count = 0;
    for (size_t j = i; j < outCount_ && out_[j]->fd == fd; j++, count++) {
      vectors[count] = {out_[j]->bytes.data(), out_[j]->length};
      std::memset(&messages[count], 0, sizeof(mmsghdr));
      messages[count].msg_hdr.msg_iov = &vectors[count];
      messages[count].msg_hdr.msg_iovlen = 1;
      messages[count].msg_hdr.msg_name = const_cast<sockaddr*>(out_[j]->to.sockaddrPtr());
      messages[count].msg_hdr.msg_namelen = out_[j]->to.length();
    }
    int sent = ::sendmmsg(fd, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    if (sent <= 0) {
      // The first one is refused (an ICMP error of before, a full queue): it is lost, the others go on.
      drop(*out_[i]->endpoint, kDropSend);
      i++;
      continue;
    }
    uint64_t bytes = 0;
    for (int k = 0; k < sent; k++) bytes += out_[i + static_cast<size_t>(k)]->length;
    counters_.packetsSent.fetch_add(static_cast<uint64_t>(sent), std::memory_order_relaxed);
    counters_.bytesSent.fetch_add(bytes, std::memory_order_relaxed);
    i += static_cast<size_t>(sent);
  }
  outCount_ = 0;
}

void Worker::pollTranscoder(Endpoint& from, Micros now) {
  std::array<uint8_t, kPacketSize> packet;
  for (int turn = 0; turn < 64; turn++) {
    const size_t length = from.out->transcoder->poll(now, packet);
    if (length == 0) break;
    sendRtp(*from.out->to, packet.data(), length, true, now);
  }
}

void Worker::report(Endpoint& endpoint, Micros now) {
  std::array<uint8_t, 256> packet;
  const size_t length = writeReport(packet, endpoint.sender, &endpoint.receiver, ntpNow(), now, "causeway");
  sendRtcp(endpoint, packet.data(), length, now);
}

void Worker::tick(Endpoint& endpoint, Micros now) {
  if (endpoint.dtls && endpoint.dtls->nextDeadline() <= now) {
    endpoint.dtls->tick(now);
    afterDtls(endpoint, now);
  }
  if (endpoint.reportAt <= now) {
    report(endpoint, now);
    // RFC 3550 §6.2: between half and one and a half of the interval, lest everybody reports at once.
    endpoint.reportAt = now + kReportUs / 2 + randomU32() % kReportUs;
    if (endpoint.out) countTranscoder(*endpoint.out);
  }
  if (endpoint.out && endpoint.out->transcoder && endpoint.out->transcoder->nextDeadline() <= now) pollTranscoder(endpoint, now);
  reschedule(endpoint);
}

void Worker::reschedule(Endpoint& endpoint) {
  Micros next = endpoint.reportAt;
  if (endpoint.dtls) next = std::min(next, endpoint.dtls->nextDeadline());
  if (endpoint.out && endpoint.out->transcoder) next = std::min(next, endpoint.out->transcoder->nextDeadline());
  if (next == endpoint.scheduledAt) return;
  if (endpoint.scheduledAt != kNever) deadlines_.erase({endpoint.scheduledAt, endpoint.id});
  endpoint.scheduledAt = next;
  if (next != kNever) deadlines_.insert({next, endpoint.id});
}

// ---- what is told

void Worker::stats(const Endpoint& endpoint, EndpointStats& out) const {
  const Micros now = monotonicNow();
  out.receivedPackets = endpoint.receivedPackets;
  out.receivedBytes = endpoint.receivedBytes;
  out.lost = endpoint.receiver.lost();
  out.jitterMs = endpoint.receiver.jitterMs();
  out.sentPackets = endpoint.sentPackets;
  out.sentBytes = endpoint.sentBytes;
  out.dropped = endpoint.dropped;
  if (endpoint.receiver.active()) out.ssrc = endpoint.receiver.ssrc();
  out.remoteRtp = endpoint.ice() ? endpoint.selected : endpoint.rtp.current;
  out.remoteRtcp = endpoint.ice() || endpoint.remote.rtcpMux ? out.remoteRtp : endpoint.rtcp.current;
  if (endpoint.lastRtpAt >= 0) out.lastPacketMs = (now - endpoint.lastRtpAt) / 1000;
  if (endpoint.dtls) {
    static constexpr const char* kNames[] = {"new", "connecting", "connected", "failed"};
    out.dtls = kNames[static_cast<size_t>(endpoint.dtls->state())];
  }
  out.iceConnected = endpoint.selected.known();
  if (endpoint.roundTripMs >= 0) out.roundTripMs = endpoint.roundTripMs;
  if (endpoint.out && endpoint.out->transcoder) out.playout = endpoint.out->transcoder->stats();
}

}  // namespace causeway
