#include "storage/template_record.h"

#include <elf.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/files.h"

namespace vps::storage {
namespace {

constexpr int kSchema = 1;

std::string unquote(std::string_view value) {
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front())
    value = value.substr(1, value.size() - 2);
  std::string out;
  for (char c : value)
    if (c >= ' ' && c != '\\' && c != 0x7f) out += c;
  return out.substr(0, 64);
}

// "" when there is no such file in the tree.
Result<std::string> head_of(int root_fd, const std::string& path, std::size_t limit) {
  auto fd = open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return std::string{};
  struct stat st{};
  if (::fstat(fd->get(), &st) != 0) return fail_errno(errno, "stat {}", path);
  if (!S_ISREG(st.st_mode)) return std::string{};
  std::string data(limit, '\0');
  ssize_t n = ::pread(fd->get(), data.data(), data.size(), 0);
  if (n < 0) return fail_errno(errno, "read {}", path);
  data.resize(static_cast<std::size_t>(n));
  return data;
}

}  // namespace

std::string format_template(const Template& record) {
  nlohmann::ordered_json json{{"schema", kSchema},
                              {"digest", record.digest},
                              {"distribution", record.distribution},
                              {"architecture", record.architecture},
                              {"init", init_kind_name(record.init)},
                              {"initPath", record.init_path},
                              {"size", record.size},
                              {"entries", record.entries},
                              {"created", record.created},
                              {"source", record.source}};
  // A source path may hold any bytes; JSON may not.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<Template> parse_template(std::string_view text, const std::string& name) {
  try {
    auto json = nlohmann::json::parse(text);
    if (!json.is_object()) return fail(Code::kFailed, "{}: not an object", kRecordFile);
    if (auto schema = json.at("schema").get<std::int64_t>(); schema != kSchema)
      return fail(Code::kFailed, "{}: schema version {} is not known", kRecordFile, schema);
    Template out;
    out.name = name;
    out.digest = json.at("digest").get<std::string>();
    out.distribution = json.at("distribution").get<std::string>();
    out.architecture = json.at("architecture").get<std::string>();
    out.init = init_kind_from_name(json.at("init").get<std::string>());
    out.init_path = json.at("initPath").get<std::string>();
    out.size = json.at("size").get<std::uint64_t>();
    out.entries = json.at("entries").get<std::uint64_t>();
    out.created = json.at("created").get<std::string>();
    out.source = json.at("source").get<std::string>();
    return out;
  } catch (const nlohmann::json::exception& e) {
    return fail(Code::kFailed, "{}: {}", kRecordFile, e.what());
  }
}

std::string distribution_of(std::string_view os_release) {
  std::string id, version;
  for (std::size_t pos = 0; pos < os_release.size();) {
    auto end = std::min(os_release.find('\n', pos), os_release.size());
    auto line = os_release.substr(pos, end - pos);
    pos = end + 1;
    if (line.starts_with("ID=")) id = unquote(line.substr(3));
    if (line.starts_with("VERSION_ID=")) version = unquote(line.substr(11));
  }
  if (id.empty() || version.empty()) return id;
  return id + " " + version;
}

std::string elf_architecture(std::string_view header) {
  // e_machine stands at the same place in 32 and 64 bit headers.
  constexpr std::size_t kMachineOffset = 18;
  if (header.size() < kMachineOffset + 2 || !header.starts_with(ELFMAG)) return {};
  auto byte = [&](std::size_t at) { return static_cast<unsigned>(static_cast<unsigned char>(header[at])); };
  const bool little = byte(EI_DATA) == ELFDATA2LSB, wide = byte(EI_CLASS) == ELFCLASS64;
  unsigned machine = little ? byte(kMachineOffset) | byte(kMachineOffset + 1) << 8
                            : byte(kMachineOffset) << 8 | byte(kMachineOffset + 1);
  switch (machine) {
    case EM_X86_64: return wide ? "amd64" : "x32";
    case EM_386: return "i386";
    case EM_AARCH64: return "arm64";
    case EM_ARM: return "armhf";
    case EM_RISCV: return wide ? "riscv64" : "riscv32";
    case EM_PPC64: return little ? "ppc64el" : "ppc64";
    case EM_S390: return "s390x";
    default: return {};
  }
}

Result<> describe_tree(int root_fd, Template& record) {
  constexpr std::size_t kOsReleaseLimit = 64u << 10, kElfHeader = 64;
  auto init = VPS_TRY(detect_init(root_fd));
  record.init = init.kind;
  record.init_path = init.path;
  for (const char* path : {"/etc/os-release", "/usr/lib/os-release"}) {
    record.distribution = distribution_of(VPS_TRY(head_of(root_fd, path, kOsReleaseLimit)));
    if (!record.distribution.empty()) break;
  }
  for (const std::string& path : {init.resolved, std::string("/bin/sh"), std::string("/bin/busybox"), std::string("/usr/bin/env")}) {
    if (path.empty()) continue;
    record.architecture = elf_architecture(VPS_TRY(head_of(root_fd, path, kElfHeader)));
    if (!record.architecture.empty()) break;
  }
  return {};
}

std::string rfc3339_now() {
  std::time_t now = std::time(nullptr);
  std::tm tm{};
  ::gmtime_r(&now, &tm);
  std::array<char, 32> text{};
  auto length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &tm);
  return {text.data(), length};
}

}  // namespace vps::storage
