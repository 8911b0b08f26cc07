// HTTP/1.1 to vpsd over its unix socket, one request at a time. The messages are read by Boost.Beast's parser (in http.cc,
// the only place that knows Beast); the socket is driven by poll(2) so that waiting can end at a signal or a deadline.
// Not thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace vps::cli {

struct HttpResponse {
  unsigned status = 0;
  std::string content_type;
  std::string body;
};

struct Wait {
  std::chrono::milliseconds timeout{120'000};  // without any byte from the other side; negative: for ever
  int interrupt_fd = -1;                       // readable: the call returns an error with errno EINTR
};

constexpr std::size_t kMaxResponse = 64u << 20;

// An answer whose body is read piece by piece: followed logs and events.
class HttpStream {
 public:
  [[nodiscard]] unsigned status() const;
  [[nodiscard]] int fd() const;  // for poll(2): when readable, call read_ready()
  // Waits for more of the body; nullopt: it has ended as announced. A connection that breaks off is an error.
  Result<std::optional<std::string>> read(const Wait& wait);
  // What is there without waiting, perhaps nothing ("").
  Result<std::optional<std::string>> read_ready();
  // The rest, for answers that turn out to be short (errors).
  Result<std::string> read_all(const Wait& wait);

 private:
  friend class HttpClient;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

class HttpClient {
 public:
  explicit HttpClient(std::string socket_path) : path_(std::move(socket_path)) {}
  [[nodiscard]] const std::string& socket_path() const { return path_; }

  // The connection is kept for the next request. When nobody listens: kFailed, "cannot reach vpsd at PATH: ...".
  Result<HttpResponse> request(std::string_view method, std::string_view target, std::string_view body, const Wait& wait);
  // A connection of its own, so that requests go on beside it.
  Result<HttpStream> open_stream(std::string_view target, const Wait& wait);

 private:
  struct Connection;
  Result<UniqueFd> connect() const;
  Result<HttpStream> begin(UniqueFd fd, std::string_view method, std::string_view target, std::string_view body,
                           const Wait& wait, bool bounded) const;

  std::string path_;
  UniqueFd kept_;
};

// For one segment of a path or a query value: everything but unreserved characters as %XX (RFC 3986 section 2).
std::string percent_encode(std::string_view text);

}  // namespace vps::cli
