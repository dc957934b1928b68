// Endpoints: values in, values out.
#include <optional>
#include <string>

#include "call.h"
#include "methods.h"
#include "reading.h"
#include "values.h"
#include "writing.h"

namespace causeway::napi {

napi_value openEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[0]);
  EndpointSpec spec;
  if (!readEndpointSpec(object, spec)) return nullptr;
  Dataplane::Opened opened;
  Dataplane::Failure failure;
  if (!call.handle->plane->open(spec, opened, failure)) return raise(env, failure);
  return Writer(env)
      .set("id", static_cast<double>(opened.id))
      .set("address", opened.advertised)
      .set("rtp", opened.rtp)
      .set("rtcp", opened.rtcp)
      .value();
}

napi_value configure(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  RemoteSpec remote;
  if (!readRemote(object, remote)) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->configure(call.id(0), remote, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value stats(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  EndpointStats s;
  if (!call.handle->plane->stats(call.id(0), s)) return undefined(env);
  return writeStats(env, s);
}

// move(id, affinity)
napi_value moveEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  const std::string affinity = object.text("affinity");
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->move(call.id(0), affinity, failure)) return raise(env, failure);
  return undefined(env);
}

// mark(id, tos): below 0 the node's own.
napi_value markEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  int64_t tos = -1;
  napi_get_value_int64(env, call.args[1], &tos);
  Dataplane::Failure failure;
  const std::optional<uint8_t> wanted = tos >= 0 && tos <= 255 ? std::optional(static_cast<uint8_t>(tos)) : std::nullopt;
  if (!call.handle->plane->mark(call.id(0), wanted, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value closeEndpoint(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (call.handle->plane) call.handle->plane->closeEndpoint(call.id(0));
  return undefined(env);
}

}  // namespace causeway::napi
