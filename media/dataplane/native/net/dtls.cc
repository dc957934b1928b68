#include "dtls.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/srtp.h>
#include <openssl/x509.h>
#include <sys/time.h>

#include <cstring>

namespace causeway {

// The BIO behind a session keeps the bounds of datagrams, which a memory BIO would lose.
int dtlsBioWrite(BIO* bio, const char* data, int size) {
  auto* session = static_cast<DtlsSession*>(BIO_get_data(bio));
  const auto* bytes = reinterpret_cast<const uint8_t*>(data);
  if (session->outgoing_.size() < 64) session->outgoing_.emplace_back(bytes, bytes + size);
  return size;
}

namespace {

constexpr Micros kHandshakeLimitUs = 30'000'000;
constexpr long kMtu = 1200;
// The peer repeats its flight after 1, 2, 4, 8 and 16 s (RFC 6347 §4.2.4.1).
constexpr Micros kLingerUs = 35'000'000;

long bioCtrl(BIO*, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU: return kMtu;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD: return 28;
    default: return 0;
  }
}

BIO_METHOD* bioMethod() {
  static BIO_METHOD* method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
    BIO_meth_set_write(m, dtlsBioWrite);
    BIO_meth_set_ctrl(m, bioCtrl);
    return m;
  }();
  return method;
}

std::string lastError(const char* what) {
  char text[160];
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return what;
  ERR_error_string_n(code, text, sizeof(text));
  return std::string(what) + ": " + text;
}

const EVP_MD* digestOf(const std::string& name) {
  if (name == "sha-256") return EVP_sha256();
  if (name == "sha-384") return EVP_sha384();
  if (name == "sha-512") return EVP_sha512();
  return nullptr;  // sha-1 and below prove nothing any more
}

X509* selfSigned(EVP_PKEY* key) {
  X509* certificate = X509_new();
  if (certificate == nullptr) return nullptr;
  uint8_t serial[8];
  RAND_bytes(serial, sizeof(serial));
  uint64_t number = 0;
  std::memcpy(&number, serial, sizeof(number));
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1);
  X509_set_version(certificate, 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * 365);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const uint8_t*>("causeway"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  if (X509_sign(certificate, key, EVP_sha256()) == 0) {
    X509_free(certificate);
    return nullptr;
  }
  return certificate;
}

}  // namespace

std::unique_ptr<DtlsIdentity> DtlsIdentity::create(std::string& error) {
  std::unique_ptr<DtlsIdentity> identity(new DtlsIdentity());
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = key == nullptr ? nullptr : selfSigned(key);
  SSL_CTX* context = SSL_CTX_new(DTLS_method());
  identity->context_ = context;
  bool ok = certificate != nullptr && context != nullptr;
  if (ok) {
    SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
    // The peer's certificate is known by its fingerprint from signaling, not by an authority.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    ok = SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1 &&
         SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES") == 1 &&
         SSL_CTX_set_tlsext_use_srtp(context, "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32") == 0;
  }
  if (ok) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ok = X509_digest(certificate, EVP_sha256(), digest, &size) == 1;
    static const char* hex = "0123456789ABCDEF";
    for (unsigned i = 0; i < size; i++) {
      if (i > 0) identity->fingerprint_ += ':';
      identity->fingerprint_ += hex[digest[i] >> 4];
      identity->fingerprint_ += hex[digest[i] & 15];
    }
    uint8_t* der = nullptr;
    const int length = i2d_X509(certificate, &der);
    for (int i = 0; i < length; i++) {
      identity->certificate_ += hex[der[i] >> 4];
      identity->certificate_ += hex[der[i] & 15];
    }
    OPENSSL_free(der);
  }
  if (!ok) error = lastError("cannot make the DTLS certificate");
  X509_free(certificate);
  EVP_PKEY_free(key);
  if (!ok) return nullptr;
  return identity;
}

DtlsIdentity::~DtlsIdentity() { SSL_CTX_free(context_); }

std::unique_ptr<DtlsSession> DtlsSession::create(const DtlsIdentity& identity, bool client, std::vector<Fingerprint> accepted, Send send) {
  std::unique_ptr<DtlsSession> session(new DtlsSession());
  session->ssl_ = SSL_new(identity.context());
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(bioMethod());
  if (session->ssl_ == nullptr || in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return nullptr;
  }
  BIO_set_mem_eof_return(in, -1);
  BIO_set_data(out, session.get());
  BIO_set_init(out, 1);
  SSL_set_bio(session->ssl_, in, out);
  SSL_set_mtu(session->ssl_, kMtu);
  DTLS_set_link_mtu(session->ssl_, kMtu);
  session->client_ = client;
  session->accepted_ = std::move(accepted);
  session->send_ = std::move(send);
  if (client) SSL_set_connect_state(session->ssl_);
  else SSL_set_accept_state(session->ssl_);
  return session;
}

DtlsSession::~DtlsSession() { SSL_free(ssl_); }

void DtlsSession::start(Micros now) {
  if (!client_ || state_ != State::kNew) return;
  state_ = State::kConnecting;
  startedAt_ = now;
  advance(now);
}

void DtlsSession::handle(Micros now, std::span<const uint8_t> datagram) {
  if (state_ == State::kFailed || ssl_ == nullptr) return;
  if (state_ == State::kNew) {
    state_ = State::kConnecting;
    startedAt_ = now;
  }
  BIO* in = SSL_get_rbio(ssl_);
  BIO_write(in, datagram.data(), static_cast<int>(datagram.size()));
  if (state_ == State::kConnecting) advance(now);
  else {
    // Nothing of ours is sent over DTLS itself; alerts and repeated handshake flights are dealt with by reading.
    uint8_t sink[2048];
    while (SSL_read(ssl_, sink, sizeof(sink)) > 0) {
    }
    ERR_clear_error();
    flush();
  }
  (void)BIO_reset(in);
}

void DtlsSession::tick(Micros now) {
  if (now < deadline_) return;
  if (state_ == State::kConnected) {
    SSL_free(ssl_);
    ssl_ = nullptr;
    deadline_ = kNever;
  }
  if (state_ != State::kConnecting) return;
  if (now - startedAt_ > kHandshakeLimitUs) {
    fail("handshake timed out");
    return;
  }
  DTLSv1_handle_timeout(ssl_);
  advance(now);
}

void DtlsSession::advance(Micros now) {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  flush();
  if (result == 1) {
    deadline_ = kNever;
    if (!checkFingerprint()) fail("certificate does not match the fingerprint in SDP");
    else if (!exportKeys()) fail("no SRTP profile in common");
    else {
      state_ = State::kConnected;
      deadline_ = now + kLingerUs;
    }
    return;
  }
  const int why = SSL_get_error(ssl_, result);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
    fail(lastError("handshake failed"));
    return;
  }
  timeval left{};
  deadline_ = DTLSv1_get_timeout(ssl_, &left) == 1 ? now + left.tv_sec * 1'000'000 + left.tv_usec + 1000 : kNever;
}

void DtlsSession::fail(const std::string& reason) {
  state_ = State::kFailed;
  deadline_ = kNever;
  reason_ = reason;
  ERR_clear_error();
}

void DtlsSession::flush() {
  // Sending may fail; a lost flight is repeated by the timer.
  for (const auto& datagram : outgoing_) send_(datagram);
  outgoing_.clear();
}

bool DtlsSession::checkFingerprint() {
  X509* certificate = SSL_get1_peer_certificate(ssl_);
  if (certificate == nullptr) return false;
  bool match = false;
  for (const Fingerprint& fingerprint : accepted_) {
    const EVP_MD* md = digestOf(fingerprint.algorithm);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (md == nullptr || X509_digest(certificate, md, digest, &size) != 1) continue;
    if (size == fingerprint.value.size() && CRYPTO_memcmp(digest, fingerprint.value.data(), size) == 0) match = true;
  }
  X509_free(certificate);
  return match;
}

// RFC 5764 §4.2: client key, server key, client salt, server salt.
bool DtlsSession::exportKeys() {
  const SRTP_PROTECTION_PROFILE* profile = SSL_get_selected_srtp_profile(ssl_);
  if (profile == nullptr) return false;
  SrtpSuite suite;
  switch (profile->id) {
    case SRTP_AES128_CM_SHA1_80: suite = SrtpSuite::kAesCm128Sha1_80; break;
    case SRTP_AES128_CM_SHA1_32: suite = SrtpSuite::kAesCm128Sha1_32; break;
    case SRTP_AEAD_AES_128_GCM: suite = SrtpSuite::kAeadAes128Gcm; break;
    case SRTP_AEAD_AES_256_GCM: suite = SrtpSuite::kAeadAes256Gcm; break;
    default: return false;
  }
  const size_t key = srtpKeyLength(suite);
  const size_t salt = srtpSaltLength(suite);
  std::vector<uint8_t> material(2 * (key + salt));
  static const char kLabel[] = "EXTRACTOR-dtls_srtp";
  if (SSL_export_keying_material(ssl_, material.data(), material.size(), kLabel, sizeof(kLabel) - 1, nullptr, 0, 0) != 1) return false;
  const uint8_t* p = material.data();
  const auto slice = [p](size_t from, size_t size) { return std::vector<uint8_t>(p + from, p + from + size); };
  SrtpKey client;
  SrtpKey server;
  client.suite = server.suite = suite;
  client.key = slice(0, key);
  server.key = slice(key, key);
  client.salt = slice(2 * key, salt);
  server.salt = slice(2 * key + salt, salt);
  keys_ = client_ ? DtlsKeys{server, client} : DtlsKeys{client, server};
  OPENSSL_cleanse(material.data(), material.size());
  return true;
}

std::optional<DtlsKeys> DtlsSession::takeKeys() {
  std::optional<DtlsKeys> keys = std::move(keys_);
  keys_.reset();
  return keys;
}

}  // namespace causeway
