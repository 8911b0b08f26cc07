// vps.yaml.5 and the table of keys say the same.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/files.h"
#include "specs/vps/definition_yaml.h"

namespace vps {
namespace {

std::string manual() {
  auto text = read_file(VPS_SOURCE_DIR "/docs/man/vps.yaml.5");
  EXPECT_TRUE(text);
  return text.value_or("");
}

// The lines of one key: from its ".It Cm KEY" to the next item or the end of the list.
std::string entry_of(const std::string& text, const std::string& key) {
  for (std::string end : {"\n", " Bq "}) {
    auto start = text.find("\n.It Cm " + key + end);
    if (start == std::string::npos) continue;
    auto stop = std::min(text.find("\n.It Cm ", start + 1), text.find("\n.El", start));
    // Keys that share one text stand one after the other.
    while (stop != std::string::npos && text.substr(start, stop - start).find('\n', 1) == std::string::npos)
      stop = std::min(text.find("\n.It Cm ", stop + 1), text.find("\n.El", stop + 1));
    return text.substr(start, stop - start);
  }
  return {};
}

TEST(Manual, HasEveryKeyWithItsShortNamesAndEffect) {
  auto text = manual();
  for (const auto& info : definition_keys()) {
    auto entry = entry_of(text, info.key);
    ASSERT_FALSE(entry.empty()) << info.key << " is missing";
    EXPECT_EQ(entry.find("Em next start") != std::string::npos, info.effect == ChangeEffect::kNextStart) << entry;
    std::string names;
    for (const auto& name : info.short_names) names += (names.empty() ? " Bq Cm " : " , ") + name;
    EXPECT_NE(entry.find(".It Cm " + info.key + names + "\n"), std::string::npos) << info.key << names;
  }
}

TEST(Manual, HasNoKeyThatIsNone) {
  auto text = manual();
  auto keys = definition_keys();
  for (auto at = text.find("\n.It Cm "); at != std::string::npos; at = text.find("\n.It Cm ", at + 1)) {
    auto start = at + std::string("\n.It Cm ").size();
    auto key = text.substr(start, text.find_first_of(" \n", start) - start);
    EXPECT_TRUE(std::ranges::any_of(keys, [&](const KeyInfo& info) { return info.key == key; })) << key;
  }
}

TEST(Manual, ItsExampleIsValid) {
  auto text = manual();
  auto start = text.find("id: \"101\"");
  ASSERT_NE(start, std::string::npos);
  auto parsed = parse_definition(text.substr(start, text.find(".Ed", start) - start), "example");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  auto valid = validate_definition(*parsed);
  EXPECT_TRUE(valid) << valid.error().to_string();
}

}  // namespace
}  // namespace vps
