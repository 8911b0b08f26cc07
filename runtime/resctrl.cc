#include "runtime/resctrl.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/fd.h"
#include "base/files.h"
#include "base/undo.h"

namespace vps::runtime {
namespace {

const std::string& group_name(const oci::IntelRdt& rdt, const std::string& id) { return rdt.clos_id.empty() ? id : rdt.clos_id; }

std::string without_blanks(std::string_view text) {
  std::string out;
  for (char c : text)
    if (c != ' ' && c != '\t') out += c;
  return out;
}

// "L3:0=ff;1=ff" of the kernel says more than was asked for, never less: every line asked for must be there.
bool holds(std::string_view present, std::string_view wanted) {
  auto lines = "\n" + without_blanks(present);
  for (auto rest = without_blanks(wanted); !rest.empty();) {
    auto end = rest.find('\n');
    if (lines.find("\n" + rest.substr(0, end) + "\n") == std::string::npos) return false;
    rest.erase(0, end == std::string::npos ? end : end + 1);
  }
  return true;
}

Result<> make_group(const std::string& path, UndoStack& undo) {
  if (::mkdir(path.c_str(), 0755) != 0) return fail_errno(errno, "make resctrl group {}", path);
  undo.push(path, [path] { ::rmdir(path.c_str()); });
  return {};
}

Result<> remove_group(const std::string& path) {
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "remove resctrl group {}", path);
  return {};
}

}  // namespace

bool resctrl_mounted(const std::string& root) { return path_exists(root + "/schemata"); }

std::string resctrl_schemata(const oci::IntelRdt& rdt) {
  std::string text;
  auto add = [&](const std::string& line) {
    if (line.empty()) return;
    text += line;
    if (!text.ends_with('\n')) text += '\n';
  };
  add(rdt.l3_cache_schema);
  add(rdt.mem_bw_schema);
  for (const auto& line : rdt.schemata) add(line);
  return text;
}

Result<> enter_resctrl(const std::string& root, const oci::IntelRdt& rdt, const std::string& id, pid_t pid) {
  if (!resctrl_mounted(root)) return fail(Code::kUnavailable, "linux.intelRdt: this host has no resctrl file system at {}", root);
  UndoStack undo;
  const auto path = root + "/" + group_name(rdt, id);
  const auto schemata = resctrl_schemata(rdt);
  const bool exists = path_exists(path);
  if (!exists && !rdt.clos_id.empty() && schemata.empty() && !rdt.enable_monitoring)
    return fail(Code::kNotFound, "linux.intelRdt.closID: there is no resctrl group {}", rdt.clos_id);
  if (!exists) VPS_TRY(make_group(path, undo));
  auto dir = VPS_TRY(open_dir(path));
  if (exists && !schemata.empty()) {
    auto present = VPS_TRY(read_file_at(dir.get(), "schemata"));
    if (!holds(present, schemata)) return fail(Code::kExists, "linux.intelRdt: the resctrl group {} has other schemata than those asked for", path);
  } else if (!schemata.empty()) {
    VPS_TRY_CTX(path, write_kernel_file_at(dir.get(), "schemata", schemata));
  }
  VPS_TRY_CTX(path, write_kernel_file_at(dir.get(), "tasks", std::to_string(pid)));
  if (rdt.enable_monitoring) {
    auto monitor = path + "/mon_groups/" + id;
    VPS_TRY(make_group(monitor, undo));
    auto fd = VPS_TRY(open_dir(monitor));
    VPS_TRY_CTX(monitor, write_kernel_file_at(fd.get(), "tasks", std::to_string(pid)));
  }
  undo.commit();
  return {};
}

Result<std::string> change_resctrl(const std::string& root, const oci::IntelRdt& rdt, const std::string& id, const std::string& schemata) {
  auto path = root + "/" + group_name(rdt, id);
  auto dir = VPS_TRY_CTX("resctrl group", open_dir(path));
  auto before = VPS_TRY_CTX(path, read_file_at(dir.get(), "schemata"));
  VPS_TRY_CTX(path, write_kernel_file_at(dir.get(), "schemata", schemata));
  return before;
}

Result<> leave_resctrl(const std::string& root, const oci::IntelRdt& rdt, const std::string& id) {
  const auto path = root + "/" + group_name(rdt, id);
  if (rdt.enable_monitoring) VPS_TRY(remove_group(path + "/mon_groups/" + id));
  return rdt.clos_id.empty() ? remove_group(path) : Result<>();
}

}  // namespace vps::runtime
