// Runs a function in a forked child and gives its exit code: for calls that change a process for good.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "base/error.h"

namespace vps::test {

// The function's value, or 128 + the signal that killed it. Nothing of the parent's (atexit, buffers) runs in the child.
inline int in_child(const std::function<int()>& function) {
  std::fflush(nullptr);
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(function());
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// For a child: prints a failed result to stderr. True when it was an error.
template <class T>
bool failed(const Result<T>& result) {
  if (!result) std::fprintf(stderr, "child: %s\n", result.error().to_string().c_str());
  return !result;
}

}  // namespace vps::test
