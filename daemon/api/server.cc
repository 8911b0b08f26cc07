#include "daemon/api/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>
#include <future>
#include <optional>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/log.h"

namespace vps::daemon::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Protocol = asio::local::stream_protocol;
using beast::error_code;

// Above the limit a few more are let in, only to be told so.
constexpr std::size_t kRefusedConnections = 32;

Result<UniqueFd> listen_on(const ServerOptions& options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options.socket.size() >= sizeof address.sun_path)
    return fail(Code::kUsage, "the path of the socket is longer than {} bytes: {}", sizeof address.sun_path - 1, options.socket);
  std::memcpy(address.sun_path, options.socket.c_str(), options.socket.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe) return fail_errno(errno, "socket");
  if (::connect(probe.get(), generic, sizeof address) == 0) return fail(Code::kBusy, "somebody listens on {} already", options.socket);
  VPS_TRY(remove_file(options.socket));

  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket");
  // bind(2) makes the file with the socket's own mode, less the umask: never open for a moment, whatever the umask is.
  if (::fchmod(fd.get(), options.mode) != 0 || ::bind(fd.get(), generic, sizeof address) != 0)
    return fail_errno(errno, "bind {}", options.socket);
  if (::chmod(options.socket.c_str(), options.mode) != 0 || ::listen(fd.get(), SOMAXCONN) != 0)
    return fail_errno(errno, "listen on {}", options.socket);
  return fd;
}

}  // namespace

class Session;

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(ServerOptions server_options, Workers& server_workers, Handle server_handle)
      : options(std::move(server_options)), workers(server_workers), handle(std::move(server_handle)), acceptor(io) {}

  void accept();
  void close_all();

  const ServerOptions options;
  Workers& workers;
  const Handle handle;
  asio::io_context io{1};
  Protocol::acceptor acceptor;
  std::set<std::shared_ptr<Session>> sessions;  // network thread only
  std::atomic<std::size_t> count = 0;
  bool stopping = false;                        // network thread only
  std::thread thread;
};

// One connection. All members belong to the network thread, but for what Stream does from a worker through post().
class Session : public Stream, public std::enable_shared_from_this<Session> {
 public:
  Session(Protocol::socket socket, std::shared_ptr<Server::Impl> server, std::optional<Error> refusal)
      : server_(std::move(server)), stream_(std::move(socket)), refusal_(std::move(refusal)) {}

  void run() { read_head(); }

  void close() {
    gone_.request_stop();
    error_code ignored;
    stream_.socket().shutdown(Protocol::socket::shutdown_both, ignored);
    stream_.close();
  }

  bool begin(std::string_view content_type) override {
    auto head = std::make_shared<http::response<http::empty_body>>();
    head->result(http::status::ok);
    head->version(11);
    head->set(http::field::content_type, beast::string_view(content_type.data(), content_type.size()));
    head->keep_alive(keep_alive_);
    head->chunked(true);
    streaming_ = true;
    auto serializer = std::make_shared<http::response_serializer<http::empty_body>>(*head);
    return in_network_thread([this, head, serializer](auto done) {
      http::async_write_header(stream_, *serializer,
                               [head, serializer, done](error_code error, std::size_t) { done(!error); });
    });
  }

  bool write(std::string_view data) override {
    if (data.empty()) return !gone_.stop_requested();
    // `data` outlives the call: this thread waits for the end of the write.
    asio::const_buffer buffer(data.data(), data.size());
    return in_network_thread([this, buffer](auto done) {
      asio::async_write(stream_, http::make_chunk(buffer), [done](error_code error, std::size_t) { done(!error); });
    });
  }

 private:
  // Starts `operation` in the network thread and waits, in this worker, for the outcome that it passes to `done`.
  template <class Operation>
  bool in_network_thread(Operation operation) {
    auto promise = std::make_shared<std::promise<bool>>();
    auto outcome = promise->get_future();
    asio::post(stream_.get_executor(), [self = shared_from_this(), this, promise, operation] {
      if (gone_.stop_requested()) return promise->set_value(false);
      stream_.expires_after(server_->options.request_time);
      operation([self, promise](bool good) { promise->set_value(good); });
    });
    return outcome.get();
  }

  void read_head() {
    parser_.emplace();
    parser_->body_limit(server_->options.max_body);
    parser_->header_limit(server_->options.max_header);
    stream_.expires_after(first_ ? server_->options.request_time : server_->options.idle_time);
    first_ = false;
    if (buffer_.size() > 0) stream_.expires_after(server_->options.request_time);
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      self->on_head(error);
    });
  }

  void on_head(error_code error) {
    if (error) return on_bad_request(error);
    keep_alive_ = parser_->get().keep_alive();
    stream_.expires_after(server_->options.request_time);
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
      auto head = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
      http::async_write(stream_, *head, [self = shared_from_this(), head](error_code failed, std::size_t) {
        if (failed) return self->end();
        self->read_body();
      });
      return;
    }
    read_body();
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      self->on_request(error);
    });
  }

  void on_bad_request(error_code error) {
    if (error == http::error::end_of_stream || error == beast::error::timeout) return end();
    Reply reply = error_reply(Error(Code::kUsage, "not a good HTTP request: " + error.message()));
    if (error == http::error::body_limit) {
      reply = error_reply(Error(Code::kUsage, fmt::format("the body is larger than {} bytes", server_->options.max_body)));
      reply.status = 413;
    } else if (error == http::error::header_limit) {
      reply = error_reply(Error(Code::kUsage, fmt::format("the head is larger than {} bytes", server_->options.max_header)));
      reply.status = 431;
    } else if (error.category() != http::make_error_code(http::error::bad_method).category()) {
      return end();  // the connection broke: nobody is there to be told
    }
    keep_alive_ = false;
    linger_ = true;
    send(std::move(reply));
  }

  void on_request(error_code error) {
    if (error) return on_bad_request(error);
    stream_.expires_never();
    if (refusal_) {
      keep_alive_ = false;
      Reply reply = error_reply(*refusal_);
      if (refusal_->code() == Code::kBusy) reply.status = 503;
      return send(std::move(reply));
    }
    auto& message = parser_->get();
    Request request;
    auto method = method_from_name(std::string_view(message.method_string().data(), message.method_string().size()));
    auto target = message.target();
    auto split = split_target(std::string_view(target.data(), target.size()), &request.path, &request.query);
    if (!method) {
      Reply reply = error_reply(Error(Code::kUsage, "unknown method"));
      reply.status = 405;
      return send(std::move(reply));
    }
    if (!split) return send(error_reply(split.error()));
    request.method = *method;
    request.body = std::move(message.body());
    gone_ = std::stop_source();
    request.gone = gone_.get_token();
    busy_ = true;
    streaming_ = false;
    watch_for_leaving();
    // The network thread must outlive the handler, also when nothing else is left for it to do.
    auto busy = asio::make_work_guard(stream_.get_executor());
    auto job = [self = shared_from_this(), busy, request = std::move(request)]() mutable {
      Reply reply = self->server_->handle(std::move(request), *self);
      asio::post(self->stream_.get_executor(), [self, reply = std::move(reply)]() mutable { self->on_reply(std::move(reply)); });
    };
    if (!server_->workers.post(std::move(job))) on_reply(error_reply(Error(Code::kUnavailable, "vpsd is going away")));
  }

  // While a handler works nothing is read, so a client that leaves would not be noticed.
  void watch_for_leaving() {
    stream_.socket().async_wait(Protocol::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (error || !self->busy_) return;
      char byte = 0;
      ssize_t n = ::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) return self->watch_for_leaving();  // woken by what had been read already
      if (n <= 0) self->gone_.request_stop();
      // n > 0: the next request is there already; this one must be answered first.
    });
  }

  void on_reply(Reply reply) {
    busy_ = false;
    error_code ignored;
    stream_.socket().cancel(ignored);
    if (!reply.streamed) return send(std::move(reply));
    if (gone_.stop_requested()) return end();
    stream_.expires_after(server_->options.request_time);
    asio::async_write(stream_, http::make_chunk_last(), [self = shared_from_this()](error_code error, std::size_t) {
      if (error || !self->keep_alive_) return self->end();
      self->read_head();
    });
  }

  void send(Reply reply) {
    auto message = std::make_shared<http::response<http::string_body>>();
    message->version(11);
    message->result(static_cast<unsigned>(reply.status));
    message->set(http::field::content_type, reply.content_type);
    if (!reply.allow.empty()) message->set(http::field::allow, reply.allow);
    message->keep_alive(keep_alive_);
    message->body() = std::move(reply.body);
    message->prepare_payload();
    stream_.expires_after(server_->options.request_time);
    http::async_write(stream_, *message, [self = shared_from_this(), message](error_code error, std::size_t) {
      if (!error && self->keep_alive_) return self->read_head();
      if (!error && self->linger_) return self->discard();
      self->end();
    });
  }

  // Closing with unread input would take our answer from the client (it sees a reset), so read on for a moment.
  void discard() {
    error_code ignored;
    stream_.socket().shutdown(Protocol::socket::shutdown_send, ignored);
    stream_.expires_after(std::chrono::seconds(1));
    buffer_.consume(buffer_.size());
    stream_.async_read_some(buffer_.prepare(64u << 10), [self = shared_from_this()](error_code error, std::size_t n) {
      self->discarded_ += n;
      constexpr std::size_t kEnough = 8u << 20;
      if (error || self->discarded_ > kEnough) return self->end();
      self->discard();
    });
  }

  void end() {
    gone_.request_stop();
    error_code ignored;
    stream_.socket().shutdown(Protocol::socket::shutdown_both, ignored);
    stream_.close();
    if (server_->sessions.erase(shared_from_this()) > 0) --server_->count;
  }

  std::shared_ptr<Server::Impl> server_;
  beast::basic_stream<Protocol> stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<Error> refusal_;
  std::stop_source gone_;
  std::size_t discarded_ = 0;
  bool first_ = true;
  bool keep_alive_ = false;
  bool linger_ = false;
  bool busy_ = false;
  std::atomic<bool> streaming_ = false;
};

void Server::Impl::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code error, Protocol::socket socket) {
    if (self->stopping || error == asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors, most likely: without a pause this would spin.
      log::warning("accept: {}", error.message());
      auto timer = std::make_shared<asio::steady_timer>(self->io, std::chrono::milliseconds(100));
      timer->async_wait([self, timer](error_code) { self->accept(); });
      return;
    }
    std::optional<Error> refusal;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != self->options.owner)
      refusal = Error(Code::kNotAllowed, fmt::format("uid {} may not use this vpsd", peer.uid));
    else if (self->sessions.size() >= self->options.max_connections)
      refusal = Error(Code::kBusy, fmt::format("more than {} connections", self->options.max_connections));
    if (self->sessions.size() < self->options.max_connections + kRefusedConnections) {
      auto session = std::make_shared<Session>(std::move(socket), self, std::move(refusal));
      self->sessions.insert(session);
      ++self->count;
      session->run();
    }
    self->accept();
  });
}

void Server::Impl::close_all() {
  stopping = true;
  error_code ignored;
  acceptor.close(ignored);
  for (const auto& session : sessions) session->close();
}

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Workers& workers, Handle handle) {
  auto listener = VPS_TRY(listen_on(options));
  try {
    auto impl = std::make_shared<Impl>(options, workers, std::move(handle));
    impl->acceptor.assign(Protocol(), listener.release());
    impl->accept();
    impl->thread = std::thread([raw = impl.get()] {
      while (true) {
        try {
          raw->io.run();
          return;
        } catch (const std::exception& e) {
          log::error("network thread: {}", e.what());
        }
      }
    });
    return std::unique_ptr<Server>(new Server(std::move(impl)));
  } catch (const std::exception& e) {
    return fail(Code::kFailed, "listen on {}: {}", options.socket, e.what());
  }
}

void Server::stop() {
  if (!impl_ || !impl_->thread.joinable()) return;
  asio::post(impl_->io, [impl = impl_] { impl->close_all(); });
  // The loop runs out of work when the last session has ended, which takes as long as its handler does.
  impl_->thread.join();
  (void)remove_file(impl_->options.socket);
}

std::size_t Server::connections() const { return impl_->count; }

}  // namespace vps::daemon::api
