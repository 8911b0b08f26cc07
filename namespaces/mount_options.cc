#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "namespaces/mounts.h"

namespace vps::namespaces {
namespace {

enum class Kind { kAttr, kClear, kRecAttr, kRecClear, kPropagation, kSpecial, kData };

struct Option {
  std::string_view name;
  Kind kind;
  std::uint64_t value = 0;
};

// runtime-spec config.md "Linux mount options" in one table; `features` and the parser both read it.
constexpr auto kOptions = std::to_array<Option>({
    {"async", Kind::kSpecial}, {"atime", Kind::kClear, MOUNT_ATTR_NOATIME},
    {"bind", Kind::kSpecial}, {"defaults", Kind::kSpecial},
    {"dev", Kind::kClear, MOUNT_ATTR_NODEV}, {"diratime", Kind::kClear, MOUNT_ATTR_NODIRATIME},
    {"dirsync", Kind::kData}, {"exec", Kind::kClear, MOUNT_ATTR_NOEXEC},
    {"iversion", Kind::kData}, {"lazytime", Kind::kData},
    {"loud", Kind::kSpecial}, {"mand", Kind::kData},
    {"noatime", Kind::kAttr, MOUNT_ATTR_NOATIME}, {"nodev", Kind::kAttr, MOUNT_ATTR_NODEV},
    {"nodiratime", Kind::kAttr, MOUNT_ATTR_NODIRATIME}, {"noexec", Kind::kAttr, MOUNT_ATTR_NOEXEC},
    {"noiversion", Kind::kSpecial}, {"nolazytime", Kind::kSpecial},
    {"nomand", Kind::kSpecial}, {"norelatime", Kind::kAttr, MOUNT_ATTR_STRICTATIME},
    {"nostrictatime", Kind::kClear, MOUNT_ATTR_STRICTATIME}, {"nosuid", Kind::kAttr, MOUNT_ATTR_NOSUID},
    {"nosymfollow", Kind::kAttr, MOUNT_ATTR_NOSYMFOLLOW}, {"private", Kind::kPropagation, MS_PRIVATE},
    {"ratime", Kind::kRecClear, MOUNT_ATTR_NOATIME}, {"rbind", Kind::kSpecial},
    {"rdev", Kind::kRecClear, MOUNT_ATTR_NODEV}, {"rdiratime", Kind::kRecClear, MOUNT_ATTR_NODIRATIME},
    {"relatime", Kind::kClear, MOUNT_ATTR_STRICTATIME}, {"remount", Kind::kSpecial},
    {"rexec", Kind::kRecClear, MOUNT_ATTR_NOEXEC}, {"rnoatime", Kind::kRecAttr, MOUNT_ATTR_NOATIME},
    {"rnodev", Kind::kRecAttr, MOUNT_ATTR_NODEV}, {"rnodiratime", Kind::kRecAttr, MOUNT_ATTR_NODIRATIME},
    {"rnoexec", Kind::kRecAttr, MOUNT_ATTR_NOEXEC}, {"rnorelatime", Kind::kRecAttr, MOUNT_ATTR_STRICTATIME},
    {"rnostrictatime", Kind::kRecClear, MOUNT_ATTR_STRICTATIME}, {"rnosuid", Kind::kRecAttr, MOUNT_ATTR_NOSUID},
    {"rnosymfollow", Kind::kRecAttr, MOUNT_ATTR_NOSYMFOLLOW}, {"ro", Kind::kAttr, MOUNT_ATTR_RDONLY},
    {"rprivate", Kind::kPropagation, MS_PRIVATE | MS_REC}, {"rrelatime", Kind::kRecClear, MOUNT_ATTR_STRICTATIME},
    {"rro", Kind::kRecAttr, MOUNT_ATTR_RDONLY}, {"rrw", Kind::kRecClear, MOUNT_ATTR_RDONLY},
    {"rshared", Kind::kPropagation, MS_SHARED | MS_REC}, {"rslave", Kind::kPropagation, MS_SLAVE | MS_REC},
    {"rstrictatime", Kind::kRecAttr, MOUNT_ATTR_STRICTATIME}, {"rsuid", Kind::kRecClear, MOUNT_ATTR_NOSUID},
    {"rsymfollow", Kind::kRecClear, MOUNT_ATTR_NOSYMFOLLOW}, {"runbindable", Kind::kPropagation, MS_UNBINDABLE | MS_REC},
    {"rw", Kind::kClear, MOUNT_ATTR_RDONLY}, {"shared", Kind::kPropagation, MS_SHARED},
    {"silent", Kind::kSpecial}, {"slave", Kind::kPropagation, MS_SLAVE},
    {"strictatime", Kind::kAttr, MOUNT_ATTR_STRICTATIME}, {"suid", Kind::kClear, MOUNT_ATTR_NOSUID},
    {"symfollow", Kind::kClear, MOUNT_ATTR_NOSYMFOLLOW}, {"sync", Kind::kData},
    {"tmpcopyup", Kind::kSpecial}, {"unbindable", Kind::kPropagation, MS_UNBINDABLE},
    {"idmap", Kind::kSpecial}, {"ridmap", Kind::kSpecial},
    {"src-nofollow", Kind::kSpecial}, {"dest-nofollow", Kind::kSpecial},
});

void apply_special(std::string_view name, MountOptions& out) {
  if (name == "bind") out.bind = true;
  if (name == "rbind") out.bind = out.recursive_bind = true;
  if (name == "remount") out.remount = true;
  if (name == "tmpcopyup") out.tmpcopyup = true;
  if (name == "idmap") out.idmap = true;
  if (name == "ridmap") out.idmap = out.recursive_idmap = true;
  if (name == "src-nofollow") out.src_nofollow = true;
  if (name == "dest-nofollow") out.dest_nofollow = true;
}

void set_bits(std::uint64_t bits, std::uint64_t& on, std::uint64_t& off) {
  on |= bits;
  off &= ~bits;
}

void apply(const Option& option, MountOptions& out) {
  switch (option.kind) {
    case Kind::kAttr: set_bits(option.value, out.attr_set, out.attr_clear); break;
    case Kind::kClear: set_bits(option.value, out.attr_clear, out.attr_set); break;
    case Kind::kRecAttr: set_bits(option.value, out.rec_attr_set, out.rec_attr_clear); break;
    case Kind::kRecClear: set_bits(option.value, out.rec_attr_clear, out.rec_attr_set); break;
    case Kind::kPropagation: out.propagation.push_back(option.value); break;
    case Kind::kSpecial: apply_special(option.name, out); break;
    case Kind::kData: out.data.emplace_back(option.name, ""); break;
  }
}

}  // namespace

Result<MountOptions> parse_mount_options(const oci::Strings& options) {
  MountOptions out;
  for (const auto& text : options) {
    const auto* option = std::ranges::find(kOptions, std::string_view(text), &Option::name);
    if (option != kOptions.end()) {
      apply(*option, out);
      continue;
    }
    if (text.empty()) return fail(Code::kUsage, "empty mount option");
    auto equals = text.find('=');
    out.data.emplace_back(text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1));
  }
  // The atime modes are one field for the kernel: setting one means clearing the field (mount_setattr(2)).
  constexpr std::uint64_t kAtimeModes = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME;
  if (((out.attr_set | out.attr_clear) & kAtimeModes) != 0) out.attr_clear |= MOUNT_ATTR__ATIME;
  if (((out.rec_attr_set | out.rec_attr_clear) & kAtimeModes) != 0) out.rec_attr_clear |= MOUNT_ATTR__ATIME;
  return out;
}

std::vector<std::string> known_mount_option_names() {
  std::vector<std::string> names;
  for (const auto& option : kOptions) names.emplace_back(option.name);
  std::ranges::sort(names);
  return names;
}

std::string mount_attr_names(std::uint64_t attrs) {
  struct Name {
    std::uint64_t bit;
    std::string_view name;
  };
  constexpr auto kNames = std::to_array<Name>({{MOUNT_ATTR_RDONLY, "ro"},
                                               {MOUNT_ATTR_NOSUID, "nosuid"},
                                               {MOUNT_ATTR_NODEV, "nodev"},
                                               {MOUNT_ATTR_NOEXEC, "noexec"},
                                               {MOUNT_ATTR_NOATIME, "noatime"},
                                               {MOUNT_ATTR_STRICTATIME, "strictatime"},
                                               {MOUNT_ATTR_NODIRATIME, "nodiratime"},
                                               {MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"}});
  std::string text;
  for (const auto& [bit, name] : kNames)
    if ((attrs & bit) != 0) {
      if (!text.empty()) text += ",";
      text += name;
    }
  return text;
}

}  // namespace vps::namespaces
