# `cmake --install`: headers, libraries, CMake package, pkg-config files and the command, all relative to
# wherever the prefix comes to lie.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(MILLRACE_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)

install(TARGETS millrace_core millrace_feed millrace_replay EXPORT millrace_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT millrace_targets NAMESPACE millrace:: DESTINATION ${MILLRACE_CMAKE_DIR}
  FILE millraceTargets.cmake)
install(DIRECTORY core feed replay DESTINATION include/millrace FILES_MATCHING PATTERN "*.hpp")
install(FILES ${MILLRACE_INCLUDE_DIR}/millrace/feed.hpp DESTINATION include/millrace)

configure_package_config_file(cmake/millraceConfig.cmake.in
  ${PROJECT_BINARY_DIR}/millraceConfig.cmake INSTALL_DESTINATION ${MILLRACE_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/millraceConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/millraceConfig.cmake ${PROJECT_BINARY_DIR}/millraceConfigVersion.cmake
  DESTINATION ${MILLRACE_CMAKE_DIR})

# ${pcfiledir} is where pkg-config found the file, so that the prefix may move.
set(MILLRACE_PC_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH MILLRACE_PC_TO_PREFIX ${CMAKE_INSTALL_PREFIX}/${MILLRACE_PC_DIR} ${CMAKE_INSTALL_PREFIX})
foreach(package millrace millrace-replay)
  configure_file(cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${MILLRACE_PC_DIR})
endforeach()

if(MILLRACE_TOOLS AND TARGET millrace)
  install(TARGETS millrace RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(MILLRACE_TESTS)
  include(cmake/install_tests.cmake)
endif()
