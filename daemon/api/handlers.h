// One function per row of the router's table, grouped in files by subject.
#pragma once

#include "daemon/api/router.h"

namespace vps::daemon::api {

// containers.cc
Result<Reply> list_containers(const Call& call);
Result<Reply> create_container(const Call& call);
Result<Reply> show_container(const Call& call);
Result<Reply> change_container(const Call& call);
Result<Reply> replace_container(const Call& call);
Result<Reply> rename_container(const Call& call);
Result<Reply> container_stats(const Call& call);
Result<Reply> all_stats(const Call& call);
Result<Reply> show_usage(const Call& call);  // usage.cc
// actions.cc
Result<Reply> destroy_container(const Call& call);
Result<Reply> start_container(const Call& call);
Result<Reply> stop_container(const Call& call);
Result<Reply> restart_container(const Call& call);
Result<Reply> pause_container(const Call& call);
Result<Reply> resume_container(const Call& call);
Result<Reply> exec_in_container(const Call& call);
Result<Reply> console_of_container(const Call& call);
// log.cc
Result<Reply> container_log(const Call& call);
// operations.cc
Result<Reply> list_operations(const Call& call);
Result<Reply> show_operation(const Call& call);
Result<Reply> cancel_operation(const Call& call);
// networks.cc
Result<Reply> list_networks(const Call& call);
Result<Reply> create_network(const Call& call);
Result<Reply> show_network(const Call& call);
Result<Reply> change_network(const Call& call);
Result<Reply> delete_network(const Call& call);
// firewall.cc
Result<Reply> show_firewall(const Call& call);
Result<Reply> change_firewall(const Call& call);
Result<Reply> delete_firewall_entry(const Call& call);
Result<Reply> set_password(const Call& call);
// templates.cc
Result<Reply> list_templates(const Call& call);
Result<Reply> show_template(const Call& call);
Result<Reply> make_template(const Call& call);
Result<Reply> remove_template(const Call& call);
// host.cc
Result<Reply> stream_events(const Call& call);
Result<Reply> show_host(const Call& call);
Result<Reply> doctor(const Call& call);
Result<Reply> shut_down_host(const Call& call);

// 202 with the operation, or 200 once it has ended within ?wait=SECONDS.
Result<Reply> operation_reply(const Call& call, const OperationPtr& operation);

}  // namespace vps::daemon::api
