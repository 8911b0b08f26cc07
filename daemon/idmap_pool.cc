#include "daemon/idmap_pool.h"

#include <algorithm>

namespace vps::daemon {

const IdmapPool::Taken* IdmapPool::overlap(std::uint64_t base, std::uint64_t end) const {
  // Ranges in the map do not overlap each other, so only the last one that starts before `end` can reach into ours.
  auto after = taken_.lower_bound(end);
  if (after == taken_.begin()) return nullptr;
  const auto& [first, taken] = *std::prev(after);
  return taken.end > base ? &taken : nullptr;
}

Result<IdRange> IdmapPool::allocate(const std::string& owner) {
  std::scoped_lock lock(mutex_);
  std::uint64_t candidate = base_;
  const std::uint64_t end = base_ + std::uint64_t{count_} * kIdRangeSize;
  while (candidate < end) {
    const Taken* blocking = overlap(candidate, candidate + kIdRangeSize);
    if (blocking == nullptr) {
      taken_[candidate] = {candidate + kIdRangeSize, owner};
      return IdRange{static_cast<std::uint32_t>(candidate), kIdRangeSize};
    }
    // The next of our own aligned slots that starts behind what is in the way.
    std::uint64_t slots = (blocking->end - base_ + kIdRangeSize - 1) / kIdRangeSize;
    candidate = base_ + slots * kIdRangeSize;
  }
  return fail(Code::kUnavailable, "no free id range: all {} of vpsd.yaml's idmap.count are taken", count_);
}

Result<> IdmapPool::reserve(IdRange range, const std::string& owner) {
  if (range.size == 0) return {};
  std::scoped_lock lock(mutex_);
  std::uint64_t end = std::uint64_t{range.base} + range.size;
  if (const Taken* taken = overlap(range.base, end))
    return fail(Code::kExists, "id range {}:{} overlaps that of vps {}", range.base, range.size, taken->owner);
  taken_[range.base] = {end, owner};
  return {};
}

void IdmapPool::release(const std::string& owner) {
  std::scoped_lock lock(mutex_);
  std::erase_if(taken_, [&](const auto& entry) { return entry.second.owner == owner; });
}

std::size_t IdmapPool::used() const {
  std::scoped_lock lock(mutex_);
  return taken_.size();
}

}  // namespace vps::daemon
