// A UDP socket for control protocols (net/request_batch.h) that JavaScript answers, in the event loop of its environment.
#pragma once

#include <node_api.h>

namespace causeway::napi {

// Adds openRequests, replyTo, requestCounters and closeRequests to the exports (dataplane/requests.ts says what they take).
void exportRequestSockets(napi_env env, napi_value exports);

}  // namespace causeway::napi
