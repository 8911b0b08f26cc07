#include "base/files.h"
#include "base/log.h"
#include "base/undo.h"
#include "cgroups/cgroup.h"
#include "daemon/failpoints.h"
#include "daemon/lifecycle.h"
#include "daemon/password.h"
#include "specs/vps/definition_yaml.h"
#include "storage/disk.h"

namespace vps::daemon {
namespace {

constexpr mode_t kPrivate = 0700;

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace

Result<std::optional<IdRange>> requested_range(const Definition& definition) {
  const std::string& idmap = definition.security.idmap;
  if (idmap == "auto") return std::optional<IdRange>();
  if (idmap == "host") return std::optional(IdRange());
  auto colon = idmap.find(':');
  if (colon == std::string::npos)
    return fail(Code::kUsage, "security.idmap: expected auto, host or BASE:SIZE, found '{}'", idmap);
  auto base = VPS_TRY_CTX("security.idmap", parse_u64(std::string_view(idmap).substr(0, colon)));
  auto size = VPS_TRY_CTX("security.idmap", parse_u64(std::string_view(idmap).substr(colon + 1)));
  constexpr std::uint64_t kEnd = std::uint64_t{1} << 32;
  if (size == 0 || base >= kEnd || size > kEnd - base - 1)
    return fail(Code::kUsage, "security.idmap: the range {} does not fit below 2^32", idmap);
  return std::optional(IdRange{static_cast<std::uint32_t>(base), static_cast<std::uint32_t>(size)});
}

Result<TemplateUse> check_template(Services& services, const Definition& definition, const std::string& disk_dir) {
  TemplateUse use;
  use.info = VPS_TRY(services.templates.get(definition.template_name));
  const std::string program = definition.init.empty() ? std::string() : definition.init.front();
  auto root = VPS_TRY(open_dir(services.templates.rootfs_path(definition.template_name)));
  use.init = VPS_TRY_CTX("look for an init", storage::detect_init(root.get(), program));
  // An init that was installed inside, after the create, is in the VPS's own layer.
  if (auto upper = open_dir(disk_dir + "/upper"))
    if (auto own = storage::detect_init(upper->get(), program); own && own->kind != storage::InitKind::kNone) use.init = *own;
  if (use.init.kind == storage::InitKind::kNone)
    return fail(Code::kUnavailable, "template {} has no {} (looked for {})", definition.template_name,
                program.empty() ? "init" : program, joined(use.init.looked_for));
  return use;
}

Result<> create_vps(Services& services, const ContainerPtr& container, const Definition& definition, const std::string& authorized_keys,
                    Operation& operation) {
  const auto& paths = container->paths;
  operation.progress("check the template", 5);
  auto use = VPS_TRY(check_template(services, definition, paths.disk));
  VPS_TRY(step("daemon.create.template"));

  UndoStack undo;
  operation.progress("make its directory", 20);
  if (path_exists(paths.state_dir)) return fail(Code::kExists, "{} exists already", paths.state_dir);
  undo.push("files", [&] {
    if (auto done = undo_create(services, paths); !done) log::error("vps {}: {}", container->id, done.error().to_string());
  });
  VPS_TRY(make_dirs(paths.state_dir, kPrivate));
  VPS_TRY(step("daemon.create.directory"));
  VPS_TRY(set_marker(paths, Marker::kCreating));
  VPS_TRY(step("daemon.create.marker"));

  operation.progress("take an id range", 30);
  auto wanted_range = VPS_TRY(requested_range(definition));
  undo.push("id range", [&] { services.idmap.release(container->id); });
  IdRange ids;
  if (wanted_range) {
    VPS_TRY(services.idmap.reserve(*wanted_range, container->id));
    ids = *wanted_range;
  } else {
    ids = VPS_TRY(services.idmap.allocate(container->id));
  }
  std::vector<Lease> held;
  if (!definition.network.interfaces.empty()) {
    operation.progress("reserve its addresses", 35);
    undo.push("addresses", [&] {
      if (auto done = services.networks->release(container->id); !done) log::error("vps {}: {}", container->id, done.error().to_string());
    });
    std::vector<std::string> said;
    VPS_TRY(services.networks->check_neighbours(definition, definition.uuid));
    VPS_TRY(services.networks->reserve(definition, &said));
    for (const auto& warning : said) operation.warn(warning);
    held = VPS_TRY(services.networks->leases().of_vps(container->id));
  }
  VPS_TRY(step("daemon.create.addresses"));
  const Record record{.id = container->id,
                      .uuid = definition.uuid,
                      .template_name = use.info.name,
                      .template_digest = use.info.digest,
                      .created = format_time(std::chrono::system_clock::now()),
                      .ids = ids,
                      .addresses = held};
  VPS_TRY(save_record(paths, record));
  VPS_TRY(step("daemon.create.record"));

  // What would fail or go without at the first start is said now.
  auto preview = VPS_TRY(plan_start(services, paths, definition, record));
  for (const auto& warning : preview.warnings) operation.warn(warning);

  operation.progress("make its disk", 40);
  VPS_TRY_CTX("make its disk", storage::create_disk(paths.disk, definition.disk));
  VPS_TRY(step("daemon.create.disk"));
  if (!authorized_keys.empty()) {
    auto rootfs = storage::rootfs_plan(paths.disk, services.templates.rootfs_path(definition.template_name), definition.disk);
    VPS_TRY_CTX("ssh key", write_disk_file(rootfs, "/root/.ssh/authorized_keys", authorized_keys, 0600, kPrivate));
  }

  operation.progress("save its definition", 90);
  VPS_TRY(write_file_atomic(paths.definition, format_definition(definition)));
  VPS_TRY(step("daemon.create.definition"));
  if (operation.cancelled()) return fail(Code::kFailed, "cancelled");
  operation.allow_cancel(false);

  VPS_TRY(clear_marker(paths, Marker::kCreating));
  VPS_TRY(step("daemon.create.commit"));
  undo.commit();
  {
    std::scoped_lock lock(container->mutex);
    container->facts.definition = definition;
    container->facts.record = record;
    container->facts.init_kind = storage::init_kind_name(use.init.kind);
    container->facts.init_path = use.init.path;
    container->facts.state = State::kStopped;
  }
  container->changed.notify_all();
  services.ledger->append("vps.created", container->id, fmt::format("made from template {}", use.info.name));
  return {};
}

Result<> undo_create(Services& services, const VpsPaths& paths) {
  VPS_TRY(storage::remove_disk(paths.disk));
  VPS_TRY(remove_file(paths.record));
  VPS_TRY(remove_file(paths.definition));
  // Whatever else is there (temporaries of a crash) goes with the directory; the marker is removed with it, last of all
  // being the directory itself: a crash in between leaves an unmarked empty directory at worst.
  if (path_exists(paths.state_dir)) {
    for (const auto& name : VPS_TRY(list_dir(paths.state_dir)))
      if (name != "creating") VPS_TRY(remove_tree(paths.state_dir + "/" + name));
    VPS_TRY(services.networks->release(paths.id));
    VPS_TRY(remove_tree(paths.state_dir));
  }
  return {};
}

Result<> keep_addresses(Services& services, const ContainerPtr& container) {
  auto held = VPS_TRY(services.networks->leases().of_vps(container->id));
  Record record;
  {
    std::scoped_lock lock(container->mutex);
    if (container->gone || container->facts.record.addresses == held) return {};
    record = container->facts.record;
  }
  record.addresses = std::move(held);
  VPS_TRY(save_record(container->paths, record));
  std::scoped_lock lock(container->mutex);
  container->facts.record = std::move(record);
  return {};
}

std::vector<std::string> describe_create(const Services& services, const VpsPaths& paths, const Definition& definition) {
  std::vector<std::string> steps;
  steps.push_back(fmt::format("check template {} and its init", definition.template_name));
  steps.push_back(fmt::format("make {}", paths.state_dir));
  if (definition.security.idmap == "auto") {
    steps.push_back(fmt::format("take a free range of {} ids from {} upwards", kIdRangeSize, services.config.idmap_base));
  } else if (definition.security.idmap == "host") {
    steps.push_back("no user namespace: root inside is root of the host");
  } else {
    steps.push_back(fmt::format("take the id range {}", definition.security.idmap));
  }
  for (const auto& interface : definition.network.interfaces)
    for (const auto& address : interface.addresses)
      steps.push_back(fmt::format("reserve {} in network {} for {}", address == "auto" ? "a free address" : address, interface.network, interface.name));
  steps.push_back(fmt::format("make its disk in {}", paths.disk));
  steps.push_back(fmt::format("save {}", paths.definition));
  return steps;
}

}  // namespace vps::daemon
