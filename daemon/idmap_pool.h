// Ranges of host uids and gids, one per VPS, never shared between two. The pool itself is memory only: each range is
// durable because it stands in its VPS's record, from which the pool is filled at start. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/error.h"
#include "specs/vps/compile.h"

namespace vps::daemon {

constexpr std::uint32_t kIdRangeSize = 65536;

class IdmapPool {
 public:
  // Hands out `count` ranges of kIdRangeSize from `base` upwards. The caller has checked that they fit below 2^32.
  IdmapPool(std::uint32_t base, std::uint32_t count) : base_(base), count_(count) {}

  // The lowest free range; kUnavailable when all are taken.
  Result<IdRange> allocate(const std::string& owner);
  // Takes exactly this range, inside or outside of the pool's own; kExists names the owner of one that it overlaps.
  // A size of 0 (no user namespace) is nothing to take.
  Result<> reserve(IdRange range, const std::string& owner);
  // Gives back what `owner` holds; nothing held is success.
  void release(const std::string& owner);
  [[nodiscard]] std::size_t used() const;

 private:
  struct Taken {
    std::uint64_t end = 0;
    std::string owner;
  };
  [[nodiscard]] const Taken* overlap(std::uint64_t base, std::uint64_t end) const;

  const std::uint32_t base_;
  const std::uint32_t count_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Taken> taken_;  // by first id
};

}  // namespace vps::daemon
