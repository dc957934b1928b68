#include "request_socket.h"

#include <net/if.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../net/address.h"

namespace causeway::napi {
namespace {

constexpr size_t kRequests = 32;         // read at once; the event loop has other work, too
constexpr size_t kRequestBytes = 65536;  // whatever a datagram holds
constexpr size_t kReplies = 16;          // leave at once: nobody waits for the whole batch
constexpr int kReceiveBuffer = 1 << 20;

class RequestSocket;
using Sockets = std::map<uint32_t, RequestSocket*>;

struct Registry {
  Sockets sockets;
  uint32_t next = 1;
};

Registry& registryOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Registry*>(data);
}

socklen_t lengthOf(const sockaddr_storage& address) { return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }

// With the interface of a link-local address (RFC 4007 §11).
std::string textOf(const sockaddr_storage& source) {
  std::string host = Address::from(source).host();
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(source);
  char name[IF_NAMESIZE] = "";
  if (source.ss_family == AF_INET6 && v6.sin6_scope_id != 0 && if_indextoname(v6.sin6_scope_id, name) != nullptr) host += std::string("%") + name;
  return host;
}

bool parseAddress(const std::string& text, uint16_t port, sockaddr_storage& out) {
  const size_t percent = text.find('%');
  Address address;
  if (!Address::parse(text.substr(0, percent), port, address)) return false;
  std::memset(&out, 0, sizeof(out));
  std::memcpy(&out, address.sockaddrPtr(), address.length());
  if (percent != std::string::npos && out.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(out).sin6_scope_id = if_nametoindex(text.c_str() + percent + 1);
  return true;
}

// Owns its descriptor, its place in the event loop and its references into JavaScript; lives until the loop has let go of it.
class RequestSocket {
 public:
  RequestSocket(napi_env env, uint32_t id, int fd, napi_value input, napi_value onRequest) : env_(env), id_(id), fd_(fd) {
    void* data = nullptr;
    napi_get_typedarray_info(env, input, nullptr, nullptr, &data, nullptr, nullptr);
    auto* bytes = static_cast<uint8_t*>(data);
    napi_create_reference(env, input, 1, &input_);
    napi_create_reference(env, onRequest, 1, &onRequest_);
    napi_value name = nullptr;
    napi_create_string_utf8(env, "causeway requests", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, nullptr, name, &context_);
    for (size_t i = 0; i < kRequests; i++) {
      vectors_[i] = {bytes + i * kRequestBytes, kRequestBytes};
      std::memset(&messages_[i], 0, sizeof(mmsghdr));
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_name = &sources_[i];
    }
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    uv_poll_init(loop, &poll_, fd);
    poll_.data = this;
    uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int status, int) {
      if (status == 0) static_cast<RequestSocket*>(poll->data)->readable();
    });
    // Whoever forgets to close it: the loop must not end with a handle in it.
    napi_add_async_cleanup_hook(env, [](napi_async_cleanup_hook_handle, void* data) { static_cast<RequestSocket*>(data)->close(); }, this, &hook_);
  }

  void close() {
    if (fd_ < 0) return;
    registryOf(env_).sockets.erase(id_);
    flush();
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) { delete static_cast<RequestSocket*>(handle->data); });
    ::close(fd_);
    fd_ = -1;
  }

  void reply(const sockaddr_storage& to, const uint8_t* bytes, size_t length) {
    replies_[waiting_].to = to;
    replies_[waiting_].bytes.assign(bytes, bytes + length);
    if (++waiting_ == kReplies || !reading_) flush();
  }

 private:
  ~RequestSocket() {
    napi_delete_reference(env_, input_);
    napi_delete_reference(env_, onRequest_);
    napi_async_destroy(env_, context_);
    napi_remove_async_cleanup_hook(hook_);
  }

  void readable() {
    for (auto& message : messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    const int count = ::recvmmsg(fd_, messages_.data(), kRequests, MSG_DONTWAIT, nullptr);
    if (count <= 0) return;
    napi_handle_scope handles = nullptr;
    napi_open_handle_scope(env_, &handles);
    napi_value resource = nullptr;
    napi_create_object(env_, &resource);
    napi_callback_scope scope = nullptr;
    reading_ = true;
    napi_open_callback_scope(env_, resource, context_, &scope);
    for (size_t i = 0; i < static_cast<size_t>(count) && fd_ >= 0; i++) tell(i);
    // What was promised is done in here, and may reply, too.
    napi_close_callback_scope(env_, scope);
    reading_ = false;
    napi_close_handle_scope(env_, handles);
    flush();
  }

  void tell(size_t i) {
    napi_handle_scope handles = nullptr;
    napi_open_handle_scope(env_, &handles);
    const std::string host = textOf(sources_[i]);
    napi_value self = nullptr;
    napi_value function = nullptr;
    napi_value args[4] = {};
    napi_get_undefined(env_, &self);
    napi_get_reference_value(env_, onRequest_, &function);
    napi_create_uint32(env_, static_cast<uint32_t>(i * kRequestBytes), &args[0]);
    napi_create_uint32(env_, messages_[i].msg_len, &args[1]);
    napi_create_string_latin1(env_, host.data(), host.size(), &args[2]);
    napi_create_uint32(env_, Address::from(sources_[i]).port(), &args[3]);
    if (napi_call_function(env_, self, function, 4, args, nullptr) == napi_pending_exception) {
      napi_value error = nullptr;
      napi_get_and_clear_last_exception(env_, &error);
      napi_fatal_exception(env_, error);
    }
    napi_close_handle_scope(env_, handles);
  }

  // What the kernel does not take is lost, as it might be on the way: the request comes again.
  void flush() {
    std::array<mmsghdr, kReplies> messages;
    std::array<iovec, kReplies> vectors;
    std::memset(messages.data(), 0, sizeof(messages));
    for (size_t i = 0; i < waiting_; i++) {
      vectors[i] = {replies_[i].bytes.data(), replies_[i].bytes.size()};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_name = &replies_[i].to;
      messages[i].msg_hdr.msg_namelen = lengthOf(replies_[i].to);
    }
    for (size_t i = 0; i < waiting_;) {
      const int sent = ::sendmmsg(fd_, &messages[i], static_cast<unsigned>(waiting_ - i), MSG_DONTWAIT);
      // The first one is refused; the others go on.
      i += sent > 0 ? static_cast<size_t>(sent) : 1;
    }
    waiting_ = 0;
  }

  struct Reply {
    sockaddr_storage to;
    std::vector<uint8_t> bytes;
  };

  napi_env env_;
  const uint32_t id_;
  int fd_;
  uv_poll_t poll_{};
  napi_ref input_ = nullptr;
  napi_ref onRequest_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::array<mmsghdr, kRequests> messages_;
  std::array<iovec, kRequests> vectors_;
  std::array<sockaddr_storage, kRequests> sources_;
  std::array<Reply, kReplies> replies_;
  size_t waiting_ = 0;
  bool reading_ = false;
};

std::string textArgument(napi_env env, napi_value value) {
  char text[128] = "";
  size_t length = 0;
  napi_get_value_string_latin1(env, value, text, sizeof(text), &length);
  return {text, length};
}

uint32_t numberArgument(napi_env env, napi_value value) {
  uint32_t number = 0;
  napi_get_value_uint32(env, value, &number);
  return number;
}

RequestSocket* find(napi_env env, napi_value id) {
  const Sockets& sockets = registryOf(env).sockets;
  const auto found = sockets.find(numberArgument(env, id));
  return found == sockets.end() ? nullptr : found->second;
}

int listenAt(const sockaddr_storage& at) {
  const int fd = ::socket(at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), lengthOf(at)) == 0) return fd;
  const int saved = errno;
  ::close(fd);
  errno = saved;
  return -1;
}

// openRequests(address, port, input, onRequest(offset, length, address, port)) → id
napi_value openRequests(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value args[4] = {};
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  size_t length = 0;
  sockaddr_storage at;
  if (!parseAddress(textArgument(env, args[0]), static_cast<uint16_t>(numberArgument(env, args[1])), at) ||
      napi_get_typedarray_info(env, args[2], nullptr, &length, nullptr, nullptr, nullptr) != napi_ok || length < kRequests * kRequestBytes) {
    napi_throw_type_error(env, "bad-argument", "an IP address, a port, a buffer of 32 requests and a function are needed");
    return nullptr;
  }
  const int fd = listenAt(at);
  if (fd < 0) {
    napi_throw_error(env, uv_err_name(-errno), std::strerror(errno));
    return nullptr;
  }
  Registry& registry = registryOf(env);
  const uint32_t id = registry.next++;
  registry.sockets[id] = new RequestSocket(env, id, fd, args[2], args[3]);
  napi_value result = nullptr;
  napi_create_uint32(env, id, &result);
  return result;
}

// replyTo(id, bytes, address, port); nothing when it is closed.
napi_value replyTo(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value args[4] = {};
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  void* bytes = nullptr;
  size_t length = 0;
  sockaddr_storage to;
  RequestSocket* socket = find(env, args[0]);
  if (socket != nullptr && napi_get_typedarray_info(env, args[1], nullptr, &length, &bytes, nullptr, nullptr) == napi_ok &&
      parseAddress(textArgument(env, args[2]), static_cast<uint16_t>(numberArgument(env, args[3])), to))
    socket->reply(to, static_cast<const uint8_t*>(bytes), length);
  return nullptr;
}

// closeRequests(id)
napi_value closeRequests(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value args[1] = {};
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  if (RequestSocket* socket = find(env, args[0])) socket->close();
  return nullptr;
}

}  // namespace

void exportRequestSockets(napi_env env, napi_value exports) {
  napi_set_instance_data(env, new Registry(), [](napi_env, void* data, void*) { delete static_cast<Registry*>(data); }, nullptr);
  const std::pair<const char*, napi_callback> table[] = {{"openRequests", openRequests}, {"replyTo", replyTo}, {"closeRequests", closeRequests}};
  for (const auto& [name, method] : table) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, method, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace causeway::napi
