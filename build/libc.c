// What the C library does at a start that a program which is one file, and runs for a millisecond, is better off without.
#define _GNU_SOURCE
#include <netdb.h>
#include <nss.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

// The linker leads every call of the functions here that are called `__wrap_`.
int __real_getaddrinfo(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int __real_pthread_getattr_np(pthread_t, pthread_attr_t *);

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void only_files_and_dns(void) {
  __nss_configure_lookup("hosts", "files dns");
}

// Hosts are looked up in /etc/hosts and by DNS, as programs written in Go do it. What else /etc/nsswitch.conf may name are
// shared libraries, which fit only the C library that they came with.
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  pthread_once(&once, only_files_and_dns);
  return __real_getaddrinfo(node, service, hints, found);
}

// Where the stack of the main thread ends, which Rust asks for at every start, so that it can name an overflow. The C library
// reads /proc/self/maps for it; the name of the program, which the kernel writes at the top of the stack, says the same.
int __wrap_pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes) {
  const char *name = (const char *)getauxval(AT_EXECFN);
  struct rlimit limit;
  if (!pthread_equal(thread, pthread_self()) || getpid() != gettid() || name == NULL ||
      getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return __real_pthread_getattr_np(thread, attributes);
  size_t page = (size_t)getpagesize();
  size_t top = ((size_t)name + strlen(name) + 1 + page) / page * page;
  size_t size = limit.rlim_cur / page * page;
  int error = pthread_attr_init(attributes);
  return error != 0 ? error : pthread_attr_setstack(attributes, (void *)(top - size), size);
}

// Without these, the first unwinding would sort the frames of the whole program; the table of frames that the linker made is
// sorted, and found by itself.
void __wrap___register_frame_info(const void *begin, void *object) {
  (void)begin, (void)object;
}

void *__wrap___deregister_frame_info(const void *begin) {
  (void)begin;
  return NULL;
}
