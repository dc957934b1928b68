// Where media goes: paths, lines of one transport, copies, recordings.
#include <string>

#include "call.h"
#include "methods.h"
#include "reading.h"
#include "values.h"

namespace causeway::napi {

napi_value setPath(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.args[2], &type);
  Dataplane::Failure failure;
  if (type == napi_undefined) {
    if (!call.handle->plane->clearPath(call.id(0), call.id(1), failure)) return raise(env, failure);
    return undefined(env);
  }
  PathSpec spec;
  if (!readPath(Reader(env, call.args[2]), spec)) return nullptr;
  if (!call.handle->plane->setPath(call.id(0), call.id(1), spec, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value setBundle(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[1]);
  BundleSpec spec;
  Dataplane::Failure failure;
  if (!readBundle(object, spec)) return nullptr;
  if (!call.handle->plane->setBundle(call.id(0), spec, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value tap(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Dataplane::Failure failure;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.args[3], &type);
  TapSpec spec;
  if (type != napi_undefined && !readTap(Reader(env, call.args[3]), spec)) return nullptr;
  const TapSpec* coding = type == napi_undefined ? nullptr : &spec;
  if (!call.handle->plane->tap(call.id(0), call.id(1), call.flag(2), coding, failure)) return raise(env, failure);
  return undefined(env);
}

napi_value openRecording(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Reader object(env, call.args[0]);
  const std::string file = object.text("file");
  if (object.failed()) return nullptr;
  Dataplane::Failure failure;
  const uint64_t id = call.handle->plane->openRecording(file, failure);
  if (id == 0) return raise(env, failure);
  napi_value value = nullptr;
  napi_create_double(env, static_cast<double>(id), &value);
  return value;
}

napi_value record(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (!call.open()) return nullptr;
  Dataplane::Failure failure;
  if (!call.handle->plane->record(call.id(0), call.id(1), call.flag(2), failure)) return raise(env, failure);
  return undefined(env);
}

napi_value closeRecording(napi_env env, napi_callback_info info) {
  Call call(env, info);
  if (call.handle->plane) call.handle->plane->closeRecording(call.id(0));
  return undefined(env);
}

}  // namespace causeway::napi
