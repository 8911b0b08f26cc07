#include "daemon/daemon.h"

#include "base/files.h"
#include "base/log.h"
#include "daemon/api/router.h"

namespace vps::daemon {
namespace {

Result<UniqueFd> take_lock(const std::string& directory) {
  VPS_TRY(make_dirs(directory));
  auto lock = lock_file(directory + "/vpsd.lock", false);
  if (!lock && lock.error().code() == Code::kBusy) return fail(Code::kBusy, "another vpsd works in {}", directory);
  return lock;
}

void say(std::string_view what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  log::info("{}: {}", what, text);
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(Options options) {
  std::unique_ptr<Daemon> daemon(new Daemon());
  if (!options.network_host) options.network_host = make_kernel_network_host(options.config);
  daemon->state_lock_ = VPS_TRY(take_lock(options.config.roots.state));
  daemon->run_lock_ = VPS_TRY(take_lock(options.config.roots.run));
  daemon->services_ = VPS_TRY(open_services(options.config, std::move(options.host), std::move(options.network_host)));
  Services& services = *daemon->services_;
  daemon->manager_ = std::make_unique<Manager>(services);
  services.ledger->append("vpsd.started", "", fmt::format("vpsd {}", VPS_VERSION));

  Reconciler reconciler(services, daemon->manager_->monitor());
  daemon->recovery_ = reconciler.recover();
  const auto& report = daemon->recovery_;
  say("adopted", report.adopted);
  say("ended while vpsd was away", report.stopped);
  say("undone", report.undone);
  say("finished", report.finished);
  say("set aside", report.quarantined);
  say("left alone", report.left_alone);

  daemon->sampler_ = std::make_unique<Sampler>(services);
  daemon->sampler_->start();
  daemon->keeper_ = std::make_unique<FilterKeeper>(services);
  daemon->keeper_->start();
  daemon->resolvers_ = std::make_unique<Resolvers>(services);
  daemon->resolvers_->start();
  if (options.server.socket.empty()) options.server.socket = options.config.socket_path();
  auto context = std::make_shared<api::Context>(api::Context{*daemon->manager_, *daemon->sampler_});
  daemon->server_ = VPS_TRY(api::Server::start(
      options.server, *services.workers,
      [context](api::Request request, api::Stream& stream) { return api::handle(*context, std::move(request), stream); }));
  if (options.autostart) daemon->manager_->autostart();
  return daemon;
}

Daemon::~Daemon() { stop(); }

void Daemon::stop() {
  if (!services_ || services_->shutdown.stop_requested()) return;
  services_->shutdown.request_stop();
  services_->operations.cancel_all();
  if (server_) server_->stop();
  services_->workers->stop();
  services_->loop->stop();
  if (auto written = services_->traffic->flush(); !written) log::error("{}", written.error().to_string());
  services_->ledger->append("vpsd.stopped", "", "vpsd leaves; what runs goes on");
}

}  // namespace vps::daemon
