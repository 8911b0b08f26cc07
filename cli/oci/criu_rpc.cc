#include "cli/oci/criu_rpc.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

namespace vps::vpsrun {
namespace {

// https://protobuf.dev/programming-guides/encoding
enum Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

class Writer {
 public:
  Writer& number(unsigned field, std::uint64_t value) {
    varint(field << 3 | kVarint);
    varint(value);
    return *this;
  }
  Writer& text(unsigned field, std::string_view value) {
    varint(field << 3 | kBytes);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

struct Field {
  unsigned number = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  // nullopt: the end, or damaged().
  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    auto key = varint();
    Field field{.number = static_cast<unsigned>(key >> 3), .value = 0, .bytes = {}};
    switch (key & 7) {
      case kVarint: field.value = varint(); break;
      case kFixed64: take(8); break;
      case kFixed32: take(4); break;
      case kBytes: field.bytes = take(varint()); break;
      default: damaged_ = true;
    }
    if (damaged_) return std::nullopt;
    return field;
  }
  [[nodiscard]] bool damaged() const { return damaged_; }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    damaged_ = true;
    return 0;
  }
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) {
      damaged_ = true;
      return {};
    }
    auto bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::string_view rest_;
  bool damaged_ = false;
};

// criu_req_type
constexpr std::uint64_t kDump = 1, kRestore = 2, kNotify = 6, kSinglePreDump = 13;

// criu_opts
enum Option : unsigned {
  kImagesDirFd = 1, kPid = 2, kLogLevel = 9, kLogFile = 10, kPageServer = 11, kNotifyScripts = 12, kRoot = 13, kParentImages = 14, kTrackMemory = 15,
  kWorkDirFd = 17, kSibling = 26, kInheritFd = 27, kCgroupMode = 34, kExternal = 37, kEmptyNamespaces = 38, kStatusFd = 49, kOrphanPtsMaster = 50,
  kLsmProfile = 53, kLsmMountContext = 63,
};
struct Named {
  std::string_view name;
  std::uint64_t value;
};
constexpr auto kFlags = std::to_array<Named>({{"leave-running", 3}, {"ext-unix-sk", 4}, {"tcp-established", 5}, {"shell-job", 7}, {"file-locks", 8},
                                              {"auto-dedup", 16}, {"link-remap", 18}, {"skip-in-flight", 46}, {"lazy-pages", 48}, {"tcp-close", 52}});
constexpr auto kCgroupModes = std::to_array<Named>({{"ignore", 0}, {"soft", 3}, {"full", 4}, {"strict", 5}});
constexpr auto kEmptied = std::to_array<Named>({{"net", CLONE_NEWNET}, {"network", CLONE_NEWNET}});
constexpr std::uint64_t kAllWords = 4;  // of criu's log, which says why it failed

Result<std::uint64_t> value_of(std::span<const Named> table, std::string_view option, std::string_view name) {
  auto found = std::ranges::find(table, name, &Named::name);
  if (found == table.end()) return fail(Code::kUsage, "{}: criu knows no '{}'", option, name);
  return found->value;
}

std::uint64_t as_number(int fd) { return static_cast<std::uint64_t>(fd); }

std::string inherited(std::string_view key, int fd) { return Writer().text(1, key).number(2, as_number(fd)).take(); }

// What both directions have.
Result<Writer> options_of(const CriuOptions& options, const CriuDirs& dirs, std::string_view log_file, std::string_view default_cgroups) {
  Writer opts;
  opts.number(kImagesDirFd, as_number(dirs.images)).number(kWorkDirFd, as_number(dirs.work)).text(kLogFile, log_file).number(kLogLevel, kAllWords);
  // Terminals whose other end is not in the container: we get it anew.
  opts.number(kOrphanPtsMaster, 1);
  opts.number(kCgroupMode, VPS_TRY(value_of(kCgroupModes, "--manage-cgroups-mode", options.manage_cgroups.empty() ? default_cgroups : options.manage_cgroups)));
  for (const auto& flag : options.flags) opts.number(static_cast<unsigned>(VPS_TRY(value_of(kFlags, "options", flag))), 1);
  std::uint64_t empty = 0;
  for (const auto& name : options.empty_ns) empty |= VPS_TRY(value_of(kEmptied, "--empty-ns", name));
  if (empty != 0) opts.number(kEmptyNamespaces, empty);
  return opts;
}

std::string mount_key(std::string_view inside, std::string_view value) { return fmt::format("mnt[{}]:{}", inside, value); }

}  // namespace

Result<std::string> dump_request(const CriuOptions& options, pid_t pid, const External& external, const oci::Spec& spec, const CriuDirs& dirs, bool pre_dump) {
  auto opts = VPS_TRY(options_of(options, dirs, "dump.log", "soft"));
  opts.number(kPid, static_cast<std::uint64_t>(pid));
  if (pre_dump || !options.parent_path.empty()) opts.number(kTrackMemory, 1);
  if (!options.parent_path.empty()) opts.text(kParentImages, options.parent_path);
  if (!options.page_address.empty()) opts.text(kPageServer, Writer().text(1, options.page_address).number(2, options.page_port).take());
  if (options.status_fd >= 0) opts.number(kStatusFd, as_number(options.status_fd));
  for (const auto& mount : external.mounts) opts.text(kExternal, mount_key(mount.inside, mount.inside));
  for (const auto& key : external.stdio)
    if (key.starts_with("file[")) opts.text(kExternal, key);
  for (const auto& entry : external_namespaces(spec)) {
    struct stat st{};
    if (::stat(entry.path.c_str(), &st) != 0) return fail_errno(errno, "{} namespace {}", entry.type, entry.path);
    opts.text(kExternal, fmt::format("{}[{}]:{}", entry.type == "network" ? "net" : "pid", st.st_ino, entry.key));
  }
  return Writer().number(1, pre_dump ? kSinglePreDump : kDump).text(2, opts.take()).take();
}

Result<std::string> restore_request(const CriuOptions& options, const External& external, const oci::Spec& spec, const RestorePlaces& places) {
  // The new process is born in the container's cgroup, as our child; criu has to move nobody.
  auto opts = VPS_TRY(options_of(options, places.dirs, "restore.log", "ignore"));
  opts.text(kRoot, places.root).number(kNotifyScripts, 1).number(kSibling, 1);
  if (!options.lsm_profile.empty()) opts.text(kLsmProfile, options.lsm_profile);
  if (!options.lsm_mount_context.empty()) opts.text(kLsmMountContext, options.lsm_mount_context);
  for (const auto& mount : restored_mounts(external, spec, places)) opts.text(kExternal, mount_key(mount.inside, mount.host));
  for (std::size_t i = 0; i < external.stdio.size(); ++i)
    if (!external.stdio[i].empty() && places.stdio[i] >= 0) opts.text(kInheritFd, inherited(external.stdio[i], places.stdio[i]));
  auto namespaces = external_namespaces(spec);
  for (std::size_t i = 0; i < namespaces.size(); ++i) opts.text(kInheritFd, inherited(namespaces[i].key, places.namespaces.at(i)));
  return Writer().number(1, kRestore).text(2, opts.take()).take();
}

std::string notify_reply(bool success) { return Writer().number(1, kNotify).number(3, success ? 1 : 0).take(); }

Result<CriuMessage> parse_criu_message(std::string_view bytes) {
  CriuMessage message;
  Reader reader(bytes);
  bool damaged = false, typed = false;
  auto inner = [&](std::string_view text, unsigned pid_field, unsigned script_field) {
    Reader part(text);
    while (auto field = part.next()) {
      if (field->number == pid_field) message.pid = static_cast<pid_t>(field->value);
      if (field->number == script_field) message.script = field->bytes;
    }
    damaged = damaged || part.damaged();
  };
  while (auto field = reader.next()) {
    if (field->number == 1) {
      typed = true;
      message.kind = field->value == kNotify ? CriuMessage::Kind::kNotification : CriuMessage::Kind::kAnswer;
    }
    if (field->number == 2) message.success = field->value != 0;
    if (field->number == 4) inner(field->bytes, 1, 0);
    if (field->number == 5) inner(field->bytes, 2, 1);
  }
  if (damaged || reader.damaged() || !typed) return fail(Code::kFailed, "a message from criu that cannot be read");
  return message;
}

Result<std::optional<CriuPacket>> receive_from_criu(int socket) {
  constexpr std::size_t kLargest = 64u << 10;  // an answer has some words of text at most
  std::string buffer(kLargest, '\0');
  iovec data{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = 0;
  do n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n == 0 || (n < 0 && errno == ECONNRESET)) return std::optional<CriuPacket>();
  if (n < 0) return fail_errno(errno, "receive from criu");
  CriuPacket packet;
  if (auto* part = CMSG_FIRSTHDR(&header); part != nullptr && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
    packet.fd = UniqueFd(fd);
  }
  packet.message = VPS_TRY(parse_criu_message(std::string_view(buffer).substr(0, static_cast<std::size_t>(n))));
  return std::optional(std::move(packet));
}

Result<> send_to_criu(int socket, std::string_view bytes) {
  if (::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return fail_errno(errno, "send to criu");
  return {};
}

Error execute_criu(const std::string& program, int socket) {
  (void)::fcntl(socket, F_SETFD, 0);
  auto text = std::to_string(socket);
  ::execl(program.c_str(), "criu", "swrk", text.c_str(), nullptr);
  return fail_errno(errno, "execute {}", program).error();
}

}  // namespace vps::vpsrun
