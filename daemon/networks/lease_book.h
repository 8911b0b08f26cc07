// Who holds which address: the table `leases` of the ledger (SQLite). Every change is one transaction that is on disk when the
// call returns, so no address is ever given out twice. An address that was given back rests for a while before somebody else gets
// it; who had it may have it again at once. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/clock.h"
#include "daemon/sqlite.h"
#include "specs/vps/compile_network.h"

namespace vps::daemon {

class LeaseBook {
 public:
  using Networks = std::map<std::string, Network>;

  // `path`: the ledger's file. What cannot be read now is tried again by every later call, which fails until then.
  LeaseBook(std::string path, std::chrono::milliseconds cool_down) : path_(std::move(path)), cool_down_(cool_down) {}

  // Whether an address leads to somebody who does not hold it, by a prefix: it is never given out by itself.
  using Elsewhere = std::function<bool(const IpAddress&)>;

  // Makes what `vps` holds exactly what `interfaces` asks for: keeps what fits, takes what is missing, gives back the rest
  // (`keep_others`: not yet, as it may still be in use). All or nothing. The answer is in the order of the definition.
  // kUnavailable: a pool is exhausted. kExists: a fixed address is another's. kUsage: it is outside of the network's subnets,
  // or cannot be given out. kNotFound: a network is not there.
  Result<std::vector<Lease>> assign(const std::string& vps, const std::vector<Interface>& interfaces, const Networks& networks,
                                    bool keep_others = false, const Elsewhere& elsewhere = {});
  // What assign() would answer; nothing is taken.
  Result<std::vector<Lease>> preview(const std::string& vps, const std::vector<Interface>& interfaces, const Networks& networks,
                                     const Elsewhere& elsewhere = {});
  // What a VPS says that it has, where the book may have been lost and begun anew.
  struct Claim {
    Lease lease;
    bool runs = false;  // it runs with it
    bool operator==(const Claim&) const = default;
  };
  struct Conflict {
    Lease lease;         // of the one that goes without
    std::string holder;  // whose it is
  };
  struct Restored {
    std::vector<Lease> taken;
    std::vector<Conflict> conflicts;
  };
  // Enters what the book does not know. The book is right where it knows more: what a VPS has given back since stays given back.
  // Of two that claim one address the one that runs with it has it, else the first.
  Result<Restored> restore(const std::vector<Claim>& claims);
  // `vps` holds exactly `leases` again, which it held before an assign() that was not to be. What it held beyond that rests.
  Result<> take_back(const std::vector<Lease>& leases, const std::string& vps);
  Result<> release(const std::string& vps);  // all that it holds; nothing held is success
  // Releases what belongs to nobody that `lives` knows, and forgets what has rested long enough. The ids that were released.
  Result<std::vector<std::string>> sweep(const std::function<bool(const std::string& vps)>& lives);

  [[nodiscard]] Result<std::vector<Lease>> of_vps(const std::string& vps);
  [[nodiscard]] Result<std::map<std::string, std::vector<Lease>>> by_vps();
  [[nodiscard]] Result<std::vector<Lease>> of_network(const std::string& network);

 private:
  struct Held {
    Lease lease;
    std::optional<std::int64_t> released_ms;  // resting since
    std::size_t order = 0;                    // within its interface
    bool operator==(const Held&) const = default;
  };
  using Book = std::map<std::string, std::map<IpAddress, Held>>;  // network, address

  Result<> load_locked();
  Result<> store_locked(const Book& before, const Book& after);
  static void enter(Book& book, const Claim& claim, std::size_t order, std::set<std::pair<std::string, IpAddress>>& in_use, Restored& restored);
  Result<std::vector<Lease>> plan_locked(Book& book, const std::string& vps, const std::vector<Interface>& interfaces,
                                         const Networks& networks, bool keep_others, const Elsewhere& elsewhere) const;
  Result<IpAddress> take_free(const std::map<IpAddress, Held>& held, const Network& network, const Prefix& subnet,
                              const std::string& vps, const std::string& interface, const Elsewhere& elsewhere) const;
  [[nodiscard]] bool rests(const Held& held) const;
  // "; 2 given back a while ago rest, the first for another 9m", or nothing: what is free soon.
  [[nodiscard]] std::string resting(const std::map<IpAddress, Held>& held, Family family) const;

  const std::string path_;
  const std::chrono::milliseconds cool_down_;
  std::mutex mutex_;
  std::optional<SqlFile> file_;
  Book book_;
};

// What a VPS says: `recorded` is what it held when its record was written; `running` is the plan of its run, if it runs.
std::vector<LeaseBook::Claim> lease_claims(const std::vector<Lease>& recorded, const Definition& definition, const net::VpsPlan* running);

}  // namespace vps::daemon
