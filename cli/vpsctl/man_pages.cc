// Writes the man pages of vpsctl and its commands into a directory, at build time: man_pages DIRECTORY DATE
#include <unistd.h>

#include "base/files.h"
#include "cli/vpsctl/commands.h"

namespace vps::cli {
namespace {

Result<> write_pages(const std::string& directory, const std::string& date) {
  VPS_TRY(make_dirs(directory));
  VPS_TRY(write_file_atomic(directory + "/vpsctl.1", man_page(kProgram, kProgram, "", date)));
  for (const auto* command : kProgram.commands)
    if (!command->hidden)
      VPS_TRY(write_file_atomic(fmt::format("{}/vpsctl-{}.1", directory, command->name), man_page(kProgram, *command, command->name, date)));
  return {};
}

}  // namespace
}  // namespace vps::cli

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto done = vps::cli::write_pages(argv[1], argv[2]);
  if (done) return 0;
  (void)vps::write_all(STDERR_FILENO, done.error().to_string() + "\n");
  return 1;
}
