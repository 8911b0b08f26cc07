#include "cgroups/device_filter.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/fd.h"

namespace vps::cgroups {
namespace {

constexpr std::size_t kMaxRules = 4096;
constexpr char kProgramName[] = "vps_devices";  // at most 15 characters; how we know our own program
constexpr std::uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
constexpr std::uint8_t kJump32 = BPF_JMP32 | BPF_K;

enum Register : std::uint8_t { kResult = 0, kContext = 1, kType = 2, kOpen = 3, kMajor = 4, kMinor = 5 };

struct Rule {
  bool allow = false;
  std::optional<std::uint32_t> type, major, minor;  // absent: any
  std::uint32_t access = kAllAccess;
  bool possible = true;  // false: a number that no device can have
  [[nodiscard]] bool any_device() const { return !type && !major && !minor; }
};

Result<Rule> parse_rule(const oci::DeviceRule& in) {
  Rule rule;
  rule.allow = in.allow;
  if (in.type == "b")
    rule.type = BPF_DEVCG_DEV_BLOCK;
  else if (in.type == "c" || in.type == "u")
    rule.type = BPF_DEVCG_DEV_CHAR;
  else if (!in.type.empty() && in.type != "a")
    return fail(Code::kUsage, "device rule of type '{}': expected a, b or c", in.type);
  auto number = [&](const std::optional<std::int64_t>& value, std::optional<std::uint32_t>& out) {
    if (!value || *value < 0) return;  // negative is any, as in the device lists of older engines
    if (*value > std::numeric_limits<std::uint32_t>::max()) rule.possible = false;
    out = static_cast<std::uint32_t>(*value);
  };
  number(in.major, rule.major);
  number(in.minor, rule.minor);
  if (in.access.empty()) return rule;
  rule.access = 0;
  for (char c : in.access) {
    if (c == 'r')
      rule.access |= BPF_DEVCG_ACC_READ;
    else if (c == 'w')
      rule.access |= BPF_DEVCG_ACC_WRITE;
    else if (c == 'm')
      rule.access |= BPF_DEVCG_ACC_MKNOD;
    else
      return fail(Code::kUsage, "device rule with access '{}': expected letters of rwm", in.access);
  }
  return rule;
}

class Assembler {
 public:
  void load(Register to, std::int16_t offset) { emit(BPF_LDX | BPF_MEM | BPF_W, to, kContext, offset, 0); }
  void move(Register to, Register from) { emit(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0); }
  void op(std::uint8_t operation, Register to, std::uint32_t value) {
    emit(static_cast<std::uint8_t>(BPF_ALU | BPF_K | operation), to, 0, 0, value);
  }
  void jump(std::uint8_t condition, Register left, std::uint32_t value, std::size_t over) {
    emit(static_cast<std::uint8_t>(kJump32 | condition), left, 0, static_cast<std::int16_t>(over), value);
  }
  void answer(bool allow) {
    op(BPF_MOV, kResult, allow ? 1 : 0);
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  std::vector<std::uint64_t> take() { return std::move(code_); }

 private:
  void emit(std::uint8_t code, std::uint8_t dst, std::uint8_t src, std::int16_t offset, std::uint32_t imm) {
    bpf_insn insn{};
    insn.code = code;
    insn.dst_reg = dst & 0xf;
    insn.src_reg = src & 0xf;
    insn.off = offset;
    insn.imm = static_cast<std::int32_t>(imm);
    code_.push_back(std::bit_cast<std::uint64_t>(insn));
  }
  std::vector<std::uint64_t> code_;
};

// True when nothing after this rule can be reached (the verifier refuses dead code).
bool compile_rule(Assembler& out, const Rule& rule) {
  bool every_bit = rule.access == kAllAccess;
  // Instructions behind the match: allow of some bits 4, deny of some bits 5, an answer 2.
  std::size_t body = every_bit ? 2 : rule.allow ? 4 : 5;
  std::size_t left = (rule.type ? 1u : 0u) + (rule.major ? 1u : 0u) + (rule.minor ? 1u : 0u);
  auto match = [&](const std::optional<std::uint32_t>& value, Register reg) {
    if (value) out.jump(BPF_JNE, reg, *value, --left + body);
  };
  match(rule.type, kType);
  match(rule.major, kMajor);
  match(rule.minor, kMinor);
  if (every_bit) {
    out.answer(rule.allow);  // the bits still open are all granted, or one of them is refused
    return rule.any_device();
  }
  if (rule.allow) {
    out.op(BPF_AND, kOpen, kAllAccess & ~rule.access);
    out.jump(BPF_JNE, kOpen, 0, 2);
    out.answer(true);
    return false;
  }
  out.move(kResult, kOpen);
  out.op(BPF_AND, kResult, rule.access);
  out.jump(BPF_JEQ, kResult, 0, 2);
  out.answer(false);
  return false;
}

long bpf(bpf_cmd command, bpf_attr& attr) { return ::syscall(SYS_bpf, command, &attr, sizeof attr); }

std::uint64_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

Result<UniqueFd> load_program(const std::vector<std::uint64_t>& program) {
  bpf_attr attr{};
  static constexpr char kLicense[] = "Apache-2.0";  // no GPL-only helper is called
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = address(program.data());
  attr.insn_cnt = static_cast<std::uint32_t>(program.size());
  attr.license = address(kLicense);
  std::memcpy(attr.prog_name, kProgramName, sizeof kProgramName);
  long fd = bpf(BPF_PROG_LOAD, attr);
  if (fd >= 0) return UniqueFd(static_cast<int>(fd));
  if (errno == EINVAL || errno == ENOSYS)
    return fail(Code::kUnavailable, "load device filter of {} instructions: this kernel has no cgroup BPF ({})", program.size(),
                std::strerror(errno));
  return fail_errno(errno, "load device filter of {} instructions", program.size());
}

// Handles of our programs that are attached to the group itself.
Result<std::vector<UniqueFd>> attached_programs(int cgroup) {
  std::array<std::uint32_t, 64> ids{};
  bpf_attr query{};
  query.query.target_fd = static_cast<std::uint32_t>(cgroup);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = address(ids.data());
  query.query.prog_cnt = ids.size();
  if (bpf(BPF_PROG_QUERY, query) != 0) {
    if (errno == EINVAL || errno == ENOSYS) return fail(Code::kUnavailable, "device filter: this kernel has no cgroup BPF");
    return fail_errno(errno, "list device filters of the cgroup");
  }
  std::vector<UniqueFd> ours;
  for (std::size_t i = 0; i < std::min<std::size_t>(query.query.prog_cnt, ids.size()); ++i) {
    bpf_attr open{};
    open.prog_id = ids[i];
    UniqueFd fd(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, open)));
    if (!fd) continue;  // gone meanwhile
    bpf_prog_info details{};
    bpf_attr info{};
    info.info.bpf_fd = static_cast<std::uint32_t>(fd.get());
    info.info.info_len = sizeof details;
    info.info.info = address(&details);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, info) != 0) return fail_errno(errno, "look at a device filter of the cgroup");
    if (std::strncmp(details.name, kProgramName, sizeof details.name) == 0) ours.push_back(std::move(fd));
  }
  return ours;
}

Result<> detach(int cgroup, int program) {
  bpf_attr attr{};
  attr.target_fd = static_cast<std::uint32_t>(cgroup);
  attr.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  if (bpf(BPF_PROG_DETACH, attr) != 0 && errno != ENOENT) return fail_errno(errno, "detach device filter");
  return {};
}

Result<> attach(int cgroup, int program, int replaced) {
  bpf_attr attr{};
  attr.target_fd = static_cast<std::uint32_t>(cgroup);
  attr.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (replaced >= 0) {
    attr.attach_flags |= BPF_F_REPLACE;
    attr.replace_bpf_fd = static_cast<std::uint32_t>(replaced);
  }
  if (bpf(BPF_PROG_ATTACH, attr) != 0) return fail_errno(errno, "attach device filter");
  return {};
}

}  // namespace

Result<std::vector<std::uint64_t>> compile_device_filter(const std::vector<oci::DeviceRule>& rules) {
  if (rules.size() > kMaxRules) return fail(Code::kUsage, "{} device rules, at most {} are possible", rules.size(), kMaxRules);
  std::vector<Rule> parsed;
  for (const auto& rule : rules) parsed.push_back(VPS_TRY(parse_rule(rule)));
  Assembler out;
  // The context is {access << 16 | type, major, minor}; kOpen holds the requested bits that no rule has decided yet.
  out.load(kType, 0);
  out.load(kMajor, 4);
  out.load(kMinor, 8);
  out.move(kOpen, kType);
  out.op(BPF_RSH, kOpen, 16);
  out.op(BPF_AND, kType, 0xffff);
  bool ended = false;
  for (auto rule = parsed.rbegin(); rule != parsed.rend() && !ended; ++rule)  // the last match decides: look at it first
    if (rule->possible) ended = compile_rule(out, *rule);
  if (!ended) out.answer(false);
  return out.take();
}

std::string disassemble_device_filter(std::span<const std::uint64_t> program) {
  std::string text;
  for (std::size_t i = 0; i < program.size(); ++i) {
    auto insn = std::bit_cast<bpf_insn>(program[i]);
    auto value = static_cast<std::uint32_t>(insn.imm);
    unsigned dst = insn.dst_reg, src = insn.src_reg;
    auto target = static_cast<std::ptrdiff_t>(i) + insn.off + 1;
    std::string line;
    switch (insn.code) {
      case BPF_LDX | BPF_MEM | BPF_W: line = fmt::format("w{} = ctx[{}]", dst, insn.off); break;
      case BPF_ALU | BPF_MOV | BPF_X: line = fmt::format("w{} = w{}", dst, src); break;
      case BPF_ALU | BPF_MOV | BPF_K: line = fmt::format("w{} = {}", dst, value); break;
      case BPF_ALU | BPF_AND | BPF_K: line = fmt::format("w{} &= {:#x}", dst, value); break;
      case BPF_ALU | BPF_RSH | BPF_K: line = fmt::format("w{} >>= {}", dst, value); break;
      case kJump32 | BPF_JNE: line = fmt::format("if w{} != {} goto {}", dst, value, target); break;
      case kJump32 | BPF_JEQ: line = fmt::format("if w{} == {} goto {}", dst, value, target); break;
      case BPF_JMP | BPF_EXIT: line = "exit"; break;
      default: line = fmt::format("unknown {:#x}", static_cast<unsigned>(insn.code));
    }
    text += fmt::format("{}: {}\n", i, line);
  }
  return text;
}

Result<> apply_device_filter(int cgroup_dirfd, const std::vector<oci::DeviceRule>& rules) {
  auto old = VPS_TRY(attached_programs(cgroup_dirfd));
  if (!rules.empty()) {
    auto program = VPS_TRY(compile_device_filter(rules));
    auto loaded = VPS_TRY(load_program(program));
    int replaced = old.empty() ? -1 : old.back().get();
    VPS_TRY(attach(cgroup_dirfd, loaded.get(), replaced));
    if (!old.empty()) old.pop_back();
  }
  for (const auto& program : old) VPS_TRY(detach(cgroup_dirfd, program.get()));
  return {};
}

}  // namespace vps::cgroups
