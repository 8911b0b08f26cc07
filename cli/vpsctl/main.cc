#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cli/vpsctl/commands.h"

int main(int argc, char** argv) {
  // A socket must not land on a standard descriptor that the caller has closed: errors would go into it.
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) return 1;
  std::vector<std::string> words(argv + 1, argv + (argc > 0 ? argc : 1));
  return vps::cli::run_vpsctl(words, STDOUT_FILENO, STDERR_FILENO);
}
