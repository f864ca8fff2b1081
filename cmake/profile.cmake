# Profile-guided builds. Programs built with MILLRACE_PROFILE=generate write into MILLRACE_PROFILE_DIR, when they end,
# what they did; MILLRACE_PROFILE=use compiles by it. tools/lib/profile.sh runs what is counted, and says when it is
# complete.
if(MILLRACE_PROFILE STREQUAL "")
  return()
endif()
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR "MILLRACE_PROFILE needs g++; ${CMAKE_CXX_COMPILER} is none")
endif()

# Names without the build folder, since one folder's profile is used in another one.
add_compile_options(-fprofile-prefix-path=${PROJECT_BINARY_DIR})
if(MILLRACE_PROFILE STREQUAL "generate")
  add_compile_options(-fprofile-generate=${MILLRACE_PROFILE_DIR} -fprofile-update=prefer-atomic)
  add_link_options(-fprofile-generate)
elseif(MILLRACE_PROFILE STREQUAL "use")
  set(complete ${MILLRACE_PROFILE_DIR}/complete)
  if(NOT EXISTS ${complete})
    message(FATAL_ERROR "no profile in ${MILLRACE_PROFILE_DIR}; ./tools/build --preset pgo makes it")
  endif()
  # What was never run is compiled as without a profile, not for size.
  add_compile_options(-fprofile-use=${MILLRACE_PROFILE_DIR} -fprofile-partial-training -Wno-missing-profile)
  # A name for the profile, so that another one compiles everything anew.
  file(SHA256 ${complete} profile_id)
  add_compile_definitions(MILLRACE_PROFILE_ID=${profile_id})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${complete})
else()
  message(FATAL_ERROR "MILLRACE_PROFILE is ${MILLRACE_PROFILE}; it takes generate or use")
endif()
