# vpsd has threads, so it must not hold the code that clones (docs/design/layers.md). What the includes cannot show, the
# symbol table does: VPSD has no symbol of the launch code, while SUPERVISE, which must have it, shows that we look right.
# cmake -D NM=nm -D VPSD=FILE -D SUPERVISE=FILE -P link_map.cmake
# Mangled: namespaces::clone_process, runtime::Launcher::*, runtime::exec_in_container of namespace vps.
set(launch_code "_ZNK?3vps(10namespaces13clone_process|7runtime8Launcher|7runtime17exec_in_container)")

foreach(program VPSD SUPERVISE)
  execute_process(COMMAND ${NM} ${${program}} COMMAND grep -c "_ZN.*3vps" OUTPUT_VARIABLE ours)
  if(NOT ours GREATER 0)
    message(FATAL_ERROR "cannot read the symbols of ${${program}}")
  endif()
  execute_process(COMMAND ${NM} ${${program}} COMMAND grep -E -m1 "${launch_code}" OUTPUT_VARIABLE ${program}_launch)
endforeach()
if(VPSD_launch)
  message(FATAL_ERROR "vpsd links launch code: ${VPSD_launch}")
endif()
if(NOT SUPERVISE_launch)
  message(FATAL_ERROR "vps-supervise shows no launch code; the names in this test are out of date")
endif()
