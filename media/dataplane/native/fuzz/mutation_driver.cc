// Runs a target without libFuzzer: replays files, then seeded mutations of them. No coverage guides it, so it keeps its
// inputs near the seeds: one to eight changes, now and then two seeds joined.
//   program --runs=N --seed=N --find=FILE INPUT...
// FILE holds the input that was running when the process died.
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

#include "target.h"

namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kMaxInput = 4096;
constexpr uint8_t kNasty[] = {0x00, 0x01, 0x7f, 0x80, 0xbf, 0xc8, 0xfe, 0xff};

const uint8_t* running = nullptr;
size_t runningSize = 0;
const char* findFile = nullptr;

// Only calls that a signal handler may make.
void keep(int signal) {
  if (findFile != nullptr && running != nullptr) {
    const int fd = ::open(findFile, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (fd >= 0) {
      if (::write(fd, running, runningSize) < 0) ::_exit(2);
      ::close(fd);
    }
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void run(const Bytes& input) {
  running = input.data();
  runningSize = input.size();
  LLVMFuzzerTestOneInput(input.data(), input.size());
  running = nullptr;
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}
  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }

  Bytes next(const std::vector<Bytes>& seeds) {
    Bytes bytes = seeds[below(seeds.size())];
    if (below(16) == 0) {
      const Bytes& other = seeds[below(seeds.size())];
      bytes.resize(below(bytes.size() + 1));
      bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size() + 1)), other.end());
    }
    for (size_t changes = 1 + below(8); changes > 0; changes--) change(bytes);
    if (bytes.size() > kMaxInput) bytes.resize(kMaxInput);
    return bytes;
  }

 private:
  void change(Bytes& bytes) {
    if (bytes.empty()) bytes.push_back(static_cast<uint8_t>(random_()));
    const size_t at = below(bytes.size());
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(8)) {
      case 0: bytes[at] ^= static_cast<uint8_t>(1u << below(8)); break;
      case 1: bytes[at] = static_cast<uint8_t>(random_()); break;
      case 2: bytes[at] = kNasty[below(sizeof(kNasty))]; break;
      case 3: bytes.resize(at); break;
      case 4: bytes.insert(place, below(40), static_cast<uint8_t>(random_())); break;
      case 5: bytes.erase(place, place + static_cast<std::ptrdiff_t>(1 + below(bytes.size() - at))); break;
      case 6: {
        const Bytes part(place, place + static_cast<std::ptrdiff_t>(1 + below(bytes.size() - at)));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), part.begin(), part.end());
        break;
      }
      default: bytes[at] = static_cast<uint8_t>(bytes[at] + 1 + below(4));
    }
  }
  std::mt19937 random_;
};

bool value(const char* argument, const char* name, std::string& out) {
  const size_t length = std::strlen(name);
  if (std::strncmp(argument, name, length) != 0) return false;
  out = argument + length;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  long runs = 0;
  uint32_t seed = 1;
  std::string find;
  std::vector<Bytes> inputs;
  for (int i = 1; i < argc; i++) {
    std::string text;
    if (value(argv[i], "--runs=", text)) runs = std::stol(text);
    else if (value(argv[i], "--seed=", text)) seed = static_cast<uint32_t>(std::stoul(text));
    else if (value(argv[i], "--find=", text)) find = text;
    else {
      std::ifstream file(argv[i], std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  findFile = find.empty() ? nullptr : find.c_str();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) ::signal(signal, keep);
  for (const Bytes& input : inputs) run(input);
  if (inputs.empty()) inputs.emplace_back();
  Mutator mutator(seed);
  for (long i = 0; i < runs; i++) {
    // One input for ever is a find too.
    if (i % 256 == 0) ::alarm(20);
    run(mutator.next(inputs));
  }
  ::alarm(0);
  std::printf("%zu replayed, %ld mutated\n", inputs.size(), runs);
  return 0;
}
