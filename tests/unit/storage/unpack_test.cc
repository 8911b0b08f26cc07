#include "storage/unpack.h"

#include <acl/libacl.h>
#include <sys/acl.h>
#include <sys/sysmacros.h>

#include "fixture.h"

namespace vps::storage {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using test::ArchiveWriter;
using test::RawEntry;

class UnpackTest : public StorageTest {};

TEST_F(UnpackTest, KeepsOwnersModesAndTimes) {
  {
    ArchiveWriter tar(archive_path());
    auto owner = [](archive_entry* e) {
      ::archive_entry_set_uid(e, 1234);
      ::archive_entry_set_gid(e, 4321);
      ::archive_entry_set_uname(e, "root");  // the host's names have no say
    };
    tar.add("dir", AE_IFDIR, 02751, "", owner);
    tar.add("dir/tool", AE_IFREG, 06755, "#!/bin/sh\n", owner);
    tar.add("dir/locked", AE_IFREG, 0, "x", owner);
    tar.add("link", AE_IFLNK, 0777, "", [&](archive_entry* e) {
      owner(e);
      ::archive_entry_set_symlink(e, "/dir/tool");
    });
  }
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  for (const char* path : {"dir", "dir/tool", "dir/locked", "link"}) {
    auto st = stat_of(path);
    EXPECT_EQ(st.st_uid, 1234u) << path;
    EXPECT_EQ(st.st_gid, 4321u) << path;
    EXPECT_EQ(st.st_mtim.tv_sec, 1'600'000'000) << path;
    EXPECT_EQ(st.st_mtim.tv_nsec, 123'456'789) << path;
  }
  EXPECT_EQ(stat_of("dir").st_mode, static_cast<mode_t>(S_IFDIR | 02751));
  EXPECT_EQ(stat_of("dir/tool").st_mode, static_cast<mode_t>(S_IFREG | 06755));
  EXPECT_EQ(stat_of("dir/locked").st_mode, static_cast<mode_t>(S_IFREG | 0));
  EXPECT_EQ(content_of("dir/tool"), "#!/bin/sh\n");
  EXPECT_EQ(read_link_at(AT_FDCWD, at("link")).value_or(""), "/dir/tool");
}

TEST_F(UnpackTest, IsIndependentOfTheUmask) {
  mode_t before = ::umask(0777);
  auto result = unpack_raw({{.name = "a/b/c", .content = "x", .mode = 0666}});
  ::umask(before);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(stat_of("a").st_mode & 07777, 0755u);  // no entry named it
  EXPECT_EQ(stat_of("a/b/c").st_mode & 07777, 0666u);
}

TEST_F(UnpackTest, KeepsExtendedAttributes) {
  // A file capability (vfs_cap_data revision 2): cap_net_raw permitted and effective.
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  {
    ArchiveWriter tar(archive_path());
    tar.add("dir", AE_IFDIR, 0755, "", [](archive_entry* e) { ::archive_entry_xattr_add_entry(e, "user.on.dir", "d", 1); });
    tar.add("ping", AE_IFREG, 0755, "elf", [&](archive_entry* e) {
      ::archive_entry_set_uid(e, 7);  // the change of owner must come first: it clears capabilities
      ::archive_entry_xattr_add_entry(e, "security.capability", capability.data(), capability.size());
      ::archive_entry_xattr_add_entry(e, "user.note", "hello", 5);
      ::archive_entry_xattr_add_entry(e, "trusted.secret", "t", 1);
      ::archive_entry_xattr_add_entry(e, "security.selinux", "label", 5);
    });
  }
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(xattr_of("ping", "security.capability"), capability);
  EXPECT_EQ(xattr_of("ping", "user.note"), "hello");
  EXPECT_EQ(xattr_of("ping", "trusted.secret"), "t");
  EXPECT_EQ(xattr_of("ping", "security.selinux"), "(none)");
  EXPECT_EQ(xattr_of("dir", "user.on.dir"), "d");
}

TEST_F(UnpackTest, RefusesOverlayAttributesAndWhiteouts) {
  {
    ArchiveWriter tar(archive_path());
    tar.add("dir", AE_IFDIR, 0755, "", [](archive_entry* e) { ::archive_entry_xattr_add_entry(e, "trusted.overlay.opaque", "y", 1); });
  }
  expect_error(unpack(), Code::kNotAllowed, {"dir", "trusted.overlay.opaque"});
  expect_error(unpack_raw({{.name = "gone", .type = '3'}}), Code::kNotAllowed, {"gone", "0:0"});
}

std::string acl_text(const std::string& path, acl_type_t type) {
  acl_t acl = ::acl_get_file(path.c_str(), type);
  if (acl == nullptr) return "(none)";
  char* text = ::acl_to_any_text(acl, nullptr, ',', TEXT_NUMERIC_IDS);
  std::string out = text != nullptr ? text : "(bad)";
  ::acl_free(text);
  ::acl_free(acl);
  return out;
}

TEST_F(UnpackTest, KeepsAclsAndLooksUpNamesInTheTree) {
  {
    ArchiveWriter tar(archive_path());
    auto access = [](archive_entry* e, int type) {
      ::archive_entry_acl_add_entry(e, type, 7, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, "");
      ::archive_entry_acl_add_entry(e, type, 6, ARCHIVE_ENTRY_ACL_USER, 1000, "");
      ::archive_entry_acl_add_entry(e, type, 4, ARCHIVE_ENTRY_ACL_USER, 33, "");
      ::archive_entry_acl_add_entry(e, type, 5, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, "");
      ::archive_entry_acl_add_entry(e, type, 7, ARCHIVE_ENTRY_ACL_MASK, -1, "");
      ::archive_entry_acl_add_entry(e, type, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, "");
    };
    tar.add("dir", AE_IFDIR, 0770, "", [&](archive_entry* e) {
      access(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
      access(e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
    });
    tar.add("dir/plain", AE_IFREG, 0640, "x");  // the default ACL of its directory must not reach it
    tar.close();
  }
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  const std::string expected = "user::rwx,user:33:r--,user:1000:rw-,group::r-x,mask::rwx,other::---";
  EXPECT_EQ(acl_text(at("dir"), ACL_TYPE_ACCESS), expected);
  EXPECT_EQ(acl_text(at("dir"), ACL_TYPE_DEFAULT), expected);
  EXPECT_EQ(acl_text(at("dir/plain"), ACL_TYPE_ACCESS), "user::rw-,group::r--,other::---");
}

// GNU tar writes ACLs with names, without numbers.
std::string pax_record(const std::string& key, const std::string& value) {
  std::size_t length = key.size() + value.size() + 3;
  std::string text;
  do text = std::to_string(length) + " " + key + "=" + value + "\n";
  while (text.size() != length && (length = text.size(), true));
  return text;
}

TEST_F(UnpackTest, AclNamesComeFromTheTreesOwnPasswd) {
  std::vector<RawEntry> entries = {
      {.name = "x", .type = 'x', .content = pax_record("SCHILY.acl.access", "user::rw-,user:alice:r--,group::r--,mask::r--,other::---")},
      {.name = "file", .content = "x", .mode = 0640},
      {.name = "etc/passwd", .content = "root:x:0:0::/:/bin/sh\nalice:x:4711:4711::/:/bin/sh\n"}};
  auto result = unpack_raw(entries);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(acl_text(at("file"), ACL_TYPE_ACCESS), "user::rw-,user:4711:r--,group::r--,mask::r--,other::---");
  entries.pop_back();
  ASSERT_TRUE(remove_tree(at("etc")));
  expect_error(unpack_raw(entries), Code::kUsage, {"file", "alice", "/etc/passwd"});
}

TEST_F(UnpackTest, KeepsHardLinksAndHoles) {
  {
    ArchiveWriter tar(archive_path());
    tar.add("first", AE_IFREG, 0644, "shared");
    tar.add("sub/second", AE_IFREG, 0644, "", [](archive_entry* e) { ::archive_entry_set_hardlink(e, "./first"); });
    tar.add("sparse", AE_IFREG, 0644, "", [](archive_entry* e) {
      ::archive_entry_set_size(e, 64 << 20);
      ::archive_entry_sparse_add_entry(e, 32 << 20, 4);
    });
  }
  // The writer above was given no data for the sparse file: it wrote zeros there; size and holes are what counts.
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(stat_of("first").st_ino, stat_of("sub/second").st_ino);
  EXPECT_EQ(stat_of("first").st_nlink, 2u);
  EXPECT_EQ(stat_of("sparse").st_size, 64 << 20);
  EXPECT_LT(stat_of("sparse").st_blocks * 512, 1 << 20);
}

TEST_F(UnpackTest, KeepsFifosAndDevices) {
  auto result = unpack_raw({{.name = "fifo", .type = '6', .mode = 0620}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(S_ISFIFO(stat_of("fifo").st_mode));
  EXPECT_EQ(stat_of("fifo").st_mode & 07777, 0620u);
  {
    ArchiveWriter tar(archive_path());
    auto device = [](archive_entry* e) {
      ::archive_entry_set_rdevmajor(e, 1);
      ::archive_entry_set_rdevminor(e, 300);
      ::archive_entry_set_gid(e, 6);
    };
    tar.add("char", AE_IFCHR, 0666, "", device);
    tar.add("block", AE_IFBLK, 0660, "", device);
  }
  result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(S_ISCHR(stat_of("char").st_mode));
  EXPECT_TRUE(S_ISBLK(stat_of("block").st_mode));
  EXPECT_EQ(stat_of("block").st_rdev, makedev(1, 300));
  EXPECT_EQ(stat_of("block").st_gid, 6u);
  EXPECT_EQ(stat_of("char").st_mode & 07777, 0666u);
}

TEST_F(UnpackTest, LeavesSocketsOutWithANote) {
  {
    ArchiveWriter cpio(archive_path(), "", "newc");
    cpio.add("run/socket", AE_IFSOCK, 0755);
    cpio.add("file", AE_IFREG, 0644, "x");
  }
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_FALSE(path_exists(at("run/socket")));
  EXPECT_EQ(content_of("file"), "x");
  EXPECT_THAT(notes_, Contains(HasSubstr("run/socket")));
}

TEST_F(UnpackTest, ReadsEveryCompression) {
  for (const char* filter : {"", "gzip", "bzip2", "xz", "zstd", "lz4"}) {
    {
      ArchiveWriter tar(archive_path(), filter);
      tar.add("file", AE_IFREG, 0644, std::string("via ") + filter);
    }
    auto result = unpack();
    ASSERT_TRUE(result) << filter << ": " << result.error().to_string();
    EXPECT_EQ(content_of("file"), std::string("via ") + filter);
  }
}

TEST_F(UnpackTest, KeepsNamesByteForByte) {
  const std::string utf8 = "caf\xc3\xa9", latin1 = "caf\xe9";
  auto result = unpack_raw({{.name = utf8, .content = "8"}, {.name = latin1, .content = "1"}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(content_of(utf8), "8");
  EXPECT_EQ(content_of(latin1), "1");
  const std::string deep = "d\xc3\xb6/" + std::string(200, 'n');
  result = unpack_raw({{.name = "x", .type = 'x', .content = pax_record("path", deep)}, {.name = "short", .content = "pax"}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(content_of(deep), "pax");
}

TEST_F(UnpackTest, StripsLeadingSlashes) {
  auto result = unpack_raw({{.name = "//./abs/file", .content = "x"}, {.name = "./", .type = '5', .mode = 0711}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(content_of("abs/file"), "x");
  struct stat st{};
  ASSERT_EQ(::stat(root().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0711u);  // "./" is the root itself
}

TEST_F(UnpackTest, LaterEntriesReplaceEarlierOnes) {
  auto result = unpack_raw({{.name = "a", .content = "old"},
                            {.name = "a", .content = "new"},
                            {.name = "d", .type = '5', .mode = 0700},
                            {.name = "d/x", .content = "1"},
                            {.name = "d", .type = '5', .mode = 0500},
                            {.name = "l", .type = '2', .link = "d"},
                            {.name = "l", .content = "file"},
                            {.name = "empty", .type = '5'},
                            {.name = "empty", .content = "was a directory"}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(content_of("a"), "new");
  EXPECT_EQ(stat_of("d").st_mode & 07777, 0500u);
  EXPECT_EQ(content_of("d/x"), "1");
  EXPECT_EQ(content_of("l"), "file");
  EXPECT_EQ(content_of("empty"), "was a directory");
  expect_error(unpack_raw({{.name = "f/x", .content = "1"}, {.name = "f", .content = "2"}}), Code::kUsage, {"f", "not empty"});
}

TEST_F(UnpackTest, FollowsLinksThatStayInside) {
  auto result = unpack_raw({{.name = "usr/lib/", .type = '5'}, {.name = "lib", .type = '2', .link = "usr/lib"}, {.name = "lib/x", .content = "1"}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(content_of("usr/lib/x"), "1");
  EXPECT_TRUE(S_ISLNK(stat_of("lib").st_mode));
}

TEST_F(UnpackTest, RefusesToLeaveTheTree) {
  const std::string outside = temp_ / "outside";
  ASSERT_TRUE(make_dirs(outside));
  ASSERT_TRUE(write_file_atomic(outside + "/victim", "safe"));
  struct Case {
    std::vector<RawEntry> entries;
    std::vector<std::string> says;
  };
  const std::vector<Case> cases = {
      {{{.name = "../escaped", .content = "x"}}, {"../escaped", "'..'"}},
      {{{.name = "a/../../escaped", .content = "x"}}, {"a/../../escaped", "'..'"}},
      {{{.name = "/../escaped", .content = "x"}}, {"/../escaped", "'..'"}},
      {{{.name = "out", .type = '2', .link = outside}, {.name = "out/file", .content = "x"}}, {"out", "leads out"}},
      {{{.name = "up", .type = '2', .link = "../outside"}, {.name = "up/file", .content = "x"}}, {"up", "leads out"}},
      {{{.name = "up2", .type = '2', .link = "../outside"}, {.name = "up2/dir", .type = '5'}}, {"up2", "leads out"}},
      {{{.name = "one", .type = '2', .link = "two"}, {.name = "two", .type = '2', .link = ".."}, {.name = "one/escaped", .content = "x"}},
       {"one", "leads out"}},
      {{{.name = "hard", .type = '1', .link = "../outside/victim"}}, {"hard", "'..'"}},
      {{{.name = "hard", .type = '1', .link = outside + "/victim"}}, {"hard", "no earlier entry"}},
      {{{.name = "way", .type = '2', .link = outside}, {.name = "hard", .type = '1', .link = "way/victim"}}, {"hard", "leads out"}},
      {{{.name = "same", .type = '1', .link = "same"}}, {"same", "itself"}},
      {{{.name = "dd", .type = '5'}, {.name = "hard", .type = '1', .link = "dd"}}, {"hard", "directory dd"}},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.entries.back().name);
    auto result = unpack_raw(one.entries);
    ASSERT_FALSE(result);
    for (const auto& text : one.says) EXPECT_THAT(result.error().to_string(), HasSubstr(text));
    EXPECT_EQ(list_dir(outside).value(), std::vector<std::string>{"victim"});
    EXPECT_EQ(read_file(outside + "/victim").value(), "safe");
    EXPECT_FALSE(path_exists(temp_ / "escaped"));
    ASSERT_TRUE(remove_tree(root()));
    ASSERT_TRUE(make_dirs(root()));
  }
}

// Writing a file where a link stands replaces the link; the file that it points to stays as it is.
TEST_F(UnpackTest, NeverWritesThroughALastLink) {
  const std::string victim = temp_ / "victim";
  ASSERT_TRUE(write_file_atomic(victim, "safe"));
  auto result = unpack_raw({{.name = "f", .type = '2', .link = victim}, {.name = "f", .content = "evil", .mode = 0777}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(read_file(victim).value(), "safe");
  EXPECT_EQ(content_of("f"), "evil");
}

// Directory modes are set at the end: what a path leads to then must not be what a later entry made of it.
TEST_F(UnpackTest, LateModesDoNotFollowSwappedLinks) {
  const std::string victim = temp_ / "victim";
  ASSERT_EQ(::mkdir(victim.c_str(), 0700), 0);
  auto result = unpack_raw({{.name = "t1/d", .type = '5'},
                            {.name = "t2", .type = '5'},
                            {.name = "l", .type = '2', .link = "t1"},
                            {.name = "l/d", .type = '5', .mode = 0777},
                            {.name = "t2/d", .type = '2', .link = victim},
                            {.name = "l", .type = '2', .link = "t2"}});
  EXPECT_FALSE(result);
  struct stat st{};
  ASSERT_EQ(::stat(victim.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
}

TEST_F(UnpackTest, LateModesDoNotFollowLinksInsideEither) {
  auto result = unpack_raw({{.name = "keep", .type = '5', .mode = 0700},
                            {.name = "t1/d", .type = '5'},
                            {.name = "t2", .type = '5'},
                            {.name = "l", .type = '2', .link = "t1"},
                            {.name = "l/d", .type = '5', .mode = 0777},
                            {.name = "t2/d", .type = '2', .link = "../keep"},
                            {.name = "l", .type = '2', .link = "t2"}});
  expect_error(result, Code::kFailed, {"l/d"});
}

TEST_F(UnpackTest, RefusesBadNames) {
  const std::string long_name(256, 'n');
  expect_error(unpack_raw({{.name = "x", .type = 'x', .content = pax_record("path", long_name)}, {.name = "s"}}), Code::kUsage,
               {"nnn", "256 bytes is too long"});
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  expect_error(unpack_raw({{.name = "x", .type = 'x', .content = pax_record("path", deep + "f")}, {.name = "s"}}), Code::kUsage,
               {"d/d/d", "directories deep"});
  std::string endless;
  for (int i = 0; i < 50; ++i) endless += std::string(100, 'e') + "/";
  expect_error(unpack_raw({{.name = "x", .type = 'x', .content = pax_record("path", endless)}, {.name = "s"}}), Code::kUsage,
               {"eee", "too long"});
}

TEST_F(UnpackTest, RefusesWhatIsDamaged) {
  expect_error(unpack_bytes(""), Code::kUsage, {});
  expect_error(unpack_bytes(std::string(2048, '\0')), Code::kUsage, {"no entries"});
  std::string garbage;
  for (int i = 0; i < 5000; ++i) garbage += static_cast<char>(i * 31 % 251);
  expect_error(unpack_bytes(garbage), Code::kUsage, {});
  expect_error(unpack_bytes("#mtree\n./x type=file contents=/etc/shadow\n"), Code::kUsage, {});

  const std::string whole = test::raw_tar({{.name = "a", .content = std::string(1000, 'a')}, {.name = "b", .content = std::string(1000, 'b')}});
  ASSERT_TRUE(unpack_bytes(whole));
  expect_error(unpack_bytes(whole.substr(0, 512 + 300)), Code::kUsage, {"a", "runcated"});
  expect_error(unpack_bytes(whole.substr(0, 1536 + 200)), Code::kUsage, {"entry 2"});
  expect_error(unpack_bytes(whole.substr(0, 1536)), Code::kUsage, {"truncated"});  // at the border of an entry
  expect_error(unpack_bytes(whole.substr(0, 3072)), Code::kUsage, {"truncated"});
  std::string flipped = whole;
  flipped[1536 + 5] = '!';
  expect_error(unpack_bytes(flipped), Code::kUsage, {"entry 2"});
}

TEST_F(UnpackTest, RefusesATruncatedCompressedArchive) {
  {
    ArchiveWriter tar(archive_path(), "gzip");
    std::string noise;
    for (unsigned i = 0; i < 100'000; ++i) noise += static_cast<char>(i * 2654435761u >> 13);
    tar.add("file", AE_IFREG, 0644, noise);
  }
  auto bytes = read_file(archive_path()).value();
  for (std::size_t keep : {bytes.size() / 2, bytes.size() - 9}) {
    auto result = unpack_bytes(bytes.substr(0, keep));
    EXPECT_FALSE(result) << keep << " of " << bytes.size();
  }
}

TEST_F(UnpackTest, KeepsContentThatComesWithTheLastLink) {
  {
    ArchiveWriter cpio(archive_path(), "", "newc");
    auto linked = [](archive_entry* e) {
      ::archive_entry_set_ino(e, 77);
      ::archive_entry_set_nlink(e, 2);
    };
    cpio.add("one", AE_IFREG, 0644, "", linked);
    cpio.add("two", AE_IFREG, 0600, "content", linked);
  }
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(stat_of("one").st_ino, stat_of("two").st_ino);
  EXPECT_EQ(content_of("one"), "content");
}

TEST_F(UnpackTest, NotesOwnersThatNoVpsHas) {
  {
    ArchiveWriter tar(archive_path());
    tar.add("shifted", AE_IFREG, 0644, "x", [](archive_entry* e) { ::archive_entry_set_uid(e, 1'000'000); });
  }
  auto result = unpack();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(stat_of("shifted").st_uid, 1'000'000u);
  EXPECT_THAT(notes_, Contains(HasSubstr("1 entries have owners above 65535")));
}

TEST_F(UnpackTest, StopsWhenCancelledAndAtItsLimits) {
  {
    ArchiveWriter tar(archive_path());
    for (int i = 0; i < 2000; ++i) tar.add("f" + std::to_string(i), AE_IFREG, 0644, "x");
  }
  auto run = [&](const Progress& progress, const UnpackLimits& limits) {
    auto archive = open_path(archive_path(), O_RDONLY);
    auto root_fd = open_dir(root());
    return unpack_archive(archive->get(), std::move(*root_fd), progress, limits);
  };
  int calls = 0, last = -1;
  expect_error(run([&](std::string_view, int percent) { last = percent; return ++calls < 3; }, {}), Code::kFailed, {"cancelled"});
  EXPECT_EQ(calls, 3);
  EXPECT_GT(last, 0);
  EXPECT_LT(list_dir(root()).value().size(), 1000u);
  expect_error(run({}, {.bytes = 10}), Code::kUsage, {"more than 10 bytes"});
  expect_error(run({}, {.entries = 10}), Code::kUsage, {"more than 10 entries"});
}

}  // namespace
}  // namespace vps::storage
