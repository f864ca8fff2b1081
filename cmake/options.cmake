# What is built, and how strictly.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

option(MILLRACE_TOOLS "Build the millrace command" ${PROJECT_IS_TOP_LEVEL})
option(MILLRACE_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(MILLRACE_BENCH "Build the benchmarks" OFF)
option(MILLRACE_PYTHON "Build the extension module of the Python package (needs nanobind)" OFF)
option(MILLRACE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(MILLRACE_ASSERTIONS "Check internal invariants on the hot path too" OFF)
set(MILLRACE_ARCH "x86-64-v2" CACHE STRING "Processors the build runs on, as -march takes them")
set(MILLRACE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined or thread")
set(MILLRACE_PROFILE "" CACHE STRING "Guided by a profile (g++): generate, for programs that write it, or use")
set(MILLRACE_PROFILE_DIR "${PROJECT_BINARY_DIR}/profile" CACHE PATH "Where that profile lies")

# Everything of the project's own is compiled with these; they do not leak to those who link it.
add_library(millrace_options INTERFACE)
target_compile_options(millrace_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
  # g++ 12 sees overflows in the standard library's own inlined copies that are not there (PR 105329, 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow> $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
  -march=${MILLRACE_ARCH} -mtune=generic)
# Under sanitizers, and guided by a profile, g++ 12 warns of paths that cannot be taken; a project that embeds this one
# decides for itself.
if(PROJECT_IS_TOP_LEVEL AND NOT MILLRACE_SANITIZE AND NOT MILLRACE_PROFILE)
  target_compile_options(millrace_options INTERFACE -Werror)
endif()
if(MILLRACE_ASSERTIONS)
  target_compile_definitions(millrace_options INTERFACE MILLRACE_ASSERTIONS)
endif()
if(MILLRACE_SANITIZE)
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
endif()

include(cmake/profile.cmake)

# Headers are included as "millrace/core/types.hpp", in the tree as where they are installed. A profile knows functions
# by the files they stand in, so that who writes it and who uses it have to name these alike.
set(MILLRACE_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
if(MILLRACE_PROFILE)
  set(MILLRACE_INCLUDE_DIR ${MILLRACE_PROFILE_DIR}-include)
endif()
file(MAKE_DIRECTORY ${MILLRACE_INCLUDE_DIR}/millrace)
foreach(folder core feed replay)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${MILLRACE_INCLUDE_DIR}/millrace/${folder} SYMBOLIC)
endforeach()
file(CONFIGURE OUTPUT ${MILLRACE_INCLUDE_DIR}/millrace/feed.hpp CONTENT "#include \"millrace/feed/feed.hpp\"\n" @ONLY)
