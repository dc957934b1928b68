#include "srtp_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { return causeway::fuzz::srtpTarget<false>(data, size); }
