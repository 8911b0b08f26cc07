// Arbitrary bytes as an archive: no crash, and nothing outside the root is made or changed.
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/files.h"
#include "storage/tree_digest.h"
#include "storage/unpack.h"
#include "tests/support/temp_dir.h"

namespace {

constexpr vps::storage::UnpackLimits kLimits{.bytes = 4u << 20, .entries = 256};

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vps::test::TempDir temp;
  const std::string root = temp / "root", victim = temp / "victim";
  require(::mkdir(root.c_str(), 0700) == 0 && vps::write_file_atomic(victim, "safe").has_value(), "cannot set up");
  vps::UniqueFd archive(::memfd_create("archive", MFD_CLOEXEC));
  require(vps::write_all(archive.get(), {reinterpret_cast<const char*>(data), size}).has_value() && ::lseek(archive.get(), 0, SEEK_SET) == 0,
          "cannot set up");
  auto target = vps::open_dir(root);
  require(target.has_value(), "cannot set up");
  auto unpacked = vps::storage::unpack_archive(archive.get(), std::move(*target), {}, kLimits);

  struct stat st{};
  require(::stat(victim.c_str(), &st) == 0 && (st.st_mode & 07777) == 0644 && st.st_nlink == 1 && st.st_size == 4, "the victim was changed");
  require(vps::list_dir(temp.path()).value().size() == 2, "something was made outside the root");
  if (unpacked) {
    auto made = vps::open_dir(root);
    auto digest = vps::storage::digest_tree(made->get(), {});
    require(digest.has_value(), "what was unpacked cannot be read");
  }
  return 0;
}
