// A UDP address of either family, by value.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>
#include <string>

namespace causeway {

class Address {
 public:
  Address() { std::memset(&storage_, 0, sizeof(storage_)); }
  static bool parse(const std::string& text, uint16_t port, Address& out) {
    out = Address();
    if (inet_pton(AF_INET, text.c_str(), &out.storage_.v4.sin_addr) == 1) {
      out.storage_.v4.sin_family = AF_INET;
      out.storage_.v4.sin_port = htons(port);
      return true;
    }
    if (inet_pton(AF_INET6, text.c_str(), &out.storage_.v6.sin6_addr) == 1) {
      out.storage_.v6.sin6_family = AF_INET6;
      out.storage_.v6.sin6_port = htons(port);
      return true;
    }
    return false;
  }
  // From what the kernel filled in.
  static Address from(const sockaddr_storage& given) {
    Address out;
    if (given.ss_family == AF_INET6) {
      std::memcpy(&out.storage_.v6, &given, sizeof(sockaddr_in6));
      out.storage_.v6.sin6_flowinfo = 0;
      out.storage_.v6.sin6_scope_id = 0;
    } else {
      std::memcpy(&out.storage_.v4, &given, sizeof(sockaddr_in));
      std::memset(out.storage_.v4.sin_zero, 0, sizeof(out.storage_.v4.sin_zero));
    }
    return out;
  }
  // Somewhere a packet can be sent to: no hold (0.0.0.0, RFC 3264 §8.4), and no crowd that SDP points us at.
  bool known() const {
    if (port() == 0) return false;
    if (family() == AF_INET6) return !IN6_IS_ADDR_UNSPECIFIED(&storage_.v6.sin6_addr) && !IN6_IS_ADDR_MULTICAST(&storage_.v6.sin6_addr);
    return family() == AF_INET && ip()[0] != 0 && ip()[0] < 224;
  }
  int family() const { return storage_.any.sa_family; }
  uint16_t port() const { return ntohs(family() == AF_INET6 ? storage_.v6.sin6_port : storage_.v4.sin_port); }
  void setPort(uint16_t port) { (family() == AF_INET6 ? storage_.v6.sin6_port : storage_.v4.sin_port) = htons(port); }
  const sockaddr* sockaddrPtr() const { return &storage_.any; }
  socklen_t length() const { return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }
  // The bytes of the IP address: 4 or 16.
  const uint8_t* ip() const {
    return family() == AF_INET6 ? reinterpret_cast<const uint8_t*>(&storage_.v6.sin6_addr)
                                : reinterpret_cast<const uint8_t*>(&storage_.v4.sin_addr);
  }
  size_t ipLength() const { return family() == AF_INET6 ? 16 : 4; }
  std::string host() const {
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(family(), ip(), text, sizeof(text));
    return text;
  }
  bool sameHost(const Address& other) const {
    return family() == other.family() && std::memcmp(ip(), other.ip(), ipLength()) == 0;
  }
  bool operator==(const Address& other) const { return sameHost(other) && port() == other.port(); }
  size_t hash() const {
    uint64_t value = port();
    for (size_t i = 0; i < ipLength(); i++) value = value * 1099511628211ULL + ip()[i];
    return static_cast<size_t>(value);
  }

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage_;
};

struct AddressHash {
  size_t operator()(const Address& address) const { return address.hash(); }
};

}  // namespace causeway
