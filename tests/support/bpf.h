// Runs a seccomp filter (classic BPF over struct seccomp_data) in the test itself: every call of every architecture can be
// asked about without making it. Knows the instructions that seccomp(2) allows and libseccomp emits; throws on others.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace vps::test {

inline std::uint32_t run_filter(const std::vector<std::uint64_t>& program, const seccomp_data& data) {
  std::uint32_t a = 0;
  std::size_t pc = 0;
  for (;;) {
    sock_filter in{};
    std::memcpy(&in, &program.at(pc++), sizeof in);
    bool yes = false;
    switch (in.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (in.k + 4 > sizeof data) throw std::out_of_range("load");
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + in.k, 4);
        continue;
      case BPF_ALU | BPF_AND | BPF_K: a &= in.k; continue;
      case BPF_RET | BPF_K: return in.k;
      case BPF_JMP | BPF_JA: pc += in.k; continue;
      case BPF_JMP | BPF_JEQ | BPF_K: yes = a == in.k; break;
      case BPF_JMP | BPF_JGT | BPF_K: yes = a > in.k; break;
      case BPF_JMP | BPF_JGE | BPF_K: yes = a >= in.k; break;
      case BPF_JMP | BPF_JSET | BPF_K: yes = (a & in.k) != 0; break;
      default: throw std::logic_error("unknown instruction " + std::to_string(in.code));
    }
    pc += yes ? in.jt : in.jf;
  }
}

inline std::uint32_t run_filter(const std::vector<std::uint64_t>& program, std::uint32_t arch, int number,
                                std::array<std::uint64_t, 6> args = {}) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  for (std::size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  return run_filter(program, data);
}

}  // namespace vps::test
