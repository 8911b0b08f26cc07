#include "daemon/ledger.h"

#include <stdio.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "daemon/sqlite.h"

namespace vps::daemon {
namespace {

constexpr std::size_t kMaxPending = 10'000;
constexpr std::uint64_t kPruneEvery = 1'000;
constexpr std::chrono::seconds kTryAgain{10};
constexpr int kSchema = 1;

}  // namespace

struct Ledger::Database {
  SqlFile file;

  Result<std::uint64_t> number(const char* sql) const { return static_cast<std::uint64_t>(VPS_TRY(file.number(sql))); }
  Result<> insert(const Event& event) const {
    auto statement = VPS_TRY(file.prepare("INSERT INTO events(seq, time_ms, type, vps, message, data) VALUES(?, ?, ?, ?, ?, ?)"));
    statement.bind(1, event.seq).bind(2, unix_ms(event.time)).bind(3, event.type).bind(4, event.vps).bind(5, event.message);
    return statement.bind(6, event.data).run();
  }
  Result<> read(std::uint64_t seq, std::size_t limit, const std::string& vps, std::vector<Event>* events) const {
    auto row = VPS_TRY(file.prepare(
        vps.empty() ? "SELECT seq, time_ms, type, vps, message, data FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"
                    : "SELECT seq, time_ms, type, vps, message, data FROM events WHERE vps = ?3 AND seq > ?1 "
                      "ORDER BY seq LIMIT ?2"));
    row.bind(1, seq).bind(2, std::uint64_t{limit});
    if (!vps.empty()) row.bind(3, vps);
    while (VPS_TRY(row.step()))
      events->push_back({static_cast<std::uint64_t>(row.number(0)), from_unix_ms(row.number(1)), row.text(2), row.text(3), row.text(4),
                         row.text(5)});
    return {};
  }
  static Result<std::unique_ptr<Database>> open(const std::string& path);
};

Result<std::unique_ptr<Ledger::Database>> Ledger::Database::open(const std::string& path) {
  auto file = VPS_TRY(SqlFile::open(path));
  // Survives a crash of vpsd; a power cut may lose the last events, never the file.
  VPS_TRY(file.execute("PRAGMA synchronous=NORMAL"));
  auto version = VPS_TRY(file.number("PRAGMA user_version"));
  if (version > kSchema) return fail(Code::kFailed, "ledger: {} was written by a newer vpsd (schema {})", path, version);
  // AUTOINCREMENT keeps the highest number in its own table, so that it outlives the pruning of all events.
  VPS_TRY(file.execute("CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL,"
                       " type TEXT NOT NULL, vps TEXT NOT NULL, message TEXT NOT NULL, data TEXT NOT NULL);"
                       "CREATE INDEX IF NOT EXISTS events_vps ON events(vps, seq);"
                       "PRAGMA user_version=1"));
  auto check = VPS_TRY(file.prepare("PRAGMA quick_check(1)"));
  if (!VPS_TRY(check.step()) || check.text(0) != "ok") return fail(Code::kUsage, "ledger: check {}: it is damaged", path);
  return std::make_unique<Database>(std::move(file));
}

Ledger::Ledger(std::string path, LedgerLimits limits) : path_(std::move(path)), limits_(limits) {}
Ledger::~Ledger() = default;

namespace {
Result<std::string> move_aside(const std::string& path, const std::string& quarantine_dir) {
  VPS_TRY(make_dirs(quarantine_dir, 0700));
  std::string target = fmt::format("{}/ledger.db.{}", quarantine_dir, random_hex(4));
  for (const char* suffix : {"-wal", "-shm", ""}) {
    if (::rename((path + suffix).c_str(), (target + suffix).c_str()) != 0 && errno != ENOENT)
      return fail_errno(errno, "set aside {}{}", path, suffix);
  }
  return target;
}

// What can still be learned from a damaged file, so that numbers that somebody has seen are not given out again.
std::uint64_t highest_seq(const std::string& path) {
  auto file = SqlFile::open_readonly(path);
  auto highest = file ? file->number("SELECT max(seq) FROM sqlite_sequence") : Result<std::int64_t>(0);
  return static_cast<std::uint64_t>(highest.value_or(0));
}
}  // namespace

std::unique_ptr<Ledger> Ledger::open(const std::string& path, const std::string& quarantine_dir, LedgerLimits limits,
                                     std::string* set_aside) {
  std::unique_ptr<Ledger> ledger(new Ledger(path, limits));
  std::scoped_lock lock(ledger->mutex_);
  auto db = Database::open(path);
  if (!db && db.error().code() == Code::kUsage) {
    auto aside = move_aside(path, quarantine_dir);
    if (aside) {
      ledger->last_ = highest_seq(*aside);
      if (set_aside != nullptr) *set_aside = *aside;
      db = Database::open(path);
    }
  }
  auto ready = db ? ledger->use_locked(std::move(*db)) : Result<>(std::unexpected(db.error()));
  if (!ready) {
    log::error("{}; events are kept in memory until it can be written", ready.error().to_string());
    ledger->trouble_ = ready.error().to_string();
    ledger->next_try_ = std::chrono::steady_clock::now() + kTryAgain;
  }
  return ledger;
}

Result<> Ledger::use_locked(std::unique_ptr<Database> db) {
  auto stored = VPS_TRY(db->number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"));
  db_ = std::move(db);
  if (stored > 0 && !pending_.empty()) {
    // These were numbered while nobody could know what the file holds.
    for (auto& event : pending_) event.seq += stored;
    last_ += stored;
  } else {
    last_ = std::max(last_, stored);
  }
  if (auto done = prune_locked(); !done) log::warning("{}", done.error().to_string());
  return {};
}

std::uint64_t Ledger::append(std::string_view type, std::string_view vps, std::string_view message, std::string data) {
  std::uint64_t seq = 0;
  {
    std::scoped_lock lock(mutex_);
    seq = ++last_;
    pending_.push_back({seq, std::chrono::system_clock::now(), std::string(type), std::string(vps), std::string(message),
                        std::move(data)});
    flush_locked();
    if (db_ && ++appended_ % kPruneEvery == 0)
      if (auto done = prune_locked(); !done) log::warning("{}", done.error().to_string());
  }
  grown_.notify_all();
  return seq;
}

void Ledger::flush_locked() {
  auto done = write_pending_locked();
  if (done) {
    if (!trouble_.empty()) log::info("ledger: written again");
    trouble_.clear();
    return;
  }
  if (trouble_.empty()) log::error("{}; events are kept in memory until it can be written", done.error().to_string());
  trouble_ = done.error().to_string();
  if (pending_.size() > kMaxPending) pending_.pop_front();
}

Result<> Ledger::write_pending_locked() {
  if (!db_) {
    auto now = std::chrono::steady_clock::now();
    if (now < next_try_) return fail(Code::kFailed, "{}", trouble_);
    next_try_ = now + kTryAgain;
    auto db = VPS_TRY(Database::open(path_));
    VPS_TRY(use_locked(std::move(db)));
  }
  while (!pending_.empty()) {
    VPS_TRY(db_->insert(pending_.front()));
    pending_.pop_front();
  }
  return {};
}

Result<std::vector<Event>> Ledger::read(std::uint64_t seq, std::size_t limit, const std::string& vps) const {
  std::vector<Event> events;
  std::scoped_lock lock(mutex_);
  if (db_) VPS_TRY(db_->read(seq, limit, vps, &events));
  for (const auto& event : pending_) {
    if (events.size() >= limit) break;
    if (event.seq > seq && (vps.empty() || event.vps == vps)) events.push_back(event);
  }
  return events;
}

std::uint64_t Ledger::last() const {
  std::scoped_lock lock(mutex_);
  return last_;
}

bool Ledger::wait_beyond(std::uint64_t seq, const std::stop_token& abandoned, SteadyTime deadline) const {
  std::unique_lock lock(mutex_);
  return grown_.wait_until(lock, abandoned, deadline, [&] { return last_ > seq; });
}

std::string Ledger::trouble() const {
  std::scoped_lock lock(mutex_);
  return trouble_;
}

Result<> Ledger::prune_locked() {
  std::int64_t oldest = unix_ms(std::chrono::system_clock::now() - limits_.max_age);
  auto statement = VPS_TRY(db_->file.prepare("DELETE FROM events WHERE seq <= ?1 OR time_ms < ?2"));
  std::uint64_t first_kept = last_ > limits_.max_events ? last_ - limits_.max_events : 0;
  return statement.bind(1, first_kept).bind(2, oldest).run();
}

}  // namespace vps::daemon
