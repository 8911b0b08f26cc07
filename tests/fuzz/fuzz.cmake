# vps_fuzz(NAME SOURCE DEPS ...): with VPS_FUZZ a libFuzzer binary; otherwise an ordinary program that runs every file of
# tests/fuzz/seeds/NAME through the target, as a ctest of label "fuzz". The target defines LLVMFuzzerTestOneInput.
function(vps_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE vps_settings ${ARG_DEPS})
  if(VPS_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/run_seeds.cc)
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/seeds/${name})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 60)
  endif()
endfunction()
