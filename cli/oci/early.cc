// The program's entry point where it is a static one for x86-64: it executes the read-only clone (self.h) before the C library has
// started. The library asks the processor what it is (cpuid), which traps in a virtual machine: half of what a small program's start
// costs there. It only takes time off: without it, or when a call fails, main() does the same and says what is wrong, and whether
// the program is protected is asked there alone.
//
// No thread-local storage, no relocation and no library function (memcmp, strlen, errno) may be used here: none of them works yet.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <elf.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "cli/oci/self.h"

namespace {

// Five arguments are enough for every call below.
long kernel(long number, long a, long b, long c, long d, long e) {
  long result = 0;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}

template <typename T>
long address(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

bool begins_with(const char* text, const char* prefix) {
  while (*prefix != 0)
    if (*text++ != *prefix++) return false;
  return true;
}

// Nothing to do where the program lies on a read-only mount.
bool is_read_only() {
  struct statfs fs;
  return kernel(SYS_statfs, address(vps::vpsrun::kSelf), address(&fs), 0, 0, 0) == 0 && (fs.f_flags & ST_RDONLY) != 0;
}

// Executed by descriptor already: the copy, or main()'s to find out.
bool executed_by_descriptor(char** environment) {
  while (*environment != nullptr) ++environment;
  for (auto* entry = reinterpret_cast<const Elf64_auxv_t*>(environment + 1); entry->a_type != AT_NULL; ++entry)
    if (entry->a_type == AT_EXECFN) return begins_with(reinterpret_cast<const char*>(entry->a_un.a_val), "/dev/fd/");
  return true;
}

}  // namespace

// As the kernel lays it out: argc, the arguments, null, the environment, null, the auxiliary vector.
extern "C" [[gnu::used]] void vpsrun_early(long* stack) {
  const int argc = static_cast<int>(stack[0]);
  auto* argv = reinterpret_cast<char**>(stack + 1);
  char** environment = argv + argc + 1;
  if (!vps::vpsrun::enters_container(argc, argv) || executed_by_descriptor(environment) || is_read_only()) return;
  long mount = kernel(SYS_open_tree, AT_FDCWD, address(vps::vpsrun::kSelf), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0, 0);
  if (mount < 0) return;
  mount_attr attributes{};
  attributes.attr_set = vps::vpsrun::kCopyAttributes;
  if (kernel(SYS_mount_setattr, mount, address(""), AT_EMPTY_PATH, address(&attributes), sizeof attributes) == 0)
    kernel(SYS_execveat, mount, address(""), address(argv), address(environment), AT_EMPTY_PATH);
  kernel(SYS_close, mount, 0, 0, 0, 0);
}

// rdx is what the library is to call at exit, and the stack is what it reads the arguments from: both as they were.
asm(R"(
  .text
  .globl vpsrun_entry
  .type vpsrun_entry, @function
vpsrun_entry:
  endbr64
  xor %ebp, %ebp
  mov %rdx, %r12
  mov %rsp, %rbx
  mov %rsp, %rdi
  and $-16, %rsp
  call vpsrun_early
  mov %rbx, %rsp
  mov %r12, %rdx
  jmp _start
  .size vpsrun_entry, .-vpsrun_entry
)");
#endif
