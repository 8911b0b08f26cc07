// The engine's side of --console-socket, --pidfd-socket and linux.seccomp.listenerPath: a listening AF_UNIX stream socket that
// is sent a text with one descriptor beside it.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace vps::test {

struct HandedOver {
  std::string text;
  UniqueFd fd;
};

class HandOverSocket {
 public:
  static Result<HandOverSocket> listen(const std::string& path);
  // The next connection's message; waits for it.
  Result<HandedOver> take();

 private:
  UniqueFd listener_;
};

}  // namespace vps::test
