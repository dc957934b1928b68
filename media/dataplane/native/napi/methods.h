// Methods of a packet path, by the files that have them; addon.cc hands them out (dataplane/native.ts has their shapes).
#pragma once

#include <node_api.h>

namespace causeway::napi {

// endpoint_methods.cc
napi_value openEndpoint(napi_env env, napi_callback_info info);
napi_value configure(napi_env env, napi_callback_info info);
napi_value stats(napi_env env, napi_callback_info info);
napi_value moveEndpoint(napi_env env, napi_callback_info info);
napi_value markEndpoint(napi_env env, napi_callback_info info);
napi_value closeEndpoint(napi_env env, napi_callback_info info);

// path_methods.cc
napi_value setPath(napi_env env, napi_callback_info info);
napi_value setBundle(napi_env env, napi_callback_info info);
napi_value tap(napi_env env, napi_callback_info info);
napi_value openRecording(napi_env env, napi_callback_info info);
napi_value record(napi_env env, napi_callback_info info);
napi_value closeRecording(napi_env env, napi_callback_info info);

// playing_methods.cc
napi_value makeClip(napi_env env, napi_callback_info info);
napi_value play(napi_env env, napi_callback_info info);
napi_value stopPlaying(napi_env env, napi_callback_info info);
napi_value press(napi_env env, napi_callback_info info);

}  // namespace causeway::napi
