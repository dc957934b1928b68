// The packet path as a whole: what the Node-API skin calls. Safe from one control thread at a time.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ports.h"
#include "recorder.h"
#include "worker.h"

namespace causeway {

class Dataplane {
 public:
  struct Failure {
    std::string code;  // no-ports, no-interface, bad-argument, closed
    std::string message;
  };
  struct Opened {
    uint64_t id = 0;
    std::string advertised;
    uint16_t rtp = 0;
    uint16_t rtcp = 0;  // 0: one port for both
  };

  static std::unique_ptr<Dataplane> create(const DataplaneOptions& options, EventSink sink, std::string& error);
  ~Dataplane();

  const std::string& fingerprint() const { return identity_->fingerprint(); }
  const std::string& certificate() const { return identity_->certificate(); }
  bool open(const EndpointSpec& spec, Opened& opened, Failure& failure);
  bool configure(uint64_t id, const RemoteSpec& remote, Failure& failure);
  bool setPath(uint64_t from, uint64_t to, const PathSpec& spec, Failure& failure);
  bool clearPath(uint64_t from, uint64_t to, Failure& failure);
  // Which lines the transport of `carrier` carries, and how they are told apart; none: it is the carrier's alone.
  bool setBundle(uint64_t carrier, const BundleSpec& spec, Failure& failure);
  // Played to whom `to` is our end; in the place of what plays, or `behind` it.
  bool play(uint64_t to, std::shared_ptr<const Clip> clip, const PlayOptions& options, bool behind, Failure& failure);
  // `playback`: 0 when nothing played.
  bool stopPlaying(uint64_t to, uint64_t& playback, uint32_t& positionMs);
  bool press(uint64_t to, const KeyPress& key, Failure& failure);
  bool stats(uint64_t id, EndpointStats& out);
  void closeEndpoint(uint64_t id);
  // What arrives at `from` is also sent by `to`, unchanged or, with `spec`, coded where it must be; both need the same affinity.
  bool tap(uint64_t from, uint64_t to, bool on, const TapSpec* spec, Failure& failure);
  // Another affinity, as if it had been opened with it; paths, copies and recordings of it end. Ports, keys and sources stay.
  bool move(uint64_t id, const std::string& affinity, Failure& failure);
  // IP_TOS of what leaves by it; empty: the node's own.
  bool mark(uint64_t id, std::optional<uint8_t> tos, Failure& failure);
  // 0: it cannot be written.
  uint64_t openRecording(const std::string& file, Failure& failure);
  bool record(uint64_t recording, uint64_t endpoint, bool on, Failure& failure);
  // Of all its endpoints; the sink is told when the file is whole.
  void closeRecording(uint64_t recording);
  std::vector<uint64_t> idle(int64_t olderThanMs);
  Totals totals();
  // Joins the threads and frees everything.
  void close();

 private:
  Dataplane() = default;
  Endpoint* find(uint64_t id);
  void release(const Endpoint& endpoint);

  DataplaneOptions options_;
  EventSink sink_;
  std::unique_ptr<DtlsIdentity> identity_;
  std::unique_ptr<PortRange> ports_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<SharedPort>> shared_;
  std::unordered_map<uint64_t, std::unique_ptr<Endpoint>> endpoints_;
  std::unique_ptr<Recorder> recorder_;
  std::unordered_map<uint64_t, std::unordered_set<uint64_t>> recorded_;  // endpoints by recording
  std::vector<uint64_t> portsOf_;  // in use, by interface
  uint64_t nextId_ = 1;
  double cpuBefore_ = 0;
};

}  // namespace causeway
