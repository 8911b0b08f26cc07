// A vpsd for tests: answers requests on a unix socket with what was prepared and remembers what was asked. It speaks just the
// HTTP that is needed, so that it can also speak it wrongly.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "tests/support/temp_dir.h"

namespace vps::test {

struct Answer {
  int status = 200;
  std::string body{};               // with Content-Length
  std::vector<std::string> chunks{};  // when not empty: a chunked answer of these
  bool open_end = false;            // chunked: more may follow, until the client leaves or the fake stops
  std::string raw{};                // when not empty: these bytes and nothing else, then the connection is closed
  bool hang = false;                // no answer at all
};

class FakeVpsd {
 public:
  FakeVpsd();
  ~FakeVpsd();
  FakeVpsd(const FakeVpsd&) = delete;
  FakeVpsd& operator=(const FakeVpsd&) = delete;

  [[nodiscard]] const std::string& socket() const { return path_; }
  [[nodiscard]] const TempDir& dir() const { return dir_; }
  // Several answers for one request are given in turn; the last one stays. "GET /v1/containers?all=1"
  void on(const std::string& request, Answer answer);
  void on(const std::string& request, const std::string& body) { on(request, Answer{.body = body}); }
  // "POST /v1/containers {...}", in order.
  std::vector<std::string> requests();
  // Waits until that many have come (10 s at most).
  bool wait_for_requests(std::size_t count);
  // More for the open-ended answers.
  void push(const std::string& chunk);
  void stop();

 private:
  void accept_loop();
  void serve(int fd);
  bool answer(int fd, const Answer& prepared);
  Answer take(const std::string& request);

  TempDir dir_;
  std::string path_;
  UniqueFd listener_, wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::deque<Answer>> answers_;
  std::vector<std::string> requests_;
  std::vector<int> open_ended_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
  bool stopping_ = false;
};

}  // namespace vps::test
