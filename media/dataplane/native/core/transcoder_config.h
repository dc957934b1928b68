// What a transcoder may be asked for, and the sampling rate it then works at.
#pragma once

#include <string>

#include "transcoder.h"

namespace causeway {

// The pipeline runs at the rate of its narrowest part: G.711 on either side means 8 kHz, and Opus codes at that rate.
uint32_t pipelineRate(const TranscoderConfig& config);
// What is asked for; where the stream begins does not count.
bool sameTranscoding(const TranscoderConfig& a, const TranscoderConfig& b);
// False, with a reason in `error`, when it cannot be made.
bool checkTranscoder(const TranscoderConfig& config, std::string& error);

}  // namespace causeway
