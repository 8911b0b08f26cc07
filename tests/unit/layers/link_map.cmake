# What the includes cannot show, the symbol tables do (docs/design/layers.md). vpsd has threads, so it must not hold the code
# that clones; vpsctl is a client and must hold nothing that does work. vps-supervise, which must have launch code, shows that
# the names looked for are right.
# cmake -D NM=nm -D VPSD=FILE -D SUPERVISE=FILE -D VPSCTL=FILE -P link_map.cmake
# Mangled: namespaces::clone_process, netns::open_socket_inside, runtime::Launcher::*, runtime::exec_in_container of namespace vps.
set(launch_code "_ZNK?3vps(10namespaces13clone_process|5netns18open_socket_inside|7runtime8Launcher|7runtime17exec_in_container)")
set(mechanisms "_ZNK?3vps(7cgroups|10namespaces|5netns|7storage|7runtime|6daemon)")

foreach(program VPSD SUPERVISE VPSCTL)
  execute_process(COMMAND ${NM} ${${program}} COMMAND grep -c "_ZN.*3vps" OUTPUT_VARIABLE ours)
  if(NOT ours GREATER 0)
    message(FATAL_ERROR "cannot read the symbols of ${${program}}")
  endif()
  execute_process(COMMAND ${NM} ${${program}} COMMAND grep -E -m1 "${launch_code}" OUTPUT_VARIABLE ${program}_launch)
  execute_process(COMMAND ${NM} ${${program}} COMMAND grep -E -m1 "${mechanisms}" OUTPUT_VARIABLE ${program}_mechanism)
endforeach()
if(VPSD_launch)
  message(FATAL_ERROR "vpsd links launch code: ${VPSD_launch}")
endif()
if(VPSCTL_mechanism)
  message(FATAL_ERROR "vpsctl links more than a client needs: ${VPSCTL_mechanism}")
endif()
if(NOT SUPERVISE_launch OR NOT SUPERVISE_mechanism)
  message(FATAL_ERROR "vps-supervise shows no launch code; the names in this test are out of date")
endif()
