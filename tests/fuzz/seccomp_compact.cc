// Filters made of the input, one instruction of each eight bytes, against what is made of them: every call is answered alike.
#include <linux/audit.h>
#include <linux/filter.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "namespaces/seccomp_compact.h"
#include "tests/support/bpf.h"

namespace {

constexpr auto kCodes = std::to_array<std::uint16_t>({BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JGT | BPF_K, BPF_JMP | BPF_JGE | BPF_K,
                                                      BPF_JMP | BPF_JSET | BPF_K, BPF_JMP | BPF_JA, BPF_ALU | BPF_AND | BPF_K, BPF_RET | BPF_K,
                                                      BPF_MISC | BPF_TAX});

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t count = std::min<std::size_t>(size / 8, 200);
  std::vector<std::uint64_t> filter(count);
  std::vector<std::uint32_t> words{0, 1, 0xffffffff, AUDIT_ARCH_X86_64};
  for (std::size_t i = 0; i < count; ++i) {
    sock_filter each{};
    std::memcpy(&each, data + i * 8, sizeof each);
    // Mostly what a filter may have.
    each.code = kCodes[each.code % kCodes.size()];
    const auto left = static_cast<std::uint32_t>(count - i - 1);
    if (each.code == kCodes[0]) each.k = each.k % 17 * 4;
    if (each.code == kCodes[5]) each.k %= left + 1;
    each.jt = static_cast<std::uint8_t>(each.jt % (left + 1));
    each.jf = static_cast<std::uint8_t>(each.jf % (left + 1));
    for (std::uint32_t word : {each.k - 1, each.k, each.k + 1}) words.push_back(word);
    std::memcpy(&filter[i], &each, sizeof each);
  }
  auto small = vps::namespaces::compact_filter(filter);
  if (!small) return 0;
  if (small->empty() || small->size() >= filter.size()) std::abort();
  std::uint32_t turn = 0;
  auto next = [&] { return words[turn++ % words.size()]; };
  const std::size_t step = words.size() / 12 + 1;
  for (std::uint32_t number : words)
    for (std::size_t i = 0; i < words.size(); i += step) {
      const std::uint32_t arch = i == 0 ? AUDIT_ARCH_X86_64 : words[i];
      seccomp_data call{.nr = static_cast<int>(number), .arch = arch, .instruction_pointer = next(), .args = {}};
      for (auto& argument : call.args) argument = std::uint64_t{next()} << 32 | next();
      ++turn;
      if (vps::test::run_filter(filter, call) != vps::test::run_filter(*small, call)) std::abort();
    }
  return 0;
}
