# vpsd has threads, so it must not hold the code that clones (docs/design/layers.md). What the includes cannot show, the
# symbol table does: VPSD has no symbol of the launch code, while SUPERVISE, which must have it, shows that we look right.
# cmake -D NM=nm -D VPSD=FILE -D SUPERVISE=FILE -P link_map.cmake
set(launch_code "vps::namespaces::clone_process|vps::runtime::Launcher::|vps::runtime::exec_in_container")

foreach(program VPSD SUPERVISE)
  execute_process(COMMAND ${NM} -C ${${program}} OUTPUT_VARIABLE symbols RESULT_VARIABLE result)
  if(NOT result EQUAL 0 OR NOT symbols MATCHES "vps::")
    message(FATAL_ERROR "cannot read the symbols of ${${program}}")
  endif()
  string(REGEX MATCH "[^\n]*(${launch_code})[^\n]*" ${program}_launch "${symbols}")
endforeach()
if(VPSD_launch)
  message(FATAL_ERROR "vpsd links launch code: ${VPSD_launch}")
endif()
if(NOT SUPERVISE_launch)
  message(FATAL_ERROR "vps-supervise shows no launch code; the names in this test are out of date")
endif()
