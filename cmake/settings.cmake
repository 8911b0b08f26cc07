# Compiler settings and the helper functions that every folder uses.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(VPS_TESTS "build the tests" ON)
option(VPS_WERROR "treat warnings as errors" ON)
option(VPS_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)
set(VPS_SANITIZE "" CACHE STRING "sanitizers to build with, e.g. address,undefined or thread")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # The sloppiness that ccache(1) asks for with precompiled headers.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()

add_library(vps_settings INTERFACE)
target_include_directories(vps_settings INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_options(vps_settings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
                                              $<$<BOOL:${VPS_WERROR}>:-Werror>)
target_compile_definitions(vps_settings INTERFACE _GNU_SOURCE VPS_VERSION="${PROJECT_VERSION}")
if(VPS_SANITIZE)
  target_compile_options(vps_settings INTERFACE -fsanitize=${VPS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(vps_settings INTERFACE -fsanitize=${VPS_SANITIZE})
  # g++ 12 takes members of empty optionals for uninitialized ones once the sanitizer has rewritten the code.
  target_compile_options(vps_settings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(VPS_FUZZ)
  # The code under test must be instrumented as well as the target, or libFuzzer sees none of its branches.
  target_compile_options(vps_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(vps_settings INTERFACE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
                                                -ffunction-sections -fdata-sections)
  target_link_options(vps_settings INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)
endif()

# The standard library's headers, compiled once, for the builds with sanitizers: a third of a small source's time. The others go without,
# so that a source that does not include what it uses fails there.
function(vps_library_headers name)
  if(NOT VPS_SANITIZE)
    return()
  endif()
  if(NOT TARGET vps_precompiled_library)
    add_library(vps_precompiled_library OBJECT ${PROJECT_SOURCE_DIR}/base/precompiled.cc)
    target_link_libraries(vps_precompiled_library PRIVATE vps_settings)
    target_precompile_headers(vps_precompiled_library PRIVATE <algorithm> <array> <chrono> <condition_variable> <expected> <functional> <map>
                              <memory> <mutex> <optional> <set> <span> <string> <string_view> <thread> <variant> <vector> <fmt/core.h>)
  endif()
  target_precompile_headers(${name} REUSE_FROM vps_precompiled_library)
endfunction()

# vps_library(NAME SOURCES a.cc ... [DEPS vps_base ...] [PRIVATE_DEPS ...])  ->  static library target vps_NAME
function(vps_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(vps_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(vps_${name} PUBLIC vps_settings ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  vps_library_headers(vps_${name})
endfunction()

# vps_program(NAME [STATIC] SOURCES ... DEPS ...)  ->  executable NAME, installed under bin/ or sbin/ by packaging/
# STATIC programs are non-PIE: no relocations at start, so idle pages stay shared and clean.
function(vps_program name)
  cmake_parse_arguments(ARG "STATIC" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE vps_settings ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  if(ARG_STATIC AND NOT VPS_SANITIZE)
    target_link_options(${name} PRIVATE -static -no-pie)
  endif()
endfunction()

# What every test includes, compiled once: half of a small test's build time is GoogleMock's header.
function(vps_test_headers name)
  if(NOT TARGET vps_precompiled)
    add_library(vps_precompiled OBJECT ${PROJECT_SOURCE_DIR}/tests/support/precompiled.cc)
    target_link_libraries(vps_precompiled PRIVATE vps_settings GTest::gmock)
    target_precompile_headers(vps_precompiled PRIVATE <gmock/gmock.h> <gtest/gtest.h> <algorithm> <chrono> <functional> <map>
                              <memory> <optional> <string> <string_view> <thread> <vector>)
  endif()
  target_precompile_headers(${name} REUSE_FROM vps_precompiled)
endfunction()

# Properties of all tests that gtest_discover_tests(NAME) finds. It cannot pass on a list itself (two labels become a label
# and a broken property), so they are set by a file that ctest reads after the discovered ones.
function(vps_test_properties name property value)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${name}_${property}.cmake)
  file(WRITE ${file} "foreach(test IN LISTS ${name}_TESTS)\n"
                     "  set_tests_properties(\"\${test}\" PROPERTIES ${property} \"${value}\")\n"
                     "endforeach()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file})
endfunction()

# vps_unit_test(NAME SOURCES ... DEPS ... [LABELS ...])  ->  executable NAME and one ctest entry per TEST
function(vps_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE vps_settings ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  vps_test_headers(${name})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  gtest_discover_tests(${name} PROPERTIES TIMEOUT 120 DISCOVERY_TIMEOUT 60 WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  vps_test_properties(${name} LABELS "${ARG_LABELS}")
endfunction()
