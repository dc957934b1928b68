#include "player.h"

#include <algorithm>
#include <cmath>

namespace causeway {
namespace {

constexpr int kCrossings = 12;  // of the sinc, on each side
constexpr int kSteps = 256;     // of the table, from one crossing to the next
constexpr double kBeta = 8;     // of the Kaiser window: what lies beyond the band is 80 dB down
constexpr double kBand = 0.92;  // of the narrower rate's half that passes

double bessel(double x) {
  double sum = 1;
  double term = 1;
  for (int k = 1; k < 40; k++) {
    term *= x / (2 * k) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

using Table = std::array<float, kCrossings * kSteps + 2>;

const Table& table() {
  static const Table made = [] {
    Table t{};
    for (size_t i = 0; i < t.size(); i++) {
      const double x = static_cast<double>(i) / kSteps;
      const double edge = x / kCrossings;
      const double window = edge >= 1 ? 0 : bessel(kBeta * std::sqrt(1 - edge * edge)) / bessel(kBeta);
      t[i] = static_cast<float>(i == 0 ? 1 : std::sin(M_PI * x) / (M_PI * x) * window);
    }
    return t;
  }();
  return made;
}

int16_t saturated(int value) { return static_cast<int16_t>(std::clamp(value, -32768, 32767)); }

}  // namespace

void ClipReader::prepare() { table(); }

int16_t ClipReader::at(const Clip& clip, double position, uint32_t rate) {
  const auto size = static_cast<int64_t>(clip.samples.size());
  if (rate == clip.rate) {
    const auto i = static_cast<int64_t>(position);
    return i < size ? clip.samples[static_cast<size_t>(i)] : int16_t{0};
  }
  const Table& sinc = table();
  const double scale = kBand * std::min(1.0, static_cast<double>(rate) / clip.rate);
  const double reach = kCrossings / scale;
  const auto first = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(position - reach)));
  const auto last = std::min<int64_t>(size - 1, static_cast<int64_t>(std::floor(position + reach)));
  double sum = 0;
  for (int64_t i = first; i <= last; i++) {
    const double x = std::abs(position - static_cast<double>(i)) * scale * kSteps;
    const auto step = static_cast<size_t>(x);
    const auto part = static_cast<float>(x - static_cast<double>(step));
    sum += clip.samples[static_cast<size_t>(i)] * (sinc[step] + (sinc[step + 1] - sinc[step]) * part);
  }
  return saturated(static_cast<int>(std::lround(sum * scale)));
}

bool Player::add(std::shared_ptr<const Clip> clip, const PlayOptions& options) {
  if (count_ == kQueue || !clip || clip->samples.empty() || clip->rate == 0) return false;
  Item& item = items_[(head_ + count_) % kQueue];
  count_++;
  item.options = options;
  item.timesLeft = std::max(1u, options.times);
  item.playedMs = 0;
  item.position = static_cast<double>(uint64_t{options.startMs} * clip->rate / 1000);
  if (item.position >= static_cast<double>(clip->samples.size())) item.position = 0;
  item.clip = std::move(clip);
  return true;
}

void Player::clear() {
  for (Item& item : items_) item.clip.reset();
  count_ = 0;
}

void Player::finishAll() {
  while (count_ > 0) finish();
}

uint32_t Player::positionMs() const {
  if (count_ == 0) return 0;
  const Item& item = items_[head_];
  return static_cast<uint32_t>(item.position * 1000 / item.clip->rate);
}

void Player::mix(std::span<int16_t> frame, uint32_t rate) {
  for (int16_t& sample : frame) {
    if (count_ == 0) return;
    Item& item = items_[head_];
    const int own = ClipReader::at(*item.clip, item.position, rate);
    sample = saturated(own + (item.options.mutePeer ? 0 : sample));
    if (!advance(item, rate)) finish();
  }
}

bool Player::advance(Item& item, uint32_t rate) {
  item.position += static_cast<double>(item.clip->rate) / rate;
  item.playedMs += 1000.0 / rate;
  if (item.options.limitMs > 0 && item.playedMs >= item.options.limitMs) return false;
  const auto size = static_cast<double>(item.clip->samples.size());
  if (item.position < size) return true;
  item.position -= size;
  return --item.timesLeft > 0;
}

void Player::finish() {
  if (finishedCount_ < kQueue) finished_[finishedCount_++] = items_[head_].options.id;
  items_[head_].clip.reset();
  head_ = (head_ + 1) % kQueue;
  count_--;
}

uint64_t Player::takeFinished() {
  if (finishedCount_ == 0) return 0;
  const uint64_t id = finished_[0];
  std::copy(finished_.begin() + 1, finished_.end(), finished_.begin());
  finishedCount_--;
  return id;
}

}  // namespace causeway
