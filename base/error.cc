#include "base/error.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace vps {
namespace {
constexpr std::array<std::string_view, 10> kNames = {"ok",        "failed", "usage",     "not_found",   "exists",
                                                     "wrong_state", "not_allowed", "busy", "timed_out", "unavailable"};
}  // namespace

std::string_view code_name(Code code) {
  auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : kNames[1];
}

Code code_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Code>(i);
  return Code::kFailed;
}

Code code_from_errno(int err) {
  switch (err) {
    case ENOENT: return Code::kNotFound;
    case EEXIST: return Code::kExists;
    case EPERM:
    case EACCES: return Code::kNotAllowed;
    case EBUSY: return Code::kBusy;
    case ETIMEDOUT: return Code::kTimedOut;
    case ENOSPC:
    case EDQUOT:
    case ENOSYS:
    case EOPNOTSUPP: return Code::kUnavailable;
    default: return Code::kFailed;
  }
}

std::string Error::to_string() const {
  if (errno_ == 0) return message_;
  // strerrordesc_np is thread-safe and untranslated, unlike strerror.
  const char* text = strerrordesc_np(errno_);
  return message_ + ": " + (text != nullptr ? text : "unknown error");
}

Error Error::wrap(std::string_view context) && {
  message_.insert(0, ": ").insert(0, context);
  return std::move(*this);
}

Error Error::with_code(Code code) && {
  code_ = code;
  return std::move(*this);
}

std::unexpected<Error> fail_errno_text(int err, std::string message) {
  return std::unexpected<Error>(Error(code_from_errno(err), err, std::move(message)));
}

}  // namespace vps
