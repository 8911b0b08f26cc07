// Any bytes, read with any sequence of calls that the first bytes choose: never beyond the input, never more than it holds.
#include <cstdint>
#include <cstdlib>

#include "base/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::size_t calls = data[0] % 16;
  if (size < 1 + calls) return 0;
  vps::WireReader reader({reinterpret_cast<const char*>(data) + 1 + calls, size - 1 - calls});
  vps::WireWriter writer;
  for (std::size_t i = 1; i <= calls; ++i) {
    switch (data[i] % 7) {
      case 0: writer.u8(reader.u8()); break;
      case 1: writer.u32(reader.u32()); break;
      case 2: writer.i32(reader.i32()); break;
      case 3: writer.u64(reader.u64()); break;
      case 4: writer.boolean(reader.boolean()); break;
      case 5: writer.string(reader.string()); break;
      case 6: {
        auto values = reader.strings();
        if (values.size() > size) std::abort();
        writer.strings(values);
        break;
      }
    }
  }
  bool complete = reader.finish("f").has_value();
  if (complete && !reader.ok()) std::abort();
  // What was read completely is written again in the same number of bytes.
  if (complete && writer.data().size() != size - 1 - calls) std::abort();
  return 0;
}
