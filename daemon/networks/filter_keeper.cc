#include "daemon/networks/filter_keeper.h"

#include <sys/epoll.h>

#include "base/log.h"

namespace vps::daemon {

void FilterKeeper::start() {
  auto watch = services_.networks->host().watch();
  if (!watch) {
    log::warning("changes of our filter by others are not noticed: {}", watch.error().to_string());
    return;
  }
  if (!*watch) return;
  watch_ = std::move(*watch);
  services_.loop->post([this] {
    auto added = services_.loop->loop().add(watch_->fd(), EPOLLIN, [this](std::uint32_t) { on_change(); });
    if (!added) log::warning("changes of our filter by others are not noticed: {}", added.error().to_string());
  });
}

void FilterKeeper::on_change() {
  auto touched = watch_->drain();
  if (touched && !*touched) return;
  again_ = true;
  if (busy_.exchange(true)) return;
  bool posted = services_.workers->post([this] {
    while (again_.exchange(false)) services_.networks->repair();
    busy_ = false;
  });
  if (!posted) busy_ = false;
}

}  // namespace vps::daemon
