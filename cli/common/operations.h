// Long work of the daemon, awaited with progress on the terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/common/context.h"
#include "cli/common/value.h"

namespace vps::cli {

enum class OnInterrupt {
  kLeave,   // the work goes on in vpsd; a note says how to look at it
  kCancel,  // the daemon is asked to undo it, and its end is awaited (until a second Ctrl-C)
};

// Waits for the end of `operation` (as the API answered it) and returns its last state. Failed and cancelled ones are errors
// with the daemon's code and message. `label` stands in front of the progress: "create 101".
Result<Value> await_operation(Context& context, Value operation, std::string_view label, OnInterrupt on_interrupt);

// One kind of work on several VPSes: all requests are sent first, then the ends are awaited in order. One result line each
// (with -o json an array of {id, action, status, operation?, warnings?, error?}); the answer is the exit code of the first
// failure, or 0.
struct Job {
  std::string_view action;                    // "start"
  std::string_view done;                      // "started"
  std::string_view method = "POST";
  // The path below /v1/containers/{vps}, with its query: "start", "" for the VPS itself.
  std::string path;
  Value body;                                 // null: no body
};
class JobRunner {
 public:
  JobRunner(Context& context, Job job) : context_(context), job_(std::move(job)) {}
  Result<> run(const std::vector<std::string>& ids);  // an error only when interrupted
  Result<int> finish();                               // prints what is to be printed at the end

 private:
  struct Started {
    std::string id;
    Result<Value> operation;
    Value details;
  };
  void report(const std::string& id, const Result<Value>& outcome);

  Context& context_;
  Job job_;
  Value results_ = Value::array();
  int exit_code_ = 0;
};

std::vector<std::string> unique_ids(const std::vector<std::string>& ids);
// Usage errors are found here before anything is sent.
Result<> check_ids(const std::vector<std::string>& ids);

}  // namespace vps::cli
