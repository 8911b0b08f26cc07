#include "daemon/networks/lease_book.h"

#include <algorithm>
#include <set>

namespace vps::daemon {
namespace {

std::int64_t now_ms() { return unix_ms(std::chrono::system_clock::now()); }

struct Wanted {
  std::string network, interface;
  std::optional<Prefix> fixed;   // nullopt: any of `family`
  Family family = Family::kV4;
  Prefix subnet;                 // of `auto`
};

// One entry per address; an `auto` is one of each family that the network has.
Result<std::vector<Wanted>> expand(const Interface& interface, const Network& network) {
  std::vector<Wanted> wanted;
  for (const auto& text : interface.addresses) {
    if (text != "auto") {
      auto address = VPS_TRY(parse_prefix(text));
      const auto* subnet = subnet_of(network, address.address);
      const bool with_length = text.find('/') != std::string::npos;
      if (subnet == nullptr && !network.subnets.empty())
        return fail(Code::kUsage, "{} is in no subnet of network {}", format_ip(address.address), network.name);
      if (subnet == nullptr && !with_length)
        return fail(Code::kUsage, "{}: network {} has no subnets, so a length is needed, like {}/24", text, network.name, text);
      if (subnet != nullptr) {
        if (with_length && !address.single() && address.length != subnet->length)
          return fail(Code::kUsage, "{}: network {} has the subnet {}", text, network.name, format_prefix(*subnet));
        if (!assignable(network, *subnet, address.address))
          return fail(Code::kUsage, "{} cannot be given out in network {}: it is a gateway or the edge of {}", format_ip(address.address),
                      network.name, format_prefix(*subnet));
        address.length = network.mode == net::Mode::kRouted ? address_bits(address.family()) : subnet->length;
      }
      wanted.push_back({network.name, interface.name, address, address.family(), {}});
      continue;
    }
    if (network.subnets.empty()) return fail(Code::kUsage, "network {} has no subnets to take an address from", network.name);
    for (auto family : {Family::kV4, Family::kV6})
      if (std::ranges::any_of(network.subnets, [&](const Prefix& subnet) { return subnet.family() == family; }))
        wanted.push_back({network.name, interface.name, std::nullopt, family, {}});
  }
  return wanted;
}

// A network may have been deleted and made anew with other subnets since an address of it was given out.
bool may_keep(const Network& network, const IpAddress& address) {
  const auto* subnet = subnet_of(network, address);
  return subnet != nullptr && assignable(network, *subnet, address);
}

// "9m": whole minutes while there are some, rounded up.
std::string about(std::chrono::milliseconds time) {
  const auto unit = time > std::chrono::minutes(2) ? std::chrono::milliseconds(std::chrono::minutes(1)) : std::chrono::milliseconds(1000);
  return format_duration(Milliseconds{static_cast<std::uint64_t>((time + unit - std::chrono::milliseconds(1)) / unit * unit.count())});
}

std::string pool_text(const Network& network, Family family) {
  std::string text;
  for (const auto& subnet : network.subnets)
    if (subnet.family() == family) text += (text.empty() ? "" : ", ") + format_prefix(subnet);
  return text;
}

}  // namespace

bool LeaseBook::rests(const Held& held) const {
  return held.released_ms && now_ms() - *held.released_ms < cool_down_.count();
}

std::string LeaseBook::resting(const std::map<IpAddress, Held>& held, Family family) const {
  std::size_t count = 0;
  std::int64_t first = 0;
  for (const auto& [address, entry] : held) {
    if (address.family != family || !rests(entry)) continue;
    if (count++ == 0 || *entry.released_ms < first) first = *entry.released_ms;
  }
  if (count == 0) return {};
  return fmt::format("; {} given back a while ago {}, the first for another {}", count, count == 1 ? "rests" : "rest",
                     about(std::chrono::milliseconds(first + cool_down_.count() - now_ms())));
}

Result<IpAddress> LeaseBook::take_free(const std::map<IpAddress, Held>& held, const Network& network, const Prefix& subnet,
                                       const std::string& vps, const std::string& interface, const Elsewhere& elsewhere) const {
  auto good = [&](const IpAddress& address) { return assignable(network, subnet, address) && !(elsewhere && elsewhere(address)); };
  // What this interface had before comes back to it.
  for (const auto& [address, entry] : held)
    if (entry.released_ms && entry.lease.vps == vps && entry.lease.interface == interface && subnet.contains(address) && good(address))
      return address;
  const IpAddress last = subnet.last();
  for (IpAddress address = subnet.first(); subnet.contains(address);) {
    auto found = held.find(address);
    bool taken = found != held.end() && (!found->second.released_ms || rests(found->second));
    if (!taken && good(address)) return address;
    if (address == last || !advance(address)) break;
  }
  return fail(Code::kUnavailable, "no free address");
}

Result<std::vector<Lease>> LeaseBook::plan_locked(Book& book, const std::string& vps, const std::vector<Interface>& interfaces,
                                                  const Networks& networks, bool keep_others, const Elsewhere& elsewhere) const {
  std::vector<Lease> leases;
  std::set<std::pair<std::string, IpAddress>> kept;
  auto keep = [&](const Lease& lease, std::size_t order) {
    book[lease.network][lease.address.address] = Held{lease, std::nullopt, order};
    kept.emplace(lease.network, lease.address.address);
    leases.push_back(lease);
  };
  for (const auto& interface : interfaces) {
    auto network = networks.find(interface.network);
    if (network == networks.end()) return fail(Code::kNotFound, "no network {}", interface.network);
    auto all = VPS_TRY_CTX(fmt::format("network.interfaces.{}.addresses", interface.name), expand(interface, network->second));
    std::size_t order = 0;
    for (const auto& want : all) {
      auto& held = book[want.network];
      if (want.fixed) {
        auto found = held.find(want.fixed->address);
        if (found != held.end() && !found->second.released_ms && found->second.lease.vps != vps)
          return fail(Code::kExists, "address {} of network {} is vps {}'s", format_ip(want.fixed->address), want.network,
                      found->second.lease.vps);
        if (kept.contains({want.network, want.fixed->address}))
          return fail(Code::kUsage, "address {} of network {} stands there twice", format_ip(want.fixed->address), want.network);
        keep({want.network, vps, want.interface, *want.fixed, true}, order++);
        continue;
      }
      const Held* mine = nullptr;
      for (const auto& [address, entry] : held)
        if (!entry.released_ms && !entry.lease.fixed && entry.lease.vps == vps && entry.lease.interface == want.interface &&
            address.family == want.family && may_keep(network->second, address) && !kept.contains({want.network, address}))
          mine = &entry;
      if (mine != nullptr) {
        keep(Lease(mine->lease), order++);
        continue;
      }
      Result<IpAddress> free = fail(Code::kUnavailable, "no free address");
      Prefix subnet;
      for (const auto& each : network->second.subnets) {
        if (free || each.family() != want.family) continue;
        subnet = each;
        free = take_free(held, network->second, each, vps, want.interface, elsewhere);
      }
      if (!free)
        return fail(Code::kUnavailable, "no free address in network {} ({}){}", want.network, pool_text(network->second, want.family),
                    resting(held, want.family));
      const std::uint8_t length = network->second.mode == net::Mode::kRouted ? address_bits(want.family) : subnet.length;
      keep({want.network, vps, want.interface, Prefix{*free, length}, false}, order++);
    }
  }
  if (keep_others) return leases;
  for (auto& [name, held] : book)
    for (auto& [address, entry] : held)
      if (entry.lease.vps == vps && !entry.released_ms && !kept.contains({name, address})) entry.released_ms = now_ms();
  return leases;
}

Result<std::vector<Lease>> LeaseBook::assign(const std::string& vps, const std::vector<Interface>& interfaces, const Networks& networks,
                                             bool keep_others, const Elsewhere& elsewhere) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  Book after = book_;
  auto leases = VPS_TRY(plan_locked(after, vps, interfaces, networks, keep_others, elsewhere));
  VPS_TRY(store_locked(book_, after));
  book_ = std::move(after);
  return leases;
}

Result<std::vector<Lease>> LeaseBook::preview(const std::string& vps, const std::vector<Interface>& interfaces, const Networks& networks,
                                              const Elsewhere& elsewhere) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  Book after = book_;
  return plan_locked(after, vps, interfaces, networks, false, elsewhere);
}

// What one claim makes of the book. `in_use`: what those that run have.
void LeaseBook::enter(Book& book, const Claim& claim, std::size_t order, std::set<std::pair<std::string, IpAddress>>& in_use, Restored& restored) {
  const auto& lease = claim.lease;
  const auto [found, fresh] = book[lease.network].try_emplace(lease.address.address, Held{lease, std::nullopt, order});
  Held& held = found->second;
  const bool mine = held.lease.vps == lease.vps;
  const bool free = held.released_ms.has_value();
  if (mine && free && !claim.runs) return;  // it has given it back, which its record does not know yet
  if (!mine && !free && (!claim.runs || in_use.contains({lease.network, lease.address.address}))) {
    restored.conflicts.push_back({lease, held.lease.vps});
    return;
  }
  if (claim.runs) in_use.emplace(lease.network, lease.address.address);
  if (mine && !free && !fresh) return;
  if (!mine && !free) restored.conflicts.push_back({held.lease, lease.vps});
  held = Held{lease, std::nullopt, order};
  restored.taken.push_back(lease);
}

Result<LeaseBook::Restored> LeaseBook::restore(const std::vector<Claim>& claims) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  Book after = book_;
  Restored restored;
  std::vector<std::size_t> orders;  // within their interfaces
  std::map<std::pair<std::string, std::string>, std::size_t> next;
  for (const auto& claim : claims) orders.push_back(next[{claim.lease.vps, claim.lease.interface}]++);
  std::set<std::pair<std::string, IpAddress>> in_use;
  for (const bool running : {true, false})
    for (std::size_t i = 0; i < claims.size(); ++i)
      if (claims[i].runs == running) enter(after, claims[i], orders[i], in_use, restored);
  VPS_TRY(store_locked(book_, after));
  book_ = std::move(after);
  return restored;
}

Result<> LeaseBook::take_back(const std::vector<Lease>& leases, const std::string& vps) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  Book after = book_;
  for (auto& [name, held] : after)
    for (auto& [address, entry] : held)
      if (entry.lease.vps == vps && !entry.released_ms && std::ranges::find(leases, entry.lease) == leases.end()) entry.released_ms = now_ms();
  for (const auto& lease : leases) {
    auto& entry = after[lease.network][lease.address.address];
    entry.lease = lease;
    entry.released_ms.reset();
  }
  VPS_TRY(store_locked(book_, after));
  book_ = std::move(after);
  return {};
}

Result<> LeaseBook::release(const std::string& vps) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  Book after = book_;
  for (auto& [name, held] : after)
    for (auto& [address, entry] : held)
      if (entry.lease.vps == vps && !entry.released_ms) entry.released_ms = now_ms();
  VPS_TRY(store_locked(book_, after));
  book_ = std::move(after);
  return {};
}

Result<std::vector<std::string>> LeaseBook::sweep(const std::function<bool(const std::string&)>& lives) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  Book after = book_;
  std::set<std::string> gone;
  for (auto& [name, held] : after) {
    for (auto& [address, entry] : held) {
      if (entry.released_ms || lives(entry.lease.vps)) continue;
      gone.insert(entry.lease.vps);
      entry.released_ms = now_ms();
    }
    std::erase_if(held, [&](const auto& each) { return each.second.released_ms && !rests(each.second); });
  }
  VPS_TRY(store_locked(book_, after));
  book_ = std::move(after);
  return std::vector<std::string>(gone.begin(), gone.end());
}

Result<std::map<std::string, std::vector<Lease>>> LeaseBook::by_vps() {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  std::vector<const Held*> all;
  for (const auto& [name, held] : book_)
    for (const auto& [address, entry] : held)
      if (!entry.released_ms) all.push_back(&entry);
  std::ranges::stable_sort(all, {}, &Held::order);
  std::map<std::string, std::vector<Lease>> leases;
  for (const auto* entry : all) leases[entry->lease.vps].push_back(entry->lease);
  return leases;
}

Result<std::vector<Lease>> LeaseBook::of_vps(const std::string& vps) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  std::vector<const Held*> mine;
  for (const auto& [name, held] : book_)
    for (const auto& [address, entry] : held)
      if (!entry.released_ms && entry.lease.vps == vps) mine.push_back(&entry);
  std::ranges::stable_sort(mine, {}, &Held::order);
  std::vector<Lease> leases;
  for (const auto* entry : mine) leases.push_back(entry->lease);
  return leases;
}

Result<std::vector<Lease>> LeaseBook::of_network(const std::string& network) {
  std::scoped_lock lock(mutex_);
  VPS_TRY(load_locked());
  std::vector<Lease> leases;
  auto held = book_.find(network);
  if (held == book_.end()) return leases;
  for (const auto& [address, entry] : held->second)
    if (!entry.released_ms) leases.push_back(entry.lease);
  return leases;
}

std::vector<LeaseBook::Claim> lease_claims(const std::vector<Lease>& recorded, const Definition& definition, const net::VpsPlan* running) {
  std::vector<LeaseBook::Claim> claims;
  for (const auto& lease : recorded) claims.push_back({lease, false});
  if (running == nullptr) return claims;
  auto named = [&](const std::string& interface, const IpAddress& address) {
    return std::ranges::any_of(definition.network.interfaces, [&](const Interface& each) {
      return each.name == interface && std::ranges::any_of(each.addresses, [&](const std::string& text) {
        auto fixed = parse_prefix(text);
        return fixed && fixed->address == address;
      });
    });
  };
  for (const auto& port : running->ports)
    for (const auto& address : port.addresses) {
      auto known = std::ranges::find_if(claims, [&](const LeaseBook::Claim& each) {
        return each.lease.network == port.network && each.lease.address.address == address.address;
      });
      if (known != claims.end()) known->runs = true;
      else claims.push_back({{port.network, running->id, port.guest_link, address, named(port.guest_link, address.address)}, true});
    }
  return claims;
}

Result<> LeaseBook::load_locked() {
  if (file_) return {};
  auto file = VPS_TRY(SqlFile::open(path_));
  // On disk when a call returns: an address that was promised must not be given out again after a power cut.
  VPS_TRY(file.execute("PRAGMA synchronous=FULL"));
  VPS_TRY(file.execute("CREATE TABLE IF NOT EXISTS leases(network TEXT NOT NULL, address TEXT NOT NULL, length INTEGER NOT NULL,"
                       " vps TEXT NOT NULL, interface TEXT NOT NULL, fixed INTEGER NOT NULL, position INTEGER NOT NULL,"
                       " released_ms INTEGER NOT NULL, PRIMARY KEY(network, address)) WITHOUT ROWID"));
  Book book;
  {
    auto row = VPS_TRY(file.prepare("SELECT network, address, length, vps, interface, fixed, position, released_ms FROM leases"));
    while (VPS_TRY(row.step())) {
      auto address = VPS_TRY_CTX("ledger: leases", parse_ip(row.text(1)));
      Held held{Lease{row.text(0), row.text(3), row.text(4), Prefix{address, static_cast<std::uint8_t>(row.number(2))}, row.number(5) != 0},
                std::nullopt, static_cast<std::size_t>(row.number(6))};
      if (row.number(7) != 0) held.released_ms = row.number(7);
      book[held.lease.network][address] = std::move(held);
    }
  }
  book_ = std::move(book);
  file_ = std::move(file);
  return {};
}

Result<> LeaseBook::store_locked(const Book& before, const Book& after) {
  if (before == after) return {};
  auto transaction = VPS_TRY(SqlTransaction::begin(*file_));
  auto put = VPS_TRY(file_->prepare("INSERT OR REPLACE INTO leases(network, address, length, vps, interface, fixed, position, released_ms)"
                                    " VALUES(?, ?, ?, ?, ?, ?, ?, ?)"));
  auto remove = VPS_TRY(file_->prepare("DELETE FROM leases WHERE network = ? AND address = ?"));
  static const std::map<IpAddress, Held> kNone;
  auto part = [](const Book& book, const std::string& name) -> const std::map<IpAddress, Held>& {
    auto found = book.find(name);
    return found == book.end() ? kNone : found->second;
  };
  for (const auto& [name, held] : after)
    for (const auto& [address, entry] : held) {
      const auto& old = part(before, name);
      auto known = old.find(address);
      if (known != old.end() && known->second == entry) continue;
      const auto& lease = entry.lease;
      put.bind(1, name).bind(2, format_ip(address)).bind(3, std::int64_t{lease.address.length}).bind(4, lease.vps).bind(5, lease.interface);
      put.bind(6, std::int64_t{lease.fixed}).bind(7, std::uint64_t{entry.order}).bind(8, entry.released_ms.value_or(0));
      VPS_TRY(put.run());
    }
  for (const auto& [name, held] : before)
    for (const auto& [address, entry] : held)
      if (!part(after, name).contains(address)) VPS_TRY(remove.bind(1, name).bind(2, format_ip(address)).run());
  return transaction.commit();
}

}  // namespace vps::daemon
