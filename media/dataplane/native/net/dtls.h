// DTLS-SRTP (RFC 5763, RFC 5764): one certificate for the process, one session a leg, datagrams in and out.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../core/transcoder.h"
#include "srtp.h"

namespace causeway {

struct Fingerprint {
  std::string algorithm;  // sha-256 …, lower case
  std::vector<uint8_t> value;
};

class DtlsIdentity {
 public:
  // A fresh self-signed P-256 certificate.
  static std::unique_ptr<DtlsIdentity> create(std::string& error);
  ~DtlsIdentity();
  DtlsIdentity(const DtlsIdentity&) = delete;
  DtlsIdentity& operator=(const DtlsIdentity&) = delete;
  const std::string& fingerprint() const { return fingerprint_; }  // SHA-256, upper-case hex with colons
  const std::string& certificate() const { return certificate_; }  // DER, in hex
  SSL_CTX* context() const { return context_; }

 private:
  DtlsIdentity() = default;
  std::string certificate_;
  SSL_CTX* context_ = nullptr;
  std::string fingerprint_;
};

struct DtlsKeys {
  SrtpKey receive;
  SrtpKey send;
};

class DtlsSession {
 public:
  enum class State : uint8_t { kNew, kConnecting, kConnected, kFailed };
  using Send = std::function<void(std::span<const uint8_t>)>;

  // `send` takes one datagram; it is called only from within handle(), start() and tick().
  static std::unique_ptr<DtlsSession> create(const DtlsIdentity& identity, bool client, std::vector<Fingerprint> accepted, Send send);
  ~DtlsSession();
  DtlsSession(const DtlsSession&) = delete;
  DtlsSession& operator=(const DtlsSession&) = delete;

  // A client says hello; a server does nothing.
  void start(Micros now);
  void handle(Micros now, std::span<const uint8_t> datagram);
  // Retransmission (RFC 6347 §4.2.4); later, when nobody can want our last flight again, OpenSSL's session is let go.
  Micros nextDeadline() const { return deadline_; }
  void tick(Micros now);

  State state() const { return state_; }
  const std::string& reason() const { return reason_; }
  // Once, when connected.
  std::optional<DtlsKeys> takeKeys();
  size_t memoryBytes() const { return sizeof(*this) + (ssl_ != nullptr ? kOpenSslBytes : 0); }

 private:
  static constexpr size_t kOpenSslBytes = 75 * 1024;  // measured
  DtlsSession() = default;
  void advance(Micros now);
  void fail(const std::string& reason);
  bool checkFingerprint();
  bool exportKeys();
  void flush();

  SSL* ssl_ = nullptr;
  bool client_ = false;
  State state_ = State::kNew;
  std::string reason_;
  std::vector<Fingerprint> accepted_;
  Send send_;
  std::vector<std::vector<uint8_t>> outgoing_;
  std::optional<DtlsKeys> keys_;
  Micros deadline_ = kNever;
  Micros startedAt_ = 0;
  friend int dtlsBioWrite(BIO* bio, const char* data, int size);
};

}  // namespace causeway
