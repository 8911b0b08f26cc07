// Vectors: FIPS 180-4 examples and NIST's SHA-256 short-message file.
#include "base/sha256.h"

#include <gtest/gtest.h>

namespace vps {
namespace {

TEST(Sha256, NistVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
                       "mnopqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(sha256_hex("\xd3"), "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
}

TEST(Sha256, MillionOfA) {
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesOfEverySizeGiveTheSameDigest) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>(i * 7);
  // Every length around the block borders, cut at every place.
  for (std::size_t length : {0u, 1u, 55u, 56u, 57u, 63u, 64u, 65u, 119u, 120u, 128u, 200u}) {
    std::string_view whole = std::string_view(text).substr(0, length);
    for (std::size_t cut = 0; cut <= length; ++cut) {
      Sha256 hash;
      hash.update(whole.substr(0, cut));
      hash.update(whole.substr(cut));
      ASSERT_EQ(digest_hex(hash.finish()), sha256_hex(whole)) << length << " cut at " << cut;
    }
  }
}

TEST(Sha256, WithoutInstructionsOfTheProcessorTheSame) {
  std::array<std::uint32_t, 8> state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  // One block, and its padding.
  std::array<std::uint8_t, 128> text{};
  for (std::size_t i = 0; i < 64; ++i) text[i] = static_cast<std::uint8_t>(i * 5);
  text[64] = 0x80;
  text[126] = 2;  // 512 bits
  sha256_blocks_portable(state, text.data(), 2);
  Sha256Digest digest{};
  for (std::size_t i = 0; i < 32; ++i) digest[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  EXPECT_EQ(digest_hex(digest), sha256_hex(std::string_view(reinterpret_cast<const char*>(text.data()), 64)));
}

TEST(Sha256, FinishStartsANewMessage) {
  Sha256 hash;
  hash.update("something");
  (void)hash.finish();
  hash.update("abc");
  EXPECT_EQ(digest_hex(hash.finish()), sha256_hex("abc"));
}

}  // namespace
}  // namespace vps
