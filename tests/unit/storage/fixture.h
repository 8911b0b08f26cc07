// What every storage test needs: a directory, archives unpacked into a root in it, looks at the result.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "archives.h"
#include "base/files.h"
#include "storage/unpack.h"
#include "tests/support/temp_dir.h"

namespace vps::storage {

class StorageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "makes files of other owners and device nodes: needs root";
    ASSERT_EQ(::mkdir(root().c_str(), 0755), 0);
  }

  [[nodiscard]] std::string root() const { return temp_ / "root"; }
  [[nodiscard]] std::string at(const std::string& path) const { return root() + "/" + path; }
  [[nodiscard]] std::string archive_path() const { return temp_ / "archive"; }

  Result<> unpack() {
    auto archive = open_path(archive_path(), O_RDONLY);
    auto root_fd = open_dir(root());
    notes_.clear();
    return unpack_archive(archive->get(), std::move(*root_fd), [this](std::string_view what, int) {
      notes_.emplace_back(what);
      return true;
    });
  }
  Result<> unpack_bytes(const std::string& bytes) {
    EXPECT_TRUE(write_file_atomic(archive_path(), bytes));
    return unpack();
  }
  Result<> unpack_raw(const std::vector<test::RawEntry>& entries) { return unpack_bytes(test::raw_tar(entries)); }

  [[nodiscard]] struct stat stat_of(const std::string& path) const {
    struct stat st{};
    EXPECT_EQ(::lstat(at(path).c_str(), &st), 0) << path;
    return st;
  }
  [[nodiscard]] std::string content_of(const std::string& path) const {
    auto data = read_file(at(path));
    EXPECT_TRUE(data) << path;
    return data.value_or("");
  }
  [[nodiscard]] std::string xattr_of(const std::string& path, const char* name) const {
    char value[512];
    ssize_t n = ::lgetxattr(at(path).c_str(), name, value, sizeof value);
    return n < 0 ? std::string("(none)") : std::string(value, static_cast<std::size_t>(n));
  }

  test::TempDir temp_;
  std::vector<std::string> notes_;
};

// The error's text contains every one of `parts`.
template <class T>
void expect_error(const Result<T>& result, Code code, const std::vector<std::string>& parts) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), code) << result.error().to_string();
  for (const auto& part : parts) EXPECT_THAT(result.error().to_string(), ::testing::HasSubstr(part));
  EXPECT_THAT(result.error().to_string(), ::testing::Not(::testing::HasSubstr("\n")));
}

}  // namespace vps::storage
