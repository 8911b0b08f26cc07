#include "namespaces/seccomp_compact.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <utility>

namespace vps::namespaces {
namespace {

constexpr std::uint32_t kNumber = offsetof(seccomp_data, nr), kArchitecture = offsetof(seccomp_data, arch);
constexpr std::uint32_t kAll = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS, kAnd = BPF_ALU | BPF_AND | BPF_K, kReturn = BPF_RET | BPF_K, kAlways = BPF_JMP | BPF_JA;
constexpr std::uint16_t kEqual = BPF_JMP | BPF_JEQ | BPF_K, kGreater = BPF_JMP | BPF_JGT | BPF_K, kAtLeast = BPF_JMP | BPF_JGE | BPF_K,
                        kAnyBit = BPF_JMP | BPF_JSET | BPF_K;
constexpr std::size_t kNearest = 255;  // instructions that a conditional jump can pass over
constexpr std::size_t kMostNodes = 1u << 15;
constexpr int kDeepest = 1000;

bool is_field(std::uint32_t offset) { return offset % sizeof(std::uint32_t) == 0 && offset < sizeof(seccomp_data); }
bool is_test(std::uint16_t code) { return code == kEqual || code == kGreater || code == kAtLeast || code == kAnyBit; }

bool holds(std::uint16_t test, std::uint32_t value, std::uint32_t operand) {
  switch (test) {
    case kEqual: return value == operand;
    case kGreater: return value > operand;
    case kAtLeast: return value >= operand;
    default: return (value & operand) != 0;
  }
}

std::vector<sock_filter> decode(std::span<const std::uint64_t> filter) {
  std::vector<sock_filter> code(filter.size());
  if (!filter.empty()) std::memcpy(code.data(), filter.data(), filter.size_bytes());
  return code;
}

// One that ends with a return whatever the call, all jumps go forward and stay inside, and nothing else is in it than what is known here.
bool is_understood(const std::vector<sock_filter>& code) {
  if (code.empty() || code.size() > BPF_MAXINSNS || code.back().code != kReturn) return false;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const auto& each = code[at];
    const std::size_t left = code.size() - at - 1;
    if (each.code == kLoad) {
      if (!is_field(each.k)) return false;
    } else if (is_test(each.code)) {
      if (each.jt >= left || each.jf >= left) return false;
    } else if (each.code == kAlways) {
      if (each.k >= left) return false;
    } else if (each.code != kAnd && each.code != kReturn) {
      return false;
    }
  }
  return true;
}

std::uint32_t run(const std::vector<sock_filter>& code, const seccomp_data& call) {
  std::uint32_t value = 0;
  for (std::size_t at = 0;; ++at) {
    const auto& each = code[at];
    if (each.code == kReturn) return each.k;
    if (each.code == kLoad) std::memcpy(&value, reinterpret_cast<const char*>(&call) + each.k, sizeof value);
    else if (each.code == kAnd) value &= each.k;
    else if (each.code == kAlways) at += each.k;
    else at += holds(each.code, value, each.k) ? each.jt : each.jf;
  }
}

// What is decided: an answer, or a test of an argument (`offset`, `mask`) that leads to two other decisions.
struct Decision {
  std::uint16_t test = kReturn;
  std::uint32_t operand = 0;  // the answer of kReturn
  std::uint32_t offset = 0, mask = kAll;
  int yes = -1, no = -1;
  auto operator<=>(const Decision&) const = default;
};

// Equal ones are one.
class Decisions {
 public:
  int add(const Decision& decision) {
    if (decision.test != kReturn && decision.yes == decision.no) return decision.yes;
    auto [found, fresh] = ids_.try_emplace(decision, static_cast<int>(all_.size()));
    if (fresh) all_.push_back(decision);
    return found->second;
  }
  const Decision& operator[](int id) const { return all_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }

 private:
  std::vector<Decision> all_;
  std::map<Decision, int> ids_;
};

// The filter with architecture and number given: what is left depends on arguments alone.
class Specializer {
 public:
  Specializer(const std::vector<sock_filter>& code, Decisions& decisions) : code_(code), decisions_(decisions) {}

  // nullopt: too much, or numbers are tested in a way that is not about ranges.
  std::optional<int> decide(std::uint32_t architecture, std::uint32_t number) {
    architecture_ = architecture;
    number_ = number;
    seen_.clear();
    int id = follow(0, {}, 0);
    return failed_ ? std::nullopt : std::optional(id);
  }

 private:
  // What the accumulator holds: a value, or some bits of an argument. `given`: a value that comes from the number or architecture.
  struct Accumulator {
    bool known = true, given = false;
    std::uint32_t value = 0, offset = 0, mask = kAll;
    auto operator<=>(const Accumulator&) const = default;
  };

  int follow(std::size_t at, Accumulator held, int depth) {
    if (depth > kDeepest || decisions_.size() > kMostNodes) failed_ = true;
    for (; !failed_; ++at) {
      const auto& each = code_[at];
      if (each.code == kReturn) return decisions_.add({.operand = each.k});
      if (each.code == kLoad) {
        if (each.k == kNumber || each.k == kArchitecture) held = {.given = true, .value = each.k == kNumber ? number_ : architecture_};
        else held = {.known = false, .offset = each.k};
      } else if (each.code == kAnd) {
        failed_ = held.given;
        held.value &= each.k;
        held.mask &= each.k;
      } else if (each.code == kAlways) {
        at += each.k;
      } else if (held.known) {
        failed_ = held.given && each.code == kAnyBit;
        at += holds(each.code, held.value, each.k) ? each.jt : each.jf;
      } else {
        auto known = seen_.find({at, held});
        if (known != seen_.end()) return known->second;
        Decision decision{.test = each.code, .operand = each.k, .offset = held.offset, .mask = held.mask, .yes = -1, .no = -1};
        decision.yes = follow(at + 1 + each.jt, held, depth + 1);
        decision.no = follow(at + 1 + each.jf, held, depth + 1);
        return seen_[{at, held}] = decisions_.add(decision);
      }
    }
    return -1;
  }

  const std::vector<sock_filter>& code_;
  Decisions& decisions_;
  std::uint32_t architecture_ = 0, number_ = 0;
  std::map<std::pair<std::size_t, Accumulator>, int> seen_;
  bool failed_ = false;
};

// Where the answers may change: with what architecture and number are compared, and the values behind those.
struct Bounds {
  std::vector<std::uint32_t> architectures;  // compared with, in the order of the filter
  std::set<std::uint32_t> edges{0};          // of numbers: each begins a range
};

Bounds bounds_of(const std::vector<sock_filter>& code) {
  constexpr unsigned kIsNumber = 1, kIsArchitecture = 2;
  // What the accumulator may hold before each instruction; jumps go forward.
  std::vector<unsigned> held(code.size(), 0);
  Bounds bounds;
  auto pass = [&](std::size_t to, unsigned what) {
    if (to < held.size()) held[to] |= what;
  };
  for (std::size_t at = 0; at < code.size(); ++at) {
    const auto& each = code[at];
    if (each.code == kLoad) {
      pass(at + 1, each.k == kNumber ? kIsNumber : each.k == kArchitecture ? kIsArchitecture : 0);
    } else if (is_test(each.code)) {
      pass(at + 1 + each.jt, held[at]);
      pass(at + 1 + each.jf, held[at]);
      if ((held[at] & kIsNumber) != 0) {
        bounds.edges.insert(each.k);
        if (each.k != kAll) bounds.edges.insert(each.k + 1);
      }
      if ((held[at] & kIsArchitecture) != 0 && std::ranges::find(bounds.architectures, each.k) == bounds.architectures.end())
        bounds.architectures.push_back(each.k);
    } else if (each.code == kAlways) {
      pass(at + 1 + each.k, held[at]);
    } else if (each.code == kAnd) {
      pass(at + 1, held[at]);
    }
  }
  return bounds;
}

// Calls up to `last` get that decision, but for some.
struct Range {
  std::uint32_t last = 0;
  int decision = -1;
  std::vector<std::pair<std::uint32_t, int>> exceptions = {};
  bool operator==(const Range&) const = default;
};

// One number among others that get the same decision costs one comparison instead of two. Two of them at most in a range: beyond that
// a search is shorter.
std::vector<Range> with_exceptions(std::vector<Range> ranges) {
  constexpr std::size_t kMost = 2;
  std::vector<Range> merged;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const bool alone = !merged.empty() && i + 1 < ranges.size() && ranges[i].last == merged.back().last + 1 &&
                       merged.back().decision == ranges[i + 1].decision && merged.back().exceptions.size() < kMost;
    if (!alone) {
      merged.push_back(std::move(ranges[i]));
      continue;
    }
    merged.back().exceptions.emplace_back(ranges[i].last, ranges[i].decision);
    merged.back().last = ranges[++i].last;
  }
  return merged;
}

std::optional<std::vector<Range>> ranges_of(Specializer& filter, std::uint32_t architecture, const std::set<std::uint32_t>& edges) {
  std::vector<Range> ranges;
  for (auto edge = edges.begin(); edge != edges.end(); ++edge) {
    auto decision = filter.decide(architecture, *edge);
    if (!decision) return std::nullopt;
    const std::uint32_t last = std::next(edge) == edges.end() ? kAll : *std::next(edge) - 1;
    if (!ranges.empty() && ranges.back().decision == *decision) ranges.back().last = last;
    else ranges.push_back({.last = last, .decision = *decision});
  }
  return with_exceptions(std::move(ranges));
}

// Written from the end: all that is jumped to is there already. Positions count from the end.
class Writer {
 public:
  explicit Writer(const Decisions& decisions) : decisions_(decisions), loads_(decisions.size(), false), seen_(decisions.size(), false) {}

  // To be called for all that put_search() will be given: what is behind a test of the same bits need not load them.
  void plan(std::span<const Range> ranges) {
    for (const auto& range : ranges) {
      plan_decision(range.decision, nullptr);
      for (const auto& [number, decision] : range.exceptions) plan_decision(decision, nullptr);
    }
  }

  std::size_t put(std::uint16_t code, std::uint32_t k, std::size_t yes = 0, std::size_t no = 0) {
    sock_filter each{code, 0, 0, k};
    if (is_test(code)) {
      // Each step in between moves the other target one further away.
      bring_near(yes, 1);
      bring_near(no, 0);
      bring_near(yes, 0);
      each.jt = static_cast<std::uint8_t>(distance(yes));
      each.jf = static_cast<std::uint8_t>(distance(no));
    }
    code_.push_back(each);
    return code_.size() - 1;
  }
  std::size_t put_decision(int id) {
    auto known = places_.find(id);
    if (known != places_.end()) return known->second;
    const Decision& decision = decisions_[id];
    if (decision.test == kReturn) return places_[id] = put(kReturn, decision.operand);
    auto behind = [&](int next) {
      const std::size_t place = put_decision(next);
      return alike(decision, decisions_[next]) ? tests_[next] : place;
    };
    const std::size_t yes = behind(decision.yes), no = behind(decision.no);
    std::size_t place = tests_[id] = put(decision.test, decision.operand, yes, no);
    if (loads_[static_cast<std::size_t>(id)] && decision.mask != kAll) place = put(kAnd, decision.mask);
    if (loads_[static_cast<std::size_t>(id)]) place = put(kLoad, decision.offset);
    return places_[id] = place;
  }
  // With the number in the accumulator.
  std::size_t put_search(std::span<const Range> ranges) {
    if (ranges.size() == 1) {
      std::size_t place = put_decision(ranges[0].decision);
      for (const auto& [number, decision] : ranges[0].exceptions) place = put(kEqual, number, put_decision(decision), place);
      return place;
    }
    const std::size_t half = ranges.size() / 2;
    const std::size_t above = put_search(ranges.subspan(half)), below = put_search(ranges.first(half));
    return put(kGreater, ranges[half - 1].last, above, below);
  }
  std::vector<sock_filter> take() {
    std::ranges::reverse(code_);
    return std::move(code_);
  }

 private:
  static bool alike(const Decision& one, const Decision& next) {
    return one.test != kReturn && next.test != kReturn && one.offset == next.offset && one.mask == next.mask;
  }
  void plan_decision(int id, const Decision* before) {
    const Decision& decision = decisions_[id];
    auto at = static_cast<std::size_t>(id);
    if (before == nullptr || !alike(*before, decision)) loads_[at] = true;
    if (decision.test == kReturn || seen_[at]) return;
    seen_[at] = true;
    plan_decision(decision.yes, &decision);
    plan_decision(decision.no, &decision);
  }
  [[nodiscard]] std::size_t distance(std::size_t target) const { return code_.size() - target - 1; }
  void bring_near(std::size_t& target, std::size_t reserve) {
    if (distance(target) + reserve <= kNearest) return;
    std::size_t& stop = stops_[target];  // 0: none yet, since a first instruction has nothing behind it
    if (stop == 0 || distance(stop) + reserve > kNearest) {
      // An answer is as short as a jump to it.
      if (code_[target].code == kReturn) code_.push_back(code_[target]);
      else code_.push_back({kAlways, 0, 0, static_cast<std::uint32_t>(distance(target))});
      stop = code_.size() - 1;
    }
    target = stop;
  }

  const Decisions& decisions_;
  std::vector<sock_filter> code_;
  std::vector<bool> loads_, seen_;
  std::map<int, std::size_t> places_;  // of decisions; behind a test of the same bits they begin at tests_
  std::map<int, std::size_t> tests_;
  std::map<std::size_t, std::size_t> stops_;  // the last stop on the way to a target
};

// A filter is what stands between a tenant and the kernel: what has been made is tried at every edge before it is trusted.
bool answer_alike(const std::vector<sock_filter>& one, const std::vector<sock_filter>& other, const Bounds& bounds) {
  std::vector<std::uint32_t> words{0, 1, kAll};
  for (const auto& each : one)
    if (is_test(each.code))
      for (std::uint32_t word : {each.k - 1, each.k, each.k + 1}) words.push_back(word);
  std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): the same each time
  auto word = [&] { return std::uint64_t{words[random() % words.size()]}; };
  auto architectures = bounds.architectures;
  architectures.push_back(0);
  for (std::uint32_t architecture : architectures)
    for (std::uint32_t edge : bounds.edges)
      for (std::uint32_t number : {edge, edge - 1})
        for (int round = 0; round < 3; ++round) {
          seccomp_data call{.nr = static_cast<int>(number), .arch = architecture, .instruction_pointer = word() << 32 | word(), .args = {}};
          for (auto& argument : call.args) argument = (round == 0 ? 0 : word()) << 32 | word();
          if (run(one, call) != run(other, call)) return false;
        }
  return true;
}

}  // namespace

std::optional<std::vector<std::uint64_t>> compact_filter(std::span<const std::uint64_t> filter) {
  static_assert(sizeof(sock_filter) == sizeof(std::uint64_t));
  static_assert(std::endian::native == std::endian::little, "libseccomp tests the halves of arguments where they lie");
  const auto code = decode(filter);
  if (!is_understood(code)) return std::nullopt;
  const Bounds bounds = bounds_of(code);

  // An architecture of which the filter knows nothing stands for all of them; one that is next to it in value would not behave
  // otherwise unless architectures were compared by size.
  for (const auto& each : code)
    if (each.code != kEqual && is_test(each.code) && std::ranges::find(bounds.architectures, each.k) != bounds.architectures.end()) return std::nullopt;
  std::uint32_t unknown = 0;
  while (std::ranges::find(bounds.architectures, unknown) != bounds.architectures.end()) ++unknown;

  Decisions decisions;
  Specializer specializer(code, decisions);
  auto others = ranges_of(specializer, unknown, bounds.edges);
  if (!others) return std::nullopt;
  std::vector<std::vector<Range>> ranges;
  for (std::uint32_t architecture : bounds.architectures) {
    auto found = ranges_of(specializer, architecture, bounds.edges);
    if (!found) return std::nullopt;
    ranges.push_back(std::move(*found));
  }

  Writer writer(decisions);
  writer.plan(*others);
  for (const auto& each : ranges) writer.plan(each);
  auto put_ranges = [&](std::span<const Range> of) {
    std::size_t place = writer.put_search(of);
    return of.size() == 1 && of[0].exceptions.empty() ? place : writer.put(kLoad, kNumber);
  };
  std::size_t next = put_ranges(*others);
  for (std::size_t i = ranges.size(); i-- > 0;) {
    if (ranges[i] == *others) continue;
    std::size_t place = put_ranges(ranges[i]);
    next = writer.put(kEqual, bounds.architectures[i], place, next);
  }
  writer.put(kLoad, kArchitecture);
  auto small = writer.take();
  if (small.size() >= code.size() || !is_understood(small) || !answer_alike(code, small, bounds)) return std::nullopt;
  std::vector<std::uint64_t> result(small.size());
  std::memcpy(result.data(), small.data(), small.size() * sizeof(sock_filter));
  return result;
}

}  // namespace vps::namespaces
