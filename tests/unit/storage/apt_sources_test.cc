#include "storage/apt_sources.h"

#include "fixture.h"

namespace vps::storage {
namespace {

TEST(AptSources, OneLineEntriesOfTheRelease) {
  const char text[] =
      "# deb http://commented/debian bookworm main\n"
      "deb http://one.example/debian bookworm main contrib # trailing\n"
      "deb [signed-by=/k.gpg arch=amd64] https://one.example/debian bookworm-updates main\n"
      "deb [ trusted=yes ] http://one.example/security bookworm-security main\n"
      "deb-src http://one.example/debian bookworm main\n"
      "deb http://one.example/debian trixie main\n"
      "deb http://one.example/debian bookworm-backports main\n"
      "deb https://download.docker.com/linux/debian bookworm stable\n"
      "deb cdrom:[Debian]/ bookworm main\n"
      "deb http://broken\n"
      "deb [unclosed http://x bookworm main\n";
  EXPECT_EQ(debian_list_entries(text, "bookworm"),
            "deb http://one.example/debian bookworm main contrib\n"
            "deb [signed-by=/k.gpg arch=amd64] https://one.example/debian bookworm-updates main\n"
            "deb [ trusted=yes ] http://one.example/security bookworm-security main\n");
}

TEST(AptSources, Deb822Stanzas) {
  const char text[] =
      "Types: deb deb-src\n"
      "# http://old.example\n"
      "URIs: http://a.example/debian file:/srv/repo\n"
      "Suites: bookworm bookworm-updates bookworm-backports\n"
      "Components: main contrib\n"
      "Signed-By:\n"
      " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
      " .\n"
      " abc\n"
      "\n"
      "Types: deb\n"
      "URIs: http://b.example/debian\n"
      "Suites: trixie\n"
      "Components: main\n"
      "\n"
      "Enabled: no\n"
      "Types: deb\n"
      "URIs: http://c.example/debian\n"
      "Suites: bookworm\n"
      "Components: main\n";
  EXPECT_EQ(debian_deb822_stanzas(text, "bookworm"),
            "Types: deb\n"
            "URIs: http://a.example/debian\n"
            "Suites: bookworm bookworm-updates\n"
            "Components: main contrib\n"
            "Signed-By:\n"
            " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
            " .\n"
            " abc\n"
            "\n");
  EXPECT_EQ(debian_deb822_stanzas("", "bookworm"), "");
}

TEST(AptSources, CollectsOnlyACompleteRelease) {
  test::TempDir temp;
  const std::string apt = temp / "apt", out = temp / "out";
  ASSERT_TRUE(make_dirs(apt + "/sources.list.d"));
  ASSERT_TRUE(make_dirs(out));
  ASSERT_TRUE(write_file_atomic(apt + "/sources.list", "deb http://m/debian bookworm-updates main\n"));
  EXPECT_TRUE(collect_apt_sources(apt, "bookworm", out).value().empty());
  ASSERT_TRUE(write_file_atomic(apt + "/sources.list.d/debian.sources",
                                "Types: deb\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\n"));
  ASSERT_TRUE(write_file_atomic(apt + "/sources.list.d/off.list.disabled", "deb http://off/debian bookworm main\n"));
  auto files = collect_apt_sources(apt, "bookworm", out).value();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(read_file(files[0]).value(), "deb http://m/debian bookworm-updates main\n");
  EXPECT_THAT(read_file(files[1]).value(), ::testing::HasSubstr("Suites: bookworm\n"));
  EXPECT_TRUE(collect_apt_sources(temp / "no-apt-here", "bookworm", out).value().empty());
}

}  // namespace
}  // namespace vps::storage
