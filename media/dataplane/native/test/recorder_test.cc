// Recordings under more than a disk can take: what is in the files and what was counted as lost is all that was recorded,
// and every file can be read to its end.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "../net/recorder.h"
#include "check.h"

using namespace causeway;

namespace {

// Packets of a file whose sequence numbers grow; -1 when it makes no sense.
int64_t packetsOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  const auto word = [&](size_t at) { return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24; };
  int64_t count = 0;
  int64_t last = -1;
  size_t at = 24;
  while (at + 16 + 28 + 4 <= bytes.size()) {
    const size_t length = word(at + 8);
    const int64_t number = word(at + 16 + 28);
    if (length != word(at + 12) || number <= last) return -1;
    last = number;
    count++;
    at += 16 + length;
  }
  return at == bytes.size() ? count : -1;
}

}  // namespace

int main() {
  std::string folder = std::filesystem::temp_directory_path() / "causeway-recorder-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  Address from;
  Address to;
  Address::parse("192.0.2.1", 4000, from);
  Address::parse("192.0.2.2", 4002, to);
  // A sanitizer has a thread of its own as soon as there was any.
  std::thread([] {}).join();
  const auto before = std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  std::atomic<int> closed{0};
  std::atomic<uint64_t> told{0};
  Recorder recorder(2, [&](const RecordingResult& result) {
    closed++;
    told += result.packets;
  });
  constexpr uint32_t kPackets = 60'000;  // some 14 MB: three times what a ring holds
  std::string error;
  std::string paths[2];
  uint64_t ids[2];
  for (int i = 0; i < 2; i++) {
    paths[i] = folder + "/" + std::to_string(i);
    ids[i] = recorder.open(paths[i], error);
  }
  check(ids[0] != 0 && ids[1] != 0 && recorder.open(paths[0], error) == 0, "a file that is there is not taken");
  std::thread workers[2];
  for (int w = 0; w < 2; w++) {
    workers[w] = std::thread([&, w] {
      RecordingRing& ring = *recorder.ring(static_cast<size_t>(w));
      std::vector<uint8_t> packet;
      for (uint32_t i = 0; i < kPackets; i++) {
        // Of every length, so that the end of the ring is met everywhere.
        packet.assign(4 + i * 7 % 317, static_cast<uint8_t>(i));
        for (int byte = 0; byte < 4; byte++) packet[static_cast<size_t>(byte)] = static_cast<uint8_t>(i >> (8 * byte));
        ring.push(ids[w], 1'000'000 + i, from, to, packet);
      }
    });
  }
  for (auto& worker : workers) worker.join();
  for (const uint64_t id : ids) recorder.close(id);
  for (int i = 0; i < 500 && closed < 2; i++) ::usleep(10'000);
  Totals totals;
  recorder.totals(totals);
  const int64_t found[2] = {packetsOf(paths[0]), packetsOf(paths[1])};
  check(found[0] > 0 && found[1] > 0, "both files can be read to their end, in order");
  check(static_cast<uint64_t>(found[0] + found[1]) == totals.recordedPackets && told == totals.recordedPackets, "what was counted is in them");
  check(totals.recordedPackets + totals.recordingLost == 2 * kPackets, "and the rest was counted as lost");
  for (int i = 0; i < 100 && totals.nativeBytes != 0; i++) {
    ::usleep(10'000);
    totals = {};
    recorder.totals(totals);
  }
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  for (int i = 0; i < 100 && threads() != before; i++) ::usleep(10'000);
  check(totals.nativeBytes == 0 && totals.recordings == 0 && threads() == before, "nothing is left behind the last one, no thread either");
  const std::string again = folder + "/2";
  const uint64_t third = recorder.open(again, error);
  recorder.ring(1)->push(third, 1, from, to, std::vector<uint8_t>(12));
  recorder.stop();
  check(closed == 3 && packetsOf(again) == 1, "stopping writes what is there");
  check(recorder.open(again + "x", error) == 0, "and nothing is recorded behind it");
  for (const auto& path : {paths[0], paths[1], again}) ::unlink(path.c_str());
  ::rmdir(folder.c_str());
  std::printf("%llu packets lost\n", static_cast<unsigned long long>(totals.recordingLost));
  return checked();
}
