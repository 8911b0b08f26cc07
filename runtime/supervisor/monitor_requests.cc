#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "base/wire.h"
#include "runtime/supervisor/monitor.h"

namespace vps::supervisor {
namespace {
constexpr std::size_t kMaxConnections = 512;
constexpr std::chrono::seconds kTokenLife{30};
}  // namespace

void Monitor::on_listener() {
  auto accepted = Seqpacket::accept(listener_.get());
  if (!accepted) return;
  // The socket's mode keeps others out already; a wrongly opened directory must not change that.
  auto peer = accepted->peer();
  if (!peer || peer->uid != 0 || connections_.size() >= kMaxConnections) return;
  int fd = accepted->fd();
  connections_[fd].socket = std::move(*accepted);
  if (!loop_.add(fd, EPOLLIN, [this, fd](std::uint32_t) { on_connection(fd); })) connections_.erase(fd);
}

void Monitor::on_connection(int fd) {
  auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  auto packet = found->second.socket.receive();
  if (!packet || !*packet) {
    drop_connection(fd);
    return;
  }
  handle(found->second, std::move(**packet));
}

void Monitor::drop_connection(int fd) {
  loop_.remove(fd);
  auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  auto session = sessions_.find(found->second.session);
  if (session != sessions_.end()) session->second.connection = -1;
  connections_.erase(found);
}

void Monitor::handle(Connection& connection, Packet packet) {
  auto type = static_cast<Message>(packet.type);
  if (type == Message::kHello) {
    auto hello = decode_hello(packet.body);
    if (!hello || hello->version != kProtocolVersion) {
      drop_connection(connection.socket.fd());
      return;
    }
    connection.control = true;
    (void)connection.socket.send(static_cast<std::uint32_t>(Message::kStatus), encode(status_));
    return;
  }
  if (type == Message::kAttach) {
    handle_attach(connection, std::move(packet));
    return;
  }
  if (type == Message::kSessionSignal) {
    auto signo = decode_signal(packet.body);
    auto session = sessions_.find(connection.session);
    if (!signo || session == sessions_.end()) return;
    if (session->second.started)
      (void)session->second.process.signal(*signo);
    else
      session->second.early_signal = *signo;
    return;
  }
  if (!connection.control) {
    drop_connection(connection.socket.fd());
    return;
  }
  Reply reply;
  auto served = serve_request(type, packet.body);
  if (served) {
    reply.token = std::move(*served);
  } else {
    reply.ok = false;
    reply.error = std::move(served).error();
  }
  (void)connection.socket.send(static_cast<std::uint32_t>(Message::kReply), encode(reply));
}

Result<std::string> Monitor::serve_request(Message type, std::string_view body) {
  bool running = status_.phase == Phase::kRunning || status_.phase == Phase::kStopping;
  if (!running && type != Message::kStop && type != Message::kPrepareConsole)
    return fail(Code::kWrongState, "it is {}", phase_name(status_.phase));
  switch (type) {
    case Message::kStop: {
      auto request = VPS_TRY(decode_stop(body));
      VPS_TRY(begin_stop(request));
      return std::string();
    }
    case Message::kSignal: {
      int signo = VPS_TRY(decode_signal(body));
      VPS_TRY(init_.signal(signo));
      return std::string();
    }
    case Message::kPause:
      if (!group_) return fail(Code::kFailed, "its cgroup is gone");
      VPS_TRY(group_->freeze());
      status_.paused = true;
      changed();
      return std::string();
    case Message::kResume:
      if (!group_) return fail(Code::kFailed, "its cgroup is gone");
      VPS_TRY(group_->thaw());
      status_.paused = false;
      changed();
      return std::string();
    case Message::kPrepareExec: {
      auto request = VPS_TRY(decode_prepare_exec(body));
      if (request.argv.empty() && !request.login) return fail(Code::kUsage, "no command");
      if (status_.paused) return fail(Code::kWrongState, "it is paused");
      return prepare({.exec = std::move(request), .console = {}});
    }
    case Message::kPrepareConsole: return prepare({.exec = {}, .console = VPS_TRY(decode_prepare_console(body))});
    default: return fail(Code::kUsage, "unknown request {}", static_cast<std::uint32_t>(type));
  }
}

Result<std::string> Monitor::prepare(Pending pending) {
  constexpr std::size_t kMaxPending = 1024;
  if (pending_.size() >= kMaxPending) return fail(Code::kBusy, "too many sessions wait to be attached");
  std::string token = random_hex(16);
  pending.expiry = loop_.after(kTokenLife, [this, token] { pending_.erase(token); });
  pending_.emplace(token, std::move(pending));
  return token;
}

void Monitor::handle_attach(Connection& connection, Packet packet) {
  auto refuse = [&](const Error& error) {
    SessionError reply{.code = error.code(), .exit_code = exec_exit_code(error), .message = error.to_string()};
    (void)connection.socket.send(static_cast<std::uint32_t>(Message::kSessionError), encode(reply));
    drop_connection(connection.socket.fd());
  };
  auto found = pending_.find(packet.body);
  if (connection.session != 0 || found == pending_.end()) {
    refuse(Error(Code::kNotFound, "unknown or expired session"));
    return;
  }
  Pending pending = std::move(found->second);
  pending_.erase(found);
  loop_.cancel(pending.expiry);
  if (pending.console) {
    int fd = connection.socket.fd();
    Seqpacket socket = std::move(connection.socket);
    loop_.remove(fd);
    connections_.erase(fd);
    console_.add_reader(std::move(socket), pending.console->readonly);
    return;
  }
  auto started = start_exec(connection, *pending.exec, std::move(packet.fds));
  if (!started) refuse(started.error());
}

Result<> Monitor::start_exec(Connection& connection, const PrepareExec& request, std::vector<UniqueFd> fds) {
  if (!group_ || !init_ || init_ended_) return fail(Code::kWrongState, "it does not run");
  if (!fds.empty() && fds.size() != 3) return fail(Code::kUsage, "an exec takes three descriptors");
  ExecWork work{.request = request, .stdio = {-1, -1, -1}, .session = connection.socket.fd()};
  for (std::size_t i = 0; i < fds.size(); ++i) work.stdio[i] = fds[i].get();
  std::uint32_t id = next_session_++;
  Session session;
  session.connection = connection.socket.fd();
  session.worker = VPS_TRY(fork_exec(plan_, *group_, init_, work));
  sessions_.emplace(id, std::move(session));
  connection.session = id;
  return watch_session(id);
}

Result<> Monitor::watch_session(std::uint32_t id) {
  return loop_.add(sessions_.at(id).worker.channel.fd(), EPOLLIN, [this, id](std::uint32_t) { on_session_worker(id); });
}

void Monitor::on_session_worker(std::uint32_t id) {
  auto& session = sessions_.at(id);
  auto packet = session.worker.channel.receive();
  if (!packet || !*packet) {
    // The worker has ended; what went wrong it has told the client itself. Its process, if it got that far, is ours to reap.
    loop_.remove(session.worker.channel.fd());
    session.worker.channel.close();
    (void)session.worker.process.wait();
    if (!session.started && (!session.process || session.exit)) end_session(id);
    return;
  }
  auto type = static_cast<ChildMessage>((*packet)->type);
  if (type == ChildMessage::kPid && (*packet)->fds.size() == 1) {
    WireReader r((*packet)->body);
    pid_t pid = r.i32();
    session.process = PidFd(std::move((*packet)->fds[0]), pid);
    (void)loop_.add(session.process.fd(), EPOLLIN, [this, id](std::uint32_t) { on_session_exit(id); });
  } else if (type == ChildMessage::kStarted) {
    session.started = true;
    if (session.early_signal != 0) (void)session.process.signal(session.early_signal);
    if (session.exit) end_session(id);
  }
}

void Monitor::on_session_exit(std::uint32_t id) {
  auto& session = sessions_.at(id);
  auto exit = session.process.try_wait();
  if (exit && !*exit) return;
  loop_.remove(session.process.fd());
  session.exit = exit ? **exit : ExitStatus{.code = 0, .signal = SIGKILL};
  // Whether that was the command's end or a failed start is the worker's word, which may still be on its way.
  if (session.started || !session.worker.channel) end_session(id);
}

void Monitor::end_session(std::uint32_t id) {
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  auto owner = connections_.find(session.connection);
  if (owner != connections_.end() && session.started && session.exit)
    (void)owner->second.socket.send(static_cast<std::uint32_t>(Message::kSessionExit), encode_session_exit(*session.exit));
  if (session.worker.channel) {
    loop_.remove(session.worker.channel.fd());
    (void)session.worker.process.wait();  // it has said all and is about to end
  }
  if (session.process) loop_.remove(session.process.fd());
  sessions_.erase(found);
  if (owner == connections_.end()) return;
  owner->second.session = 0;
  drop_connection(owner->first);
}

}  // namespace vps::supervisor
