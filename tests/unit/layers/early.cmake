# What runs before the C library has started must not need it: the only thing outside that early.cc names is the library's start.
# cmake -D NM=nm -D OBJECTS=A.o;B.o -P early.cmake
list(FILTER OBJECTS INCLUDE REGEX "early")
execute_process(COMMAND ${NM} --format=posix ${OBJECTS} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
if(NOT symbols MATCHES "vpsrun_entry T ")
  message(FATAL_ERROR "no entry point in ${OBJECTS}")
endif()
string(REGEX MATCHALL "[^\n]+ U " needed "${symbols}")
if(NOT needed STREQUAL "_start U ")
  message(FATAL_ERROR "early.cc needs ${needed}")
endif()
