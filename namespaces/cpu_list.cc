#include <algorithm>

#include "base/units.h"
#include "namespaces/process.h"

namespace vps::namespaces {

namespace {

constexpr unsigned kMaxNumber = 8191;   // Linux's largest CONFIG_NR_CPUS, less one
constexpr std::size_t kMaxText = 64 << 10;

Result<unsigned> parse_number(std::string_view text) {
  auto value = parse_u64(text);
  if (!value || *value > kMaxNumber)
    return fail(Code::kUsage, "expected a number from 0 to {}, found '{}'", kMaxNumber, text.substr(0, 32));
  return static_cast<unsigned>(*value);
}

}  // namespace

Result<std::vector<unsigned>> parse_cpu_list(const std::string& list) {
  if (list.empty()) return fail(Code::kUsage, "empty list: expected numbers and ranges like 0-2,7");
  if (list.size() > kMaxText) return fail(Code::kUsage, "list of {} characters is too long", list.size());
  std::vector<bool> chosen(kMaxNumber + 1);
  std::string_view rest = list;
  while (true) {
    std::string_view part = rest.substr(0, rest.find(','));
    auto dash = part.find('-');
    unsigned first = VPS_TRY_CTX("list '" + list.substr(0, 64) + "'", parse_number(part.substr(0, dash)));
    unsigned last = first;
    if (dash != std::string_view::npos)
      last = VPS_TRY_CTX("list '" + list.substr(0, 64) + "'", parse_number(part.substr(dash + 1)));
    if (last < first) return fail(Code::kUsage, "list '{}': range {} runs backwards", list.substr(0, 64), part);
    std::fill(chosen.begin() + first, chosen.begin() + last + 1, true);
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
  std::vector<unsigned> numbers;
  for (unsigned n = 0; n <= kMaxNumber; ++n)
    if (chosen[n]) numbers.push_back(n);
  return numbers;
}

}  // namespace vps::namespaces
