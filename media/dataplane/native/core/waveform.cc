#include "waveform.h"

#include <algorithm>
#include <cmath>

namespace causeway {
namespace {

struct Period {
  size_t lag = 0;
  double correlation = 0;
};

// The lag in [minLag, maxLag] at which the signal is most like itself over `window` samples from `start`.
Period bestPeriod(const int16_t* x, size_t window, size_t minLag, size_t maxLag) {
  Period best;
  double energy0 = 0;
  for (size_t i = 0; i < window; i++) energy0 += static_cast<double>(x[i]) * x[i];
  for (size_t lag = minLag; lag <= maxLag; lag++) {
    double cross = 0;
    double energy = 0;
    for (size_t i = 0; i < window; i += 2) {
      cross += static_cast<double>(x[i]) * x[i + lag];
      energy += static_cast<double>(x[i + lag]) * x[i + lag];
    }
    const double correlation = cross <= 0 ? 0 : cross / std::sqrt((energy0 / 2 + 1) * (energy + 1));
    if (correlation > best.correlation) best = {lag, correlation};
  }
  return best;
}

// A lag by which one frame may change: an exact period of voice, or anything in silence.
size_t stretchLag(const std::vector<int16_t>& samples, uint32_t rate) {
  const size_t n = samples.size();
  const size_t minLag = rate / 400;
  const size_t maxLag = std::min<size_t>(n / 2, rate / 80);
  if (maxLag <= minLag) return 0;
  double energy = 0;
  for (int16_t sample : samples) energy += static_cast<double>(sample) * sample;
  if (energy / static_cast<double>(n) < 100.0 * 100.0) return maxLag;
  const Period best = bestPeriod(samples.data(), n - maxLag, minLag, maxLag);
  return best.correlation > 0.7 ? best.lag : 0;
}

int16_t blend(int16_t from, int16_t to, size_t i, size_t length) {
  const auto weight = static_cast<int32_t>(((2 * i + 1) << 14) / length);  // Q15, 0..1
  return static_cast<int16_t>((from * (32768 - weight) + to * weight) >> 15);
}

}  // namespace

bool removePeriod(std::vector<int16_t>& x, uint32_t rate) {
  const size_t lag = stretchLag(x, rate);
  if (lag == 0 || x.size() < 2 * lag) return false;
  for (size_t i = 0; i < lag; i++) x[i] = blend(x[i], x[i + lag], i, lag);
  x.erase(x.begin() + static_cast<std::ptrdiff_t>(lag), x.begin() + static_cast<std::ptrdiff_t>(2 * lag));
  return true;
}

bool insertPeriod(std::vector<int16_t>& x, uint32_t rate) {
  const size_t lag = stretchLag(x, rate);
  if (lag == 0 || x.size() < 2 * lag) return false;
  const size_t n = x.size();
  x.resize(n + lag);
  std::copy_backward(x.begin() + static_cast<std::ptrdiff_t>(lag), x.begin() + static_cast<std::ptrdiff_t>(n), x.end());
  // Now x = [0..2lag) as it was, then [lag..n) again: the second period glides back to the first.
  for (size_t i = 0; i < lag; i++) x[lag + i] = blend(x[2 * lag + i], x[i], i, lag);
  return true;
}

Concealer::Concealer(uint32_t rate) : rate_(rate), history_(rate / 25, 0) {}

void Concealer::good(std::span<int16_t> samples) {
  if (inGap_) {
    const size_t length = std::min<size_t>(samples.size(), rate_ / 200);
    for (size_t i = 0; i < length; i++) samples[i] = blend(next(), samples[i], i, length);
    inGap_ = false;
  }
  if (samples.size() >= history_.size()) {
    std::copy(samples.end() - static_cast<std::ptrdiff_t>(history_.size()), samples.end(), history_.begin());
    return;
  }
  std::move(history_.begin() + static_cast<std::ptrdiff_t>(samples.size()), history_.end(), history_.begin());
  std::copy(samples.begin(), samples.end(), history_.end() - static_cast<std::ptrdiff_t>(samples.size()));
}

void Concealer::conceal(std::span<int16_t> out) {
  if (!inGap_) startGap();
  for (int16_t& sample : out) sample = next();
}

void Concealer::startGap() {
  inGap_ = true;
  concealed_ = 0;
  position_ = 0;
  const size_t n = history_.size();
  const size_t window = n / 3;
  const size_t maxLag = std::min<size_t>(n - window, rate_ / 66);
  // Compared backwards in time: the newest samples with those one period before.
  std::vector<int16_t> reversed(history_.rbegin(), history_.rend());
  const Period best = bestPeriod(reversed.data(), window, rate_ / 400, maxLag);
  period_ = best.lag == 0 ? maxLag : best.lag;
}

int16_t Concealer::next() {
  const size_t at = history_.size() - period_ + position_;
  position_ = (position_ + 1) % period_;
  // Full level for 10 ms, then down by 20 % every 10 ms (G.711 Appendix I).
  const size_t step = rate_ / 100;
  const size_t steps = concealed_ / step;
  concealed_++;
  if (steps >= 6) return 0;
  const double within = static_cast<double>(concealed_ % step) / static_cast<double>(step);
  const double gain = steps == 0 ? 1.0 : std::max(0.0, 1.0 - 0.2 * (static_cast<double>(steps - 1) + within));
  return static_cast<int16_t>(history_[at] * gain);
}

}  // namespace causeway
