// Defines MILLRACE_OTHER_ALLOCATOR where a sanitizer brings an allocator of its own, which tests must not replace.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MILLRACE_OTHER_ALLOCATOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MILLRACE_OTHER_ALLOCATOR
#endif
#endif
