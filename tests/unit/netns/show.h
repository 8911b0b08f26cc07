// A link message as text, one attribute a line: for golden comparisons.
#pragma once

#include <fmt/core.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <string>

#include "netns/message.h"

namespace vps::netns {

enum class Level { kLink, kInfo, kData };

inline std::string show_attributes(Attributes attributes, Level level, const std::string& indent) {
  std::string text;
  while (auto item = attributes.next()) {
    auto number = [&] {
      std::uint32_t value = 0;
      std::memcpy(&value, item->data.data(), std::min(item->data.size(), sizeof value));
      return value;
    };
    std::string word(item->data.substr(0, item->data.find('\0')));
    if (level == Level::kInfo) {
      if (item->type == IFLA_INFO_KIND) text += fmt::format("{}KIND {}\n", indent, word);
      else text += fmt::format("{}DATA:\n{}", indent, show_attributes(Attributes(item->data), Level::kData, indent + "  "));
      continue;
    }
    if (level == Level::kData) {
      if (item->type == VETH_INFO_PEER && item->data.size() > sizeof(ifinfomsg))
        text += fmt::format("{}PEER:\n{}", indent, show_attributes(Attributes(item->data.substr(sizeof(ifinfomsg))), Level::kLink, indent + "  "));
      else text += fmt::format("{}{} = {}\n", indent, item->type, number());
      continue;
    }
    MacAddress mac;
    switch (item->type) {
      case IFLA_IFNAME: text += fmt::format("{}IFNAME {}\n", indent, word); break;
      case IFLA_ADDRESS:
        std::memcpy(mac.bytes.data(), item->data.data(), std::min<std::size_t>(item->data.size(), 6));
        text += fmt::format("{}ADDRESS {}\n", indent, format_mac(mac));
        break;
      case IFLA_NUM_TX_QUEUES: text += fmt::format("{}NUM_TX_QUEUES {}\n", indent, number()); break;
      case IFLA_NUM_RX_QUEUES: text += fmt::format("{}NUM_RX_QUEUES {}\n", indent, number()); break;
      case IFLA_MTU: text += fmt::format("{}MTU {}\n", indent, number()); break;
      case IFLA_MASTER: text += fmt::format("{}MASTER {}\n", indent, number()); break;
      case IFLA_NET_NS_FD: text += fmt::format("{}NET_NS_FD {}\n", indent, number()); break;
      case IFLA_LINKINFO: text += fmt::format("{}LINKINFO:\n{}", indent, show_attributes(Attributes(item->data), Level::kInfo, indent + "  ")); break;
      default: text += fmt::format("{}{} = {}\n", indent, item->type, number());
    }
  }
  return text;
}

inline std::string show(Message& message, std::size_t header) {
  std::string_view data = message.finish(1);
  return show_attributes(Attributes(*next_message(data), header), Level::kLink, "");
}

}  // namespace vps::netns
