// The classic pcap format (draft-ietf-opsawg-pcap) with raw IP packets: link type 101. Each packet gets the IP and UDP
// headers that it had, as far as they are known: addresses, ports, lengths, checksums.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "address.h"

namespace causeway {

// In the byte order of this machine, which its first four bytes tell; times in microseconds.
struct PcapHeader {
  uint32_t magic = 0xa1b2c3d4;
  uint16_t major = 2;
  uint16_t minor = 4;
  uint32_t zone = 0;
  uint32_t accuracy = 0;
  uint32_t longest = 65535;
  uint32_t linkType = 101;
};

namespace pcap {

inline void put16(std::vector<uint8_t>& out, size_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

template <typename T>
void putNative(std::vector<uint8_t>& out, const T& value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), p, p + sizeof(T));
}

// RFC 1071.
inline uint32_t sum(std::span<const uint8_t> bytes, uint32_t start = 0) {
  uint64_t total = start;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) total += static_cast<uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  if (bytes.size() % 2 == 1) total += static_cast<uint32_t>(bytes.back() << 8);
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return static_cast<uint32_t>(total);
}

}  // namespace pcap

// `at`: microseconds since 1970. Both addresses are of one family; else nothing is written.
inline bool appendPcapPacket(std::vector<uint8_t>& out, int64_t at, const Address& from, const Address& to, std::span<const uint8_t> packet) {
  if (from.family() != to.family()) return false;
  const bool six = from.family() == AF_INET6;
  const size_t udp = 8 + packet.size();
  const size_t whole = (six ? 40 : 20) + udp;
  for (const uint32_t value : {static_cast<uint32_t>(at / 1'000'000), static_cast<uint32_t>(at % 1'000'000), static_cast<uint32_t>(whole),
                               static_cast<uint32_t>(whole)}) {
    pcap::putNative(out, value);
  }
  const size_t ip = out.size();
  if (six) {
    out.insert(out.end(), {0x60, 0, 0, 0});
    pcap::put16(out, udp);
    out.insert(out.end(), {17, 64});
  } else {
    out.insert(out.end(), {0x45, 0});
    pcap::put16(out, whole);
    out.insert(out.end(), {0, 0, 0x40, 0, 64, 17, 0, 0});
  }
  out.insert(out.end(), from.ip(), from.ip() + from.ipLength());
  out.insert(out.end(), to.ip(), to.ip() + to.ipLength());
  // The pseudo-header holds what stands there anyway: addresses, protocol, length.
  uint32_t check = pcap::sum({out.data() + out.size() - 2 * from.ipLength(), 2 * from.ipLength()}, static_cast<uint32_t>(17 + udp));
  if (!six) {
    const auto own = static_cast<uint16_t>(~pcap::sum({out.data() + ip, 20}));
    out[ip + 10] = static_cast<uint8_t>(own >> 8);
    out[ip + 11] = static_cast<uint8_t>(own);
  }
  const size_t header = out.size();
  pcap::put16(out, from.port());
  pcap::put16(out, to.port());
  pcap::put16(out, udp);
  pcap::put16(out, 0);
  out.insert(out.end(), packet.begin(), packet.end());
  auto sum = static_cast<uint16_t>(~pcap::sum({out.data() + header, udp}, check));
  if (sum == 0) sum = 0xffff;
  out[header + 6] = static_cast<uint8_t>(sum >> 8);
  out[header + 7] = static_cast<uint8_t>(sum);
  return true;
}

}  // namespace causeway
