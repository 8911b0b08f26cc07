// Smaller seccomp filters. libseccomp compares every call number of a profile on its own; what a filter answers is the same over
// long ranges of numbers, though, and a search over the ranges has a tenth of the instructions. The kernel compiles a filter when
// it is loaded, and tries every call number on it (seccomp(2); kernel/seccomp.c, seccomp_cache_prepare): both are on the way of
// every start and every exec. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vps::namespaces {

// A filter (struct sock_filter each) that answers every call as this one does. nullopt where none is found that is smaller.
std::optional<std::vector<std::uint64_t>> compact_filter(std::span<const std::uint64_t> filter);

}  // namespace vps::namespaces
