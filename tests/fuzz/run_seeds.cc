// Runs the files of a seed directory through a fuzz target: the seeds are regression tests of every ordinary build.
#include <cstdint>
#include <cstdio>

#include "base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto names = vps::list_dir(argv[1]);
  if (!names || names->empty()) {
    std::fprintf(stderr, "no seeds in %s\n", argv[1]);
    return 1;
  }
  for (const auto& name : *names) {
    auto data = vps::read_file(std::string(argv[1]) + "/" + name);
    if (!data) return 1;
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(data->data()), data->size());
  }
  std::printf("%zu seeds\n", names->size());
  return 0;
}
