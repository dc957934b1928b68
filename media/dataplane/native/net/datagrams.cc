#include "datagrams.h"

#include <cstring>

namespace causeway {

ReadBatch::ReadBatch() {
  for (size_t i = 0; i < kReadBatch; i++) {
    vectors_[i] = {buffers_[i].data(), kPacketSize - kSrtpTrailer};
    std::memset(&messages_[i], 0, sizeof(mmsghdr));
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &sources_[i];
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
  }
}

size_t ReadBatch::read(int fd) {
  const int count = ::recvmmsg(fd, messages_.data(), kReadBatch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; i++) {
    auto& message = messages_[static_cast<size_t>(i)];
    message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    // Too long for the buffer: half a packet is worse than none.
    if (message.msg_hdr.msg_flags & MSG_TRUNC) message.msg_len = 0;
  }
  return count < 0 ? 0 : static_cast<size_t>(count);
}

size_t ReadBatch::readOne(int fd) {
  socklen_t length = sizeof(sockaddr_storage);
  const auto got = ::recvfrom(fd, buffers_[0].data(), kPacketSize - kSrtpTrailer, MSG_DONTWAIT | MSG_TRUNC,
                              reinterpret_cast<sockaddr*>(&sources_[0]), &length);
  if (got < 0) return 0;
  messages_[0].msg_len = static_cast<size_t>(got) > kPacketSize - kSrtpTrailer ? 0 : static_cast<unsigned>(got);
  return 1;
}

void Outbox::lost(Endpoint& endpoint) {
  endpoint.dropped[kDropSend]++;
  counters_.dropped[kDropSend].add();
}

void Outbox::sendNow(Endpoint& endpoint, int fd, const Address& to, std::span<const uint8_t> bytes) {
  if (::sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT, to.sockaddrPtr(), to.length()) < 0) {
    lost(endpoint);
    return;
  }
  counters_.packetsSent.add();
  counters_.bytesSent.add(bytes.size());
}

void Outbox::send(Endpoint& endpoint, int fd, const Address& to, std::span<const uint8_t> bytes) {
  if (!batching_) {
    sendNow(endpoint, fd, to, bytes);
    return;
  }
  if (count_ == kReadBatch) flush();
  endpoints_[count_] = &endpoint;
  fds_[count_] = fd;
  to_[count_] = to;
  vectors_[count_] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  count_++;
}

void Outbox::flush() {
  size_t i = 0;
  while (i < count_) {
    // Runs of one socket leave in one call.
    std::array<mmsghdr, kReadBatch> messages;
    size_t count = 0;
    for (size_t j = i; j < count_ && fds_[j] == fds_[i]; j++, count++) {
      std::memset(&messages[count], 0, sizeof(mmsghdr));
      messages[count].msg_hdr.msg_iov = &vectors_[j];
      messages[count].msg_hdr.msg_iovlen = 1;
      messages[count].msg_hdr.msg_name = const_cast<sockaddr*>(to_[j].sockaddrPtr());
      messages[count].msg_hdr.msg_namelen = to_[j].length();
    }
    const int sent = ::sendmmsg(fds_[i], messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    if (sent <= 0) {
      // The first one is refused (a full queue, no way there): it is lost, the others go on.
      lost(*endpoints_[i]);
      i++;
      continue;
    }
    uint64_t bytes = 0;
    for (int k = 0; k < sent; k++) bytes += vectors_[i + static_cast<size_t>(k)].iov_len;
    counters_.packetsSent.add(static_cast<uint64_t>(sent));
    counters_.bytesSent.add(bytes);
    i += static_cast<size_t>(sent);
  }
  count_ = 0;
}

}  // namespace causeway
