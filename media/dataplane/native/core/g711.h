// ITU-T G.711 µ-law and A-law, by table one way and by arithmetic the other.
#pragma once

#include <cstdint>

namespace causeway {

int16_t muLawToLinear(uint8_t value);
int16_t aLawToLinear(uint8_t value);
uint8_t linearToMuLaw(int16_t sample);
uint8_t linearToALaw(int16_t sample);

}  // namespace causeway
