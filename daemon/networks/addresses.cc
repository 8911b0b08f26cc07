// Who gets which address, and what the VPSes themselves say about it.
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "daemon/networks/networks.h"

namespace vps::daemon {

Result<> Networks::probe(const std::vector<Lease>& fresh, const std::map<std::string, Network>& networks, std::vector<std::string>* warnings) {
  std::map<std::string, std::vector<IpAddress>> asked;
  for (const auto& lease : fresh) asked[lease.network].push_back(lease.address.address);
  for (const auto& [name, addresses] : asked) {
    const auto& network = networks.at(name);
    if (network.probe == ProbePolicy::kOff || network.mode == net::Mode::kHostDevice) continue;
    for (const auto& uplink : network.uplinks) {
      auto claims = host_->claimed(uplink, addresses);
      if (!claims) {
        warnings->push_back(fmt::format("network {}: cannot ask on {} whether addresses are free: {}", name, uplink, claims.error().to_string()));
        continue;
      }
      if (claims->empty()) continue;
      if (network.probe == ProbePolicy::kRefuse) return fail(Code::kExists, "network {}: {}", name, fmt::join(*claims, ", "));
      for (const auto& claim : *claims) warnings->push_back(fmt::format("network {}: {}", name, claim));
    }
  }
  return {};
}

Result<> Networks::check_routed(const Definition& definition, const std::vector<Lease>& mine, const std::map<std::string, Network>& networks) {
  std::vector<Prefix> extra, wanted;
  for (const auto& interface : definition.network.interfaces) extra.insert(extra.end(), interface.routed.begin(), interface.routed.end());
  wanted = extra;
  for (const auto& lease : mine)
    if (networks.at(lease.network).mode == net::Mode::kRouted) wanted.push_back(host_prefix(lease.address.address));
  if (wanted.empty()) return {};
  auto check = [&](const std::vector<Prefix>& prefixes, const Prefix& other, const std::string& vps) -> Result<> {
    if (vps == definition.id) return {};
    auto met = std::ranges::find_if(prefixes, [&](const Prefix& one) { return one.overlaps(other); });
    if (met == prefixes.end()) return {};
    return fail(Code::kExists, "{} leads to vps {} already ({})", format_prefix(*met), vps, format_prefix(other));
  };
  {
    std::scoped_lock lock(mutex_);
    for (const auto& [vps, plan] : running_)
      for (const auto& port : plan.ports)
        for (const auto& other : port.routed) VPS_TRY(check(wanted, other, vps));
  }
  if (extra.empty()) return {};
  for (const auto& [vps, leases] : VPS_TRY(leases_.by_vps()))
    for (const auto& lease : leases) VPS_TRY(check(extra, host_prefix(lease.address.address), vps));
  return {};
}

Result<> Networks::check_neighbours(const Definition& definition, const std::string& uuid) const {
  if (definition.network.interfaces.empty() || !definitions_) return {};
  return daemon::check_neighbours({definition.id, uuid, definition.network}, definitions_());
}

LeaseBook::Elsewhere Networks::routed_elsewhere(const std::string& vps) const {
  return [this, vps, others = std::optional<std::vector<DefinedVps>>()](const IpAddress& address) mutable {
    if (!others) {
      others = definitions_ ? definitions_() : std::vector<DefinedVps>();
      std::erase_if(*others, [&](const DefinedVps& other) { return other.id == vps; });
    }
    return routed_to(*others, address);
  };
}

Result<> Networks::release(const std::string& vps) {
  VPS_TRY(enter_claims());
  return leases_.release(vps);
}

Result<std::vector<Lease>> Networks::reserve(const Definition& definition, std::vector<std::string>* warnings, bool keep_others) {
  VPS_TRY(enter_claims());
  if (definition.network.interfaces.empty() && !keep_others) {
    VPS_TRY(leases_.release(definition.id));
    return std::vector<Lease>{};
  }
  auto networks = VPS_TRY(named_by(definition));
  const auto before = VPS_TRY(leases_.of_vps(definition.id));
  auto leases = VPS_TRY(leases_.assign(definition.id, definition.network.interfaces, networks, keep_others, routed_elsewhere(definition.id)));
  std::vector<Lease> fresh;
  for (const auto& lease : leases)
    if (std::ranges::none_of(before, [&](const Lease& old) { return old.network == lease.network && old.address == lease.address; }))
      fresh.push_back(lease);
  auto free = check_routed(definition, leases, networks);
  if (free && !fresh.empty()) free = probe(fresh, networks, warnings);
  if (!free) {
    if (auto undone = leases_.take_back(before, definition.id); !undone) log::error("vps {}: {}", definition.id, undone.error().to_string());
    return std::unexpected(std::move(free).error());
  }
  return leases;
}

void Networks::restore_leases(std::vector<LeaseBook::Claim> claims) {
  {
    std::scoped_lock lock(mutex_);
    claims_ = std::move(claims);
  }
  if (auto done = enter_claims(); !done) log::error("addresses: {}", done.error().to_string());
}

Result<> Networks::enter_claims() {
  std::vector<LeaseBook::Claim> claims;
  {
    std::scoped_lock lock(mutex_);
    if (!claims_) return {};
    claims = *claims_;
  }
  auto restored = VPS_TRY(leases_.restore(claims));
  {
    std::scoped_lock lock(mutex_);
    if (!std::exchange(claims_, std::nullopt)) return {};  // another operation was faster, and has said it
  }
  std::set<std::string> owners;
  for (const auto& lease : restored.taken) owners.insert(lease.vps);
  if (!owners.empty())
    ledger_.append("network.restored", "", fmt::format("the ledger did not know the addresses of {}; they are theirs as before",
                                                       fmt::join(owners, ", ")));
  for (const auto& [lease, holder] : restored.conflicts)
    ledger_.append("network.conflict", lease.vps, fmt::format("address {} of network {} is vps {}'s as well, which keeps it",
                                                              format_ip(lease.address.address), lease.network, holder));
  return {};
}

}  // namespace vps::daemon
