/* mkpayload: writes FOLDER/<codec>.frames, two seconds of a speech-like signal in frames of 20 ms, for rtpload.
 *
 * usage: mkpayload FOLDER */
#include <math.h>
#include <opus/opus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAMES 100

/* Twenty harmonics of a moving pitch under two formants, noise, syllables, and a pause. */
static void speech(int16_t *out, int rate) {
  uint32_t seed = 12345;
  for (int n = 0; n < rate * 2; n++) {
    double t = (double)n / rate, value = 0, pitch = 120 + 15 * sin(2 * M_PI * 1.5 * t);
    for (int h = 1; h <= 20 && pitch * h < rate * 0.45; h++) {
      double f = pitch * h;
      double gain = 1 / (1 + pow((f - 600) / 350, 2)) + 0.5 / (1 + pow((f - 1700) / 400, 2));
      value += gain * sin(2 * M_PI * f * t + h);
    }
    seed = seed * 1103515245U + 12345U;
    value += 0.15 * ((double)(seed >> 16 & 0x7fff) / 16384 - 1);
    value *= 0.15 + 0.85 * fabs(sin(2 * M_PI * 2 * t));
    if (t > 1.7) value *= 0.02;
    out[n] = (int16_t)(3500 * value);
  }
}

/* ITU-T G.711, µ-law. */
static uint8_t ulaw(int16_t sample) {
  int sign = sample < 0 ? 0x80 : 0, magnitude = abs(sample), exponent = 7;
  if (magnitude > 32635) magnitude = 32635;
  magnitude += 132;
  for (int mask = 0x4000; exponent > 0 && !(magnitude & mask); mask >>= 1) exponent--;
  return (uint8_t)~(sign | exponent << 4 | (magnitude >> (exponent + 3) & 15));
}

/* ITU-T G.711, A-law. */
static uint8_t alaw(int16_t sample) {
  int sign = sample >= 0 ? 0x80 : 0, magnitude = sample >= 0 ? sample >> 3 : (-sample - 1) >> 3, exponent = 7;
  for (int mask = 0x800; exponent > 0 && !(magnitude & mask); mask >>= 1) exponent--;
  int mantissa = exponent > 0 ? magnitude >> exponent & 15 : magnitude >> 1 & 15;
  return (uint8_t)((sign | exponent << 4 | mantissa) ^ 0x55);
}

static FILE *create(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s.frames", folder, name);
  FILE *f = fopen(path, "wb");
  if (f) return f;
  perror(path);
  exit(1);
}

static void put(FILE *f, const uint8_t *bytes, int length) {
  fputc(length >> 8, f);
  fputc(length & 255, f);
  fwrite(bytes, 1, (size_t)length, f);
}

int main(int argc, char **argv) {
  static int16_t narrow[16000], full[96000];
  uint8_t frame[1500];
  int error;
  if (argc != 2) {
    fprintf(stderr, "usage: mkpayload FOLDER\n");
    return 2;
  }
  speech(narrow, 8000);
  speech(full, 48000);
  FILE *u = create(argv[1], "pcmu"), *a = create(argv[1], "pcma"), *o = create(argv[1], "opus");
  /* G.722 at 8 kHz of the clock: any bytes are a valid stream, and a relay decodes noise at the price of speech. */
  FILE *g = create(argv[1], "g722");
  OpusEncoder *encoder = opus_encoder_create(48000, 1, OPUS_APPLICATION_VOIP, &error);
  if (!encoder) return 1;
  opus_encoder_ctl(encoder, OPUS_SET_BITRATE(24000));
  uint32_t seed = 1;
  for (int k = 0; k < FRAMES; k++) {
    for (int i = 0; i < 160; i++) frame[i] = ulaw(narrow[k * 160 + i]);
    put(u, frame, 160);
    for (int i = 0; i < 160; i++) frame[i] = alaw(narrow[k * 160 + i]);
    put(a, frame, 160);
    for (int i = 0; i < 160; i++) frame[i] = (uint8_t)((seed = seed * 1103515245U + 12345U) >> 16);
    put(g, frame, 160);
    int length = opus_encode(encoder, full + k * 960, 960, frame, sizeof frame);
    if (length < 0) return 1;
    put(o, frame, length);
  }
  opus_encoder_destroy(encoder);
  return fclose(u) || fclose(a) || fclose(g) || fclose(o);
}
