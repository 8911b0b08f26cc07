// Builds the named templates in the test cache where they are missing: the ctest fixture of all system tests, so that no
// test pays for it inside its own time limit.
#include <cstdio>

#include "tests/support/template_cache.h"

int main(int argc, char** argv) {
  vps::test::TemplateCache cache(vps::test::TemplateCache::default_directory());
  for (int i = 1; i < argc; ++i) {
    auto path = cache.ensure(argv[i]);
    if (!path) {
      std::fprintf(stderr, "%s\n", path.error().to_string().c_str());
      return 1;
    }
    std::printf("%s: %s\n", argv[i], path->c_str());
  }
  return 0;
}
