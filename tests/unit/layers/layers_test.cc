// Reads every #include of the tree and holds it against the layers of docs/design/layers.md. The rules are the two tables
// below; the checker is tried on trees with known faults first, so that "no faults" means something.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps {
namespace {

using test::TempDir;
using Strings = std::vector<std::string>;

// What the files of a folder may include. The longest matching folder counts; an entry ending in ".h" is one file.
struct Layer {
  std::string_view folder;
  std::vector<std::string_view> may_include;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> kLayers = {
      {"base", {"base"}},
      {"specs", {"base", "specs"}},
      {"cgroups", {"base", "specs", "cgroups"}},
      {"namespaces", {"base", "specs", "namespaces"}},
      {"netns", {"base", "specs", "netns"}},
      {"storage", {"base", "specs", "storage"}},
      {"runtime", {"base", "specs", "cgroups", "namespaces", "netns", "storage", "runtime"}},
      // vpsd has threads, and threads never clone: it starts supervisors as programs and talks to them.
      {"daemon",
       {"base", "specs", "cgroups", "netns", "storage", "daemon", "runtime/supervisor/client.h", "runtime/supervisor/protocol.h"}},
      {"cli/oci", {"base", "specs", "cgroups", "namespaces", "netns", "storage", "runtime", "cli/oci",
                   "cli/common/command.h", "cli/common/terminal.h"}},
      // Clients of the API know data and the socket of a supervisor, nothing that does work.
      {"cli/common", {"base", "specs", "cli/common", "runtime/supervisor/protocol.h"}},
      {"cli/vpsctl", {"base", "specs", "cli/common", "cli/vpsctl", "runtime/supervisor/protocol.h"}},
      {"cli/compat", {"base", "specs", "cli/common", "cli/compat", "runtime/supervisor/protocol.h"}},
      {"bench", {"base", "specs", "netns", "bench", "tests/support"}},
  };
  return kLayers;
}

// Headers that take seconds to compile, or belong behind a border of our own: included by .cc files only.
// nlohmann/json_fwd.hpp, the forward declarations, is light and made for headers.
constexpr std::string_view kHeavy[] = {"nlohmann/json.hpp", "spdlog/", "boost/", "yaml-cpp/", "CLI/", "sqlite3.h", "archive.h"};

bool below(std::string_view path, std::string_view folder) {
  if (folder.ends_with(".h")) return path == folder;
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

const Layer* layer_of(std::string_view path) {
  const Layer* best = nullptr;
  for (const auto& layer : layers())
    if (below(path, layer.folder) && (best == nullptr || layer.folder.size() > best->folder.size())) best = &layer;
  return best;
}

struct Include {
  int line;
  std::string path;
  bool angle;
};

std::vector<Include> includes_of(std::string_view text) {
  std::vector<Include> found;
  int number = 0;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++number;
    auto skip = [&](std::string_view word) {
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      if (!line.starts_with(word)) return false;
      line.remove_prefix(word.size());
      return true;
    };
    if (!skip("#") || !skip("include")) continue;
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.size() < 2 || (line[0] != '"' && line[0] != '<')) continue;
    auto end = line.find(line[0] == '"' ? '"' : '>', 1);
    if (end != std::string_view::npos) found.push_back({number, std::string(line.substr(1, end - 1)), line[0] == '<'});
  }
  return found;
}

void collect(const std::string& root, const std::string& folder, Strings& files) {
  auto names = list_dir(root + "/" + folder);
  if (!names) return;
  for (const auto& name : *names) {
    std::string path = folder + "/" + name;
    if (name.ends_with(".h") || name.ends_with(".cc")) files.push_back(path);
    else if (name.find('.') == std::string::npos) collect(root, path, files);
  }
}

std::optional<std::string> fault_of(const std::string& file, const Include& include, const std::string& root) {
  if (file.ends_with(".h"))
    for (auto heavy : kHeavy)
      if (include.path.starts_with(heavy)) return "heavy header in a header";
  if (include.angle) return {};
  const Layer* layer = layer_of(file);
  if (layer == nullptr) return "in a folder that is in no layer";
  bool allowed = std::ranges::any_of(layer->may_include, [&](auto entry) { return below(include.path, entry); });
  if (!allowed) return "not for " + std::string(layer->folder);
  if (!path_exists(root + "/" + include.path)) return "no such file";
  return {};
}

// Every fault of the tree below `root`, as "FILE:LINE: PATH: WHY".
Strings faults_of(const std::string& root, int* files_read = nullptr) {
  Strings files, faults;
  for (std::string folder : {"base", "specs", "cgroups", "namespaces", "netns", "storage", "runtime", "daemon", "cli", "bench"})
    collect(root, folder, files);
  for (const auto& file : files) {
    auto text = read_file(root + "/" + file);
    if (!text) {
      faults.push_back(file + ": " + text.error().to_string());
      continue;
    }
    for (const auto& include : includes_of(*text)) {
      if (auto fault = fault_of(file, include, root))
        faults.push_back(fmt::format("{}:{}: {}: {}", file, include.line, include.path, *fault));
    }
  }
  if (files_read != nullptr) *files_read = static_cast<int>(files.size());
  return faults;
}

TEST(Layers, TheTreeKeepsThem) {
  int files = 0;
  EXPECT_THAT(faults_of(VPS_SOURCE_DIR, &files), testing::IsEmpty());
  EXPECT_GT(files, 50) << "hardly anything was read";
}

class LayersChecker : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(make_dirs(dir / path.substr(0, path.rfind('/'))));
    ASSERT_TRUE(write_file_atomic(dir / path, text));
  }
  TempDir dir;
};

TEST_F(LayersChecker, FindsEveryKindOfFault) {
  for (std::string header : {"base/error.h", "specs/vps/id.h", "cgroups/cgroup.h", "namespaces/clone.h", "storage/disk.h",
                             "runtime/launcher.h", "runtime/launcher_plan.h", "runtime/supervisor/protocol.h",
                             "runtime/supervisor/client.h", "daemon/manager.h", "cli/common/api.h", "cli/vpsctl/commands.h"})
    write(header, "#pragma once\n");
  write("base/a.cc", "#include \"specs/vps/id.h\"\n");
  write("specs/b.h", "#pragma once\n\n#include \"base/error.h\"\n#include \"runtime/launcher.h\"\n");
  write("cgroups/c.cc", "#include \"base/error.h\"\n#include \"namespaces/clone.h\"\n");
  write("storage/d.cc", "  #  include \"cgroups/cgroup.h\"\n");
  write("runtime/e.cc", "#include \"cgroups/cgroup.h\"\n#include \"storage/disk.h\"\n#include \"daemon/manager.h\"\n");
  write("daemon/f.cc",
        "#include \"runtime/supervisor/client.h\"\n#include \"runtime/launcher.h\"\n#include \"runtime/launcher_plan.h\"\n"
        "#include \"namespaces/clone.h\"\n#include \"cli/common/api.h\"\n");
  write("cli/vpsctl/g.cc",
        "#include \"cli/common/api.h\"\n#include \"runtime/supervisor/protocol.h\"\n"
        "#include \"runtime/supervisor/client.h\"\n#include \"cgroups/cgroup.h\"\n");
  write("cli/common/h.cc", "#include \"cli/vpsctl/commands.h\"\n");
  write("cli/oci/i.cc", "#include \"runtime/launcher.h\"\n#include \"daemon/manager.h\"\n");
  write("cli/j.cc", "#include \"base/error.h\"\n");
  write("base/k.h", "#include <nlohmann/json.hpp>\n#include <nlohmann/json_fwd.hpp>\n#include <string>\n");
  write("base/k.cc", "#include <nlohmann/json.hpp>\n#include \"base/missing.h\"\n#include \"error.h\"\n");
  EXPECT_EQ(faults_of(dir.path()), (Strings{
                                       "base/a.cc:1: specs/vps/id.h: not for base",
                                       "base/k.cc:2: base/missing.h: no such file",
                                       "base/k.cc:3: error.h: not for base",
                                       "base/k.h:1: nlohmann/json.hpp: heavy header in a header",
                                       "specs/b.h:4: runtime/launcher.h: not for specs",
                                       "cgroups/c.cc:2: namespaces/clone.h: not for cgroups",
                                       "storage/d.cc:1: cgroups/cgroup.h: not for storage",
                                       "runtime/e.cc:3: daemon/manager.h: not for runtime",
                                       "daemon/f.cc:2: runtime/launcher.h: not for daemon",
                                       "daemon/f.cc:3: runtime/launcher_plan.h: not for daemon",
                                       "daemon/f.cc:4: namespaces/clone.h: not for daemon",
                                       "daemon/f.cc:5: cli/common/api.h: not for daemon",
                                       "cli/common/h.cc:1: cli/vpsctl/commands.h: not for cli/common",
                                       "cli/j.cc:1: base/error.h: in a folder that is in no layer",
                                       "cli/oci/i.cc:2: daemon/manager.h: not for cli/oci",
                                       "cli/vpsctl/g.cc:3: runtime/supervisor/client.h: not for cli/vpsctl",
                                       "cli/vpsctl/g.cc:4: cgroups/cgroup.h: not for cli/vpsctl",
                                   }));
}

TEST_F(LayersChecker, AFolderNameThatBeginsAlikeIsAnotherFolder) {
  write("base/error.h", "#pragma once\n");
  write("basement/x.h", "#pragma once\n");
  write("base/a.cc", "#include \"basement/x.h\"\n");
  EXPECT_EQ(faults_of(dir.path()), Strings{"base/a.cc:1: basement/x.h: not for base"});
}

}  // namespace
}  // namespace vps
