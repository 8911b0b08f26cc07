// What filter.cc and filter_ensure.cc share: our tables by name, and reading them.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "netns/filter_contents.h"
#include "netns/nft_batch.h"
#include "netns/socket.h"

namespace vps::netns::filter {

// Open netlink sockets. Any thread may take one; it comes back when the lease ends.
class Sockets {
 public:
  class Lease {
   public:
    Lease(Sockets& owner, Socket socket) : owner_(owner), socket_(std::move(socket)) {}
    Lease(Lease&& other) noexcept : owner_(other.owner_), socket_(std::move(other.socket_)), valid_(std::exchange(other.valid_, false)) {}
    ~Lease() {
      if (valid_) owner_.give(std::move(socket_));
    }
    operator Socket&() { return socket_; }

   private:
    Sockets& owner_;
    Socket socket_;
    bool valid_ = true;
  };
  Result<Lease> take();

 private:
  void give(Socket socket);
  std::mutex mutex_;
  std::vector<Socket> idle_;
};

std::string link_of(std::string_view key);  // that an element's key begins with
nft::TableName table_name(Table table, const std::string& name);

// Deletes what is gone, then writes the chains, then adds what is fresh.
void apply(nft::Batch& batch, const std::string& name, const Difference& difference, const std::vector<FirewallChain>& chains);
void add_contents(nft::Batch& batch, const std::string& name, const Contents& contents);
void write_chain(nft::Batch& batch, const std::string& name, const FirewallChain& chain);
void drop_chain(nft::Batch& batch, const std::string& name, const std::string& chain);

// Adds the rules of caps that have none yet.
Result<> add_caps(Socket& socket, nft::Batch& batch, const std::string& name, const std::set<std::uint32_t>& caps);
std::set<std::uint32_t> caps_in(const std::vector<nft::DumpedRule>& rules);  // that have their rule

// Everything in the sets of our tables, as Contents with counters and limits as expressions. kNotFound: a table or set is missing.
Result<Contents> read_contents(Socket& socket, const std::string& name);
Result<Elements> read_set(Socket& socket, const std::string& name, Table table, const std::string& set);
Result<std::uint16_t> read_classes(Socket& socket, const std::string& name);
std::vector<RuleStart> rule_counters(const std::vector<nft::DumpedRule>& rules, std::string_view id);
Result<std::vector<RuleStart>> read_rule_counters(Socket& socket, const std::string& name, std::string_view id);
std::uint64_t new_epoch();

// A set of traffic counters; nullopt: another kind of set.
struct TrafficSet {
  net::Direction direction;
  Family family;
  std::uint8_t number;
};
std::optional<TrafficSet> traffic_set(std::string_view name);
// The sample that an element of such a set is; nullopt where it is none of ours.
std::optional<TrafficSample> sample_of(const TrafficSet& set, const nft::DumpedElement& element);

}  // namespace vps::netns::filter
