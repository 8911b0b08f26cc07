#include "cli/common/rates.h"

#include "cli/common/text.h"

namespace vps::cli {

std::optional<Rates> rates_between(const Value& earlier, const Value& later) {
  auto before = parse_rfc3339(earlier.get("time").string());
  auto after = parse_rfc3339(later.get("time").string());
  if (!before || !after || *after <= *before) return std::nullopt;
  Rates rates{.seconds = static_cast<double>(*after - *before) / 1000};
  bool backwards = false;
  auto rate = [&](std::string_view path) {
    double from = earlier.path(path).number().value_or(0);
    double to = later.path(path).number().value_or(0);
    backwards = backwards || to < from;
    return (to - from) / rates.seconds;
  };
  rates.cpu_percent = rate("cpu.usageUsec") / 1e4;
  rates.throttled_percent = rate("cpu.throttledUsec") / 1e4;
  rates.read = rate("io.readBytes");
  rates.written = rate("io.writeBytes");
  rates.read_ops = rate("io.readOps");
  rates.written_ops = rate("io.writeOps");
  rates.received = rate("network.rxBytes");
  rates.sent = rate("network.txBytes");
  if (backwards) return std::nullopt;
  return rates;
}

Value rates_value(const Rates& rates) {
  Value value = Value::object();
  value.set("seconds", rates.seconds).set("cpuPercent", rates.cpu_percent).set("throttledPercent", rates.throttled_percent);
  value.set("readBytesPerSecond", rates.read).set("writeBytesPerSecond", rates.written);
  value.set("readOpsPerSecond", rates.read_ops).set("writeOpsPerSecond", rates.written_ops);
  value.set("rxBytesPerSecond", rates.received).set("txBytesPerSecond", rates.sent);
  return value;
}

}  // namespace vps::cli
