// Loaded before a program: counts what each of its threads asks the allocator and the kernel for.
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

enum { kThreads = 1 << 16 };
static unsigned long counts[kThreads];  // by thread number; each written by its thread alone

static void count(void) { ++counts[gettid() % kThreads]; }
unsigned long allocations_of(int thread) { return counts[thread % kThreads]; }

void* malloc(size_t size) { return count(), __libc_malloc(size); }
void* calloc(size_t number, size_t size) { return count(), __libc_calloc(number, size); }
void* realloc(void* old, size_t size) { return count(), __libc_realloc(old, size); }
void* memalign(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
int posix_memalign(void** out, size_t alignment, size_t size) {
    count();
    return (*out = __libc_memalign(alignment, size)) == NULL ? 12 : 0;
}
void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) {
    count();
    return (void*)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}
