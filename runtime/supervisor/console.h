// The console of a VPS: the pty's master, a bounded log file, several readers and one writer. Single-threaded.
#pragma once

#include <cstdint>
#include <list>
#include <string>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "base/seqpacket.h"

namespace vps::supervisor {

class Console {
 public:
  // The log is kept in `log_path` and, when that has grown to `log_size` bytes, in `log_path`.1: between one and two sizes
  // are there to replay. A log that cannot be written (full disk) costs the log, never the VPS.
  Console(EventLoop& loop, std::string log_path, std::uint64_t log_size);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  Result<> attach_master(UniqueFd master);
  void drain();  // what the VPS wrote last, before the master goes

  // Takes the connection: replays the recent log, then follows. The first reader that is not readonly is the writer; when it
  // leaves, the next one in order. Ends by itself when the peer closes.
  void add_reader(Seqpacket connection, bool readonly);
  void close_readers(std::string_view why);

 private:
  struct Reader {
    Seqpacket connection;
    bool readonly = false;
  };
  void on_master();
  void on_reader(std::list<Reader>::iterator reader);
  void remove(std::list<Reader>::iterator reader);
  [[nodiscard]] bool is_writer(std::list<Reader>::iterator reader);
  void append_log(std::string_view data);
  [[nodiscard]] std::string recent_log() const;
  void send_output(std::list<Reader>::iterator reader, std::string_view data);

  EventLoop& loop_;
  std::string log_path_;
  std::uint64_t log_size_;
  std::uint64_t written_ = 0;
  UniqueFd log_;
  UniqueFd master_;
  UniqueFd peer_;  // kept open, so that the master never hangs up while nobody in the VPS has the console open
  std::list<Reader> readers_;
};

}  // namespace vps::supervisor
