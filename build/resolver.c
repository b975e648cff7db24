// Hosts are looked up in /etc/hosts and by DNS, as programs written in Go do it. What else /etc/nsswitch.conf may name are
// shared libraries, which fit only the C library that they came with.
#include <nss.h>

__attribute__((constructor)) static void only_files_and_dns(void) {
  __nss_configure_lookup("hosts", "files dns");
}
