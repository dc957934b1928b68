#include "request_socket.h"

#include <uv.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>

#include "../net/request_batch.h"
#include "values.h"

namespace causeway::napi {
namespace {

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

uint8_t* bytesOf(napi_env env, napi_value typed) {
  void* data = nullptr;
  napi_get_typedarray_info(env, typed, nullptr, nullptr, &data, nullptr, nullptr);
  return static_cast<uint8_t*>(data);
}

// Owns its batch, its place in the event loop and its references into JavaScript; lives until the loop has let go of it.
class RequestSocket {
 public:
  RequestSocket(napi_env env, uint32_t id, int fd, napi_value input, napi_value onRequest)
      : env_(env), id_(id), batch_(fd, bytesOf(env, input)) {
    napi_create_reference(env, input, 1, &input_);
    napi_create_reference(env, onRequest, 1, &onRequest_);
    napi_value name = nullptr;
    napi_create_string_utf8(env, "causeway requests", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, nullptr, name, &context_);
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
    if (!batch_.open()) return;
    registryOf(env_).sockets.erase(id_);
    // The loop lets go of the descriptor before it is closed.
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) { delete static_cast<RequestSocket*>(handle->data); });
    batch_.close();
  }

  RequestBatch& batch() { return batch_; }

 private:
  ~RequestSocket() {
    napi_delete_reference(env_, input_);
    napi_delete_reference(env_, onRequest_);
    napi_async_destroy(env_, context_);
    napi_remove_async_cleanup_hook(hook_);
  }

  void readable() {
    const size_t count = batch_.read();
    if (count == 0) return;
    napi_handle_scope handles = nullptr;
    napi_open_handle_scope(env_, &handles);
    napi_value resource = nullptr;
    napi_create_object(env_, &resource);
    napi_callback_scope scope = nullptr;
    napi_open_callback_scope(env_, resource, context_, &scope);
    for (size_t i = 0; i < count && batch_.open(); i++) tell(i);
    // What was promised is done in here, and may reply, too.
    napi_close_callback_scope(env_, scope);
    napi_close_handle_scope(env_, handles);
    batch_.done();
  }

  void tell(size_t i) {
    napi_handle_scope handles = nullptr;
    napi_open_handle_scope(env_, &handles);
    const std::string host = batch_.host(i);
    napi_value self = nullptr;
    napi_value function = nullptr;
    napi_value args[4] = {};
    napi_get_undefined(env_, &self);
    napi_get_reference_value(env_, onRequest_, &function);
    napi_create_uint32(env_, static_cast<uint32_t>(i * RequestBatch::kRequestBytes), &args[0]);
    napi_create_uint32(env_, static_cast<uint32_t>(batch_.length(i)), &args[1]);
    napi_create_string_latin1(env_, host.data(), host.size(), &args[2]);
    napi_create_uint32(env_, batch_.port(i), &args[3]);
    if (napi_call_function(env_, self, function, 4, args, nullptr) == napi_pending_exception) {
      napi_value error = nullptr;
      napi_get_and_clear_last_exception(env_, &error);
      napi_fatal_exception(env_, error);
    }
    napi_close_handle_scope(env_, handles);
  }

  napi_env env_;
  const uint32_t id_;
  RequestBatch batch_;
  uv_poll_t poll_{};
  napi_ref input_ = nullptr;
  napi_ref onRequest_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
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

// openRequests(address, port, input, onRequest(offset, length, address, port)) → id
napi_value openRequests(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value args[4] = {};
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  size_t length = 0;
  sockaddr_storage at;
  if (!RequestBatch::parse(textArgument(env, args[0]), static_cast<uint16_t>(numberArgument(env, args[1])), at) ||
      napi_get_typedarray_info(env, args[2], nullptr, &length, nullptr, nullptr, nullptr) != napi_ok || length < RequestBatch::kRequests * RequestBatch::kRequestBytes) {
    napi_throw_type_error(env, "bad-argument", "an IP address, a port, a buffer of 32 requests and a function are needed");
    return nullptr;
  }
  const int fd = RequestBatch::listenAt(at);
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
      RequestBatch::parse(textArgument(env, args[2]), static_cast<uint16_t>(numberArgument(env, args[3])), to))
    socket->batch().reply(to, static_cast<const uint8_t*>(bytes), length);
  return nullptr;
}

// requestCounters(id) → what has come and gone so far; undefined when it is closed.
napi_value requestCounters(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value args[1] = {};
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  RequestSocket* socket = find(env, args[0]);
  if (socket == nullptr) return nullptr;
  const RequestBatch::Counters& counters = socket->batch().counters();
  return Writer(env)
      .set("requests", static_cast<double>(counters.requests))
      .set("replies", static_cast<double>(counters.replies))
      .set("refused", static_cast<double>(counters.refused))
      .value();
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
  const std::pair<const char*, napi_callback> table[] = {{"openRequests", openRequests}, {"replyTo", replyTo}, {"requestCounters", requestCounters}, {"closeRequests", closeRequests}};
  for (const auto& [name, method] : table) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, method, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace causeway::napi
