// The one error type of the system: what failed, for which reason class, and the kernel's errno where there is one.
//
// The numeric values of Code are the exit codes of vpsctl and the `code` of API errors; they never change.
// Thread-safety: values, no shared state.
#pragma once

#include <fmt/core.h>

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace vps {

enum class Code : int {
  kOk = 0,
  kFailed = 1,        // a kernel or I/O failure with no better class
  kUsage = 2,         // bad command line, bad definition, bad value
  kNotFound = 3,
  kExists = 4,
  kWrongState = 5,
  kNotAllowed = 6,
  kBusy = 7,
  kTimedOut = 8,
  kUnavailable = 9,   // no room, or not supported by this host
};

// "failed", "usage", "not_found", ... as the API spells them.
[[nodiscard]] std::string_view code_name(Code code);
[[nodiscard]] Code code_from_name(std::string_view name);  // unknown names are kFailed
// The class that an errno belongs to when nothing better is known (ENOSPC -> kUnavailable, EPERM -> kNotAllowed ...).
[[nodiscard]] Code code_from_errno(int err);

class [[nodiscard]] Error {
 public:
  Error() = default;
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  Error(Code code, int err, std::string message) : code_(code), errno_(err), message_(std::move(message)) {}

  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] int err() const { return errno_; }
  [[nodiscard]] const std::string& message() const { return message_; }  // without the errno's text
  // "start vps 101: mount proc on /proc: Operation not permitted"
  [[nodiscard]] std::string to_string() const;

  // Puts the outer context first: Error("mount proc").wrap("start vps 101") prints "start vps 101: mount proc".
  [[nodiscard]] Error wrap(std::string_view context) &&;
  [[nodiscard]] Error with_code(Code code) &&;

 private:
  Code code_ = Code::kFailed;
  int errno_ = 0;
  std::string message_;
};

template <class T = void>
using Result = std::expected<T, Error>;

template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

// For a system call that has just failed: takes errno, and the class that belongs to it.
[[nodiscard]] std::unexpected<Error> fail_errno_text(int err, std::string message);
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail_errno(int err, fmt::format_string<Args...> format, Args&&... args) {
  return fail_errno_text(err, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace vps

// Value of a Result, or return its error from the enclosing function:  auto fd = VPS_TRY(open_dir(path));
#define VPS_TRY(...)                                                        \
  __extension__({                                                           \
    auto vps_try_result_ = (__VA_ARGS__);                                   \
    if (!vps_try_result_)                                                   \
      return ::std::unexpected<::vps::Error>(std::move(vps_try_result_).error()); \
    *std::move(vps_try_result_);                                            \
  })

// The same, with an outer context in front of the error:  VPS_TRY_CTX("mount proc", mount_at(...));
#define VPS_TRY_CTX(context, ...)                                           \
  __extension__({                                                           \
    auto vps_try_result_ = (__VA_ARGS__);                                   \
    if (!vps_try_result_)                                                   \
      return ::std::unexpected<::vps::Error>(std::move(vps_try_result_).error().wrap(context)); \
    *std::move(vps_try_result_);                                            \
  })
