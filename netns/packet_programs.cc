#include "netns/packet_programs.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>

namespace vps::netns {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kBurst = kSecond / 40;  // small enough for a second to hold the cap within 5 %

class Assembler {
 public:
  Assembler& op(int code, int target, int source, int offset, std::int32_t value) {
    bpf_insn insn{};
    insn.code = static_cast<std::uint8_t>(code);
    insn.dst_reg = static_cast<std::uint8_t>(target) & 0xf;
    insn.src_reg = static_cast<std::uint8_t>(source) & 0xf;
    insn.off = static_cast<std::int16_t>(offset);
    insn.imm = value;
    code_.push_back(std::bit_cast<std::uint64_t>(insn));
    return *this;
  }
  Assembler& move(int target, std::int32_t value) { return op(BPF_ALU64 | BPF_MOV | BPF_K, target, 0, 0, value); }
  Assembler& copy(int target, int source) { return op(BPF_ALU64 | BPF_MOV | BPF_X, target, source, 0, 0); }
  Assembler& load64(int target, int kind, std::uint64_t value) {
    op(BPF_LD | BPF_DW | BPF_IMM, target, kind, 0, static_cast<std::int32_t>(value & 0xffffffff));
    return op(0, 0, 0, 0, static_cast<std::int32_t>(value >> 32));
  }
  Assembler& call(int helper) { return op(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  std::vector<std::uint64_t> exit() {
    op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    return std::move(code_);
  }

 private:
  std::vector<std::uint64_t> code_;
};

long bpf(bpf_cmd command, bpf_attr& attr) { return ::syscall(SYS_bpf, command, &attr, sizeof attr); }

Result<UniqueFd> load(const std::vector<std::uint64_t>& code) {
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attr.insns = reinterpret_cast<std::uintptr_t>(code.data());
  attr.insn_cnt = static_cast<std::uint32_t>(code.size());
  attr.license = reinterpret_cast<std::uintptr_t>("GPL");
  UniqueFd fd(static_cast<int>(bpf(BPF_PROG_LOAD, attr)));
  if (!fd) return fail_errno(errno, "load a packet program (bpf)");
  return fd;
}

}  // namespace

std::vector<std::uint64_t> classify_code() {
  Assembler code;
  code.op(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_0, BPF_REG_1, offsetof(__sk_buff, ingress_ifindex), 0);
  code.op(BPF_ALU | BPF_MOD | BPF_K, BPF_REG_0, 0, 0, kTotalClass - 1);
  code.op(BPF_ALU | BPF_ADD | BPF_K, BPF_REG_0, 0, 0, 1);
  code.op(BPF_ALU | BPF_OR | BPF_K, BPF_REG_0, 0, 0, 0x10000);
  return code.exit();
}

// The generic cell rate algorithm: one number, the time at which the packets so far would have ended at the rate. Processors that
// send at once change it by compare and exchange (BPF_CMPXCHG, Linux 5.12); one that loses a few times adds what it sends without a
// look, which keeps the sum right.
std::vector<std::uint64_t> packet_cap_code(std::uint64_t packets_per_second, int map) {
  constexpr int kAttempts = 4, kAttempt = 11;  // instructions of one
  const std::uint64_t cost = std::max<std::uint64_t>(kSecond / std::max<std::uint64_t>(packets_per_second, 1), 1);
  const std::uint64_t burst = std::max(kBurst, cost);
  constexpr auto kNow = BPF_REG_8, kCharge = BPF_REG_9, kEnd = BPF_REG_7;
  Assembler code;
  code.copy(BPF_REG_6, BPF_REG_1);
  code.op(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0);
  code.copy(BPF_REG_2, BPF_REG_10).op(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4);
  code.load64(BPF_REG_1, BPF_PSEUDO_MAP_FD, static_cast<std::uint32_t>(map));
  code.call(BPF_FUNC_map_lookup_elem);
  code.op(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0);
  code.move(BPF_REG_0, TC_ACT_UNSPEC).op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  code.copy(kEnd, BPF_REG_0);
  code.call(BPF_FUNC_ktime_get_ns).copy(kNow, BPF_REG_0);
  // What a packet is on the wire. A sender that leaves the count out (PACKET_VNET_HDR) is counted by the size of the parts.
  code.op(BPF_LDX | BPF_MEM | BPF_W, kCharge, BPF_REG_6, offsetof(__sk_buff, gso_segs), 0);
  code.op(BPF_JMP | BPF_JNE | BPF_K, kCharge, 0, 7, 0);
  code.move(kCharge, 1);
  code.op(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_6, offsetof(__sk_buff, gso_size), 0);
  code.op(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 4, 0);
  code.op(BPF_LDX | BPF_MEM | BPF_W, kCharge, BPF_REG_6, offsetof(__sk_buff, len), 0);
  code.op(BPF_ALU64 | BPF_ADD | BPF_X, kCharge, BPF_REG_1, 0, 0);
  code.op(BPF_ALU64 | BPF_SUB | BPF_K, kCharge, 0, 0, 1);
  code.op(BPF_ALU64 | BPF_DIV | BPF_X, kCharge, BPF_REG_1, 0, 0);
  code.load64(BPF_REG_1, 0, cost).op(BPF_ALU64 | BPF_MUL | BPF_X, kCharge, BPF_REG_1, 0, 0);
  code.load64(BPF_REG_5, 0, burst);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int after = (kAttempts - 1 - attempt) * kAttempt + 1;  // to what follows the last of them, from the end of this one
    code.op(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_0, kEnd, 0, 0).copy(BPF_REG_2, BPF_REG_0).copy(BPF_REG_1, BPF_REG_0);
    code.op(BPF_JMP | BPF_JGE | BPF_X, BPF_REG_1, kNow, 1, 0).copy(BPF_REG_1, kNow);
    code.copy(BPF_REG_3, BPF_REG_1).op(BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_3, kNow, 0, 0);
    code.op(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_3, BPF_REG_5, static_cast<std::int16_t>(after + 5), 0);  // -> drop
    code.op(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_1, kCharge, 0, 0);
    code.op(BPF_STX | BPF_ATOMIC | BPF_DW, kEnd, BPF_REG_1, 0, BPF_CMPXCHG);
    code.op(BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_0, BPF_REG_2, static_cast<std::int16_t>(after), 0);  // -> pass
  }
  code.op(BPF_STX | BPF_ATOMIC | BPF_DW, kEnd, kCharge, 0, BPF_ADD);
  code.move(BPF_REG_0, TC_ACT_UNSPEC).op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);  // pass
  code.move(BPF_REG_0, TC_ACT_SHOT);                                       // drop
  return code.exit();
}

Result<UniqueFd> load_classify() { return load(classify_code()); }

Result<UniqueFd> load_packet_cap(std::uint64_t packets_per_second) {
  bpf_attr attr{};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = sizeof(std::uint32_t);
  attr.value_size = sizeof(std::uint64_t);
  attr.max_entries = 1;
  UniqueFd map(static_cast<int>(bpf(BPF_MAP_CREATE, attr)));
  if (!map) return fail_errno(errno, "make the counter of a packet program (bpf)");
  return load(packet_cap_code(packets_per_second, map.get()));
}

}  // namespace vps::netns
