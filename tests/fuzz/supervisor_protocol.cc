// Every message that a supervisor or its clients decode, from arbitrary bytes.
#include <cstdint>
#include <string_view>

#include "runtime/supervisor/client.h"
#include "runtime/supervisor/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vps::supervisor;
  std::string_view body(reinterpret_cast<const char*>(data), size);
  (void)decode_status(body);
  (void)decode_hello(body);
  (void)decode_reply(body);
  (void)decode_stop(body);
  (void)decode_prepare_exec(body);
  (void)decode_prepare_console(body);
  (void)decode_session_error(body);
  (void)decode_session_exit(body);
  (void)decode_signal(body);
  (void)decode_resize(body);
  (void)parse_plan(body);
  (void)parse_run_state(body);
  return 0;
}
