# cmake -P: installs to one place, moves that to another, and builds and runs the consumer from there (and, by
# find_package, builds the example strategy).
# WAY is find_package or pkg_config.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\nended with ${code}:\n${out}")
  endif()
  set(out ${out} PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/first)
file(RENAME ${WORK_DIR}/first ${WORK_DIR}/moved)
file(GLOB_RECURSE texts ${WORK_DIR}/moved/*.cmake ${WORK_DIR}/moved/*.pc)
foreach(text ${texts})
  file(STRINGS ${text} lines REGEX "${BUILD_DIR}|${WORK_DIR}")
  if(lines)
    message(FATAL_ERROR "${text} names a folder of the build: ${lines}")
  endif()
endforeach()

if(WAY STREQUAL "find_package")
  run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${WORK_DIR}/build -G Ninja -D CMAKE_BUILD_TYPE=Release
    -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_PREFIX_PATH=${WORK_DIR}/moved)
  run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
  run(${WORK_DIR}/build/consumer)
  run(${CMAKE_COMMAND} -S ${EXAMPLE_DIR} -B ${WORK_DIR}/example -G Ninja -D CMAKE_BUILD_TYPE=Release
    -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_PREFIX_PATH=${WORK_DIR}/moved)
  run(${CMAKE_COMMAND} --build ${WORK_DIR}/example)
  return()
endif()

file(GLOB_RECURSE pc ${WORK_DIR}/moved/millrace.pc)
get_filename_component(pc_dir ${pc} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
execute_process(COMMAND pkg-config --modversion millrace
  OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT found STREQUAL VERSION)
  message(FATAL_ERROR "pkg-config found millrace ${found}, not ${VERSION}")
endif()
foreach(what cflags libs)
  execute_process(COMMAND pkg-config --${what} millrace
    OUTPUT_VARIABLE ${what} OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(${what} UNIX_COMMAND "${${what}}")
endforeach()
run(${CXX} -std=c++20 -O1 -fno-exceptions -fno-rtti ${cflags}
  -c ${CONSUMER_DIR}/strategy.cpp -o ${WORK_DIR}/strategy.o)
run(${CXX} -std=c++20 -O1 ${cflags} ${CONSUMER_DIR}/main.cpp ${WORK_DIR}/strategy.o ${libs}
  -o ${WORK_DIR}/consumer)
run(${WORK_DIR}/consumer)

# A misspelt callback does not compile, and the compiler says in few lines which one is missing.
execute_process(COMMAND ${CXX} -std=c++20 -fsyntax-only ${cflags} ${CONSUMER_DIR}/misspelt.cpp
  RESULT_VARIABLE code ERROR_VARIABLE message)
string(REGEX MATCHALL "\n" newlines "${message}")
list(LENGTH newlines lines)
if(code EQUAL 0 OR NOT message MATCHES "HasOnTrade" OR lines GREATER 40)
  message(FATAL_ERROR "misspelt.cpp: code ${code}, ${lines} lines:\n${message}")
endif()
