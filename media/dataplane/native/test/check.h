// What every native test does with what it has seen: one line a check, and a count of those that fail.
#pragma once

#include <cstdio>
#include <string>

inline int failures = 0;

inline void check(bool ok, const std::string& what) {
  std::printf("%s %s\n", ok ? "ok  " : "FAIL", what.c_str());
  if (!ok) failures++;
}

// `value`: what was measured.
inline void check(bool ok, const std::string& what, double value) {
  std::printf("%s %s (%.3f)\n", ok ? "ok  " : "FAIL", what.c_str(), value);
  if (!ok) failures++;
}

// The status of the program.
inline int checked() {
  std::printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}
