// The one file that knows yaml-cpp. Its event interface is used, not its Node: events carry marks, and show anchors, tags
// and duplicate keys before anything has been resolved.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "specs/vps/tree.h"

namespace vps {
namespace {

struct Refusal {
  int line = 0;
  std::string message;
};

// What is well-formed but not allowed is noted (the first counts) and reading goes on, because a missing bracket makes the
// parser report odd keys before it comes to its own, better message.
class Builder : public YAML::EventHandler {
 public:
  Node take() { return std::move(root_); }
  [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "nothing may follow the first document");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node;
    node.line = mark.line + 1;
    add(std::move(node), mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse(mark, "aliases (*name) are not allowed");
    OnNull(mark, anchor);
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    refuse(mark, "anchors (&name) are not allowed");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    check_tag(mark, tag);
    if (expects_key()) return add_key(mark, value);
    Node node = Node::of_text(value);
    node.line = mark.line + 1;
    add(std::move(node), mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, Node::list());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, tag, Node::map());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    Node node;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    YAML::Mark mark;
  };

  void refuse(const YAML::Mark& mark, std::string message) {
    if (!refusal_) refusal_ = Refusal{mark.line + 1, std::move(message)};
  }
  // "?" is a plain word or an untagged collection, "!" a quoted scalar.
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (!name) are not allowed");
  }
  bool expects_key() const {
    return !levels_.empty() && levels_.back().node.kind == Node::Kind::kMap && !levels_.back().has_key;
  }
  void add_key(const YAML::Mark& mark, const std::string& key) {
    auto& level = levels_.back();
    level.has_key = true;
    level.key = key;
    level.key_line = mark.line + 1;
    if (refusal_) return;
    for (const auto& member : level.node.members)
      if (member.key == key) refuse(mark, fmt::format("{}: duplicate key, first on line {}", path_to(key), member.line));
    // Looked up one by one, so their number must be bounded.
    constexpr std::size_t kMaxKeys = 1000;
    if (level.node.members.size() == kMaxKeys) refuse(mark, fmt::format("more than {} keys in one mapping", kMaxKeys));
  }
  void open(const YAML::Mark& mark, const std::string& tag, Node node) {
    check_tag(mark, tag);
    if (levels_.size() == static_cast<std::size_t>(kMaxYamlDepth)) {
      refuse(mark, fmt::format("more than {} nested levels", kMaxYamlDepth));
      throw *refusal_;  // the one way to stop the parser from inside, which would go on to nest
    }
    node.line = mark.line + 1;
    levels_.push_back({.node = std::move(node), .key = {}, .mark = mark});
  }
  void close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    add(std::move(level.node), level.mark);
  }
  void add(Node node, const YAML::Mark& mark) {
    if (levels_.empty()) {
      root_ = std::move(node);
    } else if (expects_key()) {
      refuse(mark, "a key must be a plain word");
      add_key(mark, {});
    } else if (auto& level = levels_.back(); level.node.kind == Node::Kind::kList) {
      level.node.items.push_back(std::move(node));
    } else {
      level.node.members.push_back({std::move(level.key), std::move(node), level.key_line});
      level.has_key = false;
    }
  }
  std::string path_to(const std::string& key) const {
    std::string path;
    for (std::size_t i = 0; i < levels_.size(); ++i) {
      if (levels_[i].node.kind == Node::Kind::kList) {
        path += fmt::format("[{}]", levels_[i].node.items.size());
      } else {
        if (!path.empty()) path += '.';
        path += quote_for_message(i + 1 < levels_.size() ? levels_[i].key : key);
      }
    }
    return path;
  }

  Node root_;
  std::vector<Level> levels_;
  int documents_ = 0;
  std::optional<Refusal> refusal_;
};

std::unexpected<Error> refuse_text(std::string_view file_name, int line, std::string_view message) {
  if (file_name.empty()) return fail(Code::kUsage, "{}", message);
  if (line <= 0) return fail(Code::kUsage, "{}: {}", file_name, message);
  return fail(Code::kUsage, "{}:{}: {}", file_name, line, message);
}

}  // namespace

Result<Node> parse_yaml(std::string_view text, std::string_view file_name) {
  if (text.size() > kMaxYamlSize)
    return refuse_text(file_name, 0, fmt::format("larger than {} KiB", kMaxYamlSize >> 10));
  if (auto good = utf8_prefix(text); good != text.size()) {
    auto line = 1 + std::ranges::count(text.substr(0, good), '\n');
    return refuse_text(file_name, static_cast<int>(line), "not UTF-8 text");
  }
  // yaml-cpp takes the end of the text for the closing quote; a document's end mark inside of quotes it refuses.
  std::string whole(text);
  if (!whole.ends_with('\n')) whole += '\n';
  whole += "...\n";
  try {
    std::istringstream stream(whole);
    YAML::Parser parser(stream);
    Builder builder;
    // Twice and no more: at a stray bracket yaml-cpp finds one empty document after the other, without end.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
    if (builder.refusal()) return refuse_text(file_name, builder.refusal()->line, builder.refusal()->message);
    Node root = builder.take();
    if (root.line > std::ranges::count(text, '\n') + (text.ends_with('\n') ? 0 : 1)) root.line = 0;  // our own end mark
    return root;
  } catch (const Refusal& refusal) {
    return refuse_text(file_name, refusal.line, refusal.message);
  } catch (const YAML::ParserException& error) {
    std::string_view message = error.msg;
    if (message == YAML::ErrorMsg::DOC_IN_SCALAR) message = "a quoted text has no end";
    return refuse_text(file_name, error.mark.line + 1, fmt::format("not valid YAML: {}", message));
  } catch (const std::exception& error) {
    return refuse_text(file_name, 0, fmt::format("not valid YAML: {}", error.what()));
  }
}

}  // namespace vps
