#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cli/oci/commands.h"
#include "cli/oci/self.h"

int main(int argc, char** argv) {
  // A descriptor of ours must not land on a standard one that the caller has closed: output would go into it.
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) return 1;
  if (vps::vpsrun::enters_container(argc, argv)) {
    auto protection = vps::vpsrun::run_from_protected_copy(argv);
    if (!protection) {
      std::fprintf(stderr, "vpsrun: %s\n", protection.error().to_string().c_str());
      return 1;
    }
    ::prctl(PR_SET_NAME, "vpsrun");
  }
  std::vector<std::string> words(argv + 1, argv + (argc > 0 ? argc : 1));
  return vps::vpsrun::run_vpsrun(words);
}
