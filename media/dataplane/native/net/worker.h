// One thread of the packet path: its endpoints, their sockets and deadlines. Its lock guards all of them; other threads
// that hold it may do what the thread itself does.
#pragma once

#include <time.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "check_budget.h"
#include "counters.h"
#include "datagrams.h"
#include "deadlines.h"
#include "endpoint.h"
#include "shared_port.h"
#include "turn_lock.h"

namespace causeway {

using EventSink = std::function<void(Event)>;

Micros monotonicNow();
// The time of day as RTCP has it (RFC 3550 §4).
uint64_t ntpNow();

class Worker {
 public:
  Worker(const DtlsIdentity& identity, const EventSink& sink);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  bool start(std::string& error);
  void stop();
  bool serve(SharedPort* port, std::string& error);
  const Counters& counters() const { return counters_; }
  double cpuMs() const;

  // Held by whoever calls what follows, unless it is the worker's own thread in its turn. Wakes that thread when it would
  // sleep too long.
  class Hold {
   public:
    explicit Hold(Worker& worker);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Worker& worker_;
  };

  // worker_control.cc: what is asked for.
  bool add(Endpoint& endpoint);
  void configure(Endpoint& endpoint, const RemoteSpec& remote);
  bool setPath(Endpoint& from, Endpoint& to, const PathSpec& spec, std::string& error);
  void clearPath(Endpoint& from);
  void remove(Endpoint& endpoint);
  // To another worker, with its sockets and keys; its paths and copies end here. What arrives between the two waits.
  void detach(Endpoint& endpoint);
  bool attach(Endpoint& endpoint);
  // IP_TOS of what leaves by it.
  void mark(Endpoint& endpoint, uint8_t tos);
  void stats(const Endpoint& endpoint, EndpointStats& out) const;

  // worker_voice.cc: what is played to a party, in the place of whatever was played before or behind it; false: it cannot be
  // mixed into what the party gets. `id`, of what was stopped: 0 when nothing played.
  bool play(Endpoint& to, std::shared_ptr<const Clip> clip, const PlayOptions& options, bool behind, std::string& error);
  void stopPlaying(Endpoint& to, uint64_t& id, uint32_t& positionMs);
  bool press(Endpoint& to, const KeyPress& key, std::string& error);
  // worker_tap.cc. Both ends of a tap are this worker's; closing either ends it.
  // `spec`: what the receiver does not take is coded; null: all passes as it came.
  bool tap(Endpoint& from, Endpoint& to, const TapSpec* spec, std::string& error);
  void untap(Endpoint& from, Endpoint& to);
  // `ring` null: no more of this recording.
  void record(Endpoint& endpoint, RecordingRing* ring, uint64_t recording, const Address& local);

  // worker_bundle.cc: several lines on one transport. `lines`: the endpoints of the spec, each the carrier or one of its
  // riders; none: the bundle is no more.
  void ride(Endpoint& rider, Endpoint& carrier);
  void setBundle(Endpoint& carrier, const BundleSpec& spec, std::vector<Endpoint*> lines);

  // worker_in.cc. `viaRtcp`: it came to the RTCP socket. True: it was an ICE check, and its source is proven.
  bool datagram(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<uint8_t> packet, Micros now);
  Outbox& outbox() { return outbox_; }

 private:
  // A socket in epoll; the generation tells what came for one that has been closed since.
  struct Socket {
    Endpoint* endpoint = nullptr;
    uint32_t generation = 0;
    uint32_t turn = 0;
    bool rtcp = false;
  };

  // worker.cc: the thread.
  void run();
  void wake();
  void readSocket(Socket& socket, ReadBatch& batch, Micros now);
  bool watch(Endpoint& endpoint, bool rtcp, int fd, uint32_t& place);
  void unwatch(uint32_t place);
  void reschedule(Endpoint& endpoint);
  void tick(Endpoint& endpoint, Micros now);
  void countBytes(Endpoint& endpoint);
  void uncount(Endpoint& endpoint);
  void countTranscoder(Path& path);

  // worker_in.cc
  void drop(Endpoint& endpoint, Drop why);
  void refuse(Endpoint& endpoint, bool rtcp, const Address& from, Drop why, Micros now);
  void learned(Endpoint& endpoint, bool rtcp, const Address& from, SourceVerdict how, Micros now);
  SourceVerdict judge(const Endpoint& endpoint, bool rtcp, const Address& from, uint32_t ssrc, Micros now) const;
  void take(Endpoint& endpoint, bool rtcp, const Address& from, SourceVerdict verdict, Micros now);
  bool decrypt(Endpoint& endpoint, bool rtcp, const Address& from, uint8_t* packet, size_t& length, Micros now);
  void rtpPacket(Endpoint& endpoint, const Address& from, uint8_t* packet, size_t length, Micros now);
  void rtcpPacket(Endpoint& endpoint, bool viaRtcp, const Address& from, uint8_t* packet, size_t length, Micros now);
  void relayRtp(Endpoint& endpoint, const Address& from, const RtpHeader& header, uint8_t* packet, size_t length, Micros now);
  void relayRtcp(Endpoint& endpoint, bool viaRtcp, const Address& from, uint8_t* packet, size_t length, bool stays, const RtcpSeen& seen, Micros now);
  bool passGate(Endpoint& endpoint, const RtpHeader& header, uint8_t* packet);

  // worker_ice.cc
  void rawPacket(Endpoint& endpoint, const Address& from, std::span<uint8_t> packet, Micros now);
  bool stun(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<const uint8_t> packet, Micros now);
  void checkHeld(Endpoint& endpoint, bool viaRtcp, const Address& from, uint32_t priority, Micros now);
  void select(Endpoint& endpoint, const Address& from, bool nominated, Micros now);
  void dtlsDatagram(Endpoint& endpoint, const Address& from, std::span<const uint8_t> packet, Micros now);
  void beginDtls(Endpoint& endpoint, const DtlsSpec& spec);
  void afterDtls(Endpoint& endpoint);

  // worker_checks.cc: the full agent.
  void configureIce(Endpoint& endpoint, const RemoteSpec& before, Micros now);
  bool stunResponse(Endpoint& endpoint, bool viaRtcp, const Address& from, std::span<const uint8_t> packet, Micros now);
  void runAgent(Endpoint& endpoint, Micros now);
  // worker_bundle.cc
  Endpoint* lineOf(Endpoint& carrier, const RtpHeader& header, std::span<const uint8_t> packet, Micros now);
  void bundledRtcp(Endpoint& carrier, bool viaRtcp, const Address& from, std::span<uint8_t> packet, const RtcpSeen& seen, Micros now);
  const Endpoint& boardBundle(Endpoint& to, uint8_t* packet, size_t& length, Micros now);
  void leaveBundle(Endpoint& endpoint);

  // worker_tap.cc
  Copies& copiesOf(Endpoint& endpoint);
  void openForCopies(Endpoint& endpoint);
  void dropCopies(Endpoint& endpoint);
  bool codeTap(Endpoint& from, Tap& tap, const TapSpec* spec, std::string& error);
  void endCoding(Tap& tap);
  void copyTo(Endpoint& from, Tap& tap, bool rtcp, uint8_t* packet, size_t length, Micros now);
  void pollTaps(Endpoint& from, Micros now);
  static Micros nextTap(const Copies& copies);
  static void expectLossOfCopies(const Endpoint& to, double share);
  void copy(Endpoint& endpoint, bool rtcp, bool viaRtcp, const Address& from, uint8_t* packet, size_t length, Micros now);

  // worker_out.cc
  Address target(const Endpoint& endpoint, bool rtcp, Micros now) const;
  // In place: `packet` has room for kSrtpTrailer more; `stays`: until the batch is closed (Outbox).
  void sendRtp(Endpoint& to, uint8_t* packet, size_t length, bool stays, Micros now);
  void sendRtcp(Endpoint& to, uint8_t* packet, size_t length, bool stays, Micros now);
  void pollTranscoder(Endpoint& from, Micros now);
  VoipMetrics quality(const Endpoint& endpoint) const;
  void report(Endpoint& endpoint, bool bye, Micros now);

  // worker_voice.cc
  Voice& giveVoice(Endpoint& to);
  void ownReports(Endpoint& from, Endpoint& to);
  bool mixInto(Endpoint& to, std::string& error);
  void endMixer(Endpoint& to);
  void pathChanged(Endpoint& to, bool another);
  void intoVoice(Endpoint& from, const RtpHeader& header, uint8_t* packet, size_t length, Micros now);
  void sendOwn(Endpoint& to, uint8_t* packet, size_t length, Micros now);
  void tickVoice(Endpoint& to, Micros now);
  void played(Endpoint& to);

  Counters counters_;
  const DtlsIdentity& identity_;
  const EventSink& sink_;
  TurnLock lock_;
  std::thread thread_;
  clockid_t cpuClock_{};
  std::atomic<bool> running_{false};
  int epoll_ = -1;
  int wake_ = -1;
  std::vector<Socket> sockets_;
  std::vector<uint32_t> freePlaces_;
  uint32_t turn_ = 0;
  Deadlines deadlines_;
  Outbox outbox_;
  CheckBudget checkBudget_;
  Micros sleepingUntil_ = 0;
  Micros refusalsToldAt_ = 0;  // the second in which…
  uint32_t refusalsTold_ = 0;  // …so many refusals were told
};

}  // namespace causeway
