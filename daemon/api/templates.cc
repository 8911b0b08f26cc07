#include <algorithm>

#include "daemon/api/body.h"

#include <nlohmann/json.hpp>
#include "daemon/api/describe.h"
#include "daemon/api/handlers.h"

namespace vps::daemon::api {

Result<Reply> list_templates(const Call& call) {
  auto& services = call.context.manager.services();
  auto all = VPS_TRY(services.templates.list());
  json list = json::array();
  for (const auto& each : all) list.push_back(describe_template(each, template_users(services, each.name)));
  return Reply{.body = dump(list)};
}

Result<Reply> show_template(const Call& call) {
  auto& services = call.context.manager.services();
  auto info = VPS_TRY(services.templates.get(call.param("template")));
  return Reply{.body = dump(describe_template(info, template_users(services, info.name)))};
}

Result<Reply> make_template(const Call& call) {
  auto body = VPS_TRY(Body::parse(call.request.body, call.route.body));
  auto action = VPS_TRY(body.required_string("action"));
  auto& manager = call.context.manager;
  if (action == "build") {
    auto recipe = VPS_TRY(body.required_string("recipe"));
    if (body.has("path")) return fail(Code::kUsage, "body: path belongs to action import");
    auto known = storage::TemplateStore::recipes();
    if (std::ranges::find(known, recipe) == known.end()) {
      std::string names;
      for (const auto& each : known) names += (names.empty() ? "" : ", ") + each;
      return fail(Code::kUsage, "unknown recipe {} (known: {})", recipe, names);
    }
    auto name = VPS_TRY(body.string("name"));
    auto operation = VPS_TRY(manager.template_build(recipe, name.value_or(recipe)));
    return operation_reply(call, operation);
  }
  if (action == "import") {
    auto name = VPS_TRY(body.required_string("name"));
    auto path = VPS_TRY(body.required_string("path"));
    if (body.has("recipe")) return fail(Code::kUsage, "body: recipe belongs to action build");
    if (!path.starts_with('/')) return fail(Code::kUsage, "body: path: expected an absolute path, found '{}'", path);
    auto operation = VPS_TRY(manager.template_import(name, path));
    return operation_reply(call, operation);
  }
  return fail(Code::kUsage, "body: action: expected build or import, found '{}'", action);
}

Result<Reply> remove_template(const Call& call) {
  VPS_TRY(call.context.manager.template_remove(call.param("template")));
  return Reply{.body = "{}"};
}

}  // namespace vps::daemon::api
