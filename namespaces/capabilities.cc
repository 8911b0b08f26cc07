#include "namespaces/capabilities.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <type_traits>

namespace vps::namespaces {

namespace {

constexpr int kMaxCapabilities = 64;  // what a CapMask holds

struct CapFree {
  void operator()(void* p) const { ::cap_free(p); }
};

constexpr CapMask bit(int number) { return CapMask{1} << number; }

// The number of capabilities of the running kernel: cap_last_cap + 1.
int kernel_capability_count() { return std::min(static_cast<int>(::cap_max_bits()), kMaxCapabilities); }

CapMask kernel_capabilities() {
  int count = kernel_capability_count();
  return count == kMaxCapabilities ? ~CapMask{0} : bit(count) - 1;
}

// "cap_chown" in libcap's spelling; nullopt when the text cannot be a capability's name at all.
std::optional<std::string> canonical_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return std::nullopt;
  std::string lower;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    // libcap would take numbers, too; a definition that says "12" is a mistake.
    if (!(c >= 'a' && c <= 'z') && c != '_') return std::nullopt;
    lower += c;
  }
  if (!lower.starts_with("cap_")) lower.insert(0, "cap_");
  return lower;
}

std::string capability_name(int number) {
  std::unique_ptr<char, CapFree> name(::cap_to_name(static_cast<cap_value_t>(number)));
  if (!name) return "CAP_" + std::to_string(number);
  std::string text(name.get());
  // A kernel newer than libcap: cap_to_name() gives the bare number.
  if (!text.starts_with("cap_")) return "CAP_" + text;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

CapMask parse_list(const oci::Strings& names, std::vector<std::string>* unknown) {
  CapMask mask = 0;
  for (const auto& name : names) {
    auto one = parse_capability(name);
    if (one && (*one & kernel_capabilities()) != 0) {
      mask |= *one;
    } else if (unknown != nullptr && std::find(unknown->begin(), unknown->end(), name) == unknown->end()) {
      unknown->push_back(name);
    }
  }
  return mask;
}

Result<> set_flag(cap_t caps, cap_flag_t flag, CapMask mask, std::string_view which) {
  for (int n = 0; n < kernel_capability_count(); ++n) {
    if ((mask & bit(n)) == 0) continue;
    cap_value_t value = n;
    if (::cap_set_flag(caps, flag, 1, &value, CAP_SET) != 0)
      return fail_errno(errno, "put {} into the {} set", capability_name(n), which);
  }
  return {};
}

}  // namespace

Result<CapMask> parse_capability(std::string_view name) {
  auto canonical = canonical_name(name);
  cap_value_t value = 0;
  if (!canonical || ::cap_from_name(canonical->c_str(), &value) != 0 || value < 0 || value >= kMaxCapabilities)
    return fail(Code::kUsage, "unknown capability '{}'", name.substr(0, 64));
  return bit(value);
}

CapMasks parse_capabilities(const oci::Capabilities& names, std::vector<std::string>* unknown) {
  return {.bounding = parse_list(names.bounding, unknown),
          .effective = parse_list(names.effective, unknown),
          .inheritable = parse_list(names.inheritable, unknown),
          .permitted = parse_list(names.permitted, unknown),
          .ambient = parse_list(names.ambient, unknown)};
}

std::vector<std::string> capability_names(CapMask mask) {
  std::vector<std::string> names;
  for (int n = 0; n < kMaxCapabilities; ++n)
    if ((mask & bit(n)) != 0) names.push_back(capability_name(n));
  return names;
}

std::vector<std::string> known_capability_names() {
  std::vector<std::string> names;
  for (int n = 0; n < kernel_capability_count(); ++n) names.push_back(capability_name(n));
  return names;
}

Result<> drop_bounding(CapMask keep) {
  for (int n = 0; n < kernel_capability_count(); ++n) {
    if ((keep & bit(n)) != 0) continue;
    // Already out of the set: nothing to do, and nothing that would need CAP_SETPCAP.
    if (::prctl(PR_CAPBSET_READ, n, 0, 0, 0) == 0) continue;
    if (::prctl(PR_CAPBSET_DROP, n, 0, 0, 0) != 0)
      return fail_errno(errno, "drop {} from the bounding set", capability_name(n));
  }
  return {};
}

Result<> apply_capabilities(const CapMasks& masks) {
  std::unique_ptr<std::remove_pointer_t<cap_t>, CapFree> caps(::cap_init());
  if (!caps) return fail_errno(errno, "allocate capability sets");
  VPS_TRY(set_flag(caps.get(), CAP_EFFECTIVE, masks.effective, "effective"));
  VPS_TRY(set_flag(caps.get(), CAP_PERMITTED, masks.permitted, "permitted"));
  VPS_TRY(set_flag(caps.get(), CAP_INHERITABLE, masks.inheritable, "inheritable"));
  // What stood in the ambient set must not survive into the new program by accident.
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return fail_errno(errno, "clear the ambient set");
  if (::cap_set_proc(caps.get()) != 0) {
    return fail_errno(errno, "set capabilities (effective {:#x}, permitted {:#x}, inheritable {:#x})", masks.effective,
                      masks.permitted, masks.inheritable);
  }
  for (int n = 0; n < kernel_capability_count(); ++n) {
    if ((masks.ambient & bit(n)) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) != 0)
      return fail_errno(errno, "put {} into the ambient set (it must be permitted and inheritable)",
                        capability_name(n));
  }
  return {};
}

}  // namespace vps::namespaces
