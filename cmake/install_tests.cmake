# Builds a project of its own against the installed package, as users do.
foreach(way find_package pkg_config)
  add_test(NAME install_${way}
    COMMAND ${CMAKE_COMMAND}
      -D WAY=${way}
      -D BUILD_DIR=${PROJECT_BINARY_DIR}
      -D CONSUMER_DIR=${PROJECT_SOURCE_DIR}/tests/install_consumer
      -D EXAMPLE_DIR=${PROJECT_SOURCE_DIR}/examples/strategy
      -D WORK_DIR=${PROJECT_BINARY_DIR}/install-test-${way}
      -D CXX=${CMAKE_CXX_COMPILER}
      -D VERSION=${PROJECT_VERSION}
      -P ${PROJECT_SOURCE_DIR}/tests/install_consumer/build.cmake)
  set_tests_properties(install_${way} PROPERTIES TIMEOUT 600)
endforeach()
