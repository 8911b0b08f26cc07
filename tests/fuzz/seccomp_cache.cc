// The reader of stored seccomp filters: the input as a file, and as the body of a file whose digest is right, so that
// what lies behind the digest is reached as well.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/sha256.h"
#include "namespaces/seccomp_cache.h"

using namespace vps::namespaces;

namespace {

constexpr std::string_view kKey = "key";

void read_back(std::string_view entry) {
  auto program = parse_seccomp_entry(entry, kKey);
  if (!program) return;
  if (program->instructions.empty() || program->instructions.size() > 4096) std::abort();
  // What was accepted is stored as the same bytes (but for a boolean that is not 0 or 1).
  if (!parse_seccomp_entry(format_seccomp_entry(*program, kKey), kKey)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  read_back(text);
  std::string entry = "vps-bpf\n" + std::string(text);
  vps::Sha256 hash;
  hash.update(entry);
  auto digest = hash.finish();
  entry.append(digest.begin(), digest.end());
  read_back(entry);
  return 0;
}
