#include "storage/apt_sources.h"

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "storage/text.h"

namespace vps::storage {
namespace {

using Words = std::vector<std::string>;

Words split_words(std::string_view text) {
  Words out;
  constexpr std::string_view kSpace = " \t\n\r";
  while (true) {
    auto begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return out;
    auto end = std::min(text.find_first_of(kSpace, begin), text.size());
    out.emplace_back(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t pos = 0; pos < text.size();) {
    auto end = std::min(text.find('\n', pos), text.size());
    out.push_back(text.substr(pos, end - pos));
    pos = end + 1;
  }
  return out;
}

bool wanted_suite(std::string_view suite, std::string_view release) {
  if (!suite.starts_with(release)) return false;
  auto pocket = suite.substr(release.size());
  return pocket.empty() || pocket == "-updates" || pocket == "-security";
}

bool web_uri(std::string_view uri) { return uri.starts_with("http://") || uri.starts_with("https://"); }

bool contains(const Words& words, std::string_view word) { return std::ranges::find(words, word) != words.end(); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

struct Field {
  std::string key, value;  // the value with its continuation lines
};

std::string filtered_stanza(const std::vector<Field>& fields, std::string_view release) {
  Words types, uris, suites, components;
  bool enabled = true;
  for (const auto& [key, value] : fields) {
    auto name = lower(key);
    if (name == "types") types = split_words(value);
    if (name == "uris") uris = split_words(value);
    if (name == "suites") suites = split_words(value);
    if (name == "components") components = split_words(value);
    if (name == "enabled") enabled = lower(value).find("no") == std::string::npos;
  }
  std::erase_if(uris, [](const std::string& uri) { return !web_uri(uri); });
  std::erase_if(suites, [&](const std::string& suite) { return !wanted_suite(suite, release); });
  if (!enabled || !contains(types, "deb") || uris.empty() || suites.empty() || !contains(components, "main")) return {};
  std::string out = fmt::format("Types: deb\nURIs: {}\nSuites: {}\n", join(uris, " "), join(suites, " "));
  for (const auto& [key, value] : fields) {
    auto name = lower(key);
    if (name != "types" && name != "uris" && name != "suites" && name != "enabled") out += key + ":" + value + "\n";
  }
  return out + "\n";
}

}  // namespace

std::string debian_list_entries(std::string_view text, std::string_view release) {
  std::string out;
  for (auto line : split_lines(text)) {
    line = line.substr(0, line.find('#'));
    auto words = split_words(line);
    if (words.empty() || words[0] != "deb") continue;
    std::size_t at = 1;
    if (at < words.size() && words[at].starts_with('['))
      while (at < words.size() && !words[at++].ends_with(']')) {}
    if (at + 2 >= words.size() || !web_uri(words[at]) || !wanted_suite(words[at + 1], release)) continue;
    if (!contains({words.begin() + static_cast<std::ptrdiff_t>(at) + 2, words.end()}, "main")) continue;
    out += join(words, " ") + "\n";
  }
  return out;
}

std::string debian_deb822_stanzas(std::string_view text, std::string_view release) {
  std::string out;
  std::vector<Field> fields;
  auto flush = [&] { out += filtered_stanza(std::exchange(fields, {}), release); };
  for (auto line : split_lines(text)) {
    if (line.starts_with('#')) continue;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
      flush();
    } else if ((line.front() == ' ' || line.front() == '\t') && !fields.empty()) {
      fields.back().value += "\n" + std::string(line);
    } else if (auto colon = line.find(':'); colon != std::string_view::npos) {
      fields.push_back({std::string(line.substr(0, colon)), std::string(line.substr(colon + 1))});
    }
  }
  flush();
  return out;
}

Result<std::vector<std::string>> collect_apt_sources(const std::string& apt_directory, std::string_view release,
                                                     const std::string& directory) {
  std::string list, deb822;
  if (auto text = read_file(apt_directory + "/sources.list"); text) list += debian_list_entries(*text, release);
  const std::string parts = apt_directory + "/sources.list.d";
  if (path_exists(parts)) {
    for (const auto& name : VPS_TRY(list_dir(parts))) {
      const bool one_line = name.ends_with(".list"), stanzas = name.ends_with(".sources");
      if (!one_line && !stanzas) continue;
      auto text = VPS_TRY(read_file(parts + "/" + name));
      (one_line ? list : deb822) += one_line ? debian_list_entries(text, release) : debian_deb822_stanzas(text, release);
    }
  }
  // Is the release itself among them, not only its updates?
  bool complete = false;
  for (const auto& word : split_words(list + deb822)) complete = complete || word == release;
  std::vector<std::string> files;
  if (!complete) return files;
  for (const auto& [name, text] : {std::pair{"debian.list", list}, std::pair{"debian.sources", deb822}}) {
    if (text.empty()) continue;
    files.push_back(directory + "/" + name);
    VPS_TRY(write_file_atomic(files.back(), text));
  }
  return files;
}

}  // namespace vps::storage
