#include "daemon/ledger.h"

#include <sqlite3.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"

namespace vps::daemon {
namespace {

constexpr std::size_t kMaxPending = 10'000;
constexpr std::uint64_t kPruneEvery = 1'000;
constexpr std::chrono::seconds kTryAgain{10};
constexpr int kSchema = 1;

struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, StatementCloser>;

std::string column_text(sqlite3_stmt* statement, int column) {
  const auto* text = sqlite3_column_text(statement, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

void bind(sqlite3_stmt* statement, int index, const std::string& text) {
  sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}
void bind(sqlite3_stmt* statement, int index, std::uint64_t number) {
  sqlite3_bind_int64(statement, index, static_cast<sqlite3_int64>(number));
}

}  // namespace

struct Ledger::Database {
  sqlite3* handle = nullptr;
  ~Database() { sqlite3_close(handle); }

  std::unexpected<Error> error(std::string_view what, int rc) const {
    // kUsage, as for any other file that does not parse: it will be set aside.
    Code code = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? Code::kUsage
                : rc == SQLITE_FULL                         ? Code::kUnavailable
                                                            : Code::kFailed;
    return fail(code, "ledger: {}: {}", what, handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(rc));
  }
  Result<> execute(const char* sql) const {
    int rc = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) return error(sql, rc);
    return {};
  }
  Result<Statement> prepare(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    int rc = sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr);
    if (rc != SQLITE_OK) return error("prepare", rc);
    return Statement(statement);
  }
  Result<std::uint64_t> number(const char* sql) const {
    auto statement = VPS_TRY(prepare(sql));
    int rc = sqlite3_step(statement.get());
    if (rc != SQLITE_ROW) return error(sql, rc);
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement.get(), 0));
  }
  Result<> insert(const Event& event) const {
    auto statement =
        VPS_TRY(prepare("INSERT INTO events(seq, time_ms, type, vps, message, data) VALUES(?, ?, ?, ?, ?, ?)"));
    bind(statement.get(), 1, event.seq);
    sqlite3_bind_int64(statement.get(), 2, unix_ms(event.time));
    bind(statement.get(), 3, event.type);
    bind(statement.get(), 4, event.vps);
    bind(statement.get(), 5, event.message);
    bind(statement.get(), 6, event.data);
    int rc = sqlite3_step(statement.get());
    if (rc != SQLITE_DONE) return error("write an event", rc);
    return {};
  }
  Result<> read(std::uint64_t seq, std::size_t limit, const std::string& vps, std::vector<Event>* events) const {
    auto statement = VPS_TRY(prepare(
        vps.empty() ? "SELECT seq, time_ms, type, vps, message, data FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"
                    : "SELECT seq, time_ms, type, vps, message, data FROM events WHERE vps = ?3 AND seq > ?1 "
                      "ORDER BY seq LIMIT ?2"));
    bind(statement.get(), 1, seq);
    bind(statement.get(), 2, std::uint64_t{limit});
    if (!vps.empty()) bind(statement.get(), 3, vps);
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(statement.get())) == SQLITE_ROW) {
      sqlite3_stmt* row = statement.get();
      events->push_back({static_cast<std::uint64_t>(sqlite3_column_int64(row, 0)),
                         from_unix_ms(sqlite3_column_int64(row, 1)), column_text(row, 2), column_text(row, 3),
                         column_text(row, 4), column_text(row, 5)});
    }
    if (rc != SQLITE_DONE) return error("read events", rc);
    return {};
  }
  static Result<std::unique_ptr<Database>> open(const std::string& path);
};

Result<std::unique_ptr<Ledger::Database>> Ledger::Database::open(const std::string& path) {
  auto db = std::make_unique<Database>();
  int rc = sqlite3_open_v2(path.c_str(), &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
                           nullptr);
  if (rc != SQLITE_OK) return db->error("open " + path, rc);
  constexpr int kBusyMs = 2'000;  // a person may have it open with the sqlite3 tool
  sqlite3_busy_timeout(db->handle, kBusyMs);
  VPS_TRY(db->execute("PRAGMA journal_mode=WAL"));
  // Survives a crash of vpsd; a power cut may lose the last events, never the file.
  VPS_TRY(db->execute("PRAGMA synchronous=NORMAL"));
  auto version = VPS_TRY(db->number("PRAGMA user_version"));
  if (version > static_cast<std::uint64_t>(kSchema))
    return fail(Code::kFailed, "ledger: {} was written by a newer vpsd (schema {})", path, version);
  // AUTOINCREMENT keeps the highest number in its own table, so that it outlives the pruning of all events.
  VPS_TRY(db->execute("CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL,"
                      " type TEXT NOT NULL, vps TEXT NOT NULL, message TEXT NOT NULL, data TEXT NOT NULL);"
                      "CREATE INDEX IF NOT EXISTS events_vps ON events(vps, seq);"
                      "PRAGMA user_version=1"));
  auto check = VPS_TRY(db->prepare("PRAGMA quick_check(1)"));
  rc = sqlite3_step(check.get());
  if (rc != SQLITE_ROW || column_text(check.get(), 0) != "ok") return db->error("check " + path, SQLITE_CORRUPT);
  return db;
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
  sqlite3* handle = nullptr;
  std::uint64_t highest = 0;
  if (sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(handle, "SELECT max(seq) FROM sqlite_sequence", -1, &raw, nullptr) == SQLITE_OK &&
        sqlite3_step(raw) == SQLITE_ROW)
      highest = static_cast<std::uint64_t>(sqlite3_column_int64(raw, 0));
    sqlite3_finalize(raw);
  }
  sqlite3_close(handle);
  return highest;
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
  auto statement = VPS_TRY(db_->prepare("DELETE FROM events WHERE seq <= ?1 OR time_ms < ?2"));
  std::uint64_t first_kept = last_ > limits_.max_events ? last_ - limits_.max_events : 0;
  bind(statement.get(), 1, first_kept);
  sqlite3_bind_int64(statement.get(), 2, oldest);
  int rc = sqlite3_step(statement.get());
  if (rc != SQLITE_DONE) return db_->error("remove old events", rc);
  return {};
}

}  // namespace vps::daemon
