// HTTP/1.1 over a unix socket: one network thread for all connections, handlers in worker threads. Knows nothing of what
// the paths mean. Callers are known by SO_PEERCRED (unix(7)).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "daemon/api/http.h"
#include "daemon/workers.h"

namespace vps::daemon::api {

struct ServerOptions {
  std::string socket;
  mode_t mode = 0600;
  uid_t owner = 0;                   // the only uid that is served; others get 403
  std::size_t max_connections = 256; // above: 503
  std::size_t max_body = 1u << 20;   // bytes; above: 413
  std::uint32_t max_header = 16u << 10;  // above: 431
  Milliseconds request_time{30'000};   // for a whole request to arrive, and for a client to take what is sent
  Milliseconds idle_time{120'000};     // between two requests
};

class Server {
 public:
  using Handle = std::function<Reply(Request, Stream&)>;

  // Listens and serves until stop(). kBusy: somebody else listens there.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Workers& workers, Handle handle);
  ~Server();
  // Closes the listener and every connection; handlers see `gone`. Returns when the network thread has ended.
  void stop();
  [[nodiscard]] std::size_t connections() const;

  struct Impl;

 private:
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace vps::daemon::api
