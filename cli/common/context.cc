#include "cli/common/context.h"

#include <cerrno>

namespace vps::cli {

int report_error(Context& context, std::string_view action, std::string_view subject, const Error& error, int exit_code) {
  int code = exit_code != 0 ? exit_code : static_cast<int>(error.code());
  std::string front(action);
  if (!subject.empty()) front += fmt::format(" {}", subject);
  std::string message = error.message();
  for (const auto& same : {front + ": ", fmt::format("{} vps {}: ", action, subject)})
    if (message.starts_with(same) && message.size() > same.size()) message.erase(0, same.size());
  context.output.error(front, Error(error.code(), error.err(), std::move(message)), context.api.details(), code);
  context.api.clear_details();
  return code;
}

bool is_interrupt(const Error& error) { return error.err() == EINTR; }

}  // namespace vps::cli
