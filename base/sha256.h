// SHA-256 (FIPS 180-4), incremental. For digests of content and cache keys; not for passwords.
// Not thread-safe: one owner per object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vps {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  void update(const void* data, std::size_t size);
  void update(std::string_view data) { update(data.data(), data.size()); }
  // Ends the message; the object is then as new, ready for the next one.
  [[nodiscard]] Sha256Digest finish();

 private:
  static constexpr std::array<std::uint32_t, 8> kInitial{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint32_t, 8> state_ = kInitial;
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t length_ = 0;  // bytes so far
};

// Blocks of 64 bytes into a state, without instructions made for it: what is used where the processor has none.
void sha256_blocks_portable(std::array<std::uint32_t, 8>& state, const std::uint8_t* data, std::size_t count);

[[nodiscard]] std::string digest_hex(const Sha256Digest& digest);  // 64 lower-case digits
[[nodiscard]] std::string sha256_hex(std::string_view data);

}  // namespace vps
